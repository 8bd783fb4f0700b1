//! From arguments and files to what is to be trained.

use std::path::Path;
use std::sync::Arc;

use ramand_core::preprocess::{Pipeline, PipelineStep};
use ramand_core::spectrum::{RamanShift, ShiftAxis, Wavelength};
use ramand_lab::train::{Preprocessing, Reference, Skip, Split, TrainingRequest};
use ramand_model::manifest::{BandRecord, ChannelRecord, NormaliseMethod, StepRecord, Task};
use ramand_recording::{Abscissa, AbscissaUnit, Recording, Source};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{AbscissaName, ChannelsName, SkipName, TrainArgs};
use crate::cli::CommandError;

/// What may be said about a model of which nothing else is known.
const CROSS_VALIDATED: &str = "cross-validated on its own training data only";

/// The spectra, with the laser that wavelengths are shifts from.
pub(super) fn recording(arguments: &TrainArgs) -> Result<Recording, CommandError> {
    let unit = match arguments.abscissa {
        AbscissaName::PerCm => AbscissaUnit::PerCm,
        AbscissaName::Nm => AbscissaUnit::Nm,
    };
    let laser = (arguments.description.laser_nm > 0.0).then(|| Wavelength::from_nm(arguments.description.laser_nm));
    let (labels, shifts) = (arguments.labels.as_deref(), arguments.shifts.as_deref());
    let source = Source { spectra: &arguments.spectra, labels, shifts, abscissa: Abscissa { unit, laser } };
    Ok(source.read()?)
}

pub(super) fn request(arguments: &TrainArgs, recording: &Recording) -> Result<TrainingRequest, CommandError> {
    let task = Task::from(arguments.task);
    if matches!(task, Task::Regression) == arguments.unit.is_empty() {
        return Err(CommandError::operator("--unit goes with a regression, and a regression needs one"));
    }
    Ok(TrainingRequest {
        name: arguments.description.name(&arguments.out)?,
        version: arguments.description.version.clone(),
        task,
        target: arguments.target.clone(),
        unit: arguments.unit.clone(),
        preprocessings: preprocessings(arguments)?,
        skips: match arguments.skip {
            SkipName::Pls => vec![Skip::Pls],
            SkipName::None => vec![Skip::None],
            SkipName::Auto => vec![Skip::Pls, Skip::None],
        },
        networks: usize::from(arguments.seeds),
        bands: match &arguments.bands {
            Some(path) => read_toml::<BandsFile>(path)?.band,
            None => Vec::new(),
        },
        reference: arguments.reference.clone(),
        split: Split {
            group: arguments.group.clone(),
            folds: usize::from(arguments.folds),
            repeats: usize::from(arguments.repeats),
        },
        permutations: usize::from(arguments.permutations),
        confidence: arguments.confidence,
        steps: arguments.steps as usize,
        seed: arguments.seed,
        threads: arguments
            .threads
            .map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from),
        provenance: arguments.description.provenance(CROSS_VALIDATED, &arguments.spectra, recording)?,
    })
}

/// `[[band]]` tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct BandsFile {
    pub(in crate::cli) band: Vec<BandRecord>,
}

/// `[[pipeline]]` and `[[channel]]` tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct PipelineFile {
    pipeline: Vec<StepRecord>,
    #[serde(default)]
    channel: Vec<ChannelRecord>,
}

/// Every pipeline, with the channels that were asked for.
fn preprocessings(arguments: &TrainArgs) -> Result<Vec<Preprocessing>, CommandError> {
    let axis = Arc::new(arguments.axis.clone());
    let mut given = Vec::new();
    for path in &arguments.pipeline {
        let place = path.display().to_string();
        given.push((place, path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), read_pipeline(path)?));
    }
    if given.is_empty() {
        let pipeline =
            vec![StepRecord::Dark {}, StepRecord::Resample {}, StepRecord::Normalise { method: NormaliseMethod::Snv }];
        let simple = PipelineFile { pipeline, channel: Vec::new() };
        given.push(("the default pipeline".into(), "dark, resample, snv".into(), simple));
    }
    let mut preprocessings: Vec<Preprocessing> = Vec::new();
    for (place, name, file) in given {
        let failed = |problem: String| CommandError::operator(format!("{place}: {problem}"));
        if preprocessings.iter().any(|preprocessing| preprocessing.name == name) {
            return Err(failed("another --pipeline has the same name".into()));
        }
        let pipeline = pipeline(&axis, &file).map_err(failed)?;
        let preprocessing = Preprocessing { name, pipeline };
        let two = match arguments.channels {
            ChannelsName::Identity => None,
            ChannelsName::Auto if !file.channel.is_empty() => None,
            ChannelsName::Two if !file.channel.is_empty() => {
                return Err(failed("it has [[channel]] of its own, so --channels two does not apply".into()));
            }
            _ => Some(preprocessing.in_two_channels().map_err(|error| failed(error.to_string()))?),
        };
        if arguments.channels != ChannelsName::Two {
            preprocessings.push(preprocessing);
        }
        preprocessings.extend(two);
    }
    Ok(preprocessings)
}

