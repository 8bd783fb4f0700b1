//! The serial port: whether it is there, who may open it, who else might, and who answers.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::libc::{major, minor};
use nix::unistd::{AccessFlags, access};
use ramand_core::failure::{self, Failure, Kind};

use super::{Diagnosis, Root};
use crate::acquire::{self, AcquireError, BaudRate};
use crate::config::Config;
use crate::daemon;
use crate::supervise::Stop;

/// Programs that open ports uninvited, and what to do.
const UNINVITED: [(&str, &str); 2] = [
    (
        "ModemManager",
        "sends AT commands to new ports: install systemd/90-ramand.rules, or 'systemctl disable --now ModemManager'",
    ),
    ("brltty", "takes some adapters for braille displays: install systemd/90-ramand.rules, or 'apt remove brltty'"),
];

/// What udev writes about a device that ModemManager leaves alone.
const IGNORED: &str = "E:ID_MM_DEVICE_IGNORE=1";

/// Where the rules are that take adapters away from brltty: put there by the package, or by hand.
const RULES: [&str; 2] = ["/usr/lib/udev/rules.d/90-ramand.rules", "/etc/udev/rules.d/90-ramand.rules"];

pub(super) fn examine(config: &Config, root: &Root) -> Vec<Diagnosis> {
    let name = &config.spectrometer.port;
    let port = root.path(name);
    let Ok(metadata) = std::fs::metadata(&port) else {
        let connected = root.names("/dev/serial/by-id", "");
        let seen = if connected.is_empty() { "nothing is connected".to_owned() } else { connected.join(", ") };
        let says = format!("{} is not there: check plug and power; below /dev/serial/by-id: {seen}", name.display());
        return vec![Diagnosis::mend("port", Kind::Device, says)];
    };
    if !metadata.file_type().is_char_device() {
        let says = format!("{} is not a serial port: configure one of /dev/serial/by-id", name.display());
        return vec![Diagnosis::mend("port", Kind::Operator, says)];
    }
    let mut diagnoses = Vec::new();
    let group = group_name(metadata.gid(), root);
    diagnoses.push(match access(&port, AccessFlags::R_OK | AccessFlags::W_OK) {
        Ok(()) => Diagnosis::good("port", format!("{} is there and may be opened (group {group})", name.display())),
        Err(error) => {
            let says = format!(
                "{}: {error}: 'sudo usermod -aG {group} USER' and log in again; the service unit is in dialout by itself",
                name.display()
            );
            Diagnosis::mend("port", Kind::Operator, says)
        }
    });
    let stable = name.starts_with("/dev/serial") || name.starts_with("/dev/ramand");
    if !stable && name.to_string_lossy().contains("ttyUSB") | name.to_string_lossy().contains("ttyACM") {
        let says = format!("{} changes when a plug moves: configure its name below /dev/serial/by-id", name.display());
        diagnoses.push(Diagnosis::mend("port", Kind::Operator, says));
    }
    diagnoses.extend(tty_name(&port).and_then(|tty| latency(&tty, root)));
    diagnoses.extend(tty_name(&port).and_then(|tty| console(&tty, root)));
    diagnoses
}

/// `ttyUSB0`, whatever link leads there.
fn tty_name(port: &Path) -> Option<String> {
    std::fs::canonicalize(port).ok()?.file_name()?.to_str().map(str::to_owned)
}

fn latency(tty: &str, root: &Root) -> Option<Diagnosis> {
    let text = root.text(format!("/sys/bus/usb-serial/devices/{tty}/latency_timer"))?;
    let milliseconds: u32 = text.parse().ok()?;
    Some(if milliseconds > 1 {
        let says = format!(
            "the adapter holds short answers back for {milliseconds} ms: install systemd/90-ramand.rules, \
             which sets 1 ms, then unplug it and plug it in again"
        );
        Diagnosis::mend("latency", Kind::Operator, says)
    } else {
        Diagnosis::good("latency", "the adapter holds short answers back for 1 ms")
    })
}

