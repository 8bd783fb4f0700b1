//! The systemd units, the documented exit codes and the code agree, and systemd finds nothing to object to.

#[path = "support/missing.rs"]
mod missing;
#[path = "support/program.rs"]
mod program;
#[path = "support/root.rs"]
mod root;

use std::fs;
use std::path::Path;
use std::process::Command;

use missing::missing;
use program::program;
use ramand_core::failure::Kind;
use root::root;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

fn value_of<'a>(unit: &'a str, key: &str) -> &'a str {
    let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("the unit has no {key}"))
}

/// What a command line that cannot be understood ends with.
const USAGE: i32 = 2;

#[test]
fn a_command_line_that_cannot_be_understood_ends_with_its_code() {
    let status = Command::new(program()).args(["run", "--confg"]).output().expect("it runs").status;
    assert_eq!(status.code(), Some(USAGE));
}

#[test]
fn systemd_does_not_restart_what_only_an_operator_can_mend() {
    for unit in ["systemd/ramand.service", "systemd/ramand@.service"] {
        let unit = read(unit);
        let codes = format!("{USAGE} {}", Kind::Operator.exit_code());
        assert_eq!(value_of(&unit, "RestartPreventExitStatus"), codes);
        assert_eq!(value_of(&unit, "Type"), "notify");
        assert_ne!(
            value_of(&unit, "TimeoutStartSec"),
            "infinity",
            "whoever waits for the start must not wait for ever"
        );
    }
}

/// The units as a package installs them, by the name under which each is started.
const UNITS: [(&str, &str); 3] = [
    ("ramand.service", "ramand.service"),
    ("ramand@.service", "ramand@line-2.service"),
    ("ramand-sim.service", "ramand-sim.service"),
];

/// What `systemd-analyze security` may say at most; 10 is a service that may do anything.
const EXPOSURE_MAX: f64 = 2.0;

/// Units and drop-ins in one folder, with a program that exists here; `change` edits a unit's text.
fn installed(change: impl Fn(&str) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, name) in UNITS {
        let text =
            change(&read(&format!("systemd/{file}"))).replace("/usr/bin/ramand", program().to_str().expect("UTF-8"));
        fs::write(folder.path().join(name), text).expect("written");
        let drop_ins = folder.path().join(format!("{file}.d"));
        fs::create_dir(&drop_ins).expect("a folder");
        for drop_in in ["hardening.conf", "secrets.conf"] {
            fs::write(drop_ins.join(drop_in), read(&format!("systemd/{drop_in}"))).expect("written");
        }
    }
    folder
}

/// What systemd-analyze prints on either stream; `None`, with a reason, where it is not installed.
fn systemd_analyze(folder: &Path, arguments: &[&str]) -> Option<String> {
    let path = format!("{}:", folder.display());
    match Command::new("systemd-analyze").args(arguments).env("SYSTEMD_UNIT_PATH", path).output() {
        Ok(output) => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
        }
        Err(error) => {
            missing("program", &format!("systemd-analyze does not run here, {error}: apt-get install systemd"));
            None
        }
    }
}

/// systemd 247 to 250 read what LoadCredential names as one file, and do not start a service where they cannot; without a secret
/// there is none to read.
#[test]
fn credentials_are_single_files_and_only_where_somebody_put_them() {
    for (file, _) in UNITS {
        assert!(!read(&format!("systemd/{file}")).contains("\nLoadCredential="), "{file} needs no secret to start");
    }
    let (tmpfiles, drop_in) = (read("systemd/tmpfiles.d/ramand.conf"), read("systemd/secrets.conf"));
    let loaded: Vec<_> =
        drop_in.lines().filter_map(|line| line.strip_prefix("LoadCredential=")?.split_once(':')).collect();
    assert!(!loaded.is_empty(), "the example shows how");
    for (name, path) in loaded {
        assert!(!tmpfiles.contains(&format!("d {path} ")), "{path} is a folder");
        assert_eq!(
            Some(path),
            name.strip_prefix("secret_").map(|name| format!("/etc/ramand/secrets/{name}")).as_deref()
        );
    }
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let units = installed(str::to_owned);
    let mistaken = installed(|unit| unit.replace("Restart=", "Restarts="));
    for (_, name) in UNITS {
        // It exits with 0 even where it objects: what counts is what it prints.
        let verify = |folder: &Path| systemd_analyze(folder, &["verify", "--man=no", name]);
        let Some(found) = verify(units.path()) else { return };
        assert_eq!(found, "", "{name}");
        let found = verify(mistaken.path()).expect("it ran before");
        assert!(found.contains("Restarts"), "a mistaken key is noticed: {found}");
    }
}

#[test]
fn the_units_are_exposed_as_little_as_promised() {
    let units = installed(str::to_owned);
    for (_, name) in UNITS {
        let Some(found) = systemd_analyze(units.path(), &["security", "--offline=true", name]) else { return };
        let level = found.lines().last().and_then(|line| line.split_once(": ")).map(|(_, level)| level);
        let level = level.and_then(|level| level.split(' ').next()?.parse::<f64>().ok());
        let level = level.unwrap_or_else(|| panic!("no exposure level in {found}"));
        assert!(level <= EXPOSURE_MAX, "{name}: {level}\n{found}");
    }
}

#[test]
fn every_exit_code_is_documented() {
    let page = read("docs/exit-codes.md");
    for kind in [Kind::Transient, Kind::Device, Kind::Operator, Kind::Bug] {
        let row = format!("| {} |", kind.exit_code());
        let restarts = if kind == Kind::Operator { "does not restart |" } else { "restarts |" };
        let documented = page.lines().any(|line| line.starts_with(&row) && line.ends_with(restarts));
        assert!(documented, "docs/exit-codes.md has no row '{row} ... {restarts}' for {kind:?}");
    }
}
