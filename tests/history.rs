//! `ramand history` as somebody at a terminal and as a program meets it.

#[path = "support/program.rs"]
mod program;
#[path = "support/root.rs"]
mod root;

use std::process::{Command, Output};
use std::time::{Duration, UNIX_EPOCH};

use program::program;
use ramand::journal::{Journal, JournalSettings};
use ramand::publish::wire;
use ramand_core::record::{Audience, Clock, Entry, Part, PartKey, PartKind, Seq};
use root::root;

fn history(arguments: &[&str]) -> Output {
    Command::new(program()).arg("history").args(arguments).output().expect("starts")
}

fn journal(path: &std::path::Path) -> Journal {
    let settings = JournalSettings {
        bytes_max: 1 << 30,
        age_max: Duration::from_secs(1 << 20),
        first_seq: Seq::new(1),
        encode_gap: wire::gap,
        gap_audience: Audience::Subscribers,
    };
    let journal = Journal::open(path, settings).expect("opens");
    let frozen = |file: &str| {
        let path = root().join("tests/wire_v1").join(file);
        std::fs::read(path).expect("there")
    };
    let parts = [
        vec![
            Part::owed(PartKind::Result, frozen("result.json")),
            Part::owed(PartKind::Spectrum, frozen("spectrum_measured.cbor")),
        ],
        vec![Part::owed(PartKind::Event, frozen("event.json"))],
        vec![Part::owed(PartKind::Gap, frozen("gap.json"))],
        vec![Part::owed(PartKind::Result, frozen("result_invalid.json"))],
    ];
    for parts in parts {
        let build = |seq: Seq| Entry {
            id: format!("QEP-{seq}"),
            time: UNIX_EPOCH + Duration::from_millis(1500),
            clock: Clock::Synchronised,
            parts,
        };
        journal.append(build).expect("room");
    }
    journal.acknowledge(&[PartKey { seq: Seq::new(1), kind: PartKind::Result }]).expect("writable");
    journal
}

#[test]
fn people_and_programs_read_the_same_journal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("journal.sqlite");
    let file = path.to_str().expect("text");
    let open = journal(&path);

    let output = history(&["--journal", file, "--verify"]);
    let text = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        lines[0],
        "       1  1970-01-01T00:00:01.500Z  reject  olive 98.0 %, 7.20 (5.10 to 9.30) % sunflower oil"
    );
    assert!(lines[1].contains("event   spectrometer_identified: QE Pro QEP01234 on the line  (not acknowledged)"));
    assert!(lines[2].contains("gap     39 records: 3 to 40 (capacity), 41 to 41 (not_written)"), "{}", lines[2]);
    assert!(lines[3].contains("invalid oil-type: 3 pixels are saturated, "), "{}", lines[3]);
    let summary = String::from_utf8(output.stderr).expect("text");
    assert!(summary.starts_with("records 1 to 4, ") && summary.contains("4 parts not acknowledged, since 1 of 1970"));

    // A daemon that has gone leaves a journal that can still be read.
    drop(open);
    let output = history(&["--journal", file, "--json", "--from", "1", "--last", "2"]);
    let lines = String::from_utf8(output.stdout).expect("text");
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["seq"], &lines[0]["owed"]), (&1.into(), &serde_json::json!([])));
    assert_eq!(lines[0]["result"]["models"][0]["prediction"]["label"], "olive");
    assert_eq!(lines[1]["owed"], serde_json::json!(["event"]));
}

#[test]
fn what_is_no_journal_is_the_operators_to_mend() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "these are my notes, and no database at all").expect("written");
    let cases = [(folder.path().join("absent"), "failed to open the journal"), (text, "is damaged")];
    for (path, expected) in cases {
        let output = history(&["--journal", path.to_str().expect("text")]);
        let message = String::from_utf8(output.stderr).expect("text");
        assert!(message.contains(expected), "{message}");
        assert_eq!(output.status.code(), Some(78), "{message}");
    }
    assert!(!folder.path().join("absent").exists());
}
