//! Deletion by age, with clocks that are wrong: a board without a battery, and one that is set while it measures.

use super::*;

/// Far beyond what `settings` keeps.
const LATER: u64 = 1_000_000;
/// Records that one append deletes at most.
const AT_ONCE: usize = 16;

fn at(seconds: u64, clock: Clock) -> Entry {
    Entry { clock, ..entry(seconds, vec![Part::kept(PartKind::Result, vec![1])]) }
}

struct Station {
    place: Place,
    journal: Option<Journal>,
}

impl Station {
    fn new() -> Self {
        let mut station = Self { place: place(), journal: None };
        station.restart();
        station
    }

    fn restart(&mut self) {
        self.journal = None;
        self.journal = Some(Journal::open(&self.place.path, settings(ROOMY_BYTES)).expect("opens"));
    }

    /// Appends, and answers the numbers that are there afterwards.
    fn append(&self, entry: Entry) -> Vec<u64> {
        let journal = self.journal.as_ref().expect("open");
        journal.append(|_| entry).expect("room");
        let query = HistoryQuery {
            window: Window::From(Seq::new(1)),
            limit: HISTORY_RECORDS_MAX,
            kinds: PartKind::ALL.into_iter().collect(),
        };
        let history = journal.reader().and_then(|reader| reader.history(&query)).expect("readable");
        history.iter().map(|record| record.seq.number()).collect()
    }
}

#[test]
fn a_clock_that_nobody_has_set_deletes_nothing() {
    let station = Station::new();
    for seconds in [1, 2] {
        station.append(at(seconds, Clock::Synchronised));
    }
    assert_eq!(station.append(at(LATER, Clock::Free)), [1, 2, 3], "it may be wrong by years");
    assert_eq!(station.append(at(LATER, Clock::Synchronised)), [3, 4], "it knows");
}

#[test]
fn what_a_free_clock_wrote_goes_with_what_came_after_it() {
    let mut station = Station::new();
    // A spare board that was stored: months behind, through a restart, until a time server answers.
    let stored = AT_ONCE as u64 + 4;
    for number in 1..=stored {
        if number == stored / 2 {
            station.restart();
        }
        station.append(at(number, Clock::Free));
    }
    station.append(at(LATER, Clock::Synchronised));
    let there = station.append(at(LATER + 1, Clock::Synchronised));
    assert_eq!(there, (1..=stored + 2).collect::<Vec<_>>(), "the only copies of what was measured an hour ago");
    // The clock runs free again, and nobody is deceived by what it says.
    station.append(at(5, Clock::Free));
    let last = stored + 4;
    let there = station.append(at(LATER + 900, Clock::Synchronised));
    assert_eq!(there, (1..=last).collect::<Vec<_>>());
    // What came after them is too old now, so they are: a few at each append.
    let there = station.append(at(2 * LATER, Clock::Synchronised));
    assert_eq!(there, (AT_ONCE as u64 + 1..=last + 1).collect::<Vec<_>>());
    let there = station.append(at(2 * LATER, Clock::Synchronised));
    assert_eq!(there[0], stored + 3, "through the last that is surely too old");
    let there = station.append(at(2 * LATER, Clock::Synchronised));
    assert_eq!(there, (last + 1..=last + 3).collect::<Vec<_>>());
}
