//! Adopting: a deployable bundle of a network that was trained elsewhere.
//!
//! The network gets its gradient and a bundle's form; reference spectra, prepared by the bundle's pipeline, give the
//! reference maps and the gate. How well the network predicts is not evaluated here, and the bundle says so.

mod calibrate;
mod error;
mod form;
#[cfg(test)]
mod tests;

pub use calibrate::{Calibrating, calibrate};
pub use error::AdoptError;

use std::collections::{BTreeMap, HashMap};

use onnx_gradient::geometry::reaches;
use onnx_gradient::{
    ACTIVATION, Explained, GRADIENT, GradientError, Graph, Positions, Tensor, auto_layer, find_layer, fix_shape,
    has_global_receptive_field, layers, proto, score_of,
};
use ramand_core::cam::maps_by_cell;
use ramand_core::npy::Table;
use ramand_core::preprocess::Pipeline;
use ramand_model::manifest::{
    AdoptedRecord, AxisRecord, BandRecord, CompletenessRecord, FORMAT, GateRecord, Manifest, MetricsRecord,
    NetworkRecord, OutputRecord, ReferenceRecord, TargetRecord, Task, TrainingRecord,
};
use ramand_model::{Network, NetworkError, records};
use ramand_recording::Recording;
use sha2::{Digest, Sha256};

use self::form::{Cut, Formed, Head, close, cut, cut_attached, form, is_attached, prune};
use super::bundle::{NETWORK_FILE, Trained};
use super::crossvalidate::{Purpose, random};
use super::dataset::{Dataset, Truth};
use super::error::TrainError;
use super::gate::GateFit;
use super::reference::means;
use super::request::{Provenance, Reference, filled};

/// Fewer samples than two for each of the gate's ten folds leave no quantile of held-out ones to set limits by.
const GATE_SAMPLES_MIN: usize = 20;
/// What the manifest says instead of figures.
const NOT_EVALUATED: &str = "not evaluated here";

/// What is to be made of a network.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// The bundle's name.
    pub name: String,
    /// The bundle's version.
    pub version: String,
    /// The network's file name.
    pub file: String,
    /// A size for the input of a file that leaves more open than batch and length.
    pub shape: Option<Vec<usize>>,
    /// The output that is explained, by name or index; the first where none is named.
    pub output: Option<String>,
    /// The layer that is explained; the last residual stage or convolution where none is named.
    pub layer: Option<String>,
    /// Quantity or kinds.
    pub task: Task,
    /// Of a quantity.
    pub unit: String,
    /// Of kinds, in the order of the network's outputs; of one sigmoid, no and yes.
    pub labels: Vec<String>,
    /// From raw spectrum to network input.
    pub pipeline: Pipeline,
    /// Named stretches of the axis; those that reach beyond the model's axis are left out.
    pub bands: Vec<BandRecord>,
    /// Whose mean the difference map subtracts.
    pub reference: Reference,
    /// Column of the reference spectra that tells independent samples apart; without one, every row is a sample.
    pub group: Option<String>,
    /// What to write about data and model.
    pub provenance: Provenance,
}

