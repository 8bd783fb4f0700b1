//! From the file of a network to the files of a bundle.

use onnx_gradient::geometry::reaches;
use onnx_gradient::{Graph, has_global_receptive_field, proto};
use ramand_core::hex::hex;
use ramand_model::manifest::{
    AdoptedRecord, CompletenessRecord, GateRecord, Manifest, NetworkRecord, ReferenceRecord, TargetRecord,
    TrainingRecord,
};
use ramand_recording::Recording;
use sha2::{Digest, Sha256};

use super::super::bundle::Trained;
use super::super::contents::{Contents, DescribedLayer, Files, NETWORK_FILE, training};
use super::super::crossvalidate::{Purpose, random};
use super::super::dataset::{Dataset, Truth};
use super::super::error::TrainError;
use super::super::gate::GateFit;
use super::adoption::{Adoption, SEED};
use super::error::AdoptError;
use super::form::LayerCut;
use super::network::CutNetwork;
use super::response;

/// Fewer samples than two for each of the gate's ten folds leave no quantile of held-out ones to set limits by.
const GATE_SAMPLES_MIN: usize = 20;
/// What the manifest says instead of figures.
const NOT_EVALUATED: &str = "not evaluated here";

/// Makes a bundle of the ONNX file `bytes` with the spectra of `recording` as reference.
///
/// # Errors
/// When the network cannot be differentiated or does not fit axis, task and labels, or a row of the recording cannot be
/// preprocessed.
pub fn adopt(bytes: &[u8], recording: &Recording, adoption: &Adoption) -> Result<Trained, AdoptError> {
    let cut = CutNetwork::of(bytes, adoption)?;

    let (rows, labelled) = adoption.reference.rows(recording)?;
    let data = unlabelled(recording, adoption)?;
    let spectra: Vec<&[f32]> = rows.iter().map(|&row| data.preprocessed(row)).collect();
    let network = response::load(&cut, data.shape())?;
    let reference = response::reference(adoption.reference_map, &network, &cut, &spectra)?;
    let graph = Graph::new(&cut.formed.model)?;
    let offset = response::offset(&graph, &cut, &spectra)?;
    let error = response::worst_completeness(&network, &cut.cuts, &offset, &spectra)?;

    let mut files = Files::from([(NETWORK_FILE.to_owned(), proto::encode(&cut.formed.model))]);
    let targets = targets(&graph, &cut, reference.maps, &mut files)?;
    let (gate, gate_words) = gate(&data, &mut files);
    let of_both = format!("of the network: not known here; of gate and reference maps: {}", adoption.provenance.data);
    let contents = Contents {
        name: &adoption.name,
        version: &adoption.version,
        task: adoption.task,
        provenance: &adoption.provenance,
        output: adoption.output(),
        pipeline: &adoption.pipeline,
        network: NetworkRecord {
            file: NETWORK_FILE.into(),
            sha256: String::new(),
            input: cut.formed.input,
            output: cut.formed.output,
            offset,
            completeness: cut.completeness,
            completeness_error: (cut.completeness == CompletenessRecord::Reported).then_some(error),
            targets,
        },
        reference: ReferenceRecord {
            population: population(labelled),
            map: adoption.reference_map,
            output: reference.output,
        },
        gate,
        bands: &adoption.bands,
        training: TrainingRecord {
            data: of_both,
            split: NOT_EVALUATED.into(),
            seed: SEED,
            ..training(&data, &adoption.provenance, adoption.group.as_deref())
        },
    };
    let adopted = AdoptedRecord {
        file: adoption.file.clone(),
        sha256: hex(&Sha256::digest(bytes)),
        producer: cut.producer,
        explained: cut.explained,
        layer: cut.layer,
        evaluation: NOT_EVALUATED.into(),
        gate: gate_words,
    };
    Ok(Trained { manifest: Manifest { adopted: Some(adopted), ..contents.manifest() }, files })
}

/// The reference spectra: nothing is said of what they are.
fn unlabelled<'a>(recording: &'a Recording, adoption: &'a Adoption) -> Result<Dataset<'a>, TrainError> {
    let samples = adoption.samples(recording)?;
    let truth = Truth::Values(vec![0.0; recording.spectra.len()]);
    Dataset::preprocess(recording, &adoption.pipeline, truth, samples)
}

fn population(labelled: Option<String>) -> String {
    match labelled {
        None => "all reference spectra".into(),
        Some(label) => format!("reference spectra with {label}"),
    }
}

/// The records of the cuts, with their reference maps as files.
fn targets(
    graph: &Graph,
    cut: &CutNetwork,
    maps: Vec<Vec<f32>>,
    files: &mut Files,
) -> Result<Vec<TargetRecord>, AdoptError> {
    let input = &cut.formed.input;
    let looks = reaches(graph, input, 2)?;
    let record = |(index, (cut, map)): (usize, (&LayerCut, Vec<f32>))| {
        let linear = cut.tensor == *input;
        let layer = DescribedLayer {
            name: if linear { "linear part" } else { "network" },
            activation: &cut.activation,
            gradient: &cut.gradient,
            cells: cut.facts.cells,
            reach: cut.facts.reach.ok_or_else(|| AdoptError::NoPlace { layer: cut.tensor.clone() })?,
            whole_axis: has_global_receptive_field(graph, input, &cut.tensor, &looks),
            linear,
            integrated: false,
        };
        Ok(layer.record(index, map, files))
    };
    cut.cuts.iter().zip(maps).enumerate().map(record).collect()
}

/// The gate, and what it was made of or why there is none.
fn gate(data: &Dataset<'_>, files: &mut Files) -> (Option<GateRecord>, String) {
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
