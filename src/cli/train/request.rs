//! From arguments and files to what is to be trained.

use std::sync::Arc;

use ramand_core::spectrum::Wavelength;
use ramand_lab::train::{Preprocessing, Split, TrainingRequest};
use ramand_model::manifest::{NormaliseMethod, StepRecord, Task};
use ramand_recording::{Abscissa, AbscissaUnit, Recording, Source};

use super::args::{AbscissaName, ChannelsName, FamilyName, TrainArgs};
use crate::cli::error::CommandError;
use crate::cli::inputs::{BandsFile, PipelineFile, pipeline, read_pipeline, read_toml};

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
        families: FamilyName::families(&arguments.family),
        networks: usize::from(arguments.seeds),
        bands: match &arguments.bands {
            Some(path) => read_toml::<BandsFile>(path)?.band,
            None => Vec::new(),
        },
        reference: arguments.reference.clone(),
        reference_map: arguments.reference_map.into(),
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
