//! Disturbances a line adds to a spectrum, drawn afresh for every training step: tilt, curvature, noise, shift.
//!
//! They act on resampled spectra before the normalisation, as they do in the instrument, and are measured in units of the
//! mean standard deviation of a training spectrum along the axis.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// How strong the disturbances are; all normally distributed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Augmentation {
    /// Standard deviation of the slope: the disturbance at the ends of the axis.
    pub(super) slope: f64,
    /// Standard deviation of the curvature, which multiplies t² − 1/3 with t from −1 to 1.
    pub(super) curvature: f64,
    /// Standard deviation of the noise at a point.
    pub(super) noise: f64,
    /// Standard deviation of the shift along the axis, in points.
    pub(super) shift_points: f64,
}

/// Disturbances of that strength, in that unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disturbance<'a> {
    pub(super) strength: &'a Augmentation,
    /// Mean standard deviation of a training spectrum along the axis.
    pub(super) unit: f64,
}

impl Augmentation {
    /// For a quantity: strong enough to carry a small calibration set over to another day.
    pub(super) fn regression(step_per_cm: f64) -> Self {
        Self { slope: 0.05, curvature: 0.03, noise: 0.01, shift_points: shift_points(step_per_cm) }
    }

    /// For classes, which may differ by less than a quantity's range does.
    pub(super) fn classification(step_per_cm: f64) -> Self {
        Self { slope: 0.01, curvature: 0.01, noise: 0.0005, shift_points: shift_points(step_per_cm) }
    }
}

impl Disturbance<'_> {
    /// Disturbs one spectrum.
    ///
    /// The shift is Taylor's first order, x(i + δ) ≈ x(i) + δ · x′(i), with central differences: δ is a fraction of a
    /// point.
    pub(super) fn apply(&self, spectrum: &[f64], random: &mut impl Rng, disturbed: &mut Vec<f64>) {
        let Self { strength, unit } = *self;
        let mut normal = || -> f64 { StandardNormal.sample(random) };
        let slope = unit * strength.slope * normal();
        let curvature = unit * strength.curvature * normal();
        let shift = strength.shift_points * normal();
        let last = spectrum.len() - 1;
        disturbed.clear();
        disturbed.extend((0..=last).map(|i| {
            let t = 2.0 * i as f64 / last as f64 - 1.0;
            let (before, after) = (i.saturating_sub(1), (i + 1).min(last));
            let derivative = (spectrum[after] - spectrum[before]) / (after - before) as f64;
            let baseline = slope * t + curvature * (t * t - 1.0 / 3.0);
            spectrum[i] + shift * derivative + baseline + unit * strength.noise * normal()
        }));
    }
}

/// Half a wavenumber: what a calibration of a Raman spectrometer holds over weeks.
const SHIFT_PER_CM: f64 = 0.5;

fn shift_points(step_per_cm: f64) -> f64 {
    SHIFT_PER_CM / step_per_cm
}

/// Standard deviation of the values of one spectrum along its axis.
pub(super) fn deviation(spectrum: &[f64]) -> f64 {
    let count = spectrum.len() as f64;
    let mean = spectrum.iter().sum::<f64>() / count;
    let square = spectrum.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    square.sqrt()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    const NONE: Augmentation = Augmentation { slope: 0.0, curvature: 0.0, noise: 0.0, shift_points: 0.0 };

    fn draws(augmentation: Augmentation, spectrum: &[f64], unit: f64) -> Vec<Vec<f64>> {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        (0..4000)
            .map(|_| {
                let mut disturbed = Vec::new();
                Disturbance { strength: &augmentation, unit }.apply(spectrum, &mut random, &mut disturbed);
                disturbed
            })
            .collect()
    }

    /// Standard deviation over the draws at one point, within the 5 % that 4000 draws allow.
    fn check(what: &str, draws: &[Vec<f64>], point: usize, expected: f64) {
        let values: Vec<f64> = draws.iter().map(|draw| draw[point]).collect();
        let found = deviation(&values);
        assert!((found - expected).abs() <= 0.05 * expected + 1e-6, "{what} at {point}: {found}, expected {expected}");
    }

    #[test]
    fn each_disturbance_has_its_size_and_its_shape() {
        let flat = [1.0; 11];
        let slope = draws(Augmentation { slope: 0.05, ..NONE }, &flat, 2.0);
        for (point, expected) in [(0, 0.1), (5, 0.0), (10, 0.1)] {
            check("slope", &slope, point, expected);
        }
        let curvature = draws(Augmentation { curvature: 0.03, ..NONE }, &flat, 2.0);
        for (point, expected) in [(0, 0.04), (5, 0.02), (10, 0.04)] {
            check("curvature", &curvature, point, expected);
        }
        let noise = draws(Augmentation { noise: 0.01, ..NONE }, &flat, 2.0);
        check("noise", &noise, 4, 0.02);
        let ramp: Vec<f64> = (0..11).map(|i| 3.0 * i as f64).collect();
        let shift = draws(Augmentation { shift_points: 0.125, ..NONE }, &ramp, 2.0);
        for point in [0, 5, 10] {
            check("shift", &shift, point, 0.375);
        }
    }

    #[test]
    fn no_disturbance_changes_nothing() {
        let spectrum = [1.0, 5.0, 2.0];
        assert_eq!(draws(NONE, &spectrum, 1.0)[0], spectrum);
    }
}
