//! What is not the instrument: the laser's safeguards in the configuration, the clock, the disk and the journal.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use ramand_core::failure::{self, Failure, Kind};

use super::{Diagnosis, Root};
use crate::config::Config;
use crate::daemon;
use crate::journal::JournalReader;
use crate::publish::wire::Clock;

/// A journal up to this size is read as a whole: seconds on an SD card.
const VERIFY_BYTES_MAX: u64 = 256 << 20;

/// What the log beside the journal takes at rest, and what is kept back for a full disk.
const LOG_BYTES: u64 = (16 + 8) << 20;

pub(super) fn laser(config: &Config) -> Vec<Diagnosis> {
    let spectrometer = &config.spectrometer;
    let mut diagnoses = Vec::new();
    if spectrometer.serial_number.is_none() {
        let says = "spectrometer.serial_number is not set: the laser of any instrument at that port would be switched";
        diagnoses.push(Diagnosis::mend("laser", Kind::Operator, says));
    }
    if spectrometer.laser_warm_up.is_zero() {
        diagnoses.push(Diagnosis::noted("laser", "spectrometer.laser_warm_up is 0: the first spectra drift"));
    }
    if diagnoses.is_empty() {
        let switched = match spectrometer.laser {
            crate::config::LaserSetting::Profile => "as the profile says",
            crate::config::LaserSetting::LampLine => "by the lamp line",
        };
        let serial = spectrometer.serial_number.as_deref().unwrap_or_default();
        diagnoses.push(Diagnosis::good("laser", format!("switched {switched}, on {serial} only")));
    }
    diagnoses
}

pub(super) fn clock() -> Vec<Diagnosis> {
    vec![match daemon::clock() {
        Clock::Synchronised => Diagnosis::good("clock", "synchronised"),
        Clock::Free => Diagnosis::mend(
            "clock",
            Kind::Operator,
            "not synchronised: 'timedatectl set-ntp true', or a time server in /etc/systemd/timesyncd.conf; results say so meanwhile",
        ),
    }]
}

pub(super) fn journal(config: &Config, root: &Root) -> Vec<Diagnosis> {
    let path = root.path(&config.journal.path);
    let folder = path.parent().unwrap_or(Path::new("."));
    if !folder.exists() {
        let says = format!("{} does not exist: systemd makes it (StateDirectory), otherwise make it", folder.display());
        return vec![Diagnosis::mend("journal", Kind::Operator, says)];
    }
    let mut diagnoses = vec![match access(folder, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Diagnosis::good("folder", format!("{} can be written", folder.display())),
        Err(error) => {
            let says = format!("{}: {error}: run as the user of the service, or change the owner", folder.display());
            Diagnosis::mend("folder", Kind::Operator, says)
        }
    }];
    let mut used = 0;
    if path.exists() {
        let (diagnosis, bytes) = health(&path);
        diagnoses.push(diagnosis);
        used = bytes;
    } else {
        diagnoses.push(Diagnosis::noted("journal", format!("{} will be made", path.display())));
    }
    diagnoses.push(match statvfs(folder) {
        Ok(space) => {
            // Both counts have another width on every architecture, and a disk's size has no need for its last byte.
            let free = (space.blocks_available() as f64 * space.fragment_size() as f64) as u64;
            let needed = config.journal.capacity.as_u64().saturating_sub(used) + LOG_BYTES;
            let says = format!("{} free, the journal may take {} more", size(free), size(needed));
            if free >= needed {
                Diagnosis::good("disk", says)
            } else {
                Diagnosis::mend("disk", Kind::Operator, format!("{says}: make room, or lower journal.capacity"))
            }
        }
        Err(error) => Diagnosis::noted("disk", format!("not known here: {error}")),
    });
    diagnoses
}

fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// Whether it can be read, and how much it holds.
fn health(path: &Path) -> (Diagnosis, u64) {
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
            (Diagnosis::good("journal", says), statistics.used_bytes)
        }
        Err(error) => (Diagnosis::mend("journal", error.kind(), failure::chain(&error)), 0),
    }
}
