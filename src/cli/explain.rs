//! `ramand explain`: recorded spectra through models, each prediction with its verdict and its reasons.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use ramand_core::decide::{InstrumentLimits, LaserProof, Rules, Ungated};
use ramand_core::outcome::{
    Applicability, Attribution, Completeness, Conclusion, Decision, Explained, Finding, Interval, Prediction, Reason,
};
use ramand_model::Model;
use ramand_model::inspect::Inspector;
use ramand_model::manifest::CompletenessRecord;
use ramand_recording::Recording;
use serde::Serialize;

use super::error::CommandError;

/// Predict recorded spectra, and say which bands spoke.
///
/// What the numbers mean, and what they do not claim, stands in docs/explanation.md.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Spectra: a first column with an identifier, label columns, one column per Raman shift in cm-1
    #[arg(value_name = "SPECTRA.csv")]
    spectra: PathBuf,
    /// Folder of a model bundle; may be given more than once
    #[arg(long = "model", value_name = "DIR", required = true)]
    models: Vec<PathBuf>,
    /// Add the maps M and D and their axis
    #[arg(long, requires = "json")]
    maps: bool,
    /// One JSON object a line, for each row and model
    #[arg(long)]
    json: bool,
}

/// A row as one model sees it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    model: &'a str,
    version: &'a str,
    sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    /// Whether `label` may be used as the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    named: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<SetLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<IntervalLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runner_up: Option<&'a str>,
    verdict: &'static str,
    reasons: Vec<ReasonLine>,
    explanation: Option<ExplanationLine>,
    bands: Vec<BandLine<'a>>,
    applicability: Option<ApplicabilityLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maps: Option<MapsLine<'a>>,
}

#[derive(Debug, Serialize)]
struct SetLine<'a> {
    labels: Vec<&'a str>,
    confidence: f32,
}

#[derive(Debug, Serialize)]
struct IntervalLine {
    lower: f32,
    upper: f32,
    confidence: f32,
}

#[derive(Debug, Serialize)]
struct ReasonLine {
    code: &'static str,
    text: String,
}

#[derive(Debug, Serialize)]
struct ExplanationLine {
    output: f32,
    reference_output: f32,
    completeness_error: f32,
    /// `reported` where the error may be more than rounding.
    #[serde(skip_serializing_if = "Option::is_none")]
    completeness: Option<&'static str>,
    off_band: f32,
    linear_share: Option<f32>,
    receptive_field_cm: f64,
}

#[derive(Debug, Serialize)]
struct BandLine<'a> {
    name: &'a str,
    from_cm: f64,
    to_cm: f64,
    contribution: f32,
    share: Option<f32>,
    gross_share: f32,
}

#[derive(Debug, Serialize)]
struct ApplicabilityLine {
    t2: f32,
    t2_limit: f32,
    q: f32,
    q_limit: f32,
    p_value: Option<f32>,
}

#[derive(Debug, Serialize)]
struct MapsLine<'a> {
    axis_cm: &'a [f64],
    map: &'a [f32],
    difference: &'a [f32],
}

/// Runs the command.
pub(super) fn run(args: &ExplainArgs) -> Result<(), CommandError> {
    let models = args.models.iter().map(|folder| Ok((Arc::new(Model::open(folder)?), unlimited())));
    let models = models.collect::<Result<Vec<_>, CommandError>>()?;
    // A recording has no circumstances that limits could be applied to.
    let instrument = InstrumentLimits {
        saturated_pixels_max: 0,
        signal_counts_min: 0.0,
        signal_to_noise_min: 0.0,
        laser: LaserProof::NotDenied,
    };
    let mut inspector = Inspector::new(models, instrument)?;
    let recording = Recording::read(&args.spectra)?;
    for model in inspector.models() {
        eprintln!("{}: {}", model.identity().name, model.manifest().claim);
        if model.manifest().network.completeness == CompletenessRecord::Reported {
            eprintln!(
                "{}: its maps need not add up to its output; every result says what they miss",
                model.identity().name
            );
        }
    }
    eprintln!("Maps explain the network, not the chemistry; bands that vary together share credit arbitrarily.");
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = (|| {
        if !args.json {
            writeln!(out, "{:<24} {:<20} {:<32} {:<8} loudest bands", "id", "model", "prediction", "verdict")?;
        }
        for (row, spectrum) in recording.spectra.iter().zip(recording.raw_spectra()) {
            for finding in inspector.inspect(Arc::new(spectrum)).findings {
                if args.json {
                    serde_json::to_writer(&mut out, &line(&row.id, &finding, args.maps))?;
                    writeln!(out)?;
                } else {
                    print(&mut out, &row.id, &finding)?;
                }
            }
        }
        out.flush()
    })();
    match written {
        // The reader has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| CommandError::operator(format!("failed to write to stdout: {error}"))),
    }
}

/// No limits, and a bundle without a gate may speak: whoever explains a file wants to see what the model makes of it.
fn unlimited() -> Rules {
    Rules { ungated: Ungated::Remarked, ..Rules::default() }
}

