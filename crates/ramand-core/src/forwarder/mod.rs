//! What to send next: no IO, no clock, no threads. Times are arguments, actions are answers.
//!
//! The journal holds what is owed, the broker says what has arrived, and the forwarder stands between them: it asks for
//! owed parts in their order, lets at most a window of them be in flight, and passes acknowledgements on to the journal.
//! Nothing of it survives a lost connection: everything without an acknowledgement is owed again, from the oldest. So it
//! does not matter whether the broker remembers the session, and the order is strict: a live result waits its turn
//! behind the backlog, and `last` shows it meanwhile.
//!
//! ```text
//!            appended            fetched              sent           acknowledged
//!  journal ─────────────> fetch ─────────> queue ─────────> in flight ──────────> mark ─> journal
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
    /// Parts in flight at most. Each holds its payload in memory, and is repeated when the connection is lost.
    pub window: usize,
    /// The first pause before connecting again; doubled each time, and up to as much again at random.
    pub retry_min: Duration,
    /// The longest pause.
    pub retry_max: Duration,
    /// How long a part may be in flight: a broker that answers pings but acknowledges nothing is left and tried again.
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
enum ConnectionPhase {
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
    connection: ConnectionPhase,
    pauses: ExponentialBackoff,
    /// Fetched and not yet sent, in order.
    queue: VecDeque<(PartKey, P)>,
    /// Sent and not yet acknowledged, with the moment of sending.
    in_flight: Vec<(PartKey, Instant)>,
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
            connection: ConnectionPhase::Down { retry_at: None },
            pauses: pauses(&pace),
            queue: VecDeque::new(),
            in_flight: Vec::new(),
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
            ConnectionPhase::Down { retry_at } if retry_at.is_none_or(|retry_at| retry_at <= now) => {
                self.connection = ConnectionPhase::Opening;
                Action::Connect
            }
            ConnectionPhase::Up { .. } if self.overdue_at().is_some_and(|overdue| overdue <= now) => {
                self.connection = ConnectionPhase::Closing;
                Action::Disconnect
            }
            ConnectionPhase::Up { .. } => self.next_part(now),
            ConnectionPhase::Down { .. } | ConnectionPhase::Opening | ConnectionPhase::Closing => self.wait(),
        }
    }

    fn next_part(&mut self, now: Instant) -> Action<P> {
        let room = self.pace.window.saturating_sub(self.in_flight.len());
        if room > 0
            && let Some((part, payload)) = self.queue.pop_front()
        {
            self.in_flight.push((part, now));
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
            ConnectionPhase::Down { retry_at } => retry_at,
            ConnectionPhase::Up { .. } => self.overdue_at(),
            ConnectionPhase::Opening | ConnectionPhase::Closing => None,
        };
        let journal = match self.journal {
            Journal::Failed { retry_at } => Some(retry_at),
            Journal::Idle | Journal::Busy | Journal::BusyForNothing => None,
        };
        Action::Wait { until: connection.into_iter().chain(journal).min() }
    }

    fn overdue_at(&self) -> Option<Instant> {
        self.in_flight.iter().map(|(_, sent)| *sent + self.pace.acknowledge_max).min()
    }

    /// The broker accepted the connection: what is owed is sent from the oldest.
    pub fn connected(&mut self) {
        self.connection = ConnectionPhase::Up { proven: false };
        self.start_over();
    }

    /// The connection is lost, was refused or could not be made. Answers how long to wait before the next attempt.
    pub fn disconnected(&mut self, now: Instant) -> Duration {
        if self.connection == (ConnectionPhase::Up { proven: true }) {
            self.pauses = pauses(&self.pace);
        }
        let pause = self.pauses.next().unwrap_or(self.pace.retry_max).min(self.pace.retry_max);
        self.connection = ConnectionPhase::Down { retry_at: Some(now + pause) };
        self.start_over();
        pause
    }

    fn start_over(&mut self) {
        self.queue.clear();
        self.in_flight.clear();
        self.taken = None;
        self.more = true;
        if self.journal == Journal::Busy {
            self.journal = Journal::BusyForNothing;
        }
    }

    /// The broker has taken responsibility for a part.
    pub fn acknowledged(&mut self, part: PartKey) {
        if let Some(at) = self.in_flight.iter().position(|(sent, _)| *sent == part) {
            self.in_flight.swap_remove(at);
            self.unmarked.insert(part);
            if self.connection == (ConnectionPhase::Up { proven: false }) {
                self.connection = ConnectionPhase::Up { proven: true };
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

    /// Whether everything that was owed has arrived and is marked so.
    pub fn is_drained(&self) -> bool {
        matches!(self.connection, ConnectionPhase::Up { .. })
            && !self.more
            && self.queue.is_empty()
            && self.in_flight.is_empty()
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
mod tests;
