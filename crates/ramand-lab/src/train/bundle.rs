//! From a recording to the files of a bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use onnx_gradient::{self as gradient, Attached, GradientError, Seed, Target, proto};
use ramand_core::npy::Table;
use ramand_core::outcome::ModelIdentity;
use ramand_model::manifest::{
    AxisRecord, CandidateRecord, CompletenessRecord, FORMAT, Manifest, NetworkRecord, OutputRecord, ReferenceRecord,
    TargetRecord, TrainingRecord,
};
use ramand_model::{Bundle, BundleError, Network, NetworkError, records};
use ramand_recording::Recording;

use super::bootstrap::Draws;
use super::candidate::Skip;
use super::choose::{Choices, Loss, Nested};
use super::conformal::{CONFORMAL_FILE, Conformal};
use super::coverage::add_coverage;
use super::crossvalidate::{Plan, Purpose, Validated, crossvalidate, random};
use super::dataset::{Dataset, Truth};
use super::error::TrainError;
use super::figures::temperature;
use super::fit::Fit;
use super::gate::GateFit;
use super::merit::metrics;
use super::out_of_fold::OutOfFold;
use super::progress::Progress;
use super::reference::{Means, means};
use super::request::Request;
use super::{onnx, tables};

/// The network's file in every bundle.
pub(super) const NETWORK_FILE: &str = "model.onnx";
/// The out-of-fold predictions'.
const FOLDS_FILE: &str = "folds.csv";
/// The predictions' of permuted labels.
const PERMUTED_FILE: &str = "permuted.csv";

/// A bundle in memory: nothing is on disk yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// Without the hashes of the files, which [`Trained::write`] fills in.
    pub manifest: Manifest,
    /// Content by file name, without the manifest.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Trained {
    /// Writes the bundle to the folder `out`: whole, or not at all.
    ///
    /// # Errors
    /// When the folder exists or cannot be written.
    pub fn write(&self, out: &Path) -> Result<ModelIdentity, BundleError> {
        Bundle::write(out, self.manifest.clone(), &self.files)
    }
}

/// Cross-validates, fits, explains and packs: the same recording, request and version give the same bytes, on any number
/// of threads.
///
/// # Errors
/// Names the row or column that cannot be used; [`TrainError::Interrupted`] when `progress` was told to stop.
pub fn train(recording: &Recording, request: &Request, progress: &Progress) -> Result<Trained, TrainError> {
    let truth = request.truth(recording)?;
    let (groups, group_names) = request.groups(recording, &truth)?;
    let (reference_rows, population) = request.reference_rows(recording)?;
    let pipelines = request.preparations.iter().map(|preparation| &preparation.pipeline);
    let preparations = pipelines.map(|pipeline| Dataset::prepare(recording, pipeline, truth.clone(), groups.clone()));
    let preparations: Vec<Dataset<'_>> = preparations.collect::<Result<_, _>>()?;
    let candidates = request.candidates();
    let choices = Choices {
        preparations: &preparations,
        candidates: &candidates,
        networks: request.networks,
        recipe: &|skip| request.recipe(skip),
        progress,
    };
    let plan = Plan {
        folds: request.split.folds,
        repeats: request.split.repeats,
        permutations: request.permutations,
        seed: request.seed,
        threads: request.threads,
    };
    let Validated { held_out, permuted, last } = crossvalidate(&choices, &plan)?;
    let kept = candidates[last.candidate];
    let data = &preparations[kept.preparation];
    let pipeline = &request.preparations[kept.preparation].pipeline;
    let fit = &last.fit;
    let gate = GateFit::new(data, &mut random(request.seed, Purpose::Gate)).ok_or(TrainError::ConstantSpectra)?;

    let mut files = BTreeMap::new();
    let attached = attach(fit)?;
    let means = reference(fit.skip, &attached, data, &reference_rows)?;
    files.insert(NETWORK_FILE.to_owned(), proto::encode(&attached.model));
    let targets = targets(fit.skip, &attached, means.maps, &mut files);
    let gate_record = gate.record(data.features, data.samples(), &mut files);
    let output = output(request, &data.truth, &held_out);
    let Conformal { record: conformal, file, fared } =
        Conformal::new(data, &held_out, output.temperature, request.confidence, gate.kinds.is_some());
    files.insert(CONFORMAL_FILE.to_owned(), file);
    let candidate_names: Vec<String> =
        candidates.iter().map(|candidate| candidate.in_words(&request.preparations)).collect();
    let names = tables::Names { recording, groups: &group_names, candidates: &candidate_names };
    files.insert(FOLDS_FILE.to_owned(), tables::folds(&names, data, &held_out));
    if !permuted.is_empty() {
        files.insert(PERMUTED_FILE.to_owned(), tables::permuted(&names, data, &permuted));
    }
    let draws = Draws::new(data.samples(), &mut random(request.seed, Purpose::Bootstrap));
    let mut metrics = metrics(data, &held_out, &permuted, &draws);
    add_coverage(&mut metrics, data, &held_out, fared.as_deref(), Some(&gate), &draws);

    let (steps, channels) = records(pipeline);
    let axis = pipeline.axis();
    let (first, last_shift) = (axis.first().per_cm(), axis.last().per_cm());
    let provenance = request.provenance.clone();
    let manifest = Manifest {
        format: FORMAT,
        name: request.name.clone(),
        version: request.version.clone(),
        task: request.task,
        claim: provenance.claim,
        licence: provenance.licence,
        laser_nm: provenance.laser_nm,
        card: provenance.card,
        output,
        axis: AxisRecord { first, last: last_shift, points: axis.len() },
        pipeline: steps,
        channels,
        network: NetworkRecord {
            file: NETWORK_FILE.into(),
            sha256: String::new(),
            input: onnx::INPUT.into(),
            output: onnx::OUTPUT.into(),
            offset: fit.offset().into_iter().map(f64::from).collect(),
            completeness: CompletenessRecord::Exact,
            completeness_error: None,
            targets,
        },
        reference: ReferenceRecord { population, output: means.output },
        gate: Some(gate_record),
        conformal: Some(conformal),
        bands: request.bands.iter().filter(|band| first <= band.from && band.to <= last_shift).cloned().collect(),
        training: TrainingRecord {
            data: provenance.data,
            data_sha256: provenance.data_sha256,
            measured: provenance.measured,
            samples: data.samples(),
            spectra: data.len(),
            group: request.split.group.clone().unwrap_or_else(|| "none: every row is a sample".into()),
            split: split_in_words(request),
            seed: request.seed,
            networks: Some(fit.trunks.len()),
            components: (fit.skip == Skip::Pls).then_some(fit.components),
            made_by: crate::MADE_BY.into(),
            candidates: candidate_records(&candidate_names, &last, data, &held_out),
        },
        adopted: None,
        metrics,
        files: BTreeMap::new(),
    };
    Ok(Trained { manifest, files })
}

