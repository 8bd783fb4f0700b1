//! The forwarder step by step, and against a journal and a broker that do everything that can happen.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Action, Forwarder, Pace};
use crate::record::{PartKey, PartKind, Seq};

const PACE: Pace = Pace {
    window: 4,
    retry_min: Duration::from_millis(100),
    retry_max: Duration::from_secs(2),
    acknowledge_max: Duration::from_secs(10),
    jitter_seed: 7,
};

fn part(number: u64) -> PartKey {
    PartKey { seq: Seq::new(number), kind: PartKind::Result }
}

fn wait() -> Action<u64> {
    Action::Wait { until: None }
}

#[test]
fn a_part_travels_from_the_journal_to_the_broker_and_back() {
    let now = Instant::now();
    let mut forwarder = Forwarder::new(PACE);
    assert_eq!(forwarder.next(now), Action::Connect);
    assert_eq!(forwarder.next(now), wait());
    forwarder.connected();
    assert_eq!(forwarder.next(now), Action::Fetch { after: None, limit: 4 });
    assert_eq!(forwarder.next(now), wait());
    forwarder.fetched(vec![(part(1), 1), (part(2), 2)]);
    assert_eq!(forwarder.next(now), Action::Send { part: part(1), payload: 1 });
    assert_eq!(forwarder.next(now), Action::Send { part: part(2), payload: 2 });
    assert_eq!(forwarder.next(now), Action::Fetch { after: Some(part(2)), limit: 2 });
    forwarder.acknowledged(part(2));
    forwarder.fetched(vec![]);
    assert_eq!(forwarder.next(now), Action::Mark(vec![part(2)]));
    forwarder.marked(&[part(2)]);
    assert_eq!(forwarder.next(now), Action::Wait { until: Some(now + PACE.acknowledge_max) });
    assert!(!forwarder.is_drained());
    forwarder.acknowledged(part(1));
    assert_eq!(forwarder.next(now), Action::Mark(vec![part(1)]));
    forwarder.marked(&[part(1)]);
    assert!(forwarder.is_drained());
    forwarder.appended();
    assert!(!forwarder.is_drained());
    assert_eq!(forwarder.next(now), Action::Fetch { after: Some(part(2)), limit: 4 });
}

#[test]
fn pauses_grow_to_their_maximum_and_start_again_after_a_connection_that_worked() {
    let mut now = Instant::now();
    let mut forwarder = Forwarder::<u64>::new(PACE);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(forwarder.next(now), Action::Connect);
        // A connection that is made and brings nothing is no success.
        forwarder.connected();
        let pause = forwarder.disconnected(now);
        assert_eq!(forwarder.next(now), Action::Wait { until: Some(now + pause) });
        pauses.push(pause);
        now += pause;
    }
    assert!(pauses[0] >= PACE.retry_min && pauses[0] <= 2 * PACE.retry_min, "{pauses:?}");
    assert_eq!(pauses[7], PACE.retry_max, "{pauses:?}");
    assert_eq!(forwarder.next(now), Action::Connect);
    forwarder.connected();
    forwarder.next(now);
    forwarder.fetched(vec![(part(1), 1)]);
    forwarder.next(now);
    forwarder.acknowledged(part(1));
    assert!(forwarder.disconnected(now) <= 2 * PACE.retry_min);
}

#[test]
fn a_broker_that_acknowledges_nothing_is_left() {
    let now = Instant::now();
    let mut forwarder = Forwarder::new(PACE);
    forwarder.next(now);
    forwarder.connected();
    forwarder.next(now);
    forwarder.fetched(vec![(part(1), 1)]);
    assert_eq!(forwarder.next(now), Action::Send { part: part(1), payload: 1 });
    assert_eq!(forwarder.next(now + PACE.acknowledge_max), Action::Disconnect);
    assert_eq!(forwarder.next(now + PACE.acknowledge_max), wait());
}

#[test]
fn a_journal_that_fails_is_asked_again_later() {
    let now = Instant::now();
    let mut forwarder = Forwarder::<u64>::new(PACE);
    forwarder.next(now);
    forwarder.connected();
    assert_eq!(forwarder.next(now), Action::Fetch { after: None, limit: 4 });
    forwarder.journal_failed(now);
    assert_eq!(forwarder.next(now), Action::Wait { until: Some(now + PACE.retry_min) });
    assert_eq!(forwarder.next(now + PACE.retry_min), Action::Fetch { after: None, limit: 4 });
}

