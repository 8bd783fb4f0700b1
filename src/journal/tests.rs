//! The journal against crashes, full disks, damaged files and a model.

mod age;
mod full_disk;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use ramand_core::failure::{self, Failure, Kind};
use ramand_core::record::{Audience, Clock, Gap, LossReason, Part, PartKind, PartKinds};

use super::*;

const ROOMY_BYTES: u64 = 1 << 30;

fn settings(bytes_max: u64) -> JournalSettings {
    JournalSettings {
        bytes_max,
        age_max: Duration::from_secs(1000),
        first_seq: Seq::new(1),
        encode_gap,
        gap_audience: Audience::Subscribers,
    }
}

/// Tests read gaps back from their payload.
fn encode_gap(seq: Seq, _: SystemTime, gap: &Gap) -> Vec<u8> {
    let losses: Vec<String> = gap
        .losses()
        .iter()
        .map(|loss| format!("{}-{}:{}:{}", loss.seqs.start(), loss.seqs.end(), loss.kinds.bits(), loss.reason.name()))
        .collect();
    format!("{seq}|{}", losses.join(",")).into_bytes()
}

fn lost_numbers(payload: &[u8]) -> BTreeSet<u64> {
    let text = std::str::from_utf8(payload).expect("encode_gap writes text");
    let (_, losses) = text.split_once('|').expect("encode_gap writes a bar");
    losses
        .split(',')
        .flat_map(|loss| {
            let (range, _) = loss.split_once(':').expect("a range comes first");
            let (first, last) = range.split_once('-').expect("two ends");
            first.parse::<u64>().expect("a number")..=last.parse::<u64>().expect("a number")
        })
        .collect()
}

fn entry(seconds: u64, parts: Vec<Part>) -> Entry {
    Entry {
        id: format!("at-{seconds}"),
        time: UNIX_EPOCH + Duration::from_secs(seconds),
        clock: Clock::Synchronised,
        parts,
    }
}

fn result(bytes: usize) -> Vec<Part> {
    vec![Part::owed(PartKind::Result, vec![7; bytes])]
}

fn keys(owed: &[(PartKey, Vec<u8>)]) -> Vec<(u64, &'static str)> {
    owed.iter().map(|(key, _)| (key.seq.number(), key.kind.name())).collect()
}

fn result_key(seq: u64) -> PartKey {
    PartKey { seq: Seq::new(seq), kind: PartKind::Result }
}

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("journal.sqlite");
    Place { _folder: folder, path }
}

/// The number of the newest record, gap records included.
fn newest(journal: &Journal) -> Option<Seq> {
    let next = journal.next_record().seq();
    (next > Seq::new(1)).then(|| Seq::new(next.number() - 1))
}

#[test]
fn a_number_whose_record_is_not_written_goes_to_the_next() {
    let place = place();
    let journal = Journal::open(&place.path, settings(ROOMY_BYTES)).expect("opens");
    let dropped = journal.next_record().seq();
    let next = journal.next_record();
    assert_eq!((dropped, next.seq()), (Seq::new(1), Seq::new(1)));
    assert_eq!(next.write(&entry(1, result(1))).expect("room"), Seq::new(1));
    assert_eq!(journal.next_record().seq(), Seq::new(2));
}

#[test]
fn parts_are_owed_in_order_until_each_is_acknowledged() {
    let place = place();
    let journal = Journal::open(&place.path, settings(ROOMY_BYTES)).expect("opens");
    assert_eq!(newest(&journal), None);
    let parts = |seq: Seq| {
        vec![
            Part::owed(PartKind::Spectrum, vec![1]),
            Part::owed(PartKind::Result, seq.to_string().into_bytes()),
            Part::kept(PartKind::Cam, vec![2]),
        ]
    };
    for seconds in [5, 6] {
        journal.append(|seq| entry(seconds, parts(seq))).expect("room");
    }
    assert_eq!(newest(&journal), Some(Seq::new(2)));
    let owed = journal.owed(None, 10).expect("readable");
    assert_eq!(keys(&owed), [(1, "result"), (1, "spectrum"), (2, "result"), (2, "spectrum")]);
    assert_eq!(owed[2].1, b"2", "the payload knows its number");

    journal.acknowledge(&[result_key(2), result_key(2), result_key(99)]).expect("writable");
    let owed = journal.owed(Some(result_key(1)), 10).expect("readable");
    assert_eq!(keys(&owed), [(1, "spectrum"), (2, "spectrum")]);
    assert_eq!(keys(&journal.owed(None, 1).expect("readable")), [(1, "result")]);
}