/// What the model was chosen among; nothing where there was no choice.
fn candidate_records(
    names: &[String],
    last: &Nested,
    data: &Dataset<'_>,
    held_out: &[OutOfFold],
) -> Vec<CandidateRecord> {
    let folds: BTreeSet<(usize, usize, usize)> =
        held_out.iter().map(|row| (row.candidate, row.repeat, row.fold)).collect();
    let record = |(place, (name, loss)): (usize, (&String, &Loss))| CandidateRecord {
        name: name.clone(),
        chosen: folds.iter().filter(|(candidate, ..)| *candidate == place).count(),
        error: (loss.squared / (data.len() * data.truth.outputs()) as f64).sqrt(),
        kept: place == last.candidate,
    };
    names.iter().zip(&last.losses).enumerate().map(record).collect()
}

/// A cut through the network behind which all is linear.
pub(super) struct Cut {
    name: &'static str,
    pub(super) activation: &'static str,
    gradient: &'static str,
    linear: bool,
}

const CUTS: [Cut; 2] = [
    Cut { name: "residual network", activation: onnx::NETWORK_ACTIVATION, gradient: "dYdA0", linear: false },
    Cut { name: "linear part (PLS)", activation: onnx::SKIP_ACTIVATION, gradient: "dYdA1", linear: true },
];

/// y depends on the spectrum through these, and no other way.
pub(super) fn cuts(skip: Skip) -> &'static [Cut] {
    match skip {
        Skip::Pls => &CUTS,
        Skip::None => &CUTS[..1],
    }
}

/// The exported graph with the gradients of its cuts.
fn attach(fit: &Fit) -> Result<Attached, GradientError> {
    let target = |cut: &Cut| Target { tensor: cut.activation, activation: cut.activation, gradient: cut.gradient };
    let targets: Vec<Target<'_>> = cuts(fit.skip).iter().map(target).collect();
    gradient::attach(&onnx::forward_graph(fit), onnx::OUTPUT, Seed::All, &targets)
}

/// The records of the cuts, with their reference maps as files.
fn targets(
    skip: Skip,
    attached: &Attached,
    maps: Vec<Vec<f32>>,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Vec<TargetRecord> {
    let records = cuts(skip).iter().zip(&attached.targets).zip(maps).enumerate();
    records
        .map(|(index, ((cut, target), map))| {
            let reach = target.reach.expect("convolutions keep their place on the axis");
            let reference = format!("reference-{index}.npy");
            files.insert(reference.clone(), Table::new(target.cells, map).to_bytes());
            TargetRecord {
                name: cut.name.into(),
                activation: cut.activation.into(),
                gradient: cut.gradient.into(),
                first_cell: reach.first_cell(),
                stride: reach.stride() as f64,
                receptive_field: reach.receptive_field(),
                whole_axis: false,
                linear: cut.linear,
                reference,
                reference_sha256: String::new(),
            }
        })
        .collect()
}

/// Runs the exported model, as inference will, on the spectra of the reference population.
fn reference(skip: Skip, attached: &Attached, data: &Dataset<'_>, rows: &[usize]) -> Result<Means, NetworkError> {
    let shape = (data.channels(), data.features / data.channels());
    let names: Vec<(&str, &str)> = cuts(skip).iter().map(|cut| (cut.activation, cut.gradient)).collect();
    let network = Network::load(&attached.model, shape, onnx::OUTPUT, &names)?;
    let sizes: Vec<(usize, usize)> = attached.targets.iter().map(|target| (target.maps, target.cells)).collect();
    let spectra: Vec<&[f32]> = rows.iter().map(|&row| data.prepared(row)).collect();
    means(&network, &sizes, data.truth.outputs(), &spectra)
}

fn output(request: &Request, truth: &Truth, held_out: &[OutOfFold]) -> OutputRecord {
    match truth {
        Truth::Values(_) => OutputRecord { unit: Some(request.unit.clone()), labels: None, temperature: None },
        Truth::Classes { labels, indices } => {
            let scores: Vec<(usize, &[f32])> =
                held_out.iter().map(|row| (indices[row.spectrum], row.prediction.as_slice())).collect();
            OutputRecord { unit: None, labels: Some(labels.clone()), temperature: Some(temperature(&scores)) }
        }
    }
}

fn split_in_words(request: &Request) -> String {
    let split = &request.split;
    let by = split.group.as_ref().map_or("row".to_owned(), |column| format!("column '{column}'"));
    let repeats = if split.repeats == 1 { "1 repeat".to_owned() } else { format!("{} repeats", split.repeats) };
    format!("{} folds by {by}, {repeats}", split.folds)
}