fn console(tty: &str, root: &Root) -> Option<Diagnosis> {
    let active = root.text("/sys/class/tty/console/active")?;
    active.split_whitespace().any(|console| console == tty).then(|| {
        let says = format!(
            "{tty} is the system's console: on a Raspberry Pi 'sudo raspi-config', serial port, login shell: no"
        );
        Diagnosis::mend("port", Kind::Operator, says)
    })
}

fn group_name(gid: u32, root: &Root) -> String {
    let groups = root.text("/etc/group").unwrap_or_default();
    let number = gid.to_string();
    let named = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = named.into_iter().find(|fields| fields.get(2) == Some(&number.as_str()));
    found.and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or(number)
}

/// Programs that would talk to the instrument.
pub(super) fn uninvited(config: &Config, root: &Root) -> Vec<Diagnosis> {
    let running: Vec<String> = (root.names("/proc", "").into_iter())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|process| root.text(format!("/proc/{process}/comm")))
        .collect();
    let ignored = udev_record(&config.spectrometer.port, root).is_some_and(|record| record.contains(IGNORED));
    let kept_away = RULES.iter().any(|rules| root.path(Path::new(rules)).exists());
    let look = |(program, remedy): (&str, &str)| {
        // The kernel keeps fifteen characters of a name.
        let name: String = program.chars().take(15).collect();
        if !running.contains(&name) {
            Diagnosis::good("others", format!("{program} does not run"))
        } else if (program == UNINVITED[0].0 && ignored) || (program == UNINVITED[1].0 && kept_away) {
            Diagnosis::good("others", format!("{program} runs and leaves this port alone"))
        } else {
            Diagnosis::mend("others", Kind::Operator, format!("{program} runs and {remedy}"))
        }
    };
    UNINVITED.into_iter().map(look).collect()
}

/// What udev knows about the port.
fn udev_record(port: &Path, root: &Root) -> Option<String> {
    let device = std::fs::metadata(root.path(port)).ok()?.rdev();
    root.text(format!("/run/udev/data/c{}:{}", major(device), minor(device)))
}

/// Asks the instrument who it is, where nobody else has the port. Neither rate nor laser is changed.
pub(super) fn instrument(config: &Config) -> Vec<Diagnosis> {
    let settings = match daemon::instrument(config) {
        Ok(settings) => settings,
        Err(error) => return vec![Diagnosis::mend("instrument", error.kind(), failure::chain(&error))],
    };
    let baud = match settings.baud {
        BaudRate::Negotiate(_) => BaudRate::Probe,
        other => other,
    };
    let survey = acquire::survey(&acquire::AcquisitionSettings { baud, ..settings }, &Stop::never());
    vec![match survey {
        Ok(survey) => {
            let laser = match survey.laser_on {
                Some(true) => {
                    return vec![Diagnosis::mend(
                        "instrument",
                        Kind::Device,
                        format!(
                            "{} {}: THE LASER IS ON, and nobody here has the port: switch it off at the key",
                            survey.model, survey.serial
                        ),
                    )];
                }
                Some(false) => "laser off",
                None => "laser switched elsewhere",
            };
            let says = format!(
                "{} {} answers at {} baud, {:.0} to {:.0} cm-1, {laser}",
                survey.model,
                survey.serial,
                survey.baud,
                survey.axis.first().per_cm(),
                survey.axis.last().per_cm(),
            );
            Diagnosis::good("instrument", says)
        }
        Err(AcquireError::PortBusy { .. }) => {
            Diagnosis::noted("instrument", "not asked: another program has the port, the daemon as a rule")
        }
        Err(AcquireError::PortMissing { .. } | AcquireError::PortForbidden { .. } | AcquireError::NotAPort { .. }) => {
            Diagnosis::noted("instrument", "not asked: see the port")
        }
        Err(error) => Diagnosis::mend("instrument", error.kind(), failure::chain(&error)),
    }]
}
