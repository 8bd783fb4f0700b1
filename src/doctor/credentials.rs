//! Secrets: whether they can be read, and by whom else.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ramand_core::failure::Kind;

use super::{Diagnosis, Root};
use crate::config::Config;

/// Where systemd puts what a unit's LoadCredential names, while the unit runs.
const HANDED_OVER: &str = "/run/credentials";

/// Where the units take the files from.
const SECRETS: &str = "/etc/ramand/secrets";

/// Where an operator's drop-ins are.
const UNITS: &str = "/etc/systemd/system";

/// How the units name a file of that folder.
const PREFIX: &str = "secret_";

pub(super) fn examine(config: &Config, root: &Root) -> Vec<Diagnosis> {
    let mqtt = &config.mqtt;
    let files = [
        (&mqtt.password_file, Secrecy::Secret),
        (&mqtt.client_key_file, Secrecy::Secret),
        (&mqtt.ca_file, Secrecy::Public),
        (&mqtt.client_certificate_file, Secrecy::Public),
    ];
    files.into_iter().filter_map(|(file, secrecy)| Some(look(file.as_deref()?, secrecy, root))).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Secret,
    Public,
}

fn look(path: &Path, secrecy: Secrecy, root: &Root) -> Diagnosis {
    if let Some(diagnosis) = handed_over(path, root) {
        return diagnosis;
    }
    let there = root.path(path);
    match std::fs::File::open(&there).and_then(|file| file.metadata()) {
        Err(error) => {
            let says = format!("{}: {error}: put it there, readable by the user of the service", path.display());
            Diagnosis::mend("credentials", Kind::Operator, says)
        }
        Ok(metadata) if secrecy == Secrecy::Secret && metadata.permissions().mode() & 0o007 != 0 => {
            let says = format!("{} can be read by everybody: 'chmod o= {}'", path.display(), path.display());
            Diagnosis::mend("credentials", Kind::Operator, says)
        }
        Ok(_) => Diagnosis::good("credentials", format!("{} can be read", path.display())),
    }
}

/// Of a file that systemd hands over, while the unit does not run: what counts is the file that it takes. `None` for any other.
pub fn handed_over(path: &Path, root: &Root) -> Option<Diagnosis> {
    (path.starts_with(HANDED_OVER) && !root.path(path).exists()).then(|| origin(path, root))
}

fn origin(path: &Path, root: &Root) -> Diagnosis {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(name) = name.strip_prefix(PREFIX) else {
        let says = format!("{} is not there, and no unit hands over a file of that name", path.display());
        return Diagnosis::mend("credentials", Kind::Operator, says);
    };
    let origin = Path::new(SECRETS).join(name);
    let line = format!("LoadCredential={PREFIX}{name}:{}", origin.display());
    let unit = path.parent().and_then(Path::file_name).and_then(|unit| unit.to_str()).unwrap_or_default();
    match std::fs::metadata(root.path(&origin)) {
        Ok(_) if !unit_says(unit, &line, root) => {
            let says = format!(
                "{unit} does not hand {} over: put '{line}' into a file of {UNITS}/{unit}.d, below [Service]",
                origin.display()
            );
            Diagnosis::mend("credentials", Kind::Operator, says)
        }
        Ok(_) => Diagnosis::good("credentials", format!("{} will be handed over by systemd", origin.display())),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let says = format!("{}: only root may look; run this as root to be sure", origin.display());
            Diagnosis::noted("credentials", says)
        }
        Err(error) => {
            let says = format!("{}: {error}: systemd hands it over as {}", origin.display(), path.display());
            Diagnosis::mend("credentials", Kind::Operator, says)
        }
    }
}

/// Whether a drop-in of the operator's for this unit, or for the template it is an instance of, has this line.
fn unit_says(unit: &str, line: &str, root: &Root) -> bool {
    let template = unit.split_once('@').map(|(name, _)| format!("{name}@.service"));
    let units = [Some(unit.to_owned()), template].into_iter().flatten();
    let listed = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let drop_ins = units.flat_map(|unit| listed(&root.path(Path::new(UNITS).join(format!("{unit}.d")))));
    let texts = drop_ins.filter_map(|file| std::fs::read_to_string(file).ok());
    texts.into_iter().any(|text| text.lines().any(|found| found.trim() == line))
}
