//! `ramand model bundle`: a deployable bundle of a network that was trained elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ramand_core::outcome::ModelIdentity;
use ramand_core::spectrum::ShiftAxis;
use ramand_lab::train::{Adoption, Reference, adopt};
use ramand_model::manifest::{AdoptedRecord, CompletenessRecord, Manifest, Task};
use ramand_model::verify::{Check, verify};
use ramand_recording::Recording;
use serde::Serialize;

use super::attach::{InputShape, parse_shape};
use super::verify::CheckLine;
use crate::cli::description::{DescriptionArgs, file_name};
use crate::cli::error::CommandError;
use crate::cli::inputs::{
    BandsFile, ReferenceMapName, TaskName, parse_axis, parse_reference, pipeline, read_pipeline, read_toml,
};
use crate::cli::network::load;

/// What may be said about a network that nobody judged.
const NOT_EVALUATED: &str = "trained elsewhere, not evaluated here";

/// Make a deployable bundle of a network that was trained elsewhere
///
/// The network gets its gradient, unless `ramand model attach` gave it one; the reference spectra give the maps that the
/// difference map subtracts, and the applicability gate. The finished bundle is verified; one that fails is not left behind.
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
pub(super) struct BundleArgs {
    /// The network: exported, or with its gradient for every output (attach --seed all)
    #[arg(value_name = "FILE.onnx")]
    network: PathBuf,
    /// The axis the network was trained on: first and last Raman shift in cm-1 and number of points, as in 800:1800:512
    #[arg(long, value_name = "A:B:N", value_parser = parse_axis)]
    axis: ShiftAxis,
    /// What the network gives: a quantity or a kind
    #[arg(long, value_enum)]
    task: TaskName,
    /// The kinds, in the order of the network's outputs; of one sigmoid, no and yes
    #[arg(
        long,
        value_name = "A,B,...",
        value_delimiter = ',',
        required_if_eq("task", "classification"),
        conflicts_with = "unit"
    )]
    labels: Vec<String>,
    /// Unit of the quantity
    #[arg(long, value_name = "TEXT", required_if_eq("task", "regression"))]
    unit: Option<String>,
    /// TOML file with [[pipeline]] and [[channel]] as in a bundle's manifest: what was done to the spectra in training
    #[arg(long, value_name = "FILE.toml")]
    pipeline: PathBuf,
    /// CSV file of spectra like those it was trained on: id, label columns, then one column per Raman shift in cm-1
    #[arg(long, value_name = "SPECTRA.csv")]
    reference: PathBuf,
    /// Which of them the difference map compares with: all, or those with a label, as in sunflower_pct=0
    #[arg(long, value_name = "all|COLUMN=VALUE", default_value = "all", value_parser = parse_reference)]
    reference_where: Reference,
    /// What of theirs the difference map subtracts
    #[arg(long, value_enum, default_value_t = ReferenceMapName::MeanSpectrum)]
    reference_map: ReferenceMapName,
    /// Label column that tells independent reference samples apart; without it every row counts as a sample of its own
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// TOML file with [[band]] entries: name, from, to
    #[arg(long, value_name = "FILE.toml")]
    bands: Option<PathBuf>,
    /// A value, a node or a weight of the layer to explain; auto is the last residual stage after its activation
    #[arg(long, value_name = "auto|NAME", default_value = "auto")]
    layer: String,
    /// The output to explain, of a probability the score before it [default: the first]
    #[arg(long, value_name = "INDEX|NAME")]
    output: Option<String>,
    /// The size of the network's input, where its file leaves more open than batch and length
    #[arg(long, value_name = "N,C,L", value_parser = parse_shape)]
    shape: Option<InputShape>,
    #[command(flatten)]
    description: DescriptionArgs,
    /// Folder to write the bundle to; it must not exist
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print what was made as one JSON object
    #[arg(long)]
    json: bool,
}

/// What was made, as JSON.
#[derive(Debug, Serialize)]
struct BundleReport<'a> {
    name: &'a str,
    version: &'a str,
    sha256: &'a str,
    adopted: Option<&'a AdoptedRecord>,
    completeness: CompletenessRecord,
    completeness_error: Option<f64>,
    targets: Vec<TargetLine<'a>>,
    /// Principal components of the gate; `null` where there is none.
    gate: Option<usize>,
    checks: Vec<CheckLine<'a>>,
}

#[derive(Debug, Serialize)]
struct TargetLine<'a> {
    name: &'a str,
    first_cell: f64,
    stride: f64,
    receptive_field: usize,
    whole_axis: bool,
}

