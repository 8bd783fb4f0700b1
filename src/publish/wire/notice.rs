//! The small records: `status`, `health`, `event`, `alarm`, `gap`.

use std::time::SystemTime;

use ramand_core::outcome::{Applicability, Inspection};
use ramand_core::record::{Gap, Seq};
use ramand_core::spectrum::{Celsius, Counts};
use serde::Serialize;

use super::{Clock, Stamp, VERSION, json, time_text};

/// Whether the program is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Connected.
    Online,
    /// Stopped on purpose.
    Offline,
    /// Gone without a word: said by the broker, as the will.
    Lost,
}

/// What is said about the program itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'a> {
    /// Whether it is there.
    pub presence: Presence,
    /// Since when.
    pub since: SystemTime,
    /// When it last knew. The will is written when the connection is made: both times of a `lost` are that moment.
    pub last_seen: SystemTime,
    /// The program's version.
    pub version: &'a str,
}

/// The payload of `status`.
pub fn status(status: &Status<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct StatusRecord<'a> {
        v: u8,
        state: &'static str,
        since: String,
        version: &'a str,
        last_seen: String,
    }
    json(&StatusRecord {
        v: VERSION,
        state: match status.presence {
            Presence::Online => "online",
            Presence::Offline => "offline",
            Presence::Lost => "lost",
        },
        since: time_text(status.since),
        version: status.version,
        last_seen: time_text(status.last_seen),
    })
}

/// The state of a field device after NAMUR NE 107, most serious last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ne107 {
    /// Nothing to report.
    Normal,
    /// Still valid, wear is nearing its end.
    MaintenanceRequired,
    /// Operated outside its limits: results may be off.
    OutOfSpecification,
    /// Temporarily no valid results: somebody works on it, or a dark frame is being taken.
    FunctionCheck,
    /// No valid results.
    Failure,
}

impl Ne107 {
    const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::MaintenanceRequired => "maintenance_required",
            Self::OutOfSpecification => "out_of_specification",
            Self::FunctionCheck => "function_check",
            Self::Failure => "failure",
        }
    }
}

/// Readings under the names PA-DIM gives them for Raman analysers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PaDimReadings {
    /// What is left of the laser's life, hours.
    pub source_residual_life_h: Option<f32>,
    /// The detector's temperature.
    pub sensing_element_temperature: Option<Celsius>,
    /// √T² of the model nearest to its limit: distance from the centre of training, in standard deviations.
    pub mahalanobis_distance: Option<f32>,
    /// Q of the model nearest to its limit, in the square of the preprocessed spectrum's unit.
    pub spectral_residual: Option<f32>,
    /// Pixel-to-pixel noise of the dark frame.
    pub electronics_read_noise: Option<Counts>,
}

impl From<&Inspection> for PaDimReadings {
    fn from(inspection: &Inspection) -> Self {
        let gates = || inspection.findings.iter().filter_map(|finding| finding.conclusion.as_ref()?.applicability);
        let nearest = |ratio: fn(&Applicability) -> f32| gates().max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let acquisition = inspection.spectrum.acquisition();
        Self {
            source_residual_life_h: None,
            sensing_element_temperature: acquisition.and_then(|acquisition| acquisition.detector_temperature),
            mahalanobis_distance: nearest(|gate| gate.t2 / gate.t2_limit).map(|gate| gate.t2.sqrt()),
            spectral_residual: nearest(|gate| gate.q / gate.q_limit).map(|gate| gate.q),
            electronics_read_noise: acquisition.and_then(|acquisition| acquisition.dark_noise),
        }
    }
}

/// The state of the instrument.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// After NE 107.
    pub state: Ne107,
    /// What makes it so, in sentences; empty when normal.
    pub reasons: Vec<String>,
    /// The newest readings.
    pub readings: PaDimReadings,
}

