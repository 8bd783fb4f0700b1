//! The control that an explanation must not survive: the same network with its last weights in another order.

use onnx_gradient::onnx::ModelProto;
use onnx_gradient::proto;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use crate::train::Fitted;

/// The graph with the weights of every layer behind the cuts in another order, the same for each output. Weights that are one stay
/// together: a head over means still sees means.
pub(super) fn shuffled(fitted: &Fitted, random: &mut ChaCha8Rng) -> ModelProto {
    let mut model = fitted.graph.clone();
    let constants = model.graph.as_option_mut().into_iter().flat_map(|graph| &mut graph.initializer);
    for constant in constants {
        let Some(&(_, tied)) = fitted.heads.iter().find(|(name, _)| *name == constant.name) else { continue };
        let values: Vec<f32> = constant.raw_data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let features = values.len() / fitted.offset.len();
        let mut order: Vec<usize> = (0..features / tied).collect();
        order.shuffle(random);
        let row =
            |row: &[f32]| order.iter().flat_map(|&place| row[place * tied..][..tied].to_vec()).collect::<Vec<_>>();
        let permuted: Vec<f32> = values.chunks_exact(features).flat_map(row).collect();
        *constant = proto::floats(&constant.name, &[fitted.offset.len(), features], &permuted);
    }
    model
}
