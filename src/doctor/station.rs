//! What is not the instrument: the laser's safeguards in the configuration, the clock, the disk and the journal.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use ramand_core::failure::{self, Failure, Kind};

use super::{Finding, Root};
use crate::config::Config;
use crate::daemon;
use crate::journal::JournalReader;
use crate::publish::wire::Clock;

/// A journal up to this size is read as a whole: seconds on an SD card.
const VERIFY_BYTES_MAX: u64 = 256 << 20;

/// What the log beside the journal takes at rest, and what is kept back for a full disk.
const LOG_BYTES: u64 = (16 + 8) << 20;

pub(super) fn laser(config: &Config) -> Vec<Finding> {
    let spectrometer = &config.spectrometer;
    let mut findings = Vec::new();
    if spectrometer.serial_number.is_none() {
        let says = "spectrometer.serial_number is not set: the laser of any instrument at that port would be switched";
        findings.push(Finding::mend("laser", Kind::Operator, says));
    }
    if spectrometer.laser_warm_up.is_zero() {
        findings.push(Finding::noted("laser", "spectrometer.laser_warm_up is 0: the first spectra drift"));
    }
    if findings.is_empty() {
        let switched = match spectrometer.laser {
            crate::config::LaserSwitch::Profile => "as the profile says",
            crate::config::LaserSwitch::LampLine => "by the lamp line",
        };
        let serial = spectrometer.serial_number.as_deref().unwrap_or_default();
        findings.push(Finding::good("laser", format!("switched {switched}, on {serial} only")));
    }
    findings
}

pub(super) fn clock() -> Vec<Finding> {
    vec![match daemon::clock() {
        Clock::Synchronised => Finding::good("clock", "synchronised"),
        Clock::Free => Finding::mend(
            "clock",
            Kind::Operator,
            "not synchronised: 'timedatectl set-ntp true', or a time server in /etc/systemd/timesyncd.conf; results say so meanwhile",
        ),
    }]
}

pub(super) fn journal(config: &Config, root: &Root) -> Vec<Finding> {
    let path = root.path(&config.journal.path);
    let folder = path.parent().unwrap_or(Path::new("."));
    if !folder.exists() {
        let says = format!("{} does not exist: systemd makes it (StateDirectory), otherwise make it", folder.display());
        return vec![Finding::mend("journal", Kind::Operator, says)];
    }
    let mut findings = vec![match access(folder, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Finding::good("folder", format!("{} can be written", folder.display())),
        Err(error) => {
            let says = format!("{}: {error}: run as the user of the service, or change the owner", folder.display());
            Finding::mend("folder", Kind::Operator, says)
        }
    }];
    let mut used = 0;
    if path.exists() {
        let (finding, bytes) = health(&path);
        findings.push(finding);
        used = bytes;
    } else {
        findings.push(Finding::noted("journal", format!("{} will be made", path.display())));
    }
    findings.push(match statvfs(folder) {
        Ok(space) => {
            // Both counts have another width on every architecture, and a disk's size has no need for its last byte.
            let free = (space.blocks_available() as f64 * space.fragment_size() as f64) as u64;
            let needed = config.journal.capacity.as_u64().saturating_sub(used) + LOG_BYTES;
            let says = format!("{} free, the journal may take {} more", size(free), size(needed));
            if free >= needed {
                Finding::good("disk", says)
            } else {
                Finding::mend("disk", Kind::Operator, format!("{says}: make room, or lower journal.capacity"))
            }
        }
        Err(error) => Finding::noted("disk", format!("not known here: {error}")),
    });
    findings
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// Whether it can be read, and how much it holds.
fn health(path: &Path) -> (Finding, u64) {
    let looked_at = JournalReader::open(path).and_then(|reader| {
        let statistics = reader.statistics()?;
        let whole = statistics.used_bytes <= VERIFY_BYTES_MAX;
        if whole {
            reader.verify()?;
        }
        Ok((statistics, whole))
    });
    match looked_at {
        Ok((statistics, whole)) => {
            let last = statistics.last.map_or("empty".to_owned(), |seq| format!("last record {seq}"));
            let checked = if whole { "sound" } else { "too large to be read as a whole here" };
            let says = format!("{}: {last}, {} parts owed, {checked}", path.display(), statistics.owed_parts);
            (Finding::good("journal", says), statistics.used_bytes)
        }
        Err(error) => (Finding::mend("journal", error.kind(), failure::chain(&error)), 0),
    }
}
