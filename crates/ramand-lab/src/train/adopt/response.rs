//! What the cut network says of the reference spectra: its offset, its mean maps, and how far they are from adding up.

use std::collections::HashMap;

use onnx_gradient::{Graph, Tensor};
use ramand_core::cam::maps_by_cell;
use ramand_model::manifest::ReferenceMap;
use ramand_model::{Network, NetworkError};

use super::super::reference::{Subtracted, mean, subtracted};
use super::error::AdoptError;
use super::form::LayerCut;
use super::network::CutNetwork;

/// The network as inference runs it, on spectra of (channels, points).
pub(super) fn load(cut: &CutNetwork, shape: (usize, usize)) -> Result<Network, NetworkError> {
    let names: Vec<(&str, &str)> =
        cut.cuts.iter().map(|cut| (cut.activation.as_str(), cut.gradient.as_str())).collect();
    Network::load(&cut.formed.model, shape, &cut.formed.output, &names)
}

/// What the difference map subtracts, `spectra` being the reference population.
///
/// # Errors
/// When the network fails, or gives what is not a finite number.
pub(super) fn reference(
    map: ReferenceMap,
    network: &Network,
    cut: &CutNetwork,
    spectra: &[&[f32]],
) -> Result<Subtracted, AdoptError> {
    let sizes: Vec<(usize, usize)> = cut.cuts.iter().map(|cut| (cut.facts.maps, cut.facts.cells)).collect();
    let reference = subtracted(map, network, &sizes, cut.outputs, spectra)?;
    let finite = reference.maps.iter().flatten().all(|value| value.is_finite());
    if !finite || !reference.output.iter().all(|value| value.is_finite()) {
        return Err(AdoptError::NotFinite { what: "the reference spectra".into() });
    }
    Ok(reference)
}

/// b: the output where every cut is zero; what still comes past the cuts is that of the mean reference spectrum.
///
/// # Errors
/// When the graph cannot be evaluated, or gives what is not a finite number.
pub(super) fn offset(graph: &Graph, cut: &CutNetwork, spectra: &[&[f32]]) -> Result<Vec<f64>, AdoptError> {
    let (input, output) = (&cut.formed.input, &cut.formed.output);
    let spectrum = Tensor::new(graph.shape(input)?.to_vec(), mean(spectra).into_iter().map(f64::from).collect());
    let mut given = HashMap::from([(input.clone(), spectrum)]);
    for cut in &cut.cuts {
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
pub(super) fn worst_completeness(
    network: &Network,
    cuts: &[LayerCut],
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
