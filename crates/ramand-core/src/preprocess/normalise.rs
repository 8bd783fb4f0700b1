//! One scale for spectra of different brightness.

use super::PreprocessError;
use super::step::Normalise;

/// Below this fraction of the largest value that came in, what is left is rounding: the resolution of f32 counts.
pub(super) const FLATNESS: f64 = 1e-7;

/// Scales `values` in place; `largest` is the largest absolute value these values were computed from.
///
/// # Errors
/// When no structure is left to scale: the divisor is below [`FLATNESS`] times `largest`.
pub(super) fn normalise(values: &mut [f64], method: Normalise, largest: f64) -> Result<(), PreprocessError> {
    let points = values.len() as f64;
    let (offset, divisor) = match method {
        Normalise::Snv => {
            let mean = values.iter().sum::<f64>() / points;
            let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
            (mean, (squares / (points - 1.0)).sqrt())
        }
        Normalise::Area => (0.0, values.iter().map(|value| value.abs()).sum::<f64>() / points),
        Normalise::Max => (0.0, largest_absolute(values)),
    };
    if divisor.is_nan() || divisor <= FLATNESS * largest {
        return Err(PreprocessError::Flat { step: "normalise" });
    }
    let scale = 1.0 / divisor;
    values.iter_mut().for_each(|value| *value = (*value - offset) * scale);
    Ok(())
}

/// The largest absolute value.
pub(super) fn largest_absolute(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}