/// Makes a bundle of the ONNX file `bytes` with the spectra of `recording` as reference.
///
/// # Errors
/// When the network cannot be differentiated or does not fit axis, task and labels, or a row of the recording cannot be
/// prepared.
pub fn adopt(bytes: &[u8], recording: &Recording, adoption: &Adoption) -> Result<Trained, AdoptError> {
    let (channels, points) = (adoption.pipeline.channels(), adoption.pipeline.axis().len());
    let mut model = proto::decode(bytes)?;
    match &adoption.shape {
        Some(shape) => fix_shape(&mut model, None, shape)?,
        None => close(&mut model, points)?,
    }
    let graph = Graph::new(&model)?;
    let explained = explained(&graph, adoption.output.as_deref())?;
    let head = head(&graph, &explained, adoption)?;
    let attached = is_attached(&graph)?;
    match attached {
        true => prune(&mut model, &graph, &[&explained.value, ACTIVATION, GRADIENT])?,
        false => prune(&mut model, &graph, &[&explained.value])?,
    }
    let graph = Graph::new(&model)?;
    graph.understood()?;
    let (layer, chosen) = match (&adoption.layer, attached) {
        (Some(_), true) => return Err(AdoptError::LayerGiven),
        (None, true) => (None, "the file's own"),
        (Some(name), false) => (Some(find_layer(&graph, name)?), "chosen by its name"),
        (None, false) => {
            let (layer, reason) = placed_layer(&graph, &explained.value)?;
            (Some(layer), reason)
        }
    };
    let producer = [model.producer_name.as_str(), model.producer_version.as_str()].join(" ").trim().to_owned();
    let mut formed = form(model, &graph, &explained.value, head, (channels, points))?;
    let outputs = Graph::new(&formed.model)?.shape(&formed.output)?.iter().product();
    let (cuts, bypassed) = match &layer {
        None => cut_attached(&mut formed, outputs)?,
        Some(layer) => cut_complete(&mut formed, outputs, layer)?,
    };
    let exact = !bypassed && cuts.iter().all(|cut| cut.facts.constant.is_some());

    let (rows, population) = adoption.reference.rows(recording)?;
    let groups = groups(recording, adoption.group.as_deref())?;
    let truth = Truth::Values(vec![0.0; recording.spectra.len()]);
    let data = Dataset::prepare(recording, &adoption.pipeline, truth, groups)?;
    let spectra: Vec<&[f32]> = rows.iter().map(|&row| data.prepared(row)).collect();

    let names: Vec<(&str, &str)> = cuts.iter().map(|cut| (cut.activation.as_str(), cut.gradient.as_str())).collect();
    let network = Network::load(&formed.model, (channels, points), &formed.output, &names)?;
    let sizes: Vec<(usize, usize)> = cuts.iter().map(|cut| (cut.facts.maps, cut.facts.cells)).collect();
    let means = means(&network, &sizes, outputs, &spectra)?;
    let finite = means.maps.iter().flatten().all(|value| value.is_finite());
    if !finite || !means.output.iter().all(|value| value.is_finite()) {
        return Err(AdoptError::NotFinite { what: "the reference spectra".into() });
    }
    let grown = Graph::new(&formed.model)?;
    let offset = offset(&grown, &formed.input, &formed.output, &cuts, &mean(&spectra))?;
    let error = worst_completeness(&network, &cuts, &offset, &spectra)?;

    let mut files = BTreeMap::from([(NETWORK_FILE.to_owned(), proto::encode(&formed.model))]);
    let looks = reaches(&grown, &formed.input, 2)?;
    let mut targets = Vec::new();
    for (index, (cut, map)) in cuts.iter().zip(means.maps).enumerate() {
        let reach = cut.facts.reach.ok_or_else(|| AdoptError::NoPlace { layer: cut.tensor.clone() })?;
        let linear = cut.tensor == formed.input;
        let reference = format!("reference-{index}.npy");
        files.insert(reference.clone(), Table::new(cut.facts.cells, map).to_bytes());
        targets.push(TargetRecord {
            name: if linear { "linear part".into() } else { "network".into() },
            activation: cut.activation.clone(),
            gradient: cut.gradient.clone(),
            first_cell: reach.first_cell(),
            stride: reach.stride() as f64,
            receptive_field: reach.receptive_field(),
            whole_axis: has_global_receptive_field(&grown, &formed.input, &cut.tensor, &looks),
            linear,
            reference,
            reference_sha256: String::new(),
        });
    }
    let (gate, gate_words) = gate(&data, &mut files);
    let axis = adoption.pipeline.axis();
    let (first, last) = (axis.first().per_cm(), axis.last().per_cm());
    let (pipeline, channel_records) = records(&adoption.pipeline);
    let provenance = adoption.provenance.clone();
    let layer_words = format!("{}, {chosen}", cuts.first().map_or("", |cut| cut.tensor.as_str()));
    let manifest = Manifest {
        format: FORMAT,
        name: adoption.name.clone(),
        version: adoption.version.clone(),
        task: adoption.task,
        claim: provenance.claim,
        licence: provenance.licence,
        laser_nm: provenance.laser_nm,
        card: provenance.card,
        output: match adoption.task {
            Task::Regression => OutputRecord { unit: Some(adoption.unit.clone()), labels: None, temperature: None },
            // Probabilities are those the network was trained to give: softmax of its scores.
            Task::Classification => {
                OutputRecord { unit: None, labels: Some(adoption.labels.clone()), temperature: Some(1.0) }
            }
        },
        axis: AxisRecord { first, last, points },
        pipeline,
        channels: channel_records,
        network: NetworkRecord {
            file: NETWORK_FILE.into(),
            sha256: String::new(),
            input: formed.input,
            output: formed.output,
            offset,
            completeness: if exact { CompletenessRecord::Exact } else { CompletenessRecord::Reported },
            completeness_error: (!exact).then_some(error),
            targets,
        },
        reference: ReferenceRecord {
            population: match population {
                None => "all reference spectra".into(),
                Some(label) => format!("reference spectra with {label}"),
            },
            output: means.output,
        },
        gate,
        conformal: None,
        bands: adoption.bands.iter().filter(|band| first <= band.from && band.to <= last).cloned().collect(),
        training: TrainingRecord {
            data: format!("of the network: not known here; of gate and reference maps: {}", provenance.data),
            data_sha256: provenance.data_sha256,
            measured: provenance.measured,
            samples: data.samples(),
            spectra: data.len(),
            group: adoption.group.clone().unwrap_or_else(|| "none: every row is a sample".into()),
            split: NOT_EVALUATED.into(),
            seed: SEED,
            networks: None,
            components: None,
            made_by: crate::MADE_BY.into(),
            candidates: Vec::new(),
        },
        adopted: Some(AdoptedRecord {
            file: adoption.file.clone(),
            sha256: Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
            producer,
            explained: match explained.before {
                Some(op) => format!("{}, before the {op} of {}", explained.value, explained.output),
                None => explained.value,
            },
            layer: layer_words,
            evaluation: NOT_EVALUATED.into(),
            gate: gate_words,
        }),
        metrics: MetricsRecord::default(),
        files: BTreeMap::new(),
    };
    Ok(Trained { manifest, files })
}