#[derive(Debug, Clone)]
enum Step {
    Append,
    Advance(u64),
    Connected,
    Lost,
    /// The n-th part in flight reaches the broker's disk and its acknowledgement comes back.
    Acknowledge(prop::sample::Index),
    /// The journal finishes what it was asked, or fails.
    JournalDone,
    JournalFails,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Append),
        2 => (1u64..3000).prop_map(Step::Advance),
        2 => Just(Step::Connected),
        1 => Just(Step::Lost),
        4 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
        5 => Just(Step::JournalDone),
        1 => Just(Step::JournalFails),
    ]
}

/// A journal and a broker to go with the forwarder: what is owed, what arrived, what is being done.
struct World {
    forwarder: Forwarder<u64>,
    now: Instant,
    owed: BTreeSet<PartKey>,
    appended: u64,
    arrived: Vec<PartKey>,
    in_flight: Vec<PartKey>,
    asked: Option<Action<u64>>,
    opening: bool,
    up: bool,
}

impl World {
    fn new() -> Self {
        Self {
            forwarder: Forwarder::new(PACE),
            now: Instant::now(),
            owed: BTreeSet::new(),
            appended: 0,
            arrived: Vec::new(),
            in_flight: Vec::new(),
            asked: None,
            opening: false,
            up: false,
        }
    }

    fn lose(&mut self) {
        if self.up || self.opening {
            self.forwarder.disconnected(self.now);
            self.in_flight.clear();
            (self.up, self.opening) = (false, false);
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append => {
                self.appended += 1;
                self.owed.insert(part(self.appended));
                self.forwarder.appended();
            }
            Step::Advance(millis) => self.now += Duration::from_millis(*millis),
            Step::Connected if self.opening => {
                self.forwarder.connected();
                (self.up, self.opening) = (true, false);
            }
            Step::Connected => {}
            Step::Lost => self.lose(),
            Step::Acknowledge(index) if !self.in_flight.is_empty() => {
                let part = self.in_flight.remove(index.index(self.in_flight.len()));
                self.arrived.push(part);
                self.forwarder.acknowledged(part);
            }
            Step::Acknowledge(_) => {}
            Step::JournalDone => match self.asked.take() {
                Some(Action::Mark(parts)) => {
                    for part in &parts {
                        assert!(self.arrived.contains(part), "{part:?} is marked without an acknowledgement");
                        self.owed.remove(part);
                    }
                    self.forwarder.marked(&parts);
                }
                Some(Action::Fetch { after, limit }) => {
                    let owed = self.owed.iter().filter(|&&part| Some(part) > after);
                    let parts = owed.take(limit).map(|&part| (part, part.seq.number())).collect();
                    self.forwarder.fetched(parts);
                }
                _ => {}
            },
            Step::JournalFails => {
                if self.asked.take().is_some() {
                    self.forwarder.journal_failed(self.now);
                }
            }
        }
        self.act();
    }

    fn act(&mut self) {
        loop {
            match self.forwarder.next(self.now) {
                Action::Connect => {
                    assert!(!self.up && !self.opening);
                    self.opening = true;
                }
                asked @ (Action::Mark(_) | Action::Fetch { .. }) => {
                    assert!(self.asked.is_none(), "one journal operation at a time");
                    self.asked = Some(asked);
                }
                Action::Send { part, payload } => {
                    assert!(self.up);
                    assert_eq!(payload, part.seq.number());
                    assert!(self.in_flight.iter().all(|&before| before < part), "sent in order");
                    self.in_flight.push(part);
                    assert!(self.in_flight.len() <= PACE.window);
                    assert_eq!(self.forwarder.in_flight.len(), self.in_flight.len());
                }
                Action::Disconnect => self.lose(),
                Action::Wait { .. } => break,
            }
        }
    }
}

proptest! {
    #[test]
    fn everything_arrives_at_least_once_and_in_order(steps in prop::collection::vec(step(), 0..200)) {
        let mut world = World::new();
        world.act();
        for step in &steps {
            world.take(step);
        }
        // From here on everything works: what is owed must come to an end.
        for _ in 0..10 + 20 * steps.len() {
            let quiet = [Step::Advance(2500), Step::Connected, Step::JournalDone];
            quiet.iter().for_each(|step| world.take(step));
            while !world.in_flight.is_empty() {
                let part = world.in_flight.remove(0);
                world.arrived.push(part);
                world.forwarder.acknowledged(part);
            }
            world.act();
            if world.owed.is_empty() && world.forwarder.is_drained() {
                break;
            }
        }
        prop_assert!(world.owed.is_empty() && world.forwarder.is_drained(), "{:?}", world.forwarder);
        let arrived: BTreeSet<PartKey> = world.arrived.iter().copied().collect();
        prop_assert_eq!(arrived, (1..=world.appended).map(part).collect::<BTreeSet<_>>());
    }
}
