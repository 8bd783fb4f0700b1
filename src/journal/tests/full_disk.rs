//! A disk that is really full: a small tmpfs of the test's own, and somebody else who takes every byte that becomes free.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::missing::missing;

/// Set in the process that has the disk: where it is mounted.
const DISK: &str = "RAMAND_TEST_DISK";
/// Room for some hundred records, the log, and what is kept back for a full disk.
const DISK_SIZE: &str = "size=48m";
const RECORD_BYTES: usize = 30_000;
/// Records that fit easily.
const FEW: u64 = 200;
/// Records that would need the disk twice over.
const MANY: u64 = 3_000;
const RECORDS_MAX: usize = usize::MAX;

/// What else writes to the disk, /var/log say.
struct Others(File);

impl Others {
    fn new(disk: &Path) -> Self {
        Self(OpenOptions::new().create(true).append(true).open(disk.join("others.log")).expect("a file"))
    }

    /// Takes what is free, to the last page.
    fn fill(&mut self) {
        for bytes in [1 << 20, 1 << 16, 1 << 12] {
            while self.0.write_all(&vec![0; bytes]).is_ok() {}
        }
    }
}

/// Runs `body` in a process whose disk is a tmpfs that vanishes with it.
fn on_a_small_disk(name: &str, body: impl FnOnce(&Path)) {
    if let Some(disk) = std::env::var_os(DISK) {
        return body(Path::new(&disk));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    // This process's own folder belongs to its user.
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let root: &[&str] = if root { &[] } else { &["--map-root-user"] };
    let mounted = |rest: &[&std::ffi::OsStr]| {
        let mut command = Command::new("unshare");
        command.args(root).args([
            "--mount",
            "sh",
            "-ec",
            "mount -t tmpfs -o \"$1\" tmpfs \"$2\"; shift 2; exec \"$@\"",
            "sh",
        ]);
        command.arg(DISK_SIZE).arg(folder.path()).args(rest).output()
    };
    if !mounted(&["true".as_ref()]).is_ok_and(|output| output.status.success()) {
        missing("privilege", "no file system can be mounted here: it takes root, or namespaces of a user's own");
        return;
    }
    let test = std::env::current_exe().expect("this test");
    let name = format!("journal::tests::full_disk::{name}");
    let setting = format!("{DISK}={}", folder.path().display());
    let arguments =
        ["env", &setting, test.to_str().expect("UTF-8"), &name, "--exact", "--nocapture", "--test-threads=1"];
    let output = mounted(&arguments.map(std::ffi::OsStr::new)).expect("ran before");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

fn delivered(journal: &Journal, number: u64) -> Result<Seq, JournalError> {
    let seq = journal.append(|_| entry(number, result(RECORD_BYTES)))?;
    journal.acknowledge(&[result_key(seq.number())])?;
    Ok(seq)
}

#[test]
fn delivered_records_make_room_however_full_the_disk_is_and_stays() {
    on_a_small_disk("delivered_records_make_room_however_full_the_disk_is_and_stays", |disk| {
        let path = disk.join("journal.sqlite");
        let mut others = Others::new(disk);
        let mut journal = Journal::open(&path, settings(ROOMY_BYTES)).expect("opens");
        for number in 1..=FEW {
            delivered(&journal, number).expect("room");
        }
        for number in FEW..MANY {
            others.fill();
            delivered(&journal, number).unwrap_or_else(|error| panic!("record {number}: {}", failure::chain(&error)));
        }
        for round in 0..3 {
            drop(journal);
            others.fill();
            journal = Journal::open(&path, settings(ROOMY_BYTES)).expect("opens on a full disk");
            for number in 0..FEW {
                others.fill();
                let kept = delivered(&journal, number);
                kept.unwrap_or_else(|error| panic!("round {round}, record {number}: {}", failure::chain(&error)));
            }
        }
        assert!(journal.owed(None, RECORDS_MAX).expect("readable").is_empty(), "nothing is owed, no gap either");
        journal.reader().and_then(|reader| reader.verify()).expect("sound");
    });
}

#[test]
fn what_nobody_took_can_be_acknowledged_on_a_full_disk_and_makes_room_then() {
    on_a_small_disk("what_nobody_took_can_be_acknowledged_on_a_full_disk_and_makes_room_then", |disk| {
        let mut others = Others::new(disk);
        let journal = Journal::open(&disk.join("journal.sqlite"), settings(ROOMY_BYTES)).expect("opens");
        let full = (1..MANY).find(|&number| {
            if number > FEW {
                others.fill();
            }
            journal.append(|_| entry(number, result(RECORD_BYTES))).is_err()
        });
        let full = full.expect("the disk is smaller");
        assert!(journal.append(|_| entry(full, result(RECORD_BYTES))).is_err(), "what is owed is not given up for it");
        loop {
            let owed = journal.owed(None, RECORDS_MAX).expect("readable");
            if owed.is_empty() {
                break;
            }
            for (key, _) in owed {
                others.fill();
                journal.acknowledge(&[key]).unwrap_or_else(|error| panic!("{key:?}: {}", failure::chain(&error)));
            }
        }
        let told = (0..2).map(|number| delivered(&journal, number).expect("room again")).collect::<Vec<_>>();
        let owed = journal.owed(None, RECORDS_MAX).expect("readable");
        assert_eq!(keys(&owed), [(told[0].number() + 1, "gap")], "what was lost is named: {told:?}");
    });
}
