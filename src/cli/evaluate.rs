//! `ramand evaluate`: a bundle and its explanations tested on labelled spectra.

mod methods;
mod output;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use ramand_lab::evaluate::{EvaluationRequest, evaluate, render, shift, steps};
use ramand_lab::train::Progress;
use ramand_model::Model;

use self::output::{Format, write};
use super::error::CommandError;
use super::inputs::data_sha256;
use super::progress::{interrupt_on_request, watched};
use super::recorded::as_trained;

/// Test a model and its explanations on labelled spectra.
///
/// What the sections mean, and what they do not claim, stands in docs/evaluate.md.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct EvaluateCommand {
    #[command(subcommand)]
    instead: Option<Instead>,
    #[command(flatten)]
    model: Option<EvaluateArgs>,
}

/// What is tested instead of a model.
#[derive(Debug, Subcommand)]
enum Instead {
    Methods(Box<methods::MethodsArgs>),
}

/// A model is tested.
#[derive(Debug, Args)]
struct EvaluateArgs {
    /// Spectra: a first column with an identifier, label columns, one column per Raman shift in cm-1
    #[arg(value_name = "SPECTRA.csv")]
    spectra: PathBuf,
    /// Folder of the model bundle
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Label column that holds the truth
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Label column that tells independent samples apart [default: the one of the training, if it is there]
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// Also write the report to a file; the ending chooses the format: html, md or json
    #[arg(long, value_name = "OUT")]
    report: Vec<PathBuf>,
    /// Instead: show the spectra again after what goes wrong between training and line, and say what gate, intervals and sets make of it
    #[arg(long)]
    shift: bool,
    /// With --shift: spectra of something the model was never shown, in a file like the first
    #[arg(long, value_name = "SPECTRA.csv", requires = "shift")]
    unknown: Option<PathBuf>,
    /// With --shift: spectra of what may get into the product, in a file like the first; each is added to every spectrum in rising
    /// amounts
    #[arg(long, value_name = "SPECTRA.csv", requires = "shift")]
    contaminant: Option<PathBuf>,
    /// Also write every figure to this folder as SVG
    #[arg(long, value_name = "DIR")]
    figures: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When an argument, the bundle or the file cannot be used, or on Ctrl-C; then no report is written.
pub(super) fn run(command: &EvaluateCommand) -> Result<(), CommandError> {
    match (&command.instead, &command.model) {
        (Some(Instead::Methods(args)), _) => methods::run(args),
        (None, Some(args)) => evaluate_model(args),
        (None, None) => Err(CommandError::operator("name the spectra and --model")),
    }
}

fn evaluate_model(args: &EvaluateArgs) -> Result<(), CommandError> {
    let reports: Vec<(&Path, Format)> =
        args.report.iter().map(|path| Ok((path.as_path(), Format::of(path)?))).collect::<Result<_, CommandError>>()?;
    if let Some(folder) = &args.figures {
        // Before the work: where it cannot be made, nothing was computed in vain.
        std::fs::create_dir_all(folder)
            .map_err(|error| CommandError::operator(format!("failed to make {}: {error}", folder.display())))?;
    }
    let model = Model::open(&args.model)?;
    let read = |path: &Path| as_trained(path, std::iter::once(model.manifest()));
    let recording = read(&args.spectra)?;
    let request = EvaluationRequest {
        label: args.label.clone(),
        group: args.group.clone(),
        data_sha256: data_sha256(&recording)?,
    };
    let progress = Arc::new(Progress::default());
    interrupt_on_request(&progress);
    eprintln!("testing on {} spectra; Ctrl-C ends it and leaves nothing", recording.spectra.len());
    let document = if args.shift {
        let unknown = args.unknown.as_deref().map(read).transpose()?;
        let contaminants = args.contaminant.as_deref().map(read).transpose()?;
        let foreign = shift::Foreign { unknown: unknown.as_ref(), contaminants: contaminants.as_ref() };
        let steps = shift::steps(&recording, foreign, &model);
        watched(&progress, "evaluating", steps, || shift::shift(&recording, foreign, &model, &request, &progress))?
    } else {
        watched(&progress, "evaluating", steps(&recording), || evaluate(&recording, &model, &request, &progress))?
    };
    for (path, format) in reports {
        write(path, &format.render(&document))?;
    }
    if let Some(folder) = &args.figures {
        for section in &document.sections {
            for figure in section.content.iter().flat_map(|content| &content.figures) {
                write(&folder.join(format!("{}-{}.svg", section.key, figure.key)), &figure.svg)?;
            }
        }
    }
    if args.json {
        println!("{}", render::json(&document))
    } else {
        print!("{}", render::text(&document))
    }
    Ok(())
}
