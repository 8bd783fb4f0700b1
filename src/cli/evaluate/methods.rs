//! `ramand evaluate methods`: methods of explanation compared, on networks trained for it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use ramand_core::preprocess::{Normalise, Pipeline, PipelineStep};
use ramand_core::spectrum::ShiftAxis;
use ramand_lab::evaluate::methods::{Compared, ComparisonPlan, Effort, Material, NetworkKind, compare};
use ramand_lab::evaluate::render;
use ramand_lab::train::{
    CONFIDENCE, Family, Preprocessing, Progress, Provenance, Reference, Rows, STEPS, Split, TrainingRequest,
};
use ramand_model::manifest::{ReferenceMap, Task};
use ramand_recording::Recording;
use ramand_sim::dataset::Recipe;

use super::output::{Format, write};
use crate::cli::error::CommandError;
use crate::cli::inputs::{PipelineFile, TaskName, parse_axis, parse_reference, pipeline, read_pipeline};
use crate::cli::progress::{interrupt_on_request, watched};

/// The pipelines that the shipped models for simulated oils were trained with.
const PIPELINE_KINDS: &str = include_str!("../../../models/pipeline-raw-raman.toml");
const PIPELINE_QUANTITY: &str = include_str!("../../../models/pipeline-raw-raman-area.toml");
/// Their axis.
const AXIS: &str = "800:1800:251";

/// Compare methods of explanation on networks trained for it
///
/// Trains small networks on simulated oils, and on SPECTRA if given, explains spectra they have not seen by ten methods, and
/// measures how well the maps explain the networks. The table says what its columns mean.
#[derive(Debug, Args)]
pub(super) struct MethodsArgs {
    /// CSV file of labelled spectra to compare on as well: id, label columns, then one column per Raman shift in cm-1
    #[arg(value_name = "SPECTRA.csv", requires_all = ["task", "target", "axis"])]
    spectra: Option<PathBuf>,
    /// What the target is: a quantity or a class
    #[arg(long, value_enum, requires = "spectra")]
    task: Option<TaskName>,
    /// Label column to predict
    #[arg(long, value_name = "COLUMN", requires = "spectra")]
    target: Option<String>,
    /// Label column that tells independent samples apart; without it every row counts as a sample of its own
    #[arg(long, value_name = "COLUMN", requires = "spectra")]
    group: Option<String>,
    /// The networks' axis: first and last Raman shift in cm-1 and number of points, as in 800:1800:251
    #[arg(long, value_name = "A:B:N", value_parser = parse_axis, requires = "spectra")]
    axis: Option<ShiftAxis>,
    /// Unit of the quantity
    #[arg(long, value_name = "TEXT", default_value = "", requires = "spectra")]
    unit: String,
    /// TOML file with [[pipeline]] and [[channel]] as in a bundle's manifest [default: dark, resample, snv]
    #[arg(long, value_name = "FILE.toml", requires = "spectra")]
    pipeline: Option<PathBuf>,
    /// Whose mean the difference map subtracts: all, or the spectra with a label, as in sunflower_pct=0
    #[arg(long, value_name = "all|COLUMN=VALUE", default_value = "all", value_parser = parse_reference)]
    reference: Reference,
    /// Every one of these spectra was measured, none simulated
    #[arg(long, requires = "spectra")]
    measured: bool,
    /// Leave the simulated oils out
    #[arg(long, requires = "spectra")]
    no_simulated: bool,
    /// Networks of each kind, trained from seeds that follow each other
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    seeds: u16,
    /// The first seed, and the simulated oils'
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Simulated samples to train on
    #[arg(long, value_name = "N", default_value_t = 480, value_parser = clap::value_parser!(u32).range(16..=10_000))]
    samples: u32,
    /// Samples to explain, which no network is trained on: at most as many as are trained on
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    explained: u32,
    /// Random sets of bands of each size that are replaced for sensitivity-n
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(3..=10_000))]
    subsets: u32,
    /// Networks at a time; no figure but the milliseconds depends on it [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Also write the table to a file; the ending chooses the format: md or json
    #[arg(long, value_name = "OUT")]
    report: Vec<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When an argument or the file cannot be used, or on Ctrl-C; then no report is written.
pub(super) fn run(args: &MethodsArgs) -> Result<(), CommandError> {
    let reports: Vec<(&PathBuf, Format)> =
        args.report.iter().map(|path| Ok((path, Format::of(path)?))).collect::<Result<_, CommandError>>()?;
    let mut tasks = Vec::new();
    if !args.no_simulated {
        tasks.extend(simulated(args)?);
    }
    tasks.extend(given(args)?);
    let plan = ComparisonPlan {
        kinds: NetworkKind::ALL.to_vec(),
        seeds: (0..u64::from(args.seeds)).map(|index| args.seed.wrapping_add(index)).collect(),
        effort: Effort { subsets: args.subsets as usize },
        threads: args
            .threads
            .map_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get), usize::from),
    };
    let progress = Arc::new(Progress::default());
    interrupt_on_request(&progress);
    let steps = plan.steps(&tasks);
    let mut document = watched(&progress, "comparing", steps, || compare(&tasks, &plan, &progress))?;
    document.notes.push(made_by(args));
    for (path, format) in reports {
        write(path, &format.render(&document))?;
    }
    if args.json {
        println!("{}", render::json(&document));
    } else {
        print!("{}", render::text(&document));
    }
    Ok(())
}

