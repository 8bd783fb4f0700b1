//! `ramand train`: from labelled spectra to a model bundle.

mod args;
mod init;
mod report;
mod request;

use std::sync::Arc;

use ramand_lab::train::{Progress, train};
use ramand_model::manifest::Manifest;
use ramand_recording::Recording;

use super::error::CommandError;
use super::progress::{interrupt_on_request, watched};

pub(super) use self::args::TrainArgs;

/// Runs the command.
///
/// # Errors
/// When an argument, a row of the file or the output folder cannot be used, or on Ctrl-C; then nothing is written.
pub(super) fn run(arguments: &TrainArgs) -> Result<(), CommandError> {
    if arguments.out.exists() {
        let out = arguments.out.display();
        return Err(CommandError::operator(format!("{out} exists: a bundle never changes, name another folder")));
    }
    let left_out = request::left_out(arguments)?;
    let recording = request::recording(arguments)?.without(&left_out)?;
    if let Some(network) = &arguments.init {
        let mut trained = init::calibrated(arguments, &recording, &left_out, network)?;
        trained.manifest.training.abscissa = arguments.abscissa.into();
        trained.write(&arguments.out)?;
        init::check(&arguments.out)?;
        return told(arguments, &recording, &trained.manifest);
    }
    let request = request::request(arguments, &recording, &left_out)?;
    let progress = Arc::new(Progress::default());
    interrupt_on_request(&progress);
    match request.networks_altogether() {
        0 => eprintln!("fitting; Ctrl-C ends it and leaves nothing"),
        most => eprintln!("training at most {most} networks; Ctrl-C ends it and leaves nothing"),
    }
    let mut trained =
        watched(&progress, "training", request.steps_altogether(), || train(&recording, &request, &progress))?;
    trained.manifest.training.abscissa = arguments.abscissa.into();
    trained.write(&arguments.out)?;
    told(arguments, &recording, &trained.manifest)
}

fn told(arguments: &TrainArgs, recording: &Recording, manifest: &Manifest) -> Result<(), CommandError> {
    let suspects = &manifest.training.suspects;
    for suspect in suspects {
        eprintln!("{}: {}", recording.path.display(), suspect.in_words());
    }
    if !suspects.is_empty() {
        eprintln!(
            "these are unlike the others and were not left out: check labels and spectra; --leave-out leaves spectra out"
        );
    }
    if arguments.json {
        report::print_json(manifest)?;
    } else {
        report::print_table(manifest, &arguments.out);
    }
    Ok(())
}