pub(in crate::cli) fn pipeline(axis: &Arc<ShiftAxis>, file: &PipelineFile) -> Result<Pipeline, String> {
    let steps = |records: &[StepRecord]| -> Result<Vec<PipelineStep>, String> {
        let step = |(index, record): (usize, &StepRecord)| {
            PipelineStep::try_from(record).map_err(|problem| format!("step {}: {problem}", index + 1))
        };
        records.iter().enumerate().map(step).collect()
    };
    let channels = file.channel.iter().map(|channel| steps(&channel.steps)).collect::<Result<_, _>>()?;
    Pipeline::new(axis.clone(), steps(&file.pipeline)?, channels).map_err(|error| error.to_string())
}

/// The file's tables. A step that cannot be read is named with its line, which the TOML reader does not know.
pub(in crate::cli) fn read_pipeline(path: &Path) -> Result<PipelineFile, CommandError> {
    #[derive(Deserialize)]
    struct Located {
        pipeline: Vec<toml::Spanned<toml::Table>>,
    }
    let text = read_text(path)?;
    let Located { pipeline } = parse_toml(&text, path)?;
    for (index, step) in pipeline.into_iter().enumerate() {
        let line = text.get(..step.span().start).map_or(0, |before| before.matches('\n').count()) + 1;
        if let Err(error) = StepRecord::deserialize(step.into_inner()) {
            let (path, step, problem) = (path.display(), index + 1, error.message().to_owned());
            return Err(CommandError::operator(format!("{path}: line {line}, step {step}: {problem}")));
        }
    }
    parse_toml(&text, path)
}

pub(in crate::cli) fn read_toml<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, CommandError> {
    parse_toml(&read_text(path)?, path)
}

fn read_text(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path)
        .map_err(|error| CommandError::operator(format!("failed to read {}: {error}", path.display())))
}

fn parse_toml<T: for<'de> Deserialize<'de>>(text: &str, path: &Path) -> Result<T, CommandError> {
    toml::from_str(text).map_err(|error| CommandError::operator(format!("{}: {error}", path.display())))
}

/// Of the file, or where there are several, of the list that `sha256sum` makes of them, in the order of their names.
pub(in crate::cli) fn data_sha256(recording: &Recording) -> Result<String, CommandError> {
    if let [file] = &recording.files[..] {
        return sha256(file);
    }
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut list = Vec::new();
    for file in &recording.files {
        list.push((name(file), sha256(file)?));
    }
    list.sort();
    let list: String = list.into_iter().map(|(name, sha256)| format!("{sha256}  {name}\n")).collect();
    Ok(hexadecimal(&Sha256::digest(list)))
}

fn sha256(path: &Path) -> Result<String, CommandError> {
    let content = std::fs::read(path)
        .map_err(|error| CommandError::operator(format!("failed to read {}: {error}", path.display())))?;
    Ok(hexadecimal(&Sha256::digest(content)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(in crate::cli) fn parse_axis(text: &str) -> Result<ShiftAxis, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [first, last, points] = parts[..] else {
        return Err("expected first shift, last shift and number of points, as in 800:1800:251".into());
    };
    let shift = |text: &str| text.parse().map(RamanShift::from_per_cm).map_err(|error| format!("'{text}': {error}"));
    let points = points.parse().map_err(|error| format!("'{points}': {error}"))?;
    if points > ramand_core::preprocess::POINTS_MAX {
        return Err(format!("at most {} points", ramand_core::preprocess::POINTS_MAX));
    }
    ShiftAxis::even(shift(first)?, shift(last)?, points).map_err(|error| error.to_string())
}

pub(in crate::cli) fn parse_reference(text: &str) -> Result<Reference, String> {
    match text.split_once('=') {
        None if text == "all" => Ok(Reference::All),
        Some((column, value)) => Ok(Reference::Labelled { column: column.into(), value: value.into() }),
        None => Err("expected 'all' or COLUMN=VALUE".into()),
    }
}

pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|error| format!("'{text}': {error}"))?;
    if share > 0.0 && share < 1.0 { Ok(share) } else { Err("expected a share above 0 and below 1, as in 0.9".into()) }
}
