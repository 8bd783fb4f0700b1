//! A fitted model as a bundle's network: the graph with its gradients, and the record of the layers that are explained.

use onnx_gradient::geometry::{Reach, reaches};
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{self as gradient, Graph, Seed, Target, proto};
use ramand_model::Network;
use ramand_model::manifest::{CompletenessRecord, NetworkRecord, ReferenceMap, TargetRecord};

use super::candidate::Family;
use super::contents::{DescribedLayer, Files, NETWORK_FILE};
use super::dataset::Dataset;
use super::error::TrainError;
use super::estimator::{Estimator, KernelEstimator};
use super::kernel_graph::{KERNEL_ACTIVATION, KERNEL_GRADIENT, kernel_graph};
use super::onnx;
use super::reference::{Subtracted, mean, subtracted};

/// What difference maps compare with.
pub(super) struct Population<'a> {
    /// Preprocessed, at least one.
    pub(super) spectra: &'a [&'a [f32]],
    pub(super) map: ReferenceMap,
}

/// A layer through which the output depends on the spectrum: behind all of them it is linear, or the gradient is the mean along
/// the line from the reference.
pub(super) struct NetworkCut {
    name: &'static str,
    pub(super) activation: &'static str,
    gradient: &'static str,
    linear: bool,
    integrated: bool,
}

const NETWORK: NetworkCut = NetworkCut {
    name: "residual network",
    activation: onnx::NETWORK_ACTIVATION,
    gradient: "dYdA0",
    linear: false,
    integrated: false,
};
const PLS: NetworkCut = NetworkCut {
    name: "linear part (PLS)",
    activation: onnx::SKIP_ACTIVATION,
    gradient: "dYdA1",
    linear: true,
    integrated: false,
};
const KERNEL: NetworkCut = NetworkCut {
    name: "kernel ridge",
    activation: KERNEL_ACTIVATION,
    gradient: KERNEL_GRADIENT,
    linear: false,
    integrated: true,
};

/// y depends on the spectrum through these, and no other way.
pub(super) fn cuts(family: Family) -> &'static [NetworkCut] {
    match family {
        Family::Pls => &[PLS],
        Family::KernelRidge => &[KERNEL],
        Family::PlsAndKernelRidge => &[KERNEL, PLS],
        Family::PlsAndNetwork => &[NETWORK, PLS],
        Family::Network => &[NETWORK],
    }
}

/// The network with its gradients and reference maps as files, its record, and the output that belongs to the reference maps.
///
/// # Errors
/// When the graph cannot be differentiated or run.
pub(super) fn described(
    estimator: &Estimator,
    data: &Dataset<'_>,
    population: &Population<'_>,
    files: &mut Files,
) -> Result<(NetworkRecord, Vec<f64>), TrainError> {
    let cuts = cuts(family(estimator));
    let (forward, base) = match estimator {
        Estimator::Network(fit) => (onnx::forward_graph(fit), None),
        Estimator::Kernel(kernel) => {
            let base = mean(population.spectra);
            (kernel_graph(kernel, &base, data.shape()), Some(base))
        }
    };
    let model = with_gradients(forward, cuts)?;
    let graph = Graph::new(&model)?;
    let looks = reaches(&graph, onnx::INPUT, 2)?;
    let mut layers = Vec::new();
    for cut in cuts {
        let shape = graph.shape(cut.activation)?;
        let reach: Reach = looks[cut.activation];
        layers.push((cut, shape[1], shape[2], reach));
    }
    let names: Vec<(&str, &str)> = cuts.iter().map(|cut| (cut.activation, cut.gradient)).collect();
    let network = Network::load(&model, data.shape(), onnx::OUTPUT, &names)?;
    let sizes: Vec<(usize, usize)> = layers.iter().map(|&(_, maps, cells, _)| (maps, cells)).collect();
    let Subtracted { maps, output } =
        subtracted(population.map, &network, &sizes, data.truth.outputs(), population.spectra)?;
    let offset = match estimator {
        Estimator::Network(fit) => fit.offset().into_iter().map(f64::from).collect(),
        Estimator::Kernel(kernel) => kernel_offset(kernel, &base.unwrap_or_default()),
    };
    files.insert(NETWORK_FILE.to_owned(), proto::encode(&model));
    let mut targets: Vec<TargetRecord> = Vec::new();
    for (index, ((cut, _, cells, reach), map)) in layers.into_iter().zip(maps).enumerate() {
        let layer = DescribedLayer {
            name: cut.name,
            activation: cut.activation,
            gradient: cut.gradient,
            cells,
            reach,
            whole_axis: false,
            linear: cut.linear,
            integrated: cut.integrated,
        };
        targets.push(layer.record(index, map, files));
    }
    let record = NetworkRecord {
        file: NETWORK_FILE.into(),
        sha256: String::new(),
        input: onnx::INPUT.into(),
        output: onnx::OUTPUT.into(),
        offset,
        completeness: CompletenessRecord::Exact,
        completeness_error: None,
        targets,
    };
    Ok((record, output))
}

fn family(estimator: &Estimator) -> Family {
    match estimator {
        Estimator::Network(fit) => fit.family,
        Estimator::Kernel(KernelEstimator { linear: None, .. }) => Family::KernelRidge,
        Estimator::Kernel(KernelEstimator { linear: Some(_), .. }) => Family::PlsAndKernelRidge,
    }
}

/// The graph with activation and gradient of every cut among its outputs. What the graph holds the gradient of already is only
/// named.
fn with_gradients(forward: ModelProto, cuts: &[NetworkCut]) -> Result<ModelProto, TrainError> {
    let asked = cuts.iter().filter(|cut| !cut.integrated);
    let targets: Vec<Target<'_>> = asked
        .map(|cut| Target { tensor: cut.activation, activation: cut.activation, gradient: cut.gradient })
        .collect();
    let mut model =
        if targets.is_empty() { forward } else { gradient::attach(&forward, onnx::OUTPUT, Seed::All, &targets)?.model };
    let graph = Graph::new(&model)?;
    let mut outputs = Vec::new();
    for name in cuts.iter().filter(|cut| cut.integrated).flat_map(|cut| [cut.activation, cut.gradient]) {
        outputs.push(proto::value(name, graph.shape(name)?));
    }
    if let Some(graph) = model.graph.as_option_mut() {
        graph.output.extend(outputs);
    }
    Ok(model)
}

/// What the maps leave out: y where both activations are zero, which is kernel ridge at the reference's mean spectrum and PLS at
/// the mean of the training spectra.
fn kernel_offset(estimator: &KernelEstimator, base: &[f32]) -> Vec<f64> {
    let KernelEstimator { kernel, share, linear } = estimator;
    let row = nalgebra::DMatrix::from_fn(1, base.len(), |_, point| f64::from(base[point]));
    let at_base = kernel.predict(&row);
    let rest = linear.as_ref().map(super::fit::Fit::offset);
    let both = |(output, value): (usize, &f64)| {
        share * value + rest.as_ref().map_or(0.0, |rest| (1.0 - share) * f64::from(rest[output]))
    };
    at_base.iter().enumerate().map(both).collect()
}
