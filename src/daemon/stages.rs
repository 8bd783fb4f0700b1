//! The threads a spectrum passes through: inspect, then keep.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};
use ramand_core::failure;
use ramand_core::outcome::{Inspection, ModelIdentity};
use ramand_core::record::{Entry, PartKind, PartKinds, Seq};
use ramand_core::spectrum::{PreprocessedSpectrum, RawSpectrum};
use ramand_model::inspect::Inspector;

use super::clock::clock;
use super::condition::{Condition, TroubleSource};
use super::delivery::{inspection_entry, part};
use super::models::{ModelChange, Watch};
use crate::acquire;
use crate::journal::{Journal, JournalError};
use crate::publish::wire::{self, AlarmState, Ne107, Stamp};
use crate::publish::{Latest, Publisher};
use crate::supervise::PartHandle;
use crate::web::{Live, LiveUpdate, Metrics, ModelMaps, Peer, PeerState};

/// How often an idle thread gives a sign of life.
const IDLE_BEAT: Duration = Duration::from_secs(1);

/// Without a spectrometer there are no results.
const LOST: Ne107 = Ne107::Failure;

/// What comes from the inspecting thread, in the order in which it came about.
pub(super) enum News {
    /// Something was concluded from a spectrum.
    Inspected(Box<Inspected>),
    /// Another model judges from now on, or was refused.
    Model(ModelChange),
}

/// An inspection with what the live page draws and the record does not hold.
pub(super) struct Inspected {
    pub(super) inspection: Inspection,
    /// What each model was shown; `None` where the spectrum could not be preprocessed for it.
    pub(super) preprocessed: Vec<Option<PreprocessedSpectrum>>,
}

/// Inspects what is measured until nobody measures any more. Models change between two spectra.
pub(super) fn inspect(
    mut inspector: Inspector,
    mut watch: Watch,
    spectra: &Receiver<RawSpectrum>,
    news: &Sender<News>,
    handle: &PartHandle,
) {
    // Nobody here knows what the broker last heard.
    let mut told: Vec<News> = watch.started(&inspector).into_iter().map(News::Model).collect();
    loop {
        if told.drain(..).any(|told| news.send(told).is_err()) {
            return;
        }
        let spectrum = match spectra.recv_timeout(IDLE_BEAT) {
            Ok(spectrum) => Some(spectrum),
            // Whoever measures was left behind: nothing comes any more.
            Err(RecvTimeoutError::Timeout) if handle.stop.is_requested() => return,
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        told.extend(watch.look(&mut inspector).into_iter().map(News::Model));
        if let Some(spectrum) = spectrum {
            let inspection = inspector.inspect(Arc::new(spectrum));
            let preprocessed = inspector.preprocessed().map(|preprocessed| preprocessed.cloned()).collect();
            told.push(News::Inspected(Box::new(Inspected { inspection, preprocessed })));
        }
        handle.pulse.beat();
    }
}

/// Sees every result once it is safe on disk; `Break` ends the daemon.
pub type Observer = Box<dyn FnMut(&Inspection, &[u8]) -> ControlFlow<()> + Send>;

/// Journals what was inspected, then tells everybody.
pub(super) struct Keeper {
    pub(super) journal: Arc<Journal>,
    pub(super) publisher: Option<Arc<Publisher>>,
    /// What is owed to the subscribers: nothing, where nothing is published.
    pub(super) published: PartKinds,
    pub(super) live: Arc<Live>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) condition: Arc<Condition>,
    /// Reference population of each model, for the page.
    pub(super) references: Vec<String>,
    pub(super) observer: Observer,
}

impl Keeper {
    /// Keeps until nobody inspects any more. Events of the instrument are records too.
    pub(super) fn run(
        mut self,
        news: &Receiver<News>,
        events: &Receiver<acquire::StationEvent>,
        handle: &PartHandle,
    ) -> ControlFlow<()> {
        let quiet = crossbeam_channel::never();
        let mut events = events;
        loop {
            select! {
                recv(news) -> item => match item {
                    Ok(News::Inspected(item)) => self.keep(&item)?,
                    Ok(News::Model(change)) => self.note_model(&change),
                    Err(_) => break,
                },
                recv(events) -> event => match event {
                    Ok(event) => self.note(&event),
                    // The instrument's thread has ended; what it measured may still be in flight.
                    Err(_) => events = &quiet,
                },
                default(IDLE_BEAT) => if handle.stop.is_requested() {
                    break;
                },
            }
            handle.pulse.beat();
        }
        for event in events.try_iter() {
            self.note(&event);
        }
        ControlFlow::Continue(())
    }

    fn keep(&mut self, inspected: &Inspected) -> ControlFlow<()> {
        let inspection = &inspected.inspection;
        self.condition.inspected(inspection);
        self.metrics.record(inspection, SystemTime::now());

        // Built once, and told only when it is on the medium, or when the medium has failed and the health says so.
        let record = self.journal.next_record();
        let stamp = stamp(record.seq(), inspection);
        let result: Arc<[u8]> = wire::result(&stamp, inspection).into();
        let entry = inspection_entry(&stamp, inspection, result.clone(), self.published);
        let kept = self.kept(record.write(&entry));

        if let Some(publisher) = self.publisher.as_ref().filter(|_| kept) {
            publisher.set_latest(Latest::Result, result.clone());
        }
        self.show(inspected, stamp.seq, result.clone());
        (self.observer)(inspection, &result)
    }

