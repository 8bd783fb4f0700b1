//! From a recording to the files of a bundle.

use std::collections::BTreeMap;
use std::path::Path;

use crate::gradient::{self, Attached, AttachedTarget, GradientError, Seed, Target, proto};
use crate::infer::manifest::{
    AxisRecord, FORMAT, GateRecord, Manifest, MetricsRecord, NetworkRecord, OutputRecord, ReferenceRecord,
    TargetRecord, TrainingRecord,
};
use crate::infer::npy::Table;
use crate::infer::{Bundle, BundleError, Network, NetworkError, records};
use crate::outcome::ModelIdentity;
use crate::recording::Recording;

use super::crossvalidate::{OutOfFold, Plan, Purpose, crossvalidate, random};
use super::dataset::{Dataset, Truth};
use super::error::TrainError;
use super::figures::{RegressionFigures, best, temperature};
use super::fit::{Fit, Progress};
use super::gate::GateFit;
use super::onnx;
use super::request::Request;

/// The network's file in every bundle.
const NETWORK_FILE: &str = "model.onnx";
/// The gate's.
const GATE_FILE: &str = "gate.npy";
/// The out-of-fold predictions'.
const FOLDS_FILE: &str = "folds.csv";

/// A bundle in memory: nothing is on disk yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// Without the hashes of the files, which [`Trained::write`] fills in.
    pub manifest: Manifest,
    /// Content by file name, without the manifest.
    pub files: BTreeMap<String, Vec<u8>>,
    /// PLS components of the final fit.
    pub components: usize,
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
    let data = Dataset::prepare(recording, &request.pipeline, truth, groups)?;

    let recipe = request.recipe();
    let plan = Plan {
        folds: request.split.folds,
        repeats: request.split.repeats,
        seed: request.seed,
        threads: request.threads,
    };
    let held_out = crossvalidate(&data, &plan, &recipe, progress)?;
    let everything: Vec<usize> = (0..data.len()).collect();
    let mut chance = random(request.seed, Purpose::Final);
    let fit = Fit::new(&data, &everything, &recipe, &mut chance, progress)?;
    let gate = GateFit::new(&data, &mut random(request.seed, Purpose::Gate)).ok_or(TrainError::ConstantSpectra)?;

    let mut files = BTreeMap::new();
    let attached = attach(&fit)?;
    let means = reference(&attached, &data, &reference_rows)?;
    files.insert(NETWORK_FILE.to_owned(), proto::encode(&attached.model));
    let targets = targets(&attached, means.maps, &mut files);
    files.insert(GATE_FILE.to_owned(), Table::new(data.features, gate.rows).to_bytes());
    let gate = GateRecord {
        file: GATE_FILE.into(),
        sha256: String::new(),
        components: gate.eigenvalues.len(),
        eigenvalues: gate.eigenvalues,
        t2_limit: gate.t2_limit,
        q_limit: gate.q_limit,
    };
    files.insert(FOLDS_FILE.to_owned(), folds_table(recording, &data, &group_names, &held_out));

    let (pipeline, channels) = records(&request.pipeline);
    let axis = request.pipeline.axis();
    let (first, last) = (axis.first().per_cm(), axis.last().per_cm());
    let provenance = request.provenance.clone();
    let manifest = Manifest {
        format: FORMAT,
        name: request.name.clone(),
        version: request.version.clone(),
        task: request.task,
        claim: provenance.claim,
        licence: provenance.licence,
        laser_nm: provenance.laser_nm,
        output: output(request, &data.truth, &held_out),
        axis: AxisRecord { first, last, points: axis.len() },
        pipeline,
        channels,
        network: NetworkRecord {
            file: NETWORK_FILE.into(),
            sha256: String::new(),
            input: onnx::INPUT.into(),
            output: onnx::OUTPUT.into(),
            offset: fit.offset().into_iter().map(f64::from).collect(),
            targets,
        },
        reference: ReferenceRecord { population, output: means.output },
        gate: Some(gate),
        bands: request.bands.iter().filter(|band| first <= band.from && band.to <= last).cloned().collect(),
        training: TrainingRecord {
            data: provenance.data,
            data_sha256: provenance.data_sha256,
            measured: provenance.measured,
            samples: data.samples(),
            spectra: data.len(),
            group: request.split.group.clone().unwrap_or_else(|| "none: every row is a sample".into()),
            split: split_in_words(request),
            seed: request.seed,
            made_by: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).into(),
        },
        metrics: metrics(&data.truth, &held_out),
        files: BTreeMap::new(),
    };
    Ok(Trained { manifest, files, components: fit.components })
}

/// A cut through the network behind which all is linear.
struct Cut {
    name: &'static str,
    activation: &'static str,
    gradient: &'static str,
    linear: bool,
}

/// y depends on the spectrum through these two, and no other way.
const CUTS: [Cut; 2] = [
    Cut { name: "residual network", activation: onnx::NETWORK_ACTIVATION, gradient: "dYdA0", linear: false },
    Cut { name: "linear part (PLS)", activation: onnx::SKIP_ACTIVATION, gradient: "dYdA1", linear: true },
];

/// The exported graph with the gradients of both cuts.
fn attach(fit: &Fit) -> Result<Attached, GradientError> {
    let target = |cut: &Cut| Target { tensor: cut.activation, activation: cut.activation, gradient: cut.gradient };
    gradient::attach(&onnx::forward_graph(fit), onnx::OUTPUT, Seed::All, &CUTS.each_ref().map(target))
}

