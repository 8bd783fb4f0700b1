//! Arguments and files that `train`, `evaluate methods` and `model bundle` have in common.

use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use ramand_core::preprocess::{Pipeline, PipelineStep};
use ramand_core::spectrum::{RamanShift, ShiftAxis};
use ramand_lab::train::Reference;
use ramand_model::manifest::{BandRecord, ChannelRecord, ReferenceMap, StepRecord, Task};
use ramand_recording::Recording;
use serde::Deserialize;

use super::error::CommandError;
use crate::update::sha256;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum TaskName {
    Regression,
    Classification,
}

impl From<TaskName> for Task {
    fn from(name: TaskName) -> Self {
        match name {
            TaskName::Regression => Self::Regression,
            TaskName::Classification => Self::Classification,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ReferenceMapName {
    /// The map of their mean spectrum
    MeanSpectrum,
    /// The mean of their maps
    MeanOfMaps,
}

impl From<ReferenceMapName> for ReferenceMap {
    fn from(name: ReferenceMapName) -> Self {
        match name {
            ReferenceMapName::MeanSpectrum => Self::MeanSpectrum,
            ReferenceMapName::MeanOfMaps => Self::MeanOfMaps,
        }
    }
}

/// `[[band]]` tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandsFile {
    pub(super) band: Vec<BandRecord>,
}

/// `[[pipeline]]` and `[[channel]]` tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipelineFile {
    pub(super) pipeline: Vec<StepRecord>,
    #[serde(default)]
    pub(super) channel: Vec<ChannelRecord>,
}

pub(super) fn pipeline(axis: &Arc<ShiftAxis>, file: &PipelineFile) -> Result<Pipeline, String> {
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
pub(super) fn read_pipeline(path: &Path) -> Result<PipelineFile, CommandError> {
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

pub(super) fn read_toml<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, CommandError> {
    parse_toml(&read_text(path)?, path)
}

pub(super) fn read_text(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path)
        .map_err(|error| CommandError::operator(format!("failed to read {}: {error}", path.display())))
}

fn parse_toml<T: for<'de> Deserialize<'de>>(text: &str, path: &Path) -> Result<T, CommandError> {
    toml::from_str(text).map_err(|error| CommandError::operator(format!("{}: {error}", path.display())))
}

/// Of the file, or where there are several, of the list that `sha256sum` makes of them, in the order of their names.
pub(super) fn data_sha256(recording: &Recording) -> Result<String, CommandError> {
    if let [file] = &recording.files[..] {
        return file_sha256(file);
    }
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut list = Vec::new();
    for file in &recording.files {
        list.push((name(file), file_sha256(file)?));
    }
    list.sort();
    let list: String = list.into_iter().map(|(name, sha256)| format!("{sha256}  {name}\n")).collect();
    Ok(sha256(list.as_bytes()))
}

fn file_sha256(path: &Path) -> Result<String, CommandError> {
    let content = std::fs::read(path)
        .map_err(|error| CommandError::operator(format!("failed to read {}: {error}", path.display())))?;
    Ok(sha256(&content))
}

pub(super) fn parse_axis(text: &str) -> Result<ShiftAxis, String> {
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

pub(super) fn parse_reference(text: &str) -> Result<Reference, String> {
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
