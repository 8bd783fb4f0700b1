//! From arguments and files to what is to be trained.

use std::path::Path;
use std::sync::Arc;

use ramand_core::spectrum::Wavelength;
use ramand_lab::train::{Preprocessing, Provenance, Rows, Split, TrainingRequest};
use ramand_model::manifest::{NormaliseMethod, StepRecord, Task};
use ramand_recording::{Abscissa, AbscissaUnit, Recording, Source};

use super::args::{AbscissaName, ChannelsName, FOLDS_MAX, FamilyName, Folds, TrainArgs};
use crate::cli::error::CommandError;
use crate::cli::inputs::{BandsFile, PipelineFile, pipeline, read_pipeline, read_text, read_toml};

/// What may be said about a model of which nothing else is known.
const CROSS_VALIDATED: &str = "cross-validated on its own training data only";

/// Parts of a cross-validation where none are asked for.
const FOLDS: usize = 10;

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

/// What is to be trained on `recording`, in which the spectra `left_out` are not any more.
pub(super) fn request(
    arguments: &TrainArgs,
    recording: &Recording,
    left_out: &[String],
) -> Result<TrainingRequest, CommandError> {
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
            block: arguments.block.clone(),
            rows: rows(arguments),
            folds: folds(arguments, recording)?,
            repeats: usize::from(arguments.repeats),
        },
        permutations: usize::from(arguments.permutations),
        confidence: arguments.confidence,
        steps: arguments.steps as usize,
        seed: arguments.seed,
        threads: arguments
            .threads
            .map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from),
        provenance: Provenance {
            left_out: left_out.to_vec(),
            ..arguments.description.provenance(CROSS_VALIDATED, &arguments.spectra, recording)?
        },
    })
}

/// What is said of rows that no column groups.
pub(super) fn rows(arguments: &TrainArgs) -> Rows {
    if arguments.independent { Rows::Independent } else { Rows::Unknown }
}

/// Parts of the cross-validation.
fn folds(arguments: &TrainArgs, recording: &Recording) -> Result<usize, CommandError> {
    let blocks = match &arguments.block {
        Some(column) => Some(recording.samples(Some(column))?.into_iter().max().map_or(0, |last| last + 1)),
        None => None,
    };
    match (arguments.folds, blocks) {
        (Some(Folds::Parts(parts)), _) => Ok(parts.into()),
        (None, blocks) => Ok(blocks.map_or(FOLDS, |blocks| blocks.clamp(2, FOLDS))),
        (Some(Folds::EachBlock), Some(blocks)) if blocks <= FOLDS_MAX.into() => Ok(blocks.max(2)),
        (Some(Folds::EachBlock), Some(blocks)) => Err(CommandError::operator(format!(
            "{blocks} blocks are more folds than {FOLDS_MAX}: name a number of folds"
        ))),
        (Some(Folds::EachBlock), None) => {
            Err(CommandError::operator("--folds block needs --block: the column of blocks"))
        }
    }
}

/// The identifiers of `--leave-out`, those of its files included, each once.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn left_out(arguments: &TrainArgs) -> Result<Vec<String>, CommandError> {
    let mut ids = Vec::new();
    for given in &arguments.leave_out {
        match given.strip_prefix('@') {
            None => ids.push(given.clone()),
            Some(file) => {
                let text = read_text(Path::new(file))?;
                ids.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(ToOwned::to_owned));
            }
        }
    }
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// Every pipeline, with the channels that were asked for; where the better ones are asked for, with each: its own (which may be
/// [[channel]] tables), and the two.
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

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        train: TrainArgs,
    }

    fn arguments(more: &[&str]) -> TrainArgs {
        let line = "train spectra.csv --task regression --target fraction --axis 1000:1200:51 --out bundle";
        Line::try_parse_from(line.split(' ').chain(more.iter().copied())).expect("well-formed").train
    }

    #[test]
    fn every_pipeline_is_compared_with_all_channels_and_families() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("written");
            path.to_str().expect("text").to_owned()
        };
        let steps = "[[pipeline]]\nstep = \"dark\"\n[[pipeline]]\nstep = \"resample\"\n";
        let snv = "step = \"normalise\"\nmethod = \"snv\"\n";
        let plain = file("plain.toml", &format!("{steps}[[pipeline]]\n{snv}"));
        let area = file("area.toml", &format!("{steps}[[pipeline]]\n{}", snv.replace("snv", "area")));
        let own = file("own.toml", &format!("{steps}[[channel]]\n[[channel.steps]]\n{snv}"));
        let names = |more: &[&str]| -> Vec<String> {
            let found = preprocessings(&arguments(more)).expect("pipelines");
            found.into_iter().map(|preprocessing| preprocessing.name).collect()
        };
        let several = ["--pipeline", &plain, "--pipeline", &area, "--pipeline", &own];
        let all = ["plain", "plain in two channels", "area", "area in two channels", "own", "own in two channels"];
        assert_eq!(names(&[&several[..], &["--channels", "auto"]].concat()), all);
        assert_eq!(names(&several), ["plain", "area", "own"]);
        assert_eq!(
            names(&[&several[..4], &["--channels", "two"]].concat()),
            ["plain in two channels", "area in two channels"]
        );
        assert_eq!(names(&["--channels", "auto"]), ["dark, resample, snv", "dark, resample, snv in two channels"]);
    }

    #[test]
    fn what_is_left_out_comes_from_the_line_and_from_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("bad.txt");
        fs::write(&path, "c-1\n\n a-1 \nwith, comma\n").expect("written");
        let file = format!("@{}", path.display());
        let found = left_out(&arguments(&["--leave-out", "b-1,a-1", "--leave-out", &file])).expect("readable");
        assert_eq!(found, ["a-1", "b-1", "c-1", "with, comma"]);
        assert!(left_out(&arguments(&["--leave-out", "@nowhere"])).is_err());
    }

    #[test]
    fn folds_are_a_number_or_a_block_each() {
        let folds = |more: &[&str]| arguments(more).folds;
        assert_eq!(folds(&[]), None);
        assert_eq!(folds(&["--folds", "5"]), Some(Folds::Parts(5)));
        assert_eq!(folds(&["--folds", "block"]), Some(Folds::EachBlock));
        let line = "train a.csv --task regression --target t --axis 1000:1200:51 --out b --folds 1";
        assert!(Line::try_parse_from(line.split(' ')).is_err());
    }
}