/// The payload of `health`.
pub fn health(time: SystemTime, clock: Clock, health: &Health) -> Vec<u8> {
    #[derive(Serialize)]
    struct Reading {
        value: Option<f32>,
        unit: &'static str,
    }
    #[derive(Serialize)]
    struct HealthRecord<'a> {
        v: u8,
        time: String,
        clock_synchronised: bool,
        state: &'static str,
        reasons: &'a [String],
        #[serde(rename = "SourceResidualLife")]
        source_residual_life: Reading,
        #[serde(rename = "SensingElementTemperature")]
        sensing_element_temperature: Reading,
        #[serde(rename = "MahalanobisDistance")]
        mahalanobis_distance: Reading,
        #[serde(rename = "SpectralResidual")]
        spectral_residual: Reading,
        #[serde(rename = "ElectronicsReadNoise")]
        electronics_read_noise: Reading,
    }
    let reading = |value, unit| Reading { value, unit };
    let readings = &health.readings;
    json(&HealthRecord {
        v: VERSION,
        time: time_text(time),
        clock_synchronised: clock == Clock::Synchronised,
        state: health.state.name(),
        reasons: &health.reasons,
        source_residual_life: reading(readings.source_residual_life_h, "h"),
        sensing_element_temperature: reading(readings.sensing_element_temperature.map(Celsius::degrees), "°C"),
        mahalanobis_distance: reading(readings.mahalanobis_distance, "1"),
        spectral_residual: reading(readings.spectral_residual, "1"),
        electronics_read_noise: reading(readings.electronics_read_noise.map(Counts::value), "counts"),
    })
}

/// Something worth knowing later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// For programs, as in `spectrometer_identified`.
    pub code: String,
    /// For people.
    pub text: String,
}

/// The payload of `event`.
pub fn event(stamp: &Stamp, event: &Event) -> Vec<u8> {
    #[derive(Serialize)]
    struct EventRecord<'a> {
        v: u8,
        seq: u64,
        time: String,
        clock_synchronised: bool,
        code: &'a str,
        text: &'a str,
    }
    json(&EventRecord {
        v: VERSION,
        seq: stamp.seq.number(),
        time: time_text(stamp.time),
        clock_synchronised: stamp.clock == Clock::Synchronised,
        code: &event.code,
        text: &event.text,
    })
}

/// Whether an alarm begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    /// It holds from now on.
    Raised,
    /// It holds no longer.
    Cleared,
}

/// Something somebody must look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Which, the same for its beginning and its end, as in `spectrometer_unreachable`.
    pub code: String,
    /// For people.
    pub text: String,
    /// Its category.
    pub category: Ne107,
    /// Beginning or end.
    pub state: AlarmState,
}

/// The payload of `alarm`.
pub fn alarm(stamp: &Stamp, alarm: &Alarm) -> Vec<u8> {
    #[derive(Serialize)]
    struct AlarmRecord<'a> {
        v: u8,
        seq: u64,
        time: String,
        clock_synchronised: bool,
        code: &'a str,
        text: &'a str,
        category: &'static str,
        state: &'static str,
    }
    json(&AlarmRecord {
        v: VERSION,
        seq: stamp.seq.number(),
        time: time_text(stamp.time),
        clock_synchronised: stamp.clock == Clock::Synchronised,
        code: &alarm.code,
        text: &alarm.text,
        category: alarm.category.name(),
        state: match alarm.state {
            AlarmState::Raised => "raised",
            AlarmState::Cleared => "cleared",
        },
    })
}

/// The payload of `gap`.
pub fn gap(seq: Seq, time: SystemTime, gap: &Gap) -> Vec<u8> {
    #[derive(Serialize)]
    struct LossRecord {
        from: u64,
        to: u64,
        parts: Vec<&'static str>,
        reason: &'static str,
    }
    #[derive(Serialize)]
    struct GapRecord {
        v: u8,
        seq: u64,
        time: String,
        records: u64,
        lost: Vec<LossRecord>,
    }
    let lost = gap.losses().iter().map(|loss| LossRecord {
        from: loss.seqs.start().number(),
        to: loss.seqs.end().number(),
        parts: loss.kinds.iter().map(|kind| kind.name()).collect(),
        reason: loss.reason.name(),
    });
    json(&GapRecord {
        v: VERSION,
        seq: seq.number(),
        time: time_text(time),
        records: gap.records(),
        lost: lost.collect(),
    })
}
