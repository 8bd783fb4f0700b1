//! `ramand train --init`: a network trained elsewhere, attached, gated and calibrated on labelled spectra.

use std::path::Path;
use std::sync::Arc;

use ramand_lab::train::{Adoption, Calibrating, Provenance, STEPS, Trained, calibrate};
use ramand_model::manifest::Task;
use ramand_model::verify::verify;
use ramand_recording::Recording;

use super::args::{ChannelsName, FamilyName, TrainArgs};
use super::request::rows;
use crate::cli::description::file_name;
use crate::cli::error::CommandError;
use crate::cli::inputs::{BandsFile, pipeline, read_pipeline, read_toml};
use crate::cli::network::load;

/// What may be said about a network that was given, and of which nothing else is known.
const JUDGED: &str = "trained elsewhere, judged here on spectra it may have seen";

/// What a network is fitted with, and a network that is not fitted does without.
fn only_for_fitting(arguments: &TrainArgs) -> Option<&'static str> {
    let given = [
        (arguments.family != [FamilyName::Auto], "--family"),
        (arguments.channels != ChannelsName::Identity, "--channels"),
        (arguments.seeds != 1, "--seeds"),
        (arguments.block.is_some(), "--block"),
        (arguments.repeats != 1, "--repeats"),
        (arguments.steps != STEPS, "--steps"),
    ];
    given.into_iter().find(|(is_given, _)| *is_given).map(|(_, name)| name)
}

/// Judges the network in `file` on the spectra of `recording`, in which those `left_out` are not any more.
///
/// # Errors
/// When an argument or row cannot be used, or the network cannot be differentiated.
pub(super) fn calibrated(
    arguments: &TrainArgs,
    recording: &Recording,
    left_out: &[String],
    file: &Path,
) -> Result<Trained, CommandError> {
    if let Some(name) = only_for_fitting(arguments) {
        return Err(CommandError::operator(format!(
            "{name} does not go with --init: nothing is fitted to the network"
        )));
    }
    let [pipeline_file] = &arguments.pipeline[..] else {
        let why = "--init needs one --pipeline: what was done to the spectra the network was trained on";
        return Err(CommandError::operator(why));
    };
    let task = Task::from(arguments.task);
    if matches!(task, Task::Regression) == arguments.unit.is_empty() {
        return Err(CommandError::operator("--unit goes with a regression, and a regression needs one"));
    }
    if matches!(task, Task::Classification) == arguments.classes.is_empty() {
        let why = "--classes names the kinds in the order of the network's outputs, of a classification only";
        return Err(CommandError::operator(why));
    }
    let pipeline = pipeline(&Arc::new(arguments.axis.clone()), &read_pipeline(pipeline_file)?)
        .map_err(|problem| CommandError::operator(format!("{}: {problem}", pipeline_file.display())))?;
    let adoption = Adoption {
        name: arguments.description.name(&arguments.out)?,
        version: arguments.description.version.clone(),
        file: file_name(file).unwrap_or_default(),
        shape: None,
        output: arguments.output.clone(),
        layer: arguments.layer.clone().filter(|layer| layer != "auto"),
        task,
        unit: arguments.unit.clone(),
        labels: arguments.classes.clone(),
        pipeline,
        bands: match &arguments.bands {
            Some(path) => read_toml::<BandsFile>(path)?.band,
            None => Vec::new(),
        },
        reference: arguments.reference.clone(),
        reference_map: arguments.reference_map.into(),
        group: arguments.group.clone(),
        provenance: Provenance {
            left_out: left_out.to_vec(),
            ..arguments.description.provenance(JUDGED, &arguments.spectra, recording)?
        },
    };
    let bytes = load(file)?.into_one_file();
    let calibrating =
        Calibrating { target: arguments.target.clone(), confidence: arguments.confidence, rows: rows(arguments) };
    calibrate(&bytes, recording, &adoption, &calibrating)
        .map_err(|error| CommandError::from(error).context(file.display().to_string()))
}

/// A bundle of a network from elsewhere goes through all checks; one that fails is not left behind.
pub(super) fn check(out: &Path) -> Result<(), CommandError> {
    let checks = verify(out);
    let failed = checks.iter().filter_map(|check| Some(format!("{}: {}", check.name, check.outcome.as_ref().err()?)));
    let failed: Vec<String> = failed.collect();
    if failed.is_empty() {
        return Ok(());
    }
    std::fs::remove_dir_all(out)
        .map_err(|error| CommandError::operator(format!("{} failed its checks and stays: {error}", out.display())))?;
    Err(CommandError::operator(format!("no bundle was left, its checks failed: {}", failed.join("; "))))
}
