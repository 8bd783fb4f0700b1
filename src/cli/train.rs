//! `ramand train`: from labelled spectra to a model bundle.

mod init;
mod report;
pub(super) mod request;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use ramand_core::spectrum::ShiftAxis;
use ramand_lab::train::{CONFIDENCE, Progress, Reference, STEPS, train};
use ramand_model::manifest::{Manifest, Task};

use self::request::{parse_axis, parse_reference, parse_share};
use super::CommandError;
use super::description::DescriptionArgs;
use super::progress::{interrupt_on_request, watched};

/// Train a model on labelled spectra and write it as a bundle
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(super) struct TrainArgs {
    /// CSV file: id, label columns, then one column per Raman shift in cm-1; or a folder of JCAMP-DX and SPC files, or an
    /// .npy array of a row per spectrum, both with --labels
    #[arg(value_name = "SPECTRA")]
    spectra: PathBuf,
    /// CSV file of labels for a folder or an array: file name or id, then label columns
    #[arg(long, value_name = "TABLE.csv")]
    labels: Option<PathBuf>,
    /// Shifts of an array's columns
    #[arg(long, value_name = "AXIS.npy")]
    shifts: Option<PathBuf>,
    /// What the spectra count in where their files do not say it
    #[arg(long, value_enum, default_value_t = AbscissaName::PerCm)]
    abscissa: AbscissaName,
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
    /// Fit nothing: attach, gate and calibrate this network, trained elsewhere
    #[arg(long, value_name = "FILE.onnx")]
    init: Option<PathBuf>,
    /// With --init: the kinds, in the order of the network's outputs
    #[arg(long, value_name = "A,B,...", value_delimiter = ',', requires = "init")]
    classes: Vec<String>,
    /// With --init: a value, a node or a weight of the layer to explain; auto is the last residual stage after its activation
    #[arg(long, value_name = "auto|NAME", requires = "init")]
    layer: Option<String>,
    /// With --init: the output to explain, of a probability the score before it [default: the first]
    #[arg(long, value_name = "INDEX|NAME", requires = "init")]
    output: Option<String>,
    /// Every random choice follows from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// TOML file with [[pipeline]] and [[channel]] as in a bundle's manifest; given more than once, the best is chosen on
    /// held-out training samples [default: dark, resample, snv]
    #[arg(long, value_name = "FILE.toml")]
    pipeline: Vec<PathBuf>,
    /// Input channels: the pipeline's own, or the spectrum without a polynomial background and its first derivative
    #[arg(long, value_enum, default_value_t = ChannelsName::Identity)]
    channels: ChannelsName,
    /// Whether PLS is part of the model
    #[arg(long, value_enum, default_value_t = SkipName::Pls)]
    skip: SkipName,
    /// Networks, started differently, whose mean is the model
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    seeds: u16,
    /// Steps of gradient descent for each network: more for thousands of spectra, where 400 leave it behind what they hold
    #[arg(long, value_name = "N", default_value_t = STEPS, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    steps: u32,
    /// TOML file with [[band]] entries: name, from, to
    #[arg(long, value_name = "FILE.toml")]
    bands: Option<PathBuf>,
    /// Whose mean the difference map subtracts: all, or the spectra with a label, as in sunflower_pct=0
    #[arg(long, value_name = "all|COLUMN=VALUE", default_value = "all", value_parser = parse_reference)]
    reference: Reference,
    /// Unit of the quantity; a regression needs one
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    unit: String,
    #[command(flatten)]
    description: DescriptionArgs,
    /// Parts the samples are dealt into for cross-validation
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=1000))]
    folds: u16,
    /// How often to cross-validate, each time dealt anew
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeats: u16,
    /// How often to do all again with labels dealt out anew among the samples, as a control
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=1000))]
    permutations: u16,
    /// Nominal coverage of intervals and prediction sets, above 0 and below 1
    #[arg(long, value_name = "SHARE", default_value_t = CONFIDENCE, value_parser = parse_share)]
    confidence: f64,
    /// Fits at a time; the result does not depend on it [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

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
enum AbscissaName {
    /// Raman shift or wavenumber in cm-1
    PerCm,
    /// Wavelength in nm: shifts from --laser-nm, or wavenumbers without a laser
    Nm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ChannelsName {
    /// What the pipeline says
    Identity,
    /// Background removed, and first derivative: for raw spectra with strong fluorescence
    Two,
    /// What is better on held-out training samples
    Auto,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SkipName {
    /// PLS and a network that learns what PLS leaves over
    Pls,
    /// A network alone
    None,
    /// What is better on held-out training samples
    Auto,
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
    let recording = request::recording(arguments)?;
    if let Some(network) = &arguments.init {
        let trained = init::calibrated(arguments, &recording, network)?;
        trained.write(&arguments.out)?;
        init::check(&arguments.out)?;
        return told(arguments, &trained.manifest);
    }
    let request = request::request(arguments, &recording)?;
    let progress = Arc::new(Progress::default());
    interrupt_on_request(&progress);
    eprintln!("training {} networks; Ctrl-C ends it and leaves nothing", request.networks_altogether());
    let trained =
        watched(&progress, "training", request.steps_altogether(), || train(&recording, &request, &progress))?;
    trained.write(&arguments.out)?;
    told(arguments, &trained.manifest)
}

fn told(arguments: &TrainArgs, manifest: &Manifest) -> Result<(), CommandError> {
    if arguments.json {
        report::print_json(manifest)?;
    } else {
        report::print_table(manifest, &arguments.out);
    }
    Ok(())
}