#[test]
fn a_reader_sees_history_and_statistics() {
    let place = place();
    let journal = Journal::open(&place.path, settings(ROOMY_BYTES)).expect("opens");
    for seconds in 1..=4u8 {
        let parts =
            vec![Part::owed(PartKind::Result, vec![seconds]), Part::kept(PartKind::Spectrum, vec![10 + seconds])];
        journal.append(|_| entry(seconds.into(), parts)).expect("room");
    }
    journal.append(|_| entry(5, vec![Part::owed(PartKind::Event, vec![5])])).expect("room");
    journal.acknowledge(&[result_key(1)]).expect("writable");

    let reader = journal.reader().expect("opens beside the writer");
    let results = PartKinds::default().with(PartKind::Result);
    let newest = reader.history(&HistoryQuery { window: Window::Newest, limit: 2, kinds: results }).expect("readable");
    assert_eq!(newest.iter().map(|record| record.seq.number()).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(newest[0].parts, [HistoryPart { kind: PartKind::Result, payload: vec![3], owed: true }]);
    let from = HistoryQuery { window: Window::From(Seq::new(1)), limit: 1, kinds: results };
    let oldest = reader.history(&from).expect("readable");
    assert_eq!((oldest[0].id.as_str(), oldest[0].parts[0].owed), ("at-1", false));
    assert_eq!(oldest[0].time, UNIX_EPOCH + Duration::from_secs(1));

    let before = HistoryQuery { window: Window::Before(Seq::new(3)), limit: 1, kinds: results };
    let page = reader.history(&before).expect("readable");
    assert_eq!(page.iter().map(|record| record.seq.number()).collect::<Vec<_>>(), [2]);

    let both = PartKinds::default().with(PartKind::Result).with(PartKind::Spectrum);
    let page = HistoryQuery { window: Window::From(Seq::new(2)), limit: 2, kinds: both };
    let page = reader.history(&page).expect("readable");
    let payloads = page.iter().flat_map(|record| &record.parts).map(|part| (part.kind, part.payload[0]));
    let (result, spectrum) = (PartKind::Result, PartKind::Spectrum);
    assert_eq!(payloads.collect::<Vec<_>>(), [(result, 2), (spectrum, 12), (result, 3), (spectrum, 13)]);

    let statistics = reader.statistics().expect("readable");
    assert_eq!((statistics.first, statistics.last), (Some(Seq::new(1)), Some(Seq::new(5))));
    assert_eq!(statistics.owed_parts, 4);
    assert_eq!(statistics.owed_since, Some((Seq::new(2), UNIX_EPOCH + Duration::from_secs(2))));
    reader.verify().expect("sound");
}

#[test]
fn numbers_go_on_after_reopening_even_when_everything_was_deleted() {
    let place = place();
    let first_seq = Seq::new(1000);
    let open = || Journal::open(&place.path, JournalSettings { first_seq, ..settings(ROOMY_BYTES) }).expect("opens");
    let journal = open();
    assert_eq!(journal.append(|_| entry(1, result(1))).expect("room"), first_seq);
    drop(journal);
    rusqlite::Connection::open(&place.path).and_then(|c| c.execute("DELETE FROM record", [])).expect("deleted");
    assert_eq!(open().append(|_| entry(2, result(1))).expect("room"), Seq::new(1001));
}

#[test]
fn old_records_go_when_they_are_acknowledged_and_not_before() {
    let place = place();
    let journal = Journal::open(&place.path, settings(ROOMY_BYTES)).expect("opens");
    for seconds in [1, 2, 3] {
        journal.append(|_| entry(seconds, result(1))).expect("room");
    }
    journal.acknowledge(&[result_key(1), result_key(3)]).expect("writable");
    journal.append(|_| entry(5000, result(1))).expect("room");
    let reader = journal.reader().expect("opens");
    assert_eq!(reader.statistics().expect("readable").first, Some(Seq::new(2)), "2 is owed, 3 waits for it");
    journal.acknowledge(&[result_key(2)]).expect("writable");
    journal.append(|_| entry(5001, result(1))).expect("room");
    assert_eq!(reader.statistics().expect("readable").first, Some(Seq::new(4)));
}

/// Appends more than fits, acknowledging nothing beyond `acknowledged`, and answers what is lost and what is left.
fn overfill(acknowledged: u64) -> (BTreeSet<u64>, BTreeSet<u64>, u64) {
    const RECORDS: u64 = 300;
    let place = place();
    let journal = Journal::open(&place.path, settings(CAPACITY_BYTES_MIN)).expect("opens");
    for seconds in 1..=RECORDS {
        let seq = journal.append(|_| entry(seconds, result(20_000))).expect("room is made");
        if seconds <= acknowledged {
            journal.acknowledge(&[PartKey { seq, kind: PartKind::Result }]).expect("writable");
        }
        let used = journal.reader().and_then(|reader| reader.statistics()).expect("readable").used_bytes;
        assert!(used <= CAPACITY_BYTES_MIN, "{used} bytes in use");
    }
    let owed = journal.owed(None, usize::MAX).expect("readable");
    let lost = owed.iter().filter(|(key, _)| key.kind == PartKind::Gap).flat_map(|(_, payload)| lost_numbers(payload));
    let left = owed.iter().map(|(key, _)| key.seq.number());
    (lost.collect(), left.collect(), newest(&journal).expect("records").number())
}

#[test]
fn a_full_journal_gives_up_the_oldest_and_says_which() {
    let (lost, left, last) = overfill(0);
    assert!(!lost.is_empty());
    assert!(lost.is_disjoint(&left));
    let all: BTreeSet<u64> = lost.union(&left).copied().collect();
    assert_eq!(all, (1..=last).collect(), "produced = delivered + gaps");
    assert!(lost.last() < left.first());
}

#[test]
fn what_is_acknowledged_goes_first_and_leaves_no_gap() {
    let (lost, left, last) = overfill(299);
    assert!(lost.is_empty());
    assert_eq!((left.len(), last), (1, 300));
}

#[test]
fn without_room_the_journal_says_so_keeps_what_it_has_and_owns_up_later() {
    let place = place();
    let journal = Journal::open(&place.path, settings(ROOMY_BYTES)).expect("opens");
    journal.append(|_| entry(1, result(100_000))).expect("room");
    locked(&journal.appender).limit_pages(40);
    for number in [2, 3] {
        match journal.append(|_| entry(number, result(100_000))) {
            Err(error @ JournalError::Full { seq, .. }) => {
                assert_eq!((seq, error.kind()), (Seq::new(number), Kind::Transient));
            }
            other => panic!("{other:?}"),
        }
    }
    locked(&journal.appender).limit_pages(1 << 20);
    assert_eq!(journal.append(|_| entry(4, result(1))).expect("room again"), Seq::new(4));
    let owed = journal.owed(None, 10).expect("readable");
    assert_eq!(keys(&owed), [(1, "result"), (4, "result"), (5, "gap")]);
    assert_eq!(owed[2].1, format!("5|2-3:1:{}", LossReason::NotWritten.name()).into_bytes());
}

#[test]
fn a_full_disk_takes_back_what_was_delivered() {
    let place = place();
    let journal = Journal::open(&place.path, settings(ROOMY_BYTES)).expect("opens");
    journal.append(|_| entry(1, result(100_000))).expect("room");
    journal.acknowledge(&[result_key(1)]).expect("writable");
    journal.append(|_| entry(2, result(1))).expect("room");
    locked(&journal.appender).limit_pages(40);
    journal.append(|_| entry(3, result(100_000))).expect("record 1 makes room");
    assert_eq!(keys(&journal.owed(None, 10).expect("readable")), [(2, "result"), (3, "result")]);
}

#[test]
fn an_entry_that_is_none_is_refused_and_spends_no_number() {
    let place = place();
    let journal = Journal::open(&place.path, settings(ROOMY_BYTES)).expect("opens");
    let twice = vec![Part::owed(PartKind::Event, vec![]), Part::owed(PartKind::Event, vec![])];
    let cases = [
        (vec![], "has no parts"),
        (twice, "has two parts 'event'"),
        (result(PART_BYTES_MAX + 1), "has 16777217 bytes as 'result', at most 16777216 are kept"),
    ];
    for (parts, expected) in cases {
        let error = journal.append(|_| entry(1, parts)).expect_err(expected);
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    assert_eq!(journal.append(|_| entry(1, result(1))).expect("room"), Seq::new(1));
}

#[test]
fn a_file_that_cannot_be_trusted_is_refused_and_left_alone() {
    fn sql(path: &Path, sql: &str) {
        rusqlite::Connection::open(path).and_then(|connection| connection.execute_batch(sql)).expect("SQL");
    }
    fn scribble(path: &Path) {
        let mut bytes = std::fs::read(path).expect("there");
        for byte in bytes.iter_mut().skip(4096) {
            *byte ^= 0x5a;
        }
        std::fs::write(path, bytes).expect("written");
    }
    type Spoil = fn(&Path);
    let cases: [(Spoil, &str); 4] = [
        (|path| sql(path, "PRAGMA user_version = 99"), "has schema version 99, this release knows up to 1"),
        (|path| sql(path, "PRAGMA application_id = 5"), "no journal of this program (application id 0x5)"),
        (scribble, "is damaged"),
        (|path| std::fs::write(path, "certainly not a database, not even close").expect("written"), "is damaged"),
    ];
    for (spoil, expected) in cases {
        let place = place();
        let journal = Journal::open(&place.path, settings(ROOMY_BYTES)).expect("opens");
        journal.append(|_| entry(1, result(50_000))).expect("room");
        drop(journal);
        spoil(&place.path);
        let before = std::fs::read(&place.path).expect("there");
        let error = Journal::open(&place.path, settings(ROOMY_BYTES)).expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.kind(), Kind::Operator);
        assert_eq!(std::fs::read(&place.path).expect("there"), before);
    }
}

#[test]
fn one_process_writes_and_a_capacity_has_a_floor() {
    let place = place();
    let journal = Journal::open(&place.path, settings(ROOMY_BYTES)).expect("opens");
    let second = Journal::open(&place.path, settings(ROOMY_BYTES)).expect_err("locked");
    assert!(matches!(second, JournalError::InUse { .. }), "{second}");
    drop(journal);
    Journal::open(&place.path, settings(ROOMY_BYTES)).expect("free again");
    let small = Journal::open(&place.path, settings(1000)).expect_err("too small");
    assert!(matches!(small, JournalError::TooSmall { bytes: 1000, .. }), "{small}");
}

/// The child appends until it is killed and prints every number that was returned; none of them may be missing.
#[test]
fn every_append_that_returned_survives_a_kill() {
    const CHILD: &str = "RAMAND_TEST_JOURNAL_CHILD";
    const RECORDS_BEFORE_KILL: usize = 40;
    if let Some(path) = std::env::var_os(CHILD) {
        let journal = Journal::open(Path::new(&path), settings(ROOMY_BYTES)).expect("opens");
        loop {
            let parts =
                vec![Part::owed(PartKind::Result, vec![1; 3000]), Part::owed(PartKind::Spectrum, vec![2; 9000])];
            let seq = journal.append(|_| entry(1, parts)).expect("room");
            println!("\nappended {seq}");
        }
    }
    let place = place();
    let name = "journal::tests::every_append_that_returned_survives_a_kill";
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, &place.path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    let number = |line: String| line.strip_prefix("appended ").and_then(|number| number.parse::<u64>().ok());
    let mut returned: Vec<u64> = lines.by_ref().filter_map(number).take(RECORDS_BEFORE_KILL).collect();
    child.kill().expect("running");
    child.wait().expect("killed");
    returned.extend(lines.filter_map(number));
    assert!(returned.len() >= RECORDS_BEFORE_KILL);

    let journal = Journal::open(&place.path, settings(ROOMY_BYTES)).expect("opens after the kill");
    let owed = journal.owed(None, usize::MAX).expect("readable");
    let there: BTreeMap<PartKey, usize> = owed.iter().map(|(key, payload)| (*key, payload.len())).collect();
    for seq in returned.into_iter().map(Seq::new) {
        assert_eq!(there.get(&PartKey { seq, kind: PartKind::Result }), Some(&3000), "record {seq}");
        assert_eq!(there.get(&PartKey { seq, kind: PartKind::Spectrum }), Some(&9000), "record {seq}");
    }
    assert_eq!(journal.append(|_| entry(2, result(1))).ok(), newest(&journal));
}

#[derive(Debug, Clone)]
enum Step {
    Append { bytes: usize, spectrum: bool },
    AcknowledgeOldest(usize),
    AcknowledgeAny(u64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1usize..120_000, any::<bool>()).prop_map(|(bytes, spectrum)| Step::Append { bytes, spectrum }),
        2 => (1usize..6).prop_map(Step::AcknowledgeOldest),
        1 => (1u64..60).prop_map(Step::AcknowledgeAny),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The model: every owed part of every number ever given is either still owed, was acknowledged, or stands in a gap
    /// record that is itself owed or acknowledged.
    #[test]
    fn nothing_is_lost_without_being_named(steps in prop::collection::vec(step(), 1..80)) {
        let place = place();
        let open = || Journal::open(&place.path, settings(CAPACITY_BYTES_MIN)).expect("opens");
        let mut journal = open();
        let mut produced: Vec<PartKey> = Vec::new();
        let mut acknowledged = BTreeSet::new();
        let mut named = BTreeSet::new();
        let mut last = 0;
        for step in steps {
            let owed = |journal: &Journal| journal.owed(None, usize::MAX).expect("readable");
            match step {
                Step::Append { bytes, spectrum } => {
                    let mut parts = result(bytes);
                    if spectrum {
                        parts.push(Part::owed(PartKind::Spectrum, vec![1; bytes / 2]));
                    }
                    let kinds: Vec<PartKind> = parts.iter().map(|part| part.kind).collect();
                    let seq = journal.append(|_| entry(1, parts)).expect("room is made");
                    prop_assert!(seq.number() > last, "{seq} after {last}");
                    produced.extend(kinds.into_iter().map(|kind| PartKey { seq, kind }));
                }
                Step::AcknowledgeOldest(count) => {
                    for (key, payload) in owed(&journal).into_iter().take(count) {
                        if key.kind == PartKind::Gap {
                            named.extend(lost_numbers(&payload));
                        }
                        acknowledged.insert(key);
                        journal.acknowledge(&[key]).expect("writable");
                    }
                }
                Step::AcknowledgeAny(seq) => {
                    acknowledged.insert(result_key(seq));
                    if newest(&journal) >= Some(Seq::new(seq)) {
                        journal.acknowledge(&[result_key(seq)]).expect("writable");
                    } else {
                        acknowledged.remove(&result_key(seq));
                    }
                }
                Step::Reopen => {
                    drop(journal);
                    journal = open();
                }
            }
            last = newest(&journal).map_or(0, Seq::number);
            let owed = owed(&journal);
            prop_assert!(owed.is_sorted_by_key(|(key, _)| *key));
            let waiting: BTreeSet<PartKey> = owed.iter().map(|(key, _)| *key).collect();
            let gaps = owed.iter().filter(|(key, _)| key.kind == PartKind::Gap);
            let declared: BTreeSet<u64> = gaps.flat_map(|(_, payload)| lost_numbers(payload)).collect();
            for part in &produced {
                let accounted = waiting.contains(part)
                    || acknowledged.contains(part)
                    || declared.contains(&part.seq.number())
                    || named.contains(&part.seq.number());
                prop_assert!(accounted, "{part:?} is nowhere");
            }
            prop_assert!(waiting.is_disjoint(&acknowledged));
        }
    }
}
