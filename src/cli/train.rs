//! `ramand train`: from labelled spectra to a model bundle.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::CommandError;
use crate::infer::manifest::{BandRecord, ChannelRecord, MetricsRecord, NormaliseMethod, StepRecord, Task};
use crate::preprocess::{Pipeline, Step};
use crate::recording::Recording;
use crate::spectrum::{RamanShift, ShiftAxis};
use crate::train::{Progress, Provenance, Reference, Request, STEPS, Split, Trained, train};

/// How often the progress bar looks at the training.
const GLANCE: Duration = Duration::from_millis(100);

/// Train a model on labelled spectra and write it as a bundle
#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// CSV file: id, label columns, then one column per Raman shift in cm-1
    #[arg(value_name = "SPECTRA.csv")]
    spectra: PathBuf,
    /// What the target is: a quantity or a kind
    #[arg(long, value_enum)]
    task: TaskName,
    /// Label column to predict
    #[arg(long, value_name = "COLUMN")]
    target: String,
    /// Label column that tells independent samples apart; without it every row counts as a sample of its own
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// The model's axis: first and last Raman shift in cm-1 and number of points, as in 800:1800:251
    #[arg(long, value_name = "A:B:N", value_parser = parse_axis)]
    axis: ShiftAxis,
    /// Folder to write the bundle to; it must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Every random choice follows from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// TOML file with [[pipeline]] and [[channel]] as in a bundle's manifest [default: dark, resample, snv]
    #[arg(long, value_name = "FILE.toml")]
    pipeline: Option<PathBuf>,
    /// TOML file with [[band]] entries: name, from, to
    #[arg(long, value_name = "FILE.toml")]
    bands: Option<PathBuf>,
    /// Whose mean the difference map subtracts: all, or the spectra with a label, as in sunflower_pct=0
    #[arg(long, value_name = "all|COLUMN=VALUE", default_value = "all", value_parser = parse_reference)]
    reference: Reference,
    /// The bundle's name [default: the name of the folder]
    #[arg(long)]
    name: Option<String>,
    /// The bundle's version
    #[arg(long, value_name = "TEXT", default_value = "1.0.0")]
    model_version: String,
    /// Unit of the quantity, for regression
    #[arg(long, value_name = "TEXT", default_value = "")]
    unit: String,
    /// What may be said about the model
    #[arg(long, value_name = "TEXT", default_value = "cross-validated on its own training data only")]
    claim: String,
    /// Where the spectra come from [default: the name of the file]
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// Licence of the model
    #[arg(long, value_name = "TEXT", default_value = "not stated")]
    licence: String,
    /// Laser wavelength in nm; 0 for methods without a laser
    #[arg(long, value_name = "NM", default_value_t = 0.0)]
    laser_nm: f64,
    /// Every spectrum was measured, none simulated
    #[arg(long)]
    measured: bool,
    /// Parts the samples are dealt into for cross-validation
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=1000))]
    folds: u16,
    /// How often to cross-validate, each time dealt anew
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeats: u16,
    /// Fits at a time; the result does not depend on it [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TaskName {
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

/// Runs the command.
///
/// # Errors
/// When an argument, a row of the file or the output folder cannot be used, or on Ctrl-C; then nothing is written.
pub(super) fn run(arguments: &TrainArgs) -> Result<(), CommandError> {
    if arguments.out.exists() {
        let out = arguments.out.display();
        return Err(CommandError::operator(format!("{out} exists: a bundle never changes, name another folder")));
    }
    let recording = Recording::read(&arguments.spectra)?;
    let request = request(arguments, &recording)?;
    let progress = Arc::new(Progress::default());
    interrupt_on_ctrl_c(&progress);
    let trained = watched(&progress, request.steps_altogether(), || train(&recording, &request, &progress))?;
    trained.write(&arguments.out)?;
    if arguments.json {
        print_json(&trained)
    } else {
        print_table(&trained, &arguments.out)
    }
    Ok(())
}

fn request(arguments: &TrainArgs, recording: &Recording) -> Result<Request, CommandError> {
    let task = Task::from(arguments.task);
    if matches!(task, Task::Regression) == arguments.unit.is_empty() {
        return Err(CommandError::operator("--unit goes with a regression, and a regression needs one"));
    }
    let file_name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let data = arguments.data.clone().or_else(|| file_name(&arguments.spectra));
    let name = arguments.name.clone().or_else(|| file_name(&arguments.out));
    Ok(Request {
        name: name.ok_or_else(|| CommandError::operator("--out has no name to give to the bundle: use --name"))?,
        version: arguments.model_version.clone(),
        task,
        target: arguments.target.clone(),
        unit: arguments.unit.clone(),
        pipeline: pipeline(arguments)?,
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
        steps: STEPS,
        seed: arguments.seed,
        threads: arguments
            .threads
            .map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from),
        provenance: Provenance {
            claim: arguments.claim.clone(),
            licence: arguments.licence.clone(),
            laser_nm: arguments.laser_nm,
            data: data.unwrap_or_default(),
            data_sha256: sha256(&recording.path)?,
            measured: arguments.measured,
        },
    })
}

/// `[[band]]` tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BandsFile {
    band: Vec<BandRecord>,
}

/// `[[pipeline]]` and `[[channel]]` tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PipelineFile {
    pipeline: Vec<StepRecord>,
    #[serde(default)]
    channel: Vec<ChannelRecord>,
}