/// The records of both cuts, with their reference maps as files.
fn targets(attached: &Attached, maps: Vec<Vec<f32>>, files: &mut BTreeMap<String, Vec<u8>>) -> Vec<TargetRecord> {
    let records = CUTS.iter().zip(&attached.targets).zip(maps).enumerate();
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
                linear: cut.linear,
                reference,
                reference_sha256: String::new(),
            }
        })
        .collect()
}

/// What the difference map subtracts.
struct Means {
    /// Mean over the population of M\[o, i\] = Σ_k ∂y_o/∂A\[k, i\] · A\[k, i\], for each cut: `[outputs, cells]`.
    maps: Vec<Vec<f32>>,
    /// Mean y, one per output.
    output: Vec<f64>,
}

/// Runs the exported model, as inference will, on the spectra of the reference population.
fn reference(attached: &Attached, data: &Dataset<'_>, rows: &[usize]) -> Result<Means, NetworkError> {
    let shape = (data.channels(), data.features / data.channels());
    let names: Vec<(&str, &str)> = CUTS.iter().map(|cut| (cut.activation, cut.gradient)).collect();
    let network = Network::load(&attached.model, shape, onnx::OUTPUT, &names)?;
    let mut session = network.session()?;
    let zeros = |target: &AttachedTarget| vec![0.0; target.outputs * target.cells];
    let mut maps: Vec<Vec<f64>> = attached.targets.iter().map(zeros).collect();
    let mut output = vec![0.0; data.truth.outputs()];
    let share = 1.0 / rows.len() as f64;
    for &row in rows {
        let values = network.run(&mut session, data.prepared(row))?;
        for (mean, &value) in output.iter_mut().zip(values.y()?) {
            *mean += share * f64::from(value);
        }
        for ((target, mean), layer) in attached.targets.iter().zip(&mut maps).zip(values.layers()?) {
            let by_output = layer.gradient.chunks_exact(target.maps * target.cells);
            for (mean, gradient) in mean.chunks_exact_mut(target.cells).zip(by_output) {
                let by_map = gradient.chunks_exact(target.cells).zip(layer.activation.chunks_exact(target.cells));
                for (gradient, activation) in by_map {
                    for ((mean, g), a) in mean.iter_mut().zip(gradient).zip(activation) {
                        *mean += share * f64::from(g * a);
                    }
                }
            }
        }
    }
    let maps = maps.into_iter().map(|map| map.into_iter().map(|value| value as f32).collect()).collect();
    Ok(Means { maps, output })
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

fn metrics(truth: &Truth, held_out: &[OutOfFold]) -> MetricsRecord {
    match truth {
        Truth::Values(values) => {
            let pairs = |predicted: fn(&OutOfFold) -> &[f32]| -> Vec<(f64, f64)> {
                held_out.iter().map(|row| (values[row.spectrum], f64::from(predicted(row)[0]))).collect()
            };
            let figures = RegressionFigures::new(&pairs(|row| &row.prediction));
            MetricsRecord {
                rmsecv: Some(figures.rmse),
                rmsecv_pls: Some(RegressionFigures::new(&pairs(|row| &row.pls)).rmse),
                r2: Some(figures.r2),
                bias: Some(figures.bias),
                slope: Some(figures.slope),
                ..MetricsRecord::default()
            }
        }
        Truth::Classes { indices, .. } => {
            let accuracy = |predicted: fn(&OutOfFold) -> &[f32]| {
                let right = held_out.iter().filter(|row| best(predicted(row)) == indices[row.spectrum]).count();
                right as f64 / held_out.len() as f64
            };
            MetricsRecord {
                accuracy: Some(accuracy(|row| &row.prediction)),
                accuracy_pls: Some(accuracy(|row| &row.pls)),
                ..MetricsRecord::default()
            }
        }
    }
}

/// `id,group,repeat,fold,truth,prediction,pls`; for classes the labels, then one column of scores a label.
fn folds_table(recording: &Recording, data: &Dataset<'_>, groups: &[String], held_out: &[OutOfFold]) -> Vec<u8> {
    let mut table = csv::Writer::from_writer(Vec::new());
    let mut header: Vec<String> =
        ["id", "group", "repeat", "fold", "truth", "prediction", "pls"].map(ToOwned::to_owned).to_vec();
    if let Truth::Classes { labels, .. } = &data.truth {
        header.extend(labels.iter().map(|label| format!("score {label}")));
    }
    let in_memory = "writing to memory does not fail";
    table.write_record(&header).expect(in_memory);
    for row in held_out {
        let mut record = vec![
            recording.spectra[row.spectrum].id.clone(),
            groups[data.groups[row.spectrum]].clone(),
            row.repeat.to_string(),
            row.fold.to_string(),
        ];
        match &data.truth {
            Truth::Values(values) => {
                record.extend([values[row.spectrum].to_string(), row.prediction[0].to_string(), row.pls[0].to_string()])
            }
            Truth::Classes { labels, indices } => {
                let named = [indices[row.spectrum], best(&row.prediction), best(&row.pls)];
                record.extend(named.map(|class| labels[class].clone()));
                record.extend(row.prediction.iter().map(ToString::to_string));
            }
        }
        table.write_record(&record).expect(in_memory);
    }
    table.into_inner().expect(in_memory)
}

fn split_in_words(request: &Request) -> String {
    let split = &request.split;
    let by = split.group.as_ref().map_or("row".to_owned(), |column| format!("column '{column}'"));
    let repeats = if split.repeats == 1 { "1 repeat".to_owned() } else { format!("{} repeats", split.repeats) };
    format!("{} folds by {by}, {repeats}", split.folds)
}
