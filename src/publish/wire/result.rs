//! The `result` record: everything concluded from one spectrum, with its explanation in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use ramand_core::outcome::{
    Applicability, Attribution, BandContribution, Completeness, Decision, Explained, Finding, Inspection, Prediction,
    Reason, Timings, Verdict,
};
use ramand_core::spectrum::{Acquisition, Celsius, Counts, Instrument, Laser};
use serde::Serialize;

use super::{Clock, Stamp, VERSION, json, record_id, time_text};

/// The payload of `result` and `last`.
pub fn result(stamp: &Stamp, inspection: &Inspection) -> Vec<u8> {
    json(&ResultRecord::new(stamp, inspection))
}

/// An inspection as published.
#[derive(Debug, Clone, Serialize)]
pub struct ResultRecord<'a> {
    v: u8,
    id: String,
    seq: u64,
    time: String,
    clock_synchronised: bool,
    spectrometer: Option<SpectrometerRecord<'a>>,
    acquisition: Option<AcquisitionRecord>,
    verdict: &'static str,
    models: Vec<FindingRecord<'a>>,
    timings_us: TimingsRecord,
}

impl<'a> ResultRecord<'a> {
    /// `stamp` is its number and time.
    pub fn new(stamp: &Stamp, inspection: &'a Inspection) -> Self {
        let acquisition = inspection.spectrum.acquisition();
        Self {
            v: VERSION,
            id: record_id(stamp.seq, inspection.spectrum.origin()),
            seq: stamp.seq.number(),
            time: time_text(stamp.time),
            clock_synchronised: stamp.clock == Clock::Synchronised,
            spectrometer: acquisition.map(|acquisition| acquisition.instrument.as_ref().into()),
            acquisition: acquisition.map(Into::into),
            verdict: Decision::overall(&inspection.findings).name(),
            models: inspection.findings.iter().map(Into::into).collect(),
            timings_us: (&inspection.timings).into(),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct SpectrometerRecord<'a> {
    model: &'a str,
    serial: &'a str,
}

impl<'a> From<&'a Instrument> for SpectrometerRecord<'a> {
    fn from(instrument: &'a Instrument) -> Self {
        Self { model: &instrument.model, serial: &instrument.serial }
    }
}

#[derive(Debug, Clone, Serialize)]
struct AcquisitionRecord {
    integration_us: u64,
    scans: u32,
    laser: &'static str,
    saturated_pixels: usize,
    dark_noise_counts: Option<f32>,
    detector_temperature_c: Option<f32>,
    device_exception: Option<u16>,
    retries: u32,
    stale_frames: u32,
    damaged_frames: u32,
}

impl From<&Acquisition> for AcquisitionRecord {
    fn from(acquisition: &Acquisition) -> Self {
        Self {
            integration_us: acquisition.integration.micros(),
            scans: acquisition.scans,
            laser: laser_state(acquisition.laser),
            saturated_pixels: acquisition.saturated_pixels,
            dark_noise_counts: acquisition.dark_noise.map(Counts::value),
            detector_temperature_c: acquisition.detector_temperature.map(Celsius::degrees),
            device_exception: acquisition.device_exception,
            retries: acquisition.line.retries,
            stale_frames: acquisition.line.stale_frames,
            damaged_frames: acquisition.line.damaged_frames,
        }
    }
}

/// The state of the laser in a word.
pub const fn laser_state(laser: Laser) -> &'static str {
    match laser {
        Laser::On => "on",
        Laser::Off => "off",
        Laser::Unknown => "unknown",
    }
}

/// What one model concluded: an entry of a result's `models`.
#[derive(Debug, Clone, Serialize)]
pub struct FindingRecord<'a> {
    name: &'a str,
    version: &'a str,
    sha256: &'a str,
    claim: &'a str,
    verdict: VerdictRecord,
    prediction: Option<PredictionRecord<'a>>,
    explanation: Option<ExplanationRecord<'a>>,
    applicability: Option<ApplicabilityRecord>,
}

