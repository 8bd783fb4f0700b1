//! The daemon: the composition root. Start-up reads top to bottom, one paragraph a part; parts meet only here.

mod clock;
mod condition;
mod delivery;
mod error;
mod health;
mod models;
mod past;
mod settings;
mod stages;

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::Receiver;
use ramand_core::record::{PartKind, PartKinds};
use ramand_core::spectrum::RawSpectrum;
use ramand_model::inspect::Inspector;

use self::condition::{Condition, Identified, TroubleSource};
use self::health::{Queue, Reporter};
use self::models::Watch;
use self::past::Past;
use self::stages::Keeper;
use crate::acquire::capture::recorded;
use crate::acquire::station::StationReceivers;
use crate::acquire::{self, AcquireError, AcquisitionSettings};
use crate::config::Config;
use crate::journal::Journal;
#[cfg(feature = "broker")]
use crate::publish::broker;
use crate::publish::{Publisher, Topics};
use crate::supervise::{SuperviseError, Supervisor, Systemd};
use crate::web::{Live, Metrics, Server, Sources};

pub use self::clock::clock;
pub use self::error::DaemonError;
pub use self::settings::{broker_address, inspector, instrument, instrument_limits, rules, trust};
pub use self::stages::Observer;

/// Inspections between inspecting and keeping. When they are full, inspecting waits, and then the instrument does.
const INSPECTIONS_MAX: usize = 16;

/// The longest an inspection or a write to the journal may take before the watchdog hears of it: a worn SD card stalls for
/// seconds.
const WORK_SILENCE_MAX: Duration = Duration::from_secs(30);

/// For what was measured to be inspected after a stop request, and again for it to be kept: as long as a write may take.
const FINISH_WITHIN: Duration = WORK_SILENCE_MAX;

/// For what is still owed to be delivered.
const DELIVER_WITHIN: Duration = Duration::from_millis(1500);

/// For the publisher to say goodbye after that, and for everybody else to end.
const GOODBYE_WITHIN: Duration = Duration::from_millis(500);

/// Where a started daemon can be reached.
#[derive(Debug, Clone)]
pub struct Started {
    /// The live page.
    pub web: Option<SocketAddr>,
    /// The embedded broker.
    pub broker: Option<SocketAddr>,
    /// Where results go.
    pub topics: Topics,
}

/// Runs until SIGTERM, SIGINT, the observer's `Break` or a failure that only an operator can mend. `started` is called once, when
/// everything but the instrument is up; the instrument is looked for as long as it takes.
///
/// # Errors
/// When a part cannot start, or ends by itself.
pub fn run(config: &Config, started: impl FnOnce(&Started), observer: Observer) -> Result<(), DaemonError> {
    // tokio serves the network on this one thread; whatever blocks has a thread of its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DaemonError::Runtime)?;
    runtime.block_on(serve(config, started, observer))
}

async fn serve(config: &Config, started: impl FnOnce(&Started), observer: Observer) -> Result<(), DaemonError> {
    let here = tokio::runtime::Handle::current();
    let supervisor = Supervisor::new();
    let systemd = Systemd::from_environment();
    supervisor.stop_on_signals(&here)?;

    // The models come first: without them nothing can be concluded, and a wrong one is the operator's to mend. Where their
    // paths lead is noted before they are opened, so that a model replaced meanwhile is noticed.
    let watch = Watch::new(config);
    let inspector = inspector(config)?;
    let references = inspector.models().map(|model| model.manifest().reference.in_words()).collect();
    let mut instrument = instrument(config)?;
    if let Some(path) = &config.spectrometer.capture_file {
        instrument = recorded(instrument, path).map_err(AcquireError::from)?;
    }
    let topics = Topics::new(&config.place.site, &config.place.line, &config.place.device)?;

    // The journal: from here on, nothing that is measured is lost without a record of the loss.
    let journal = Arc::new(Journal::open(&config.journal.path, settings::journal(config))?);
    let condition = Arc::new(Condition::starting());
    let metrics = Arc::new(Metrics::new());
    let live = Arc::new(Live::new());

    // The plant's broker, or our own where there is none.
    #[cfg(feature = "broker")]
    let broker = config.broker.enabled.then(|| broker::start(config.broker.listen)).transpose()?;
    #[cfg(not(feature = "broker"))]
    let broker = None;
    let publisher = match settings::publisher(config, topics.clone(), broker) {
        Some(settings) => Some(Arc::new(Publisher::start(settings, journal.clone())?)),
        None => None,
    };

    let past = Arc::new(Past::new(journal.reader()?));
    let sources =
        Sources { live: live.clone(), metrics: metrics.clone(), history: past.clone(), health: condition.clone() };
    let web = start_page(config, sources, &supervisor).await?;

    let end_within = acquire::station::end_within(&instrument);
    let keeper = Keeper {
        journal: journal.clone(),
        publisher: publisher.clone(),
        published: published(publisher.as_deref()),
        live,
        metrics: metrics.clone(),
        condition: condition.clone(),
        references,
        observer,
    };
    let line = start_line(&supervisor, instrument, (inspector, watch), keeper)?;

    // What is owed is delivered on a task of the publisher's own; this one ends it.
    let reporter = Reporter {
        publisher: publisher.clone(),
        condition: condition.clone(),
        metrics,
        past,
        supervisor: supervisor.clone(),
        queues: vec![Queue::of("spectra", line.spectra.clone()), Queue::of("results", line.news.clone())],
    };
    if let Some(publisher) = publisher {
        supervisor.spawn_task(&here, "publish", Duration::MAX, |part| async move {
            part.stop.requested().await;
            match Arc::try_unwrap(publisher) {
                Ok(publisher) => publisher.stop(DELIVER_WITHIN).await,
                Err(_) => tracing::error!("somebody still publishes"),
            }
        })?;
    }

    started(&Started { web, broker, topics });

    let stop = supervisor.stop_signal().token();
    tokio::select! {
        _ = stop.requested() => {}
        () = supervisor.watch(systemd) => {}
        () = health::tell(reporter) => {}
        () = announce(&systemd, &condition) => {}
    }
    shut_down(&supervisor, &systemd, end_within, &line, &condition).await
}

