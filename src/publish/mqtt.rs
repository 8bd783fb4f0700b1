//! The MQTT adapter: performs what the forwarder decides, on a tokio task.
//!
//! The journal is read and marked on tokio's blocking threads, one operation at a time. `status`, `last` and `health` are
//! not owed to anybody: the newest of each is sent, retained, and sent again after every reconnection.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ramand_core::failure;
use ramand_core::forwarder::{Action, Forwarder, Pace};
use ramand_core::record::PartKey;
use rumqttc::{LastWill, PublishNotice, QoS};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::connection::{BrokerAddress, Connection, ConnectionEvent, PAYLOAD_BYTES_MAX, Retained};
use super::error::PublishError;
use super::topics::{Latest, Topics};
use super::wire::{self, Presence, Status};

/// Publishes queued to a connection beyond the window: status, last and health.
const LATEST_REQUESTS_MAX: usize = 16;

/// The share of the time to stop that is spent on delivering; the rest is for saying goodbye.
const FLUSH_SHARE: f64 = 0.7;

/// Where owed parts come from, and where acknowledgements go. Called on blocking threads, one call at a time.
pub trait Outbox: Send + Sync + 'static {
    /// The oldest `limit` parts after `after` that nobody has acknowledged, in order.
    ///
    /// # Errors
    /// When they cannot be read; they are asked for again after a pause.
    fn owed(&self, after: Option<PartKey>, limit: usize) -> Result<Vec<(PartKey, Vec<u8>)>, OutboxError>;

    /// Marks parts as delivered.
    ///
    /// # Errors
    /// When they cannot be marked; it is tried again after a pause.
    fn acknowledge(&self, parts: &[PartKey]) -> Result<(), OutboxError>;
}

/// Whatever an [`Outbox`] has to report.
pub type OutboxError = Box<dyn std::error::Error + Send + Sync>;

/// What is published, to whom.
#[derive(Debug, Clone)]
pub struct PublisherSettings {
    pub broker: BrokerAddress,
    /// The broker's name for this client: two clients of one name throw each other out.
    pub client_id: String,
    /// Where to speak.
    pub topics: Topics,
    /// The broker publishes the will when it has not heard anything for one and a half times this.
    pub keep_alive: Duration,
    /// The program's version, in `status`.
    pub version: String,
    /// Window and pauses.
    pub pace: Pace,
}

/// How publishing goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whether there is a connection, and if not, why.
    pub link: Link,
    /// Parts acknowledged since the start.
    pub acknowledged: u64,
    /// Why the journal cannot be read or marked, while that is so.
    pub outbox_failure: Option<String>,
}

/// The connection to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Being made for the first time.
    Connecting,
    /// Up.
    Connected {
        /// Since when, wall clock.
        since: SystemTime,
    },
    /// Down, and tried again by itself.
    Disconnected {
        /// Since when, wall clock.
        since: SystemTime,
        /// What the last attempt met with.
        why: String,
    },
    /// Stopped on purpose.
    Stopped,
}

/// The running publisher.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Handover>,
    stop: watch::Sender<Option<Instant>>,
    delivery: watch::Receiver<Delivery>,
    task: JoinHandle<()>,
}

/// What other threads hand to the task.
#[derive(Debug, Default)]
struct Handover {
    handed: Mutex<Handed>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Handed {
    appended: bool,
    latest: BTreeMap<Latest, Arc<[u8]>>,
}

impl Publisher {
    /// Starts on the current tokio runtime, which must have its time and network drivers enabled.
    ///
    /// # Errors
    /// When a certificate, key or password cannot be read. Whether the broker is there is another matter: see
    /// [`Publisher::delivery`].
    pub fn start(settings: PublisherSettings, outbox: Arc<dyn Outbox>) -> Result<Self, PublishError> {
        connection_options(&settings, SystemTime::now())?;
        let shared = Arc::new(Handover::default());
        let (stop, stopping) = watch::channel(None);
        let initial = Delivery { link: Link::Connecting, acknowledged: 0, outbox_failure: None };
        let (publish_delivery, delivery) = watch::channel(initial);
        let task = Task {
            forwarder: Forwarder::new(settings.pace),
            settings,
            outbox,
            shared: Arc::clone(&shared),
            stopping,
            delivery: publish_delivery,
            connection: None,
            connected: false,
            notices: JoinSet::new(),
            outbox_work: JoinSet::new(),
            unsent_latest: BTreeMap::new(),
            known_latest: BTreeMap::new(),
        };
        Ok(Self { shared, stop, delivery, task: tokio::spawn(task.run()) })
    }