fn line<'a>(id: &'a str, finding: &'a Finding, maps: bool) -> Line<'a> {
    let conclusion = finding.conclusion.as_ref();
    let attribution = conclusion.map(|conclusion| &conclusion.attribution);
    let mut line = Line {
        id,
        model: &finding.model.name,
        version: &finding.model.version,
        sha256: &finding.model.sha256,
        value: None,
        unit: None,
        label: None,
        probability: None,
        named: None,
        set: None,
        interval: None,
        runner_up: None,
        verdict: word(finding.verdict.decision),
        reasons: finding.verdict.reasons.iter().map(ReasonLine::from).collect(),
        explanation: attribution.map(ExplanationLine::from),
        bands: attribution.map(loudest).unwrap_or_default(),
        applicability: conclusion.and_then(|conclusion| conclusion.applicability).map(ApplicabilityLine::from),
        maps: attribution.filter(|_| maps).map(|attribution| MapsLine {
            axis_cm: attribution.axis.per_cm(),
            map: &attribution.map,
            difference: &attribution.difference,
        }),
    };
    match conclusion.map(|conclusion| &conclusion.prediction) {
        Some(Prediction::Value { value, unit, interval }) => {
            (line.value, line.unit) = (Some(*value), Some(unit.as_ref()));
            line.interval =
                interval.map(|Interval { lower, upper, confidence }| IntervalLine { lower, upper, confidence });
        }
        Some(Prediction::Class { labels, probabilities, best, runner_up, set, .. }) => {
            line.named = Some(finding.named().is_some());
            line.set = set.as_ref().map(|set| SetLine {
                labels: set.members.iter().filter_map(|&class| labels.get(class)).map(String::as_str).collect(),
                confidence: set.confidence,
            });
            (line.label, line.probability) = (Some(labels[*best].as_str()), Some(probabilities[*best]));
            line.runner_up = Some(labels[*runner_up].as_str());
        }
        None => {}
    }
    line
}

impl From<&Reason> for ReasonLine {
    fn from(reason: &Reason) -> Self {
        Self { code: reason.code(), text: reason.to_string() }
    }
}

impl From<&Attribution> for ExplanationLine {
    fn from(attribution: &Attribution) -> Self {
        Self {
            output: attribution.output,
            reference_output: attribution.reference_output,
            completeness_error: attribution.completeness_error,
            completeness: (attribution.completeness == Completeness::Reported).then_some("reported"),
            off_band: attribution.off_band,
            linear_share: attribution.linear_share,
            receptive_field_cm: attribution.receptive_field,
        }
    }
}

impl From<Applicability> for ApplicabilityLine {
    fn from(applicability: Applicability) -> Self {
        let Applicability { t2, t2_limit, q, q_limit, p_value, significance: _ } = applicability;
        Self { t2, t2_limit, q, q_limit, p_value }
    }
}

/// The bands, largest contribution first.
fn loudest(attribution: &Attribution) -> Vec<BandLine<'_>> {
    let mut bands: Vec<_> = attribution
        .bands
        .iter()
        .map(|part| BandLine {
            name: &part.band.name,
            from_cm: part.band.from.per_cm(),
            to_cm: part.band.to.per_cm(),
            contribution: part.contribution,
            share: part.share,
            gross_share: part.gross_share,
        })
        .collect();
    bands.sort_by(|left, right| right.contribution.abs().total_cmp(&left.contribution.abs()));
    bands
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Accept => "accept",
        Decision::Reject => "reject",
        Decision::Invalid => "invalid",
    }
}

fn print(out: &mut impl Write, id: &str, finding: &Finding) -> io::Result<()> {
    let (name, verdict) = (&finding.model.name, word(finding.verdict.decision));
    let Some(Conclusion { prediction, attribution, .. }) = &finding.conclusion else {
        let reasons: Vec<String> = finding.verdict.reasons.iter().map(ToString::to_string).collect();
        return writeln!(out, "{id:<24} {name:<20} {:<32} {verdict:<8} {}", "-", reasons.join("; "));
    };
    let said = match prediction {
        Prediction::Value { value, unit, interval: None } => format!("{value:.2} {unit}"),
        Prediction::Value { value, unit, interval: Some(Interval { lower, upper, .. }) } => {
            format!("{value:.2} ({lower:.2} to {upper:.2}) {unit}")
        }
        Prediction::Class { probabilities, best, .. } => match (finding.named(), &finding.possible()[..]) {
            (Some(label), _) => format!("{label} ({:.0} %)", 100.0 * probabilities[*best]),
            (None, []) => "unknown".to_owned(),
            (None, possible) => possible.join(" or "),
        },
    };
    let against = match (attribution.explained, prediction) {
        (Explained::Contrast { against, .. }, Prediction::Class { labels, .. }) => {
            format!(" against {}", labels[against])
        }
        _ => String::new(),
    };
    let bands = loudest(attribution);
    let bands: Vec<String> =
        bands.iter().take(2).map(|band| format!("{} {:+.3}", band.name, band.contribution)).collect();
    let reasons = finding.verdict.reasons.iter().map(|reason| format!("; {reason}")).collect::<String>();
    writeln!(out, "{id:<24} {name:<20} {said:<32} {verdict:<8} {}{against}{reasons}", bands.join(", "))
}