pub(super) fn run(args: &BundleArgs) -> Result<(), CommandError> {
    if args.out.exists() {
        let out = args.out.display();
        return Err(CommandError::operator(format!("{out} exists: a bundle never changes, name another folder")));
    }
    let file = read_pipeline(&args.pipeline)?;
    let pipeline = pipeline(&Arc::new(args.axis.clone()), &file)
        .map_err(|problem| CommandError::operator(format!("{}: {problem}", args.pipeline.display())))?;
    let bytes = load(&args.network)?.into_one_file();
    let recording = Recording::read(&args.reference)?;
    let adoption = Adoption {
        name: args.description.name(&args.out)?,
        version: args.description.version.clone(),
        file: file_name(&args.network).unwrap_or_default(),
        shape: args.shape.as_ref().map(|InputShape { shape, .. }| shape.clone()),
        output: args.output.clone(),
        layer: Some(args.layer.clone()).filter(|layer| layer != "auto"),
        task: Task::from(args.task),
        unit: args.unit.clone().unwrap_or_default(),
        labels: args.labels.clone(),
        pipeline,
        bands: match &args.bands {
            Some(path) => read_toml::<BandsFile>(path)?.band,
            None => Vec::new(),
        },
        reference: args.reference_where.clone(),
        reference_map: args.reference_map.into(),
        group: args.group.clone(),
        provenance: args.description.provenance(NOT_EVALUATED, &args.reference, &recording)?,
    };
    let trained = adopt(&bytes, &recording, &adoption).map_err(|error| {
        let place = match &error {
            ramand_lab::train::AdoptError::Reference(_) => &args.reference,
            _ => &args.network,
        };
        CommandError::from(error).context(place.display().to_string())
    })?;
    let identity = trained.write(&args.out)?;
    let checks = verify(&args.out);
    if let Some(problem) = failures(&checks) {
        fs::remove_dir_all(&args.out).map_err(|error| {
            CommandError::operator(format!("{} failed its checks and stays: {error}", args.out.display()))
        })?;
        return Err(CommandError::operator(format!("no bundle was left, its checks failed: {problem}")));
    }
    tell(&identity, &trained.manifest, &args.out, checks.len());
    if args.json {
        let report = report(&identity, &trained.manifest, &checks);
        println!("{}", serde_json::to_string(&report).expect("names and numbers are JSON"));
    }
    Ok(())
}

fn failures(checks: &[Check]) -> Option<String> {
    let failed = checks.iter().filter_map(|check| Some(format!("{}: {}", check.name, check.outcome.as_ref().err()?)));
    let failed: Vec<String> = failed.collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}

fn report<'a>(identity: &'a ModelIdentity, manifest: &'a Manifest, checks: &'a [Check]) -> BundleReport<'a> {
    let targets = manifest.network.targets.iter().map(|target| TargetLine {
        name: &target.name,
        first_cell: target.first_cell,
        stride: target.stride,
        receptive_field: target.receptive_field,
        whole_axis: target.whole_axis,
    });
    BundleReport {
        name: &identity.name,
        version: &identity.version,
        sha256: &identity.sha256,
        adopted: manifest.adopted.as_ref(),
        completeness: manifest.network.completeness,
        completeness_error: manifest.network.completeness_error,
        targets: targets.collect(),
        gate: manifest.gate.as_ref().map(|gate| gate.components),
        checks: checks.iter().map(CheckLine::from).collect(),
    }
}

/// Tells a person what the bundle is, and what it is not.
fn tell(identity: &ModelIdentity, manifest: &Manifest, out: &Path, checks: usize) {
    if let Some(AdoptedRecord { explained, layer, gate, .. }) = &manifest.adopted {
        eprintln!("explains {explained}\nlayer {layer}\ngate {gate}");
    }
    let step = (manifest.axis.last - manifest.axis.first) / (manifest.axis.points as f64 - 1.0);
    for target in &manifest.network.targets {
        let field = target.receptive_field as f64 * step;
        let more = if target.whole_axis { ", and through other layers the whole axis" } else { "" };
        eprintln!("{}: a cell every {:.1} cm-1 sees {field:.1} cm-1{more}", target.name, target.stride * step);
    }
    match manifest.network.completeness_error {
        None => eprintln!("completeness: the maps add up to the output less its offset"),
        Some(error) => {
            eprintln!("completeness: reported only, with an error of up to {error:.2e} on the reference spectra")
        }
    }
    if manifest.gate.is_none() {
        eprintln!("note: there is no gate: too few reference samples, or they do not differ");
    }
    eprintln!(
        "note: without true values there is no interval or set: a line runs this bundle with allow_ungated = true only;"
    );
    eprintln!("      `ramand train --init` calibrates the network on labelled spectra");
    eprintln!("figures of merit: not evaluated here");
    eprintln!("wrote {}, {} {}, {checks} checks passed", out.display(), identity.name, identity.version);
}