    /// The outbox has a new record. Never blocks; from any thread.
    pub fn notify_appended(&self) {
        self.hand(|handed| handed.appended = true);
    }

    /// The newest of its kind: replaces one that was not sent yet. Never blocks on the network; from any thread.
    pub fn set_latest(&self, latest: Latest, payload: impl Into<Arc<[u8]>>) {
        let payload = payload.into();
        self.hand(|handed| drop(handed.latest.insert(latest, payload)));
    }

    /// How it goes, now and whenever that changes.
    pub fn delivery(&self) -> watch::Receiver<Delivery> {
        self.delivery.clone()
    }

    /// Delivers what is owed while that takes no longer than most of `deadline`, says `offline`, and disconnects. Without
    /// a connection it ends at once: what is owed is in the outbox.
    pub async fn stop(self, deadline: Duration) {
        self.stop.send_replace(Some(Instant::now() + deadline));
        let abort = self.task.abort_handle();
        if tokio::time::timeout(deadline + Duration::from_millis(100), self.task).await.is_err() {
            abort.abort();
        }
    }

    fn hand(&self, change: impl FnOnce(&mut Handed)) {
        change(&mut self.shared.handed.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.wake.notify_one();
    }
}

fn connection_options(settings: &PublisherSettings, now: SystemTime) -> Result<rumqttc::MqttOptions, PublishError> {
    let lost = status(settings, Presence::Lost, now);
    let will = LastWill::new(settings.topics.status(), lost, QoS::AtLeastOnce, true);
    let inflight_max = settings.pace.window + LATEST_REQUESTS_MAX;
    settings.broker.options(&settings.client_id, settings.keep_alive, inflight_max, Some(will))
}

fn status(settings: &PublisherSettings, presence: Presence, since: SystemTime) -> Vec<u8> {
    wire::status(&Status { presence, since, last_seen: SystemTime::now(), version: &settings.version })
}

/// What a blocking thread has done.
enum OutboxAnswer {
    Fetched(Result<Vec<(PartKey, Vec<u8>)>, OutboxError>),
    Marked(Vec<PartKey>, Result<(), OutboxError>),
}

struct Task {
    settings: PublisherSettings,
    outbox: Arc<dyn Outbox>,
    shared: Arc<Handover>,
    stopping: watch::Receiver<Option<Instant>>,
    delivery: watch::Sender<Delivery>,
    forwarder: Forwarder<Vec<u8>>,
    connection: Option<Connection>,
    connected: bool,
    /// One per part in flight: ends with the part when the broker has acknowledged it.
    notices: JoinSet<Option<PartKey>>,
    /// At most one: the forwarder asks for nothing while one is running.
    outbox_work: JoinSet<OutboxAnswer>,
    /// To be sent as soon as there is room.
    unsent_latest: BTreeMap<Latest, Arc<[u8]>>,
    /// Sent or unsent: what a broker without memory is told again after a reconnection.
    known_latest: BTreeMap<Latest, Arc<[u8]>>,
}

impl Task {
    async fn run(mut self) {
        let mut flush_until = None;
        loop {
            self.take_handed();
            if let Some(flush_until) = flush_until
                && (Instant::now() >= flush_until || self.is_finished())
            {
                break;
            }
            match self.forwarder.next(Instant::now()) {
                Action::Connect => self.connect(),
                Action::Mark(parts) => {
                    let outbox = Arc::clone(&self.outbox);
                    self.outbox_work.spawn_blocking(move || {
                        let marked = outbox.acknowledge(&parts);
                        OutboxAnswer::Marked(parts, marked)
                    });
                }
                Action::Fetch { after, limit } => {
                    let outbox = Arc::clone(&self.outbox);
                    self.outbox_work.spawn_blocking(move || OutboxAnswer::Fetched(outbox.owed(after, limit)));
                }
                Action::Send { part, payload } => self.send(part, payload),
                Action::Disconnect => {
                    self.disconnected("the broker answers, and acknowledges nothing");
                }
                Action::Wait { until } => {
                    self.send_latest();
                    let until = [until, flush_until].into_iter().flatten().min();
                    let mut stopping = self.stopping.clone();
                    let asked_to_stop = async {
                        match flush_until {
                            None => stopping.wait_for(Option::is_some).await.map_or(None, |deadline| *deadline),
                            Some(_) => pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        Some(Ok(acknowledged)) = self.notices.join_next() => {
                            if let Some(part) = acknowledged {
                                self.forwarder.acknowledged(part);
                                self.delivery.send_modify(|delivery| delivery.acknowledged += 1);
                            }
                        }
                        Some(answer) = self.outbox_work.join_next() => {
                            let gone = |error: JoinError| OutboxAnswer::Fetched(Err(error.into()));
                            self.outbox_answered(answer.unwrap_or_else(gone));
                        }
                        event = next_event(&mut self.connection) => match event {
                            ConnectionEvent::Up => self.connection_is_up(),
                            ConnectionEvent::Down(why) => self.disconnected(&why),
                        },
                        () = self.shared.wake.notified() => {}
                        deadline = asked_to_stop => {
                            let now = Instant::now();
                            let left = deadline.unwrap_or(now).saturating_duration_since(now);
                            flush_until = Some(now + left.mul_f64(FLUSH_SHARE));
                        }
                        () = wait_until(until) => {}
                    }
                }
            }
        }
        self.say_goodbye().await;
    }

    /// Nothing is owed any more, or nothing can be done about it.
    fn is_finished(&self) -> bool {
        if self.connected {
            self.forwarder.is_drained() && self.unsent_latest.is_empty()
        } else {
            self.forwarder.is_marked()
        }
    }

    fn take_handed(&mut self) {
        let mut handed = self.shared.handed.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut handed.appended) {
            self.forwarder.appended();
        }
        for (latest, payload) in std::mem::take(&mut handed.latest) {
            if payload.len() > PAYLOAD_BYTES_MAX {
                tracing::error!(?latest, bytes = payload.len(), "a payload is too large to be published");
                continue;
            }
            self.known_latest.insert(latest, payload.clone());
            self.unsent_latest.insert(latest, payload);
        }
    }