/// Serves the live page, where one is wanted: its address.
async fn start_page(
    config: &Config,
    sources: Sources,
    supervisor: &Supervisor,
) -> Result<Option<SocketAddr>, DaemonError> {
    let Some(settings) = settings::web(config) else { return Ok(None) };
    let server = Server::bind(settings, sources).await?;
    let address = server.address();
    supervisor.spawn_task(&tokio::runtime::Handle::current(), "web", Duration::MAX, |part| async move {
        server.serve(async { drop(part.stop.requested().await) }).await;
    })?;
    Ok(Some(address))
}

/// What waits between the threads of the line. The channels are there as long as their readers are: what is left in them then was
/// not kept.
struct InFlight {
    spectra: Weak<Receiver<RawSpectrum>>,
    news: Weak<Receiver<stages::News>>,
}

impl InFlight {
    /// Spectra that were measured and not kept, at least.
    fn count(&self) -> usize {
        waiting(&self.spectra) + waiting(&self.news)
    }
}

/// The way of a spectrum: measured, inspected, kept. Each thread ends when the one before it has.
fn start_line(
    supervisor: &Supervisor,
    instrument: AcquisitionSettings,
    (inspector, watch): (Inspector, Watch),
    keeper: Keeper,
) -> Result<InFlight, DaemonError> {
    let (measured, StationReceivers { spectra, events }) = acquire::station::channels();
    let (news_sender, news) = crossbeam_channel::bounded(INSPECTIONS_MAX);
    let (spectra, news) = (Arc::new(spectra), Arc::new(news));
    let line = InFlight { spectra: Arc::downgrade(&spectra), news: Arc::downgrade(&news) };
    let stop = supervisor.stop_signal().clone();
    supervisor.spawn_thread("keep", WORK_SILENCE_MAX, move |part| {
        if keeper.run(&news, &events, &part).is_break() {
            stop.request("as many results as were asked for");
            // Whatever is still in flight is taken, so that nobody before this thread has to wait.
            while news.recv().is_ok() {}
        }
    })?;
    supervisor.spawn_thread("inspect", WORK_SILENCE_MAX, move |part| {
        stages::inspect(inspector, watch, &spectra, &news_sender, &part);
    })?;
    let silence_max = acquire::station::silence_max(&instrument);
    supervisor.spawn_thread("acquire", silence_max, move |part| {
        acquire::station::run(instrument, &part.stop, || part.pulse.beat(), measured)
    })?;
    Ok(line)
}

/// Tells systemd that the station is ready, and from then on whether there is an instrument; it does not return.
///
/// An instrument without power may stay so for days, and whoever waits for us, an upgrade say, must not wait for it.
async fn announce(systemd: &Systemd, condition: &Condition) {
    let tell = |told: Result<(), SuperviseError>| {
        if let Err(error) = told {
            tracing::warn!(%error, "systemd cannot be told");
        }
    };
    tell(systemd.ready("looking for the spectrometer"));
    loop {
        condition.spectrometer(Identified::Yes).await;
        tell(systemd.status("measuring"));
        condition.spectrometer(Identified::No).await;
        tell(systemd.status("lost the spectrometer; looking for it"));
    }
}

/// The laser goes off first; what was measured is kept and, as far as time allows, delivered. `end_within` is for the
/// instrument.
async fn shut_down(
    supervisor: &Supervisor,
    systemd: &Systemd,
    end_within: Duration,
    line: &InFlight,
    condition: &Condition,
) -> Result<(), DaemonError> {
    let order = [
        ("acquire", end_within),
        ("inspect", FINISH_WITHIN),
        ("keep", FINISH_WITHIN),
        ("publish", DELIVER_WITHIN + GOODBYE_WITHIN),
    ];
    let within = order.iter().map(|(_, within)| *within).sum::<Duration>() + GOODBYE_WITHIN;
    if let Err(error) = systemd.stopping("stopping", within) {
        tracing::warn!(%error, "systemd cannot be told");
    }
    let shutdown = supervisor.shutdown(&order, GOODBYE_WITHIN).await;
    let left = line.count();
    if left > 0 {
        tracing::error!(at_least = left, "spectra that were measured are not in the journal: it was too slow");
    }
    match shutdown.failure() {
        None if condition.is_troubled(TroubleSource::Journal) => {
            tracing::error!(reason = %shutdown.reason, "stopped: laser off; the journal did not keep everything");
            Ok(())
        }
        None => {
            tracing::info!(reason = %shutdown.reason, "stopped: laser off, everything measured is in the journal");
            Ok(())
        }
        Some(kind) => {
            let left = shutdown.stragglers.contains(&"acquire");
            let laser = if left { "; the laser is not confirmed off: switch it off at the key" } else { "" };
            Err(DaemonError::Ended { why: format!("{shutdown}{laser}"), kind })
        }
    }
}

/// What waits in a channel whose reader has not ended, with what the reader is at.
fn waiting<T>(channel: &Weak<Receiver<T>>) -> usize {
    channel.upgrade().map_or(0, |channel| channel.len() + 1)
}

/// Everything is owed to the subscribers, where there are any.
fn published(publisher: Option<&Publisher>) -> PartKinds {
    publisher.map_or_else(PartKinds::default, |_| PartKind::ALL.into_iter().collect())
}
