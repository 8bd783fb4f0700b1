//! What to send next: no IO, no clock, no threads. Times are arguments, actions are answers.
//!
//! The journal holds what is owed, the broker says what has arrived, and the forwarder stands between them: it asks for
//! owed parts in their order, lets at most a window of them be on the way, and passes acknowledgements on to the journal.
//! Nothing of it survives a lost connection: everything without an acknowledgement is owed again, from the oldest. So it
//! does not matter whether the broker remembers the session, and the order is strict: a live result waits its turn
//! behind the backlog, and `last` shows it meanwhile.
//!
//! ```text
//!            appended            fetched              sent           acknowledged
//!  journal ─────────────> fetch ─────────> queue ─────────> on the way ─────────> mark ─> journal
//! ```
//! The caller performs what [`Forwarder::next`] answers and reports back; at most one journal operation runs at a time, so
//! that a mark is always seen by the fetch after it.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::record::PartKey;

/// How the forwarder paces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Parts on the way at most. Each holds its payload in memory, and is repeated when the connection is lost.
    pub window: usize,
    /// The first pause before connecting again; doubled each time, and up to as much again at random.
    pub retry_min: Duration,
    /// The longest pause.
    pub retry_max: Duration,
    /// How long a part may be on the way: a broker that answers pings but acknowledges nothing is left and tried again.
    pub acknowledge_max: Duration,
    /// Seeds the random part of the pauses, so that the devices of a plant do not all come back at once.
    pub jitter_seed: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            window: 32,
            retry_min: Duration::from_millis(500),
            retry_max: Duration::from_secs(60),
            acknowledge_max: Duration::from_secs(30),
            jitter_seed: 0,
        }
    }
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<P> {
    /// Connect; report [`connected`](Forwarder::connected) or [`disconnected`](Forwarder::disconnected).
    Connect,
    /// Tell the journal; report [`marked`](Forwarder::marked) or [`journal_failed`](Forwarder::journal_failed).
    Mark(Vec<PartKey>),
    /// Ask the journal for what is owed after this; report [`fetched`](Forwarder::fetched) or
    /// [`journal_failed`](Forwarder::journal_failed).
    Fetch {
        /// The last part already taken.
        after: Option<PartKey>,
        /// How many are wanted.
        limit: usize,
    },
    /// Publish this part; its acknowledgement is reported by [`acknowledged`](Forwarder::acknowledged).
    Send {
        /// Which part.
        part: PartKey,
        /// Its payload, as the journal gave it.
        payload: P,
    },
    /// Give the connection up: nothing has been acknowledged for too long. Report
    /// [`disconnected`](Forwarder::disconnected).
    Disconnect,
    /// Nothing to do before this moment, or before something is reported.
    Wait {
        /// `None` for as long as it takes.
        until: Option<Instant>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    /// To be tried from this moment on.
    Down { retry_at: Option<Instant> },
    /// Being tried.
    Opening,
    /// Up; `proven` once something was acknowledged over it.
    Up { proven: bool },
    /// Given up, not yet reported down.
    Closing,
}

/// The state of delivery.
#[derive(Debug)]
pub struct Forwarder<P> {
    pace: Pace,
    connection: Connection,
    pauses: ExponentialBackoff,
    /// Fetched and not yet sent, in order.
    queue: VecDeque<(PartKey, P)>,
    /// Sent and not yet acknowledged, with the moment of sending.
    on_the_way: Vec<(PartKey, Instant)>,
    /// Acknowledged by the broker, not yet marked in the journal.
    unmarked: BTreeSet<PartKey>,
    /// The newest part taken from the journal since the connection was made.
    taken: Option<PartKey>,
    /// Whether the journal may hold parts after `taken`.
    more: bool,
    journal: Journal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Journal {
    Idle,
    /// Marking, or fetching for the connection that is up.
    Busy,
    /// Fetching for a connection that is gone: the answer will be of no use.
    BusyForNothing,
    /// Out of order until this moment.
    Failed {
        retry_at: Instant,
    },
}

impl<P> Forwarder<P> {
    /// Down, and free to connect at once.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            connection: Connection::Down { retry_at: None },
            pauses: pauses(&pace),
            queue: VecDeque::new(),
            on_the_way: Vec::new(),
            unmarked: BTreeSet::new(),
            taken: None,
            more: true,
            journal: Journal::Idle,
        }
    }

    /// What to do now. Ask again after doing it, until it says to wait.
    pub fn next(&mut self, now: Instant) -> Action<P> {
        if let Journal::Failed { retry_at } = self.journal
            && retry_at <= now
        {
            self.journal = Journal::Idle;
        }
        if self.journal == Journal::Idle && !self.unmarked.is_empty() {
            self.journal = Journal::Busy;
            return Action::Mark(self.unmarked.iter().copied().collect());
        }
        match self.connection {
            Connection::Down { retry_at } if retry_at.is_none_or(|retry_at| retry_at <= now) => {
                self.connection = Connection::Opening;
                Action::Connect
            }
            Connection::Up { .. } if self.overdue_at().is_some_and(|overdue| overdue <= now) => {
                self.connection = Connection::Closing;
                Action::Disconnect
            }
            Connection::Up { .. } => self.next_part(now),
            Connection::Down { .. } | Connection::Opening | Connection::Closing => self.wait(),
        }
    }

    fn next_part(&mut self, now: Instant) -> Action<P> {
        let room = self.pace.window.saturating_sub(self.on_the_way.len());
        if room > 0
            && let Some((part, payload)) = self.queue.pop_front()
        {
            self.on_the_way.push((part, now));
            return Action::Send { part, payload };
        }
        if room > 0 && self.more && self.journal == Journal::Idle {
            self.journal = Journal::Busy;
            // Whatever is appended from here on is reported again.
            self.more = false;
            return Action::Fetch { after: self.taken, limit: room };
        }
        self.wait()
    }

    fn wait(&self) -> Action<P> {
        let connection = match self.connection {
            Connection::Down { retry_at } => retry_at,
            Connection::Up { .. } => self.overdue_at(),
            Connection::Opening | Connection::Closing => None,
        };
        let journal = match self.journal {
            Journal::Failed { retry_at } => Some(retry_at),
            Journal::Idle | Journal::Busy | Journal::BusyForNothing => None,
        };
        Action::Wait { until: connection.into_iter().chain(journal).min() }
    }

    fn overdue_at(&self) -> Option<Instant> {
        self.on_the_way.iter().map(|(_, sent)| *sent + self.pace.acknowledge_max).min()
    }

    /// The broker accepted the connection: what is owed is sent from the oldest.
    pub fn connected(&mut self) {
        self.connection = Connection::Up { proven: false };
        self.start_over();
    }

    /// The connection is lost, was refused or could not be made. Answers how long to wait before the next attempt.
    pub fn disconnected(&mut self, now: Instant) -> Duration {
        if self.connection == (Connection::Up { proven: true }) {
            self.pauses = pauses(&self.pace);
        }
        let pause = self.pauses.next().unwrap_or(self.pace.retry_max).min(self.pace.retry_max);
        self.connection = Connection::Down { retry_at: Some(now + pause) };
        self.start_over();
        pause
    }

    fn start_over(&mut self) {
        self.queue.clear();
        self.on_the_way.clear();
        self.taken = None;
        self.more = true;
        if self.journal == Journal::Busy {
            self.journal = Journal::BusyForNothing;
        }
    }

    /// The broker has taken responsibility for a part.
    pub fn acknowledged(&mut self, part: PartKey) {
        if let Some(at) = self.on_the_way.iter().position(|(sent, _)| *sent == part) {
            self.on_the_way.swap_remove(at);
            self.unmarked.insert(part);
            if self.connection == (Connection::Up { proven: false }) {
                self.connection = Connection::Up { proven: true };
            }
        }
    }

    /// The journal has something new.
    pub fn appended(&mut self) {
        self.more = true;
    }

    /// The journal's answer to [`Action::Fetch`].
    pub fn fetched(&mut self, parts: Vec<(PartKey, P)>) {
        let current = self.journal == Journal::Busy;
        self.journal = Journal::Idle;
        if !current {
            return;
        }
        // An answer shorter than the limit may have been cut by its size: only an empty one ends the backlog.
        if let Some((newest, _)) = parts.last() {
            self.taken = Some(*newest);
            self.more = true;
        }
        self.queue.extend(parts);
    }

    /// The journal has done [`Action::Mark`].
    pub fn marked(&mut self, parts: &[PartKey]) {
        self.journal = Journal::Idle;
        for part in parts {
            self.unmarked.remove(part);
        }
    }

    /// The journal could not do what was asked: it is asked again after a pause.
    pub fn journal_failed(&mut self, now: Instant) {
        self.journal = Journal::Failed { retry_at: now + self.pace.retry_min };
        self.more = true;
    }

    /// Parts on the way.
    pub fn on_the_way(&self) -> usize {
        self.on_the_way.len()
    }

    /// Whether everything that was owed has arrived and is marked so.
    pub fn is_drained(&self) -> bool {
        matches!(self.connection, Connection::Up { .. })
            && !self.more
            && self.queue.is_empty()
            && self.on_the_way.is_empty()
            && self.is_marked()
    }

    /// Whether the journal knows of every acknowledgement.
    pub fn is_marked(&self) -> bool {
        self.unmarked.is_empty() && matches!(self.journal, Journal::Idle)
    }
}

fn pauses(pace: &Pace) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(pace.retry_min)
        .with_max_delay(pace.retry_max)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(pace.jitter_seed)
        .build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{PartKind, Seq};

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
        /// The n-th part on the way reaches the broker's disk and its acknowledgement comes back.
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
        on_the_way: Vec<PartKey>,
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
                on_the_way: Vec::new(),
                asked: None,
                opening: false,
                up: false,
            }
        }

        fn lose(&mut self) {
            if self.up || self.opening {
                self.forwarder.disconnected(self.now);
                self.on_the_way.clear();
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
                Step::Acknowledge(index) if !self.on_the_way.is_empty() => {
                    let part = self.on_the_way.remove(index.index(self.on_the_way.len()));
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
                        assert!(self.on_the_way.iter().all(|&before| before < part), "sent in order");
                        self.on_the_way.push(part);
                        assert!(self.on_the_way.len() <= PACE.window);
                        assert_eq!(self.forwarder.on_the_way(), self.on_the_way.len());
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
                while !world.on_the_way.is_empty() {
                    let part = world.on_the_way.remove(0);
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
}