    fn connect(&mut self) {
        match connection_options(&self.settings, SystemTime::now()) {
            Ok(options) => {
                let requests_max = self.settings.pace.window + LATEST_REQUESTS_MAX;
                self.connection = Some(Connection::open(options, requests_max));
            }
            // A file that was there at the start is gone or being replaced: the same pause as for the broker.
            Err(error) => self.disconnected(&failure::chain(&error)),
        }
    }

    fn connection_is_up(&mut self) {
        self.connected = true;
        self.forwarder.connected();
        let since = SystemTime::now();
        tracing::info!(host = %self.settings.broker.host, port = self.settings.broker.port, "connected to the broker");
        let online = status(&self.settings, Presence::Online, since);
        if let Some(connection) = &self.connection {
            // The queue of a new connection has room; a lost status is repeated with the next connection.
            let _ = connection.publish(self.settings.topics.status(), Retained::Yes, online);
        }
        self.unsent_latest = self.known_latest.clone();
        self.delivery.send_modify(|delivery| delivery.link = Link::Connected { since });
    }

    fn disconnected(&mut self, why: &str) {
        self.connection = None;
        self.connected = false;
        self.notices = JoinSet::new();
        let pause = self.forwarder.disconnected(Instant::now());
        self.delivery.send_modify(|delivery| {
            let (since, known) = match &delivery.link {
                Link::Disconnected { since, why: before } => (*since, before == why),
                Link::Connecting | Link::Connected { .. } | Link::Stopped => (SystemTime::now(), false),
            };
            if known {
                tracing::debug!(why, ?pause, "still no connection to the broker");
            } else {
                tracing::warn!(why, ?pause, "no connection to the broker; what is owed stays in the journal");
            }
            delivery.link = Link::Disconnected { since, why: why.to_owned() };
        });
    }