/// The gate's folds follow from this number; nothing else is left to chance.
const SEED: u64 = 1;

/// The scores of the output `wanted`: a bundle explains the logit, also where the output is named.
fn explained(graph: &Graph, wanted: Option<&str>) -> Result<Explained, GradientError> {
    let named = onnx_gradient::explained(graph, wanted)?;
    Ok(score_of(graph, &named.output))
}

/// The layer that `auto` chooses, or where its cells have lost their place, the last whose cells have not; and why.
fn placed_layer(graph: &Graph, score: &str) -> Result<(String, &'static str), GradientError> {
    let auto = auto_layer(graph, score)?;
    let Some(input) = graph.inputs().first() else { return Ok((auto.value, auto.role.in_words())) };
    let last = graph.shape(input)?.len().saturating_sub(1);
    let axis = Positions::of(graph, input).map_or(last, |positions| positions.cell_axis);
    let looks = reaches(graph, input, axis)?;
    let placed = |value: &str| {
        let cells = Positions::of(graph, value).map(|positions| positions.cell_axis);
        looks.get(value).is_some_and(|reach| cells == Ok(reach.axis))
    };
    if placed(&auto.value) {
        return Ok((auto.value, auto.role.in_words()));
    }
    let earlier = layers(graph, score).into_iter().rfind(|layer| placed(&layer.value));
    Ok(match earlier {
        Some(layer) => (layer.value, "being the last layer whose cells keep their place on the spectrum"),
        None => (auto.value, auto.role.in_words()),
    })
}

/// How the scores become a bundle's outputs, after task, labels and outputs were found to agree.
fn head(graph: &Graph, explained: &Explained, adoption: &Adoption) -> Result<Head, AdoptError> {
    let outputs: usize = graph.shape(&explained.value)?.iter().product();
    let (value, output) = (explained.value.clone(), explained.output.clone());
    match (adoption.task, explained.before.as_deref()) {
        (Task::Regression, Some(op)) => Err(AdoptError::Probability { output, op: op.to_owned() }),
        (Task::Regression, None) if outputs != 1 => Err(AdoptError::Quantities { outputs, explained: value }),
        (Task::Regression, None) => Ok(Head::Plain),
        (Task::Classification, Some("Sigmoid")) if outputs > 1 => Err(AdoptError::Sigmoids { output, outputs }),
        (Task::Classification, _) if outputs == 1 && adoption.labels.len() == 2 => Ok(Head::Binary),
        (Task::Classification, _) if outputs != adoption.labels.len() => {
            Err(AdoptError::Labels { labels: adoption.labels.len(), outputs, explained: value })
        }
        (Task::Classification, _) => Ok(Head::Plain),
    }
}

