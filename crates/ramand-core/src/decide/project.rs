//! The projection of a spectrum on a row of weights.

/// Accumulators side by side, so that a sum does not wait for its own last addition.
const LANES: usize = 8;

/// The scalar product, in f64.
pub(super) fn project(centred: &[f64], loading: &[f32]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (blocks, weights) = (centred.chunks_exact(LANES), loading.chunks_exact(LANES));
    let ends = blocks.remainder().iter().zip(weights.remainder());
    let end: f64 = ends.map(|(value, &weight)| value * f64::from(weight)).sum();
    for (block, weights) in blocks.zip(weights) {
        for ((lane, value), &weight) in lanes.iter_mut().zip(block).zip(weights) {
            *lane += value * f64::from(weight);
        }
    }
    lanes.iter().sum::<f64>() + end
}