    /// Whether a record is on the medium; then the publisher is told. One that is not is lost, and the journal owns up to
    /// it in a gap record as soon as it can.
    fn kept(&self, appended: Result<Seq, JournalError>) -> bool {
        match &appended {
            Ok(_) => {
                self.condition.clear(TroubleSource::Journal);
                if let Some(publisher) = &self.publisher {
                    publisher.notify_appended();
                }
            }
            Err(error) => {
                let why = failure::chain(error);
                if self.condition.raise(TroubleSource::Journal, Ne107::Failure, why.clone()) {
                    tracing::error!(%why, "the journal does not keep what is measured");
                }
            }
        }
        appended.is_ok()
    }

    fn show(&self, inspected: &Inspected, seq: Seq, result: Arc<[u8]>) {
        let models = inspected.inspection.findings.iter().zip(&self.references).zip(&inspected.preprocessed);
        let models = models
            .map(|((finding, reference), preprocessed)| ModelMaps::new(reference, finding, preprocessed.as_ref()))
            .collect();
        self.live.publish(LiveUpdate { seq, result, models });
    }

    fn note(&self, event: &acquire::StationEvent) {
        use acquire::StationEvent;
        let spectrometer = TroubleSource::Spectrometer;
        let (kind, code, text) = match event {
            StationEvent::Connected(instrument) => {
                self.condition.clear(spectrometer);
                self.metrics.connection(Peer::Spectrometer, PeerState::Up);
                let text = format!("{} {} identified", instrument.model, instrument.serial);
                (PartKind::Event, "spectrometer_connected", text)
            }
            StationEvent::Lost { why } => {
                self.condition.raise(spectrometer, Ne107::Failure, why.clone());
                self.metrics.connection(Peer::Spectrometer, PeerState::Down);
                (PartKind::Alarm, "spectrometer_lost", why.clone())
            }
            StationEvent::Recovered { instrument, after } => {
                self.condition.clear(spectrometer);
                self.metrics.connection(Peer::Spectrometer, PeerState::Up);
                let text = format!("{} is back after {:.1} s", instrument.serial, after.as_secs_f64());
                (PartKind::Alarm, "spectrometer_lost", text)
            }
            StationEvent::LaserOn => {
                (PartKind::Event, "laser_on", "the laser is on, read back from the device".to_owned())
            }
            StationEvent::LaserOff => {
                (PartKind::Event, "laser_off", "the laser is off, read back from the device".to_owned())
            }
        };
        tracing::info!(code, "{text}");
        if matches!(event, StationEvent::Connected(_)) {
            // Nobody here knows what the broker last heard: an alarm of the run before may still stand.
            self.write_notice(PartKind::Alarm, "spectrometer_lost", text.clone(), LOST, AlarmState::Cleared);
        }
        let state = if matches!(event, StationEvent::Lost { .. }) { AlarmState::Raised } else { AlarmState::Cleared };
        self.write_notice(kind, code, text, LOST, state);
    }

    fn note_model(&mut self, change: &ModelChange) {
        let pinned = |model: &ModelIdentity| format!("{} (sha256 {})", model.version, model.sha256);
        let refused = |text: String, state| {
            self.write_notice(PartKind::Alarm, "model_refused", text, Ne107::MaintenanceRequired, state);
        };
        match change {
            ModelChange::Switched { index, old, new, settled } => {
                let text = format!("{}: {} replaces {}", new.identity().name, pinned(new.identity()), pinned(old));
                tracing::info!(code = "model_switched", "{text}");
                if *settled && self.condition.clear(TroubleSource::Model) {
                    refused(text.clone(), AlarmState::Cleared);
                }
                // The category is an alarm's; an event has none.
                self.write_notice(PartKind::Event, "model_switched", text, Ne107::Normal, AlarmState::Cleared);
                if let Some(reference) = self.references.get_mut(*index) {
                    *reference = new.manifest().reference.in_words();
                }
            }
            ModelChange::Refused { path, kept, why } => {
                let text = format!("{} is refused, {} {} goes on: {why}", path.display(), kept.name, pinned(kept));
                tracing::error!(code = "model_refused", "{text}");
                self.condition.raise(TroubleSource::Model, Ne107::MaintenanceRequired, text.clone());
                refused(text, AlarmState::Raised);
            }
            ModelChange::Settled { kept } => {
                let text = format!("{} {} runs, and no model is refused", kept.name, pinned(kept));
                tracing::info!(code = "model_refused", "{text}");
                self.condition.clear(TroubleSource::Model);
                refused(text, AlarmState::Cleared);
            }
        }
    }

    fn write_notice(&self, kind: PartKind, code: &str, text: String, category: Ne107, state: AlarmState) {
        let time = SystemTime::now();
        let appended = self.journal.append(|seq| {
            let clock = clock();
            let stamp = Stamp { seq, time, clock };
            let code = code.to_owned();
            let payload = match kind {
                PartKind::Alarm => wire::alarm(&stamp, &wire::Alarm { code, text, category, state }),
                _ => wire::event(&stamp, &wire::Event { code, text }),
            };
            let parts = vec![part(kind, payload.into(), self.published)];
            Entry { id: format!("{}-{:08}", kind.name(), seq.number()), time, clock, parts }
        });
        self.kept(appended);
    }
}

/// Number and time of an inspection: that of its measurement, where it was measured.
fn stamp(seq: Seq, inspection: &Inspection) -> Stamp {
    let measured = inspection.spectrum.acquisition().map(|acquisition| acquisition.taken);
    Stamp { seq, time: measured.unwrap_or_else(SystemTime::now), clock: clock() }
}
