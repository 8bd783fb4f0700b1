//! `ramand explain`: recorded spectra through models, each prediction with its verdict and its reasons.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use ramand_core::decide::{InstrumentLimits, LaserProof, Rules, Ungated};
use ramand_core::outcome::{Conclusion, Explained, Finding, Interval, Prediction};
use ramand_model::Model;
use ramand_model::inspect::Inspector;
use ramand_model::manifest::CompletenessRecord;
use serde::Serialize;

use super::error::CommandError;
use super::recorded::as_trained;
use crate::publish::wire::FindingRecord;

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

/// A row as one model sees it: the model's entry in a `result` (docs/wire.md).
#[derive(Debug, Serialize)]
struct ExplainedRow<'a> {
    id: &'a str,
    #[serde(flatten)]
    finding: FindingRecord<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maps: Option<MapsRecord<'a>>,
}

/// Whether a row has its maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maps {
    Shown,
    Left,
}

#[derive(Debug, Serialize)]
struct MapsRecord<'a> {
    axis_cm: &'a [f64],
    map: &'a [f32],
    difference: &'a [f32],
}

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
    let recording = as_trained(&args.spectra, inspector.models().map(|model| model.manifest()))?;
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
    let maps = if args.maps { Maps::Shown } else { Maps::Left };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = (|| {
        if !args.json {
            writeln!(out, "{:<24} {:<20} {:<32} {:<8} loudest bands", "id", "model", "prediction", "verdict")?;
        }
        for (recorded, spectrum) in recording.spectra.iter().zip(recording.raw_spectra()) {
            for finding in inspector.inspect(Arc::new(spectrum)).findings {
                if args.json {
                    serde_json::to_writer(&mut out, &row(&recorded.id, &finding, maps))?;
                    writeln!(out)?;
                } else {
                    print(&mut out, &recorded.id, &finding)?;
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

fn row<'a>(id: &'a str, finding: &'a Finding, maps: Maps) -> ExplainedRow<'a> {
    let attribution = finding.conclusion.as_ref().map(|conclusion| &conclusion.attribution);
    let maps = attribution.filter(|_| maps == Maps::Shown).map(|attribution| MapsRecord {
        axis_cm: attribution.axis.per_cm(),
        map: &attribution.map,
        difference: &attribution.difference,
    });
    ExplainedRow { id, finding: finding.into(), maps }
}

fn print(out: &mut impl Write, id: &str, finding: &Finding) -> io::Result<()> {
    let (name, verdict) = (&finding.model.name, finding.verdict.decision.name());
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
    let against = match attribution.explained {
        Explained::Contrast { against, .. } => format!(" against {}", prediction.label(against)),
        Explained::Value => String::new(),
    };
    let bands = attribution.loudest().into_iter().take(2);
    let bands: Vec<String> = bands.map(|band| format!("{} {:+.3}", band.band.name, band.contribution)).collect();
    let reasons = finding.verdict.reasons.iter().map(|reason| format!("; {reason}")).collect::<String>();
    writeln!(out, "{id:<24} {name:<20} {said:<32} {verdict:<8} {}{against}{reasons}", bands.join(", "))
}
