//! A gradient that is a mean along a line, against central differences on that line.

use onnx_gradient::{GradientError, Tensor};

use super::subject::{VerifiedGraph, VerifiedLayer};

/// Step of the central difference in f64.
const STEP: f64 = 1e-5;
/// Elements that are moved: each costs two runs of the graph at every place of the line.
const PROBED_MAX: usize = 24;
/// Parts of the line, an even number (Simpson's rule).
const PARTS: usize = 128;

/// The largest difference of the layer's gradient, relative to the largest of it, from the mean of ∂y/∂A over the straight line from
/// A = 0 to A of a random spectrum, every other layer held fixed; and how many elements were compared.
pub(super) fn error(subject: &VerifiedGraph, cut: &VerifiedLayer) -> Result<(f64, usize), GradientError> {
    let mut given = subject.random(0)?;
    let tensors: Vec<&str> = subject.cuts.iter().map(|cut| cut.tensor.as_str()).collect();
    given.extend(subject.graph.evaluate(&given, &tensors)?);
    let said = subject.value(&given, cut.holds.name())?;
    let outputs = subject.outputs()?;
    let end = subject.value(&given, &cut.tensor)?;
    let size = cut.places.len();
    let (mut worst, mut largest, mut probed) = (0.0_f64, f64::MIN_POSITIVE, 0);
    for place in (0..size).step_by(size.div_ceil(PROBED_MAX)) {
        let moved = cut.places[place];
        let mut mean = vec![0.0; outputs];
        for part in 0..=PARTS {
            let weight = match part {
                0 | PARTS => 1.0,
                _ if part % 2 == 1 => 4.0,
                _ => 2.0,
            } / (3.0 * PARTS as f64);
            let along: Vec<f64> = end.data().iter().map(|value| value * part as f64 / PARTS as f64).collect();
            let mut y_at = |step: f64| {
                let mut values = along.clone();
                values[moved] += step;
                given.insert(cut.tensor.clone(), Tensor::new(end.shape().to_vec(), values));
                subject.value(&given, &subject.output)
            };
            let (above, below) = (y_at(STEP)?, y_at(-STEP)?);
            for (mean, (above, below)) in mean.iter_mut().zip(above.data().iter().zip(below.data())) {
                *mean += weight * (above - below) / (2.0 * STEP);
            }
        }
        for (output, mean) in mean.into_iter().enumerate() {
            largest = largest.max(mean.abs());
            worst = worst.max((said.data()[output * size + place] - mean).abs());
        }
        probed += 1;
    }
    Ok((worst / largest, probed))
}