/// How to make the same table again.
fn made_by(args: &MethodsArgs) -> String {
    let MethodsArgs { seeds, seed, samples, explained, subsets, .. } = args;
    let given = args.spectra.as_ref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
    let given = given.map_or(String::new(), |name| format!(", spectra of {name}"));
    format!(
        "Made by ramand {} with --seeds {seeds} --seed {seed} --samples {samples} --explained {explained} --subsets {subsets}{given}.",
        env!("CARGO_PKG_VERSION")
    )
}

/// The two tasks of the shipped models for simulated oils, made afresh; the quantity also with spectra scaled as for the kinds, since
/// the scaling decides which bands speak.
fn simulated(args: &MethodsArgs) -> Result<[Compared; 3], CommandError> {
    let axis = Arc::new(parse_axis(AXIS).expect("the axis is well-formed"));
    let preprocessing = |text: &str| {
        let file: PipelineFile = toml::from_str(text).expect("the shipped pipelines are well-formed");
        let pipeline = pipeline(&axis, &file).expect("the shipped pipelines are valid");
        Preprocessing { name: "as the shipped models".into(), pipeline }
    };
    let material = |recipe: &str, request| -> Result<Material, CommandError> {
        let (samples, explained) = (args.samples as usize, args.explained as usize);
        Ok(Material::simulated(Recipe::load(recipe)?, samples, explained, args.seed, request)?)
    };
    let kinds = TrainingRequest {
        reference: Reference::All,
        ..request("Simulated oils of eight kinds", Task::Classification, "oil", "", preprocessing(PIPELINE_KINDS))
    };
    let quantity = |pipeline| TrainingRequest {
        reference: Reference::Labelled { column: "sunflower_pct".into(), value: "0".into() },
        ..request(
            "Simulated blends of sunflower oil in olive oil",
            Task::Regression,
            "sunflower_pct",
            "% sunflower oil",
            preprocessing(pipeline),
        )
    };
    let grouped = |request: TrainingRequest| {
        let split = Split { group: Some("sample".into()), ..request.split };
        TrainingRequest { split, ..request }
    };
    let samples = args.explained as usize;
    Ok([
        Compared {
            key: "simulated_kinds",
            title: "Simulated: which oil",
            material: material("oil-type", grouped(kinds))?,
            samples,
        },
        Compared {
            key: "simulated_quantity",
            title: "Simulated: how much sunflower oil",
            material: material("olive-sunflower", grouped(quantity(PIPELINE_QUANTITY)))?,
            samples,
        },
        Compared {
            key: "simulated_quantity_snv",
            title: "Simulated: how much sunflower oil, spectra scaled by SNV instead of area",
            material: material("olive-sunflower", grouped(quantity(PIPELINE_KINDS)))?,
            samples,
        },
    ])
}

/// The task of the spectra that were given.
fn given(args: &MethodsArgs) -> Result<Option<Compared>, CommandError> {
    let (Some(path), Some(task), Some(target), Some(axis)) = (&args.spectra, args.task, &args.target, &args.axis)
    else {
        return Ok(None);
    };
    let axis = Arc::new(axis.clone());
    let pipeline = match &args.pipeline {
        Some(path) => pipeline(&axis, &read_pipeline(path)?)
            .map_err(|problem| CommandError::operator(format!("{}: {problem}", path.display())))?,
        None => {
            let steps = vec![PipelineStep::Dark, PipelineStep::Resample, PipelineStep::Normalise(Normalise::Snv)];
            Pipeline::new(axis, steps, Vec::new()).map_err(|error| CommandError::operator(error.to_string()))?
        }
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let preprocessing = Preprocessing { name: "as given".into(), pipeline };
    let request = request(&name, task.into(), target, &args.unit, preprocessing);
    let split = Split { group: args.group.clone(), ..request.split };
    let request = TrainingRequest { reference: args.reference.clone(), split, ..request };
    let samples = args.explained as usize;
    let material = Material::new(name, &Recording::read(path)?, samples, request)?;
    let (key, title) = if args.measured {
        ("measured", "Measured spectra")
    } else {
        ("given", "Given spectra, not said to be measured")
    };
    Ok(Some(Compared { key, title, material, samples }))
}

/// One network a fit, without any cross-validation.
fn request(title: &str, task: Task, target: &str, unit: &str, preprocessing: Preprocessing) -> TrainingRequest {
    TrainingRequest {
        name: title.into(),
        version: String::new(),
        task,
        target: target.into(),
        unit: unit.into(),
        preprocessings: vec![preprocessing],
        families: vec![Family::Network],
        networks: 1,
        bands: Vec::new(),
        reference: Reference::All,
        reference_map: ReferenceMap::MeanSpectrum,
        split: Split { group: None, block: None, rows: Rows::Unknown, folds: 2, repeats: 1 },
        permutations: 0,
        confidence: CONFIDENCE,
        steps: STEPS as usize,
        seed: 0,
        threads: 1,
        provenance: Provenance {
            claim: String::new(),
            card: None,
            licence: String::new(),
            laser_nm: 0.0,
            data: String::new(),
            data_sha256: String::new(),
            left_out: Vec::new(),
            measured: false,
        },
    }
}