fn pipeline(arguments: &TrainArgs) -> Result<Pipeline, CommandError> {
    let simple = [StepRecord::Dark {}, StepRecord::Resample {}, StepRecord::Normalise { method: NormaliseMethod::Snv }];
    let (place, file) = match &arguments.pipeline {
        Some(path) => (path.display().to_string(), read_toml(path)?),
        None => ("the default pipeline".into(), PipelineFile { pipeline: simple.into(), channel: Vec::new() }),
    };
    let failed = |problem: String| CommandError::operator(format!("{place}: {problem}"));
    let steps = |records: &[StepRecord]| -> Result<Vec<Step>, CommandError> {
        let step = |(index, record): (usize, &StepRecord)| {
            Step::try_from(record).map_err(|problem| failed(format!("step {}: {problem}", index + 1)))
        };
        records.iter().enumerate().map(step).collect()
    };
    let channels = file.channel.iter().map(|channel| steps(&channel.steps)).collect::<Result<_, _>>()?;
    let axis = Arc::new(arguments.axis.clone());
    Pipeline::new(axis, steps(&file.pipeline)?, channels).map_err(|error| failed(error.to_string()))
}

fn read_toml<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, CommandError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CommandError::operator(format!("failed to read {}: {error}", path.display())))?;
    toml::from_str(&text).map_err(|error| CommandError::operator(format!("{}: {error}", path.display())))
}

fn sha256(path: &Path) -> Result<String, CommandError> {
    let content = std::fs::read(path)
        .map_err(|error| CommandError::operator(format!("failed to read {}: {error}", path.display())))?;
    Ok(Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn parse_axis(text: &str) -> Result<ShiftAxis, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [first, last, points] = parts[..] else {
        return Err("expected first shift, last shift and number of points, as in 800:1800:251".into());
    };
    let shift = |text: &str| text.parse().map(RamanShift::from_per_cm).map_err(|error| format!("'{text}': {error}"));
    let points = points.parse().map_err(|error| format!("'{points}': {error}"))?;
    if points > crate::preprocess::POINTS_MAX {
        return Err(format!("at most {} points", crate::preprocess::POINTS_MAX));
    }
    ShiftAxis::even(shift(first)?, shift(last)?, points).map_err(|error| error.to_string())
}

fn parse_reference(text: &str) -> Result<Reference, String> {
    match text.split_once('=') {
        None if text == "all" => Ok(Reference::All),
        Some((column, value)) => Ok(Reference::Labelled { column: column.into(), value: value.into() }),
        None => Err("expected 'all' or COLUMN=VALUE".into()),
    }
}

/// The first Ctrl-C ends the training at its next step.
fn interrupt_on_ctrl_c(progress: &Arc<Progress>) {
    let progress = progress.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        // Without a handler, Ctrl-C ends the process as it always does; the bundle is still written whole or not at all.
        if let Ok(runtime) = runtime
            && runtime.block_on(tokio::signal::ctrl_c()).is_ok()
        {
            progress.interrupt();
        }
    });
}

/// Runs `work` under a progress bar on stderr, if that is a terminal.
fn watched<T: Send>(progress: &Progress, steps: u64, work: impl FnOnce() -> T + Send) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let bar = ProgressBar::new(steps);
    let template = "training {wide_bar} {percent:>3} %, {eta} left";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
    let result = std::thread::scope(|scope| {
        let worker = scope.spawn(work);
        while !worker.is_finished() {
            bar.set_position(progress.steps());
            std::thread::sleep(GLANCE);
        }
        worker.join().expect("training does not panic")
    });
    bar.finish_and_clear();
    result
}

fn print_json(trained: &Trained) {
    let manifest = &trained.manifest;
    let summary = serde_json::json!({
        "name": manifest.name,
        "version": manifest.version,
        "samples": manifest.training.samples,
        "spectra": manifest.training.spectra,
        "split": manifest.training.split,
        "components": trained.components,
        "metrics": manifest.metrics,
        "gate": manifest.gate.as_ref().map(|gate| gate.components),
    });
    println!("{summary}");
}

fn print_table(trained: &Trained, out: &Path) {
    let manifest = &trained.manifest;
    let MetricsRecord { rmsecv, rmsecv_pls, r2, bias, slope, accuracy, accuracy_pls } = manifest.metrics;
    let training = &manifest.training;
    println!("{}: {} spectra of {} samples, {}", out.display(), training.spectra, training.samples, training.split);
    println!("{:28}{:>10}{:>10}", "out of fold", "model", "PLS");
    let line = |what: &str, model: Option<f64>, pls: Option<f64>| {
        let cell = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
        if model.is_some() {
            println!("{what:28}{:>10}{:>10}", cell(model), cell(pls));
        }
    };
    let unit = manifest.output.unit.as_deref().unwrap_or_default();
    line(&format!("RMSECV, {unit}"), rmsecv, rmsecv_pls);
    line("R2", r2, None);
    line(&format!("bias, {unit}"), bias, None);
    line("slope", slope, None);
    line("accuracy", accuracy, accuracy_pls);
    println!("PLS components of the final model: {}", trained.components);
    if let Some(gate) = &manifest.gate {
        println!("gate: {} components, T2 <= {:.2}, Q <= {:.4}", gate.components, gate.t2_limit, gate.q_limit);
    }
}