impl<'a> From<&'a Finding> for FindingRecord<'a> {
    fn from(finding: &'a Finding) -> Self {
        let conclusion = finding.conclusion.as_ref();
        Self {
            name: &finding.model.name,
            version: &finding.model.version,
            sha256: &finding.model.sha256,
            claim: &finding.model.claim,
            verdict: (&finding.verdict).into(),
            prediction: conclusion.map(|conclusion| PredictionRecord::new(&conclusion.prediction, finding.named())),
            explanation: conclusion.map(|conclusion| (&conclusion.attribution, &conclusion.prediction).into()),
            applicability: conclusion.and_then(|conclusion| conclusion.applicability).map(Into::into),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct VerdictRecord {
    decision: &'static str,
    reasons: Vec<ReasonRecord>,
}

impl From<&Verdict> for VerdictRecord {
    fn from(verdict: &Verdict) -> Self {
        Self { decision: verdict.decision.name(), reasons: verdict.reasons.iter().map(Into::into).collect() }
    }
}

/// A code for programs, a sentence for people.
#[derive(Debug, Clone, Serialize)]
struct ReasonRecord {
    code: &'static str,
    text: String,
}

impl From<&Reason> for ReasonRecord {
    fn from(reason: &Reason) -> Self {
        Self { code: reason.code(), text: reason.to_string() }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum PredictionRecord<'a> {
    Class {
        label: &'a str,
        probability: Option<f32>,
        runner_up: &'a str,
        probabilities: BTreeMap<&'a str, f32>,
        scores: BTreeMap<&'a str, f32>,
        /// Whether `label` may be used as the answer.
        named: bool,
        set: Option<SetRecord<'a>>,
    },
    Value {
        value: f32,
        unit: &'a str,
        interval: Option<IntervalRecord>,
    },
}

/// The classes that could be the true one.
#[derive(Debug, Clone, Serialize)]
struct SetRecord<'a> {
    labels: Vec<&'a str>,
    confidence: f32,
}

#[derive(Debug, Clone, Serialize)]
struct IntervalRecord {
    lower: f32,
    upper: f32,
    confidence: f32,
}

impl<'a> PredictionRecord<'a> {
    /// `named` is the class that may be used as the answer.
    fn new(prediction: &'a Prediction, named: Option<&str>) -> Self {
        match prediction {
            Prediction::Class { labels, scores, probabilities, best, runner_up, set } => {
                let by_label = |values: &[f32]| labels.iter().map(String::as_str).zip(values.iter().copied()).collect();
                Self::Class {
                    label: prediction.label(*best),
                    probability: probabilities.get(*best).copied(),
                    runner_up: prediction.label(*runner_up),
                    probabilities: by_label(probabilities),
                    scores: by_label(scores),
                    named: named.is_some(),
                    set: set.as_ref().map(|set| SetRecord {
                        labels: set.members.iter().map(|&class| prediction.label(class)).collect(),
                        confidence: set.confidence,
                    }),
                }
            }
            Prediction::Value { value, unit, interval } => Self::Value {
                value: *value,
                unit,
                interval: interval.map(|interval| IntervalRecord {
                    lower: interval.lower,
                    upper: interval.upper,
                    confidence: interval.confidence,
                }),
            },
        }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ExplainedRecord<'a> {
    Value,
    Contrast { class: &'a str, against: &'a str },
}

#[derive(Debug, Clone, Serialize)]
struct ExplanationRecord<'a> {
    explained: ExplainedRecord<'a>,
    output: f32,
    reference_output: f32,
    completeness_error: f32,
    /// `reported` where the error may be more than rounding; absent where it may not.
    #[serde(skip_serializing_if = "Option::is_none")]
    completeness: Option<&'static str>,
    off_band: f32,
    linear_share: Option<f32>,
    receptive_field_cm: f32,
    bands: Vec<BandRecord<'a>>,
}

impl<'a> From<(&'a Attribution, &'a Prediction)> for ExplanationRecord<'a> {
    fn from((attribution, prediction): (&'a Attribution, &'a Prediction)) -> Self {
        Self {
            explained: match attribution.explained {
                Explained::Value => ExplainedRecord::Value,
                Explained::Contrast { class, against } => {
                    ExplainedRecord::Contrast { class: prediction.label(class), against: prediction.label(against) }
                }
            },
            output: attribution.output,
            reference_output: attribution.reference_output,
            completeness_error: attribution.completeness_error,
            completeness: (attribution.completeness == Completeness::Reported).then_some("reported"),
            off_band: attribution.off_band,
            linear_share: attribution.linear_share,
            receptive_field_cm: attribution.receptive_field as f32,
            bands: attribution.loudest().into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct BandRecord<'a> {
    name: &'a str,
    from_cm: f32,
    to_cm: f32,
    contribution: f32,
    share: Option<f32>,
    gross_share: f32,
}

impl<'a> From<&'a BandContribution> for BandRecord<'a> {
    fn from(band: &'a BandContribution) -> Self {
        Self {
            name: &band.band.name,
            from_cm: band.band.from.per_cm() as f32,
            to_cm: band.band.to.per_cm() as f32,
            contribution: band.contribution,
            share: band.share,
            gross_share: band.gross_share,
        }
    }
}

#[derive(Debug, Clone, Serialize)]
struct ApplicabilityRecord {
    t2: f32,
    t2_limit: f32,
    q: f32,
    q_limit: f32,
    p_value: Option<f32>,
}

impl From<Applicability> for ApplicabilityRecord {
    fn from(applicability: Applicability) -> Self {
        let Applicability { t2, t2_limit, q, q_limit, p_value, significance: _ } = applicability;
        Self { t2, t2_limit, q, q_limit, p_value }
    }
}

#[derive(Debug, Clone, Serialize)]
struct TimingsRecord {
    acquire: u64,
    prepare: u64,
    infer: u64,
    decide: u64,
}

impl From<&Timings> for TimingsRecord {
    fn from(timings: &Timings) -> Self {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self {
            acquire: micros(timings.acquire),
            prepare: micros(timings.preprocess),
            infer: micros(timings.infer),
            decide: micros(timings.decide),
        }
    }
}
