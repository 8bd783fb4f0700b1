//! What is counted and measured, as Prometheus reads it.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use ramand_core::outcome::Inspection;

/// Upper ends of the latency buckets, s: from a preprocessing step on a fast core to a long exposure.
const STAGE_BUCKETS_S: [f64; 14] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0];

/// Who the station is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The instrument on the serial line.
    Spectrometer,
    /// The MQTT broker.
    Broker,
}

/// Whether the station is connected to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// It answers.
    Up,
    /// It does not.
    Down,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    model: String,
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabels {
    peer: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    error: &'static str,
}

/// Every metric of the station. All methods may be called from any thread and never block for long.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    spectra: Counter,
    results: Family<ResultLabels, Counter>,
    stages: Family<StageLabels, Histogram, fn() -> Histogram>,
    queues: Family<QueueLabels, Gauge>,
    journal_owed: Gauge,
    connected: Family<PeerLabels, Gauge>,
    detector_temperature: Gauge<f64, AtomicU64>,
    last_result: Gauge<f64, AtomicU64>,
    line_errors: Family<ErrorLabels, Counter>,
    pub(super) web_connections: Gauge,
    pub(super) web_refused: Counter,
    pub(super) web_dropped: Counter,
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("ramand");
        let stage_histogram: fn() -> Histogram = || Histogram::new(STAGE_BUCKETS_S);
        let metrics = Self {
            registry: Registry::default(),
            spectra: Counter::default(),
            results: Family::default(),
            stages: Family::new_with_constructor(stage_histogram),
            queues: Family::default(),
            journal_owed: Gauge::default(),
            connected: Family::default(),
            detector_temperature: Gauge::default(),
            last_result: Gauge::default(),
            line_errors: Family::default(),
            web_connections: Gauge::default(),
            web_refused: Counter::default(),
            web_dropped: Counter::default(),
        };
        registry.register("build", "The running version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("spectra", "Spectra inspected", metrics.spectra.clone());
        registry.register("results", "Verdicts by model and decision", metrics.results.clone());
        registry.register_with_unit(
            "stage_duration",
            "Time a stage took for one spectrum, all models",
            Unit::Seconds,
            metrics.stages.clone(),
        );
        registry.register("queue_depth", "Items waiting in a queue", metrics.queues.clone());
        registry.register("journal_owed", "Results in the journal not yet acknowledged", metrics.journal_owed.clone());
        registry.register("connected", "1 while the peer answers, else 0", metrics.connected.clone());
        registry.register_with_unit(
            "detector_temperature",
            "Temperature of the detector at the last spectrum",
            Unit::Celsius,
            metrics.detector_temperature.clone(),
        );
        registry.register_with_unit(
            "last_result_timestamp",
            "Wall clock of the last result since the epoch",
            Unit::Seconds,
            metrics.last_result.clone(),
        );
        registry.register("line_errors", "Troubles of the serial line by kind", metrics.line_errors.clone());
        registry.register("web_connections", "Open HTTP connections", metrics.web_connections.clone());
        registry.register("web_refused", "HTTP connections refused at the limit", metrics.web_refused.clone());
        registry.register(
            "web_dropped",
            "HTTP connections given up because the client took too little",
            metrics.web_dropped.clone(),
        );
        Self { registry, ..metrics }
    }

    /// Counts one inspection; `now` is the wall clock.
    pub fn record(&self, inspection: &Inspection, now: SystemTime) {
        self.spectra.inc();
        for finding in &inspection.findings {
            let decision = finding.verdict.decision.name();
            self.results.get_or_create(&ResultLabels { model: finding.model.name.clone(), decision }).inc();
        }
        let timings = &inspection.timings;
        let stages = [
            ("acquire", timings.acquire),
            ("prepare", timings.preprocess),
            ("infer", timings.infer),
            ("decide", timings.decide),
        ];
        for (stage, duration) in stages {
            self.stages.get_or_create(&StageLabels { stage }).observe(duration.as_secs_f64());
        }
        if let Some(acquisition) = inspection.spectrum.acquisition() {
            if let Some(temperature) = acquisition.detector_temperature {
                self.detector_temperature.set(f64::from(temperature.degrees()));
            }
            let line = &acquisition.line;
            let errors =
                [("retry", line.retries), ("stale_frame", line.stale_frames), ("damaged_frame", line.damaged_frames)];
            for (error, count) in errors {
                self.line_errors.get_or_create(&ErrorLabels { error }).inc_by(u64::from(count));
            }
        }
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.last_result.set(since_epoch.as_secs_f64());
    }

    /// How many items wait in a queue.
    pub fn queue_depth(&self, queue: &'static str, items: usize) {
        self.queues.get_or_create(&QueueLabels { queue }).set(gauge(items));
    }

    /// How many results the journal still owes the broker.
    pub fn journal_owed(&self, results: usize) {
        self.journal_owed.set(gauge(results));
    }

    /// Whether a peer answers.
    pub fn connection(&self, peer: Peer, connection: PeerState) {
        let peer = match peer {
            Peer::Spectrometer => "spectrometer",
            Peer::Broker => "broker",
        };
        self.connected.get_or_create(&PeerLabels { peer }).set(i64::from(connection == PeerState::Up));
    }

    /// The OpenMetrics text.
    pub(super) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