    fn send(&mut self, part: PartKey, payload: Vec<u8>) {
        let topic = self.settings.topics.part(part.kind);
        match self.connection.as_ref().and_then(|connection| connection.publish(topic, Retained::No, payload)) {
            Some(notice) => {
                self.notices.spawn(acknowledgement(part, notice));
            }
            // The queue holds a whole window and more: only a connection that has just ended takes nothing. Its end is
            // about to be reported, and the part is owed again.
            None => tracing::debug!(?part, "not taken by the connection"),
        }
    }

    fn send_latest(&mut self) {
        let (Some(connection), true) = (&self.connection, self.connected) else { return };
        while let Some((latest, payload)) = self.unsent_latest.pop_first() {
            let topic = self.settings.topics.latest(latest);
            if connection.publish(topic, Retained::Yes, payload.to_vec()).is_none() {
                self.unsent_latest.insert(latest, payload);
                break;
            }
        }
    }

    fn outbox_answered(&mut self, answer: OutboxAnswer) {
        let outcome = match answer {
            OutboxAnswer::Fetched(Ok(parts)) => {
                self.forwarder.fetched(parts);
                Ok(())
            }
            OutboxAnswer::Marked(parts, Ok(())) => {
                self.forwarder.marked(&parts);
                Ok(())
            }
            OutboxAnswer::Fetched(Err(error)) | OutboxAnswer::Marked(_, Err(error)) => Err(error),
        };
        let failure = outcome.err().map(|error| {
            self.forwarder.journal_failed(Instant::now());
            failure::chain(error.as_ref())
        });
        self.delivery.send_if_modified(|delivery| {
            let changed = delivery.outbox_failure != failure;
            if let (true, Some(failure)) = (changed, &failure) {
                tracing::error!(failure, "nothing can be delivered");
            }
            delivery.outbox_failure = failure;
            changed
        });
    }

    async fn say_goodbye(mut self) {
        let end = self.stopping.borrow().unwrap_or_else(Instant::now);
        let left = || end.saturating_duration_since(Instant::now());
        if let Some(connection) = self.connection.take().filter(|_| self.connected) {
            let offline = status(&self.settings, Presence::Offline, SystemTime::now());
            if let Some(notice) = connection.publish(self.settings.topics.status(), Retained::Yes, offline) {
                let _ = tokio::time::timeout(left() / 2, notice.wait_async()).await;
            }
            connection.close(left()).await;
        }
        self.delivery.send_modify(|delivery| delivery.link = Link::Stopped);
    }
}

async fn acknowledgement(part: PartKey, notice: PublishNotice) -> Option<PartKey> {
    notice.wait_async().await.ok().map(|_| part)
}

/// The connection's next event; never without a connection.
async fn next_event(connection: &mut Option<Connection>) -> ConnectionEvent {
    match connection {
        Some(connection) => {
            let ended = || ConnectionEvent::Down("the connection ended".to_owned());
            mpsc::Receiver::recv(&mut connection.events).await.unwrap_or_else(ended)
        }
        None => pending().await,
    }
}

async fn wait_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}