/// Cuts the network at `layer`. Where part of the output goes past it in a straight line from the input, that part is a
/// second target, and nothing is missing.
fn cut_complete(formed: &mut Formed, outputs: usize, layer: &str) -> Result<(Vec<Cut>, bool), AdoptError> {
    let mut alone = formed.clone();
    let (cuts, bypassed) = cut(&mut alone, outputs, &[layer.to_owned()])?;
    if bypassed {
        let mut both = formed.clone();
        let layers = [layer.to_owned(), formed.input.clone()];
        // What cannot be cut at the input as well is left with what is missing.
        if let Ok((cuts, false)) = cut(&mut both, outputs, &layers)
            && cuts.iter().all(|cut| cut.facts.constant.is_some())
        {
            *formed = both;
            return Ok((cuts, false));
        }
    }
    *formed = alone;
    Ok((cuts, bypassed))
}

/// Which sample each row belongs to, from 0 in the order of appearance.
fn groups(recording: &Recording, column: Option<&str>) -> Result<Vec<usize>, TrainError> {
    let Some(column) = column else { return Ok((0..recording.spectra.len()).collect()) };
    let mut places = HashMap::new();
    let texts = filled(recording, column)?;
    Ok(texts
        .into_iter()
        .map(|text| {
            let next = places.len();
            *places.entry(text).or_insert(next)
        })
        .collect())
}

/// The gate, and what it was made of or why there is none.
fn gate(data: &Dataset<'_>, files: &mut BTreeMap<String, Vec<u8>>) -> (Option<GateRecord>, String) {
    let (spectra, samples) = (data.len(), data.samples());
    if samples < GATE_SAMPLES_MIN {
        let words = format!("none: {samples} independent reference samples, at least {GATE_SAMPLES_MIN} are needed");
        return (None, words);
    }
    let Some(fit) = GateFit::new(data, &mut random(SEED, Purpose::Gate)) else {
        return (None, "none: the prepared reference spectra do not differ from each other".into());
    };
    let record = fit.record(data.features, samples, files);
    (Some(record), format!("from {spectra} reference spectra of {samples} samples"))
}

/// b: the output where every cut is zero; what still comes past the cuts is that of the mean reference spectrum.
fn offset(graph: &Graph, input: &str, output: &str, cuts: &[Cut], mean: &[f64]) -> Result<Vec<f64>, AdoptError> {
    let spectrum = Tensor::new(graph.shape(input)?.to_vec(), mean.to_vec());
    let mut given = HashMap::from([(input.to_owned(), spectrum)]);
    for cut in cuts {
        given.insert(cut.tensor.clone(), Tensor::zeros(graph.shape(&cut.tensor)?.to_vec()));
    }
    let offset = graph.evaluate(&given, &[output])?.remove(output).map(|value| value.data().to_vec());
    let offset = offset.unwrap_or_default();
    match offset.iter().all(|value| value.is_finite()) {
        true => Ok(offset),
        false => Err(AdoptError::NotFinite { what: "a layer of zeros".into() }),
    }
}

/// The largest completeness error among the reference spectra and outputs.
fn worst_completeness(
    network: &Network,
    cuts: &[Cut],
    offset: &[f64],
    spectra: &[&[f32]],
) -> Result<f64, NetworkError> {
    let mut session = network.session()?;
    let mut worst = 0.0_f64;
    for spectrum in spectra {
        let values = network.run(&mut session, spectrum)?;
        let mut sums = vec![0.0; offset.len()];
        for (cut, layer) in cuts.iter().zip(values.layers()?) {
            let map = maps_by_cell(&layer, cut.facts.cells, offset.len());
            for (sum, row) in sums.iter_mut().zip(map.chunks(cut.facts.cells)) {
                *sum += row.iter().map(|&value| f64::from(value)).sum::<f64>();
            }
        }
        for ((sum, y), b) in sums.iter().zip(values.y()?).zip(offset) {
            let expected = f64::from(*y) - b;
            worst = worst.max((sum - expected).abs() / expected.abs().max(1.0));
        }
    }
    Ok(worst)
}

fn mean(spectra: &[&[f32]]) -> Vec<f64> {
    let mut mean = vec![0.0; spectra.first().map_or(0, |spectrum| spectrum.len())];
    for spectrum in spectra {
        for (mean, &value) in mean.iter_mut().zip(*spectrum) {
            *mean += f64::from(value) / spectra.len() as f64;
        }
    }
    mean
}
