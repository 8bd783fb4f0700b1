//! Disturbances a line adds to a spectrum, drawn afresh for every training step: tilt, curvature, noise, shift.
//!
//! They act on resampled spectra before the normalisation, as they do in the instrument, and are measured in units of the
//! mean standard deviation of a training spectrum along the axis.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, DVector};
use ramand_core::median::median;
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

    /// The same, as large as the spectra say: of each, the sample it belongs to and its values before normalisation.
    ///
    /// Replicates, brought to mean 0 and standard deviation 1, differ from their mean by e = a t + b (t² − 1/3) + δ x′ + c x + noise;
    /// the root mean squares of a, b, δ (least squares) and of what is left are the four sizes. c is a scale, which the normalisation
    /// removes. Without enough replicates only the
    /// noise is known: at most what second differences leave, whose median is √6 · 0.6745 standard deviations of white noise.
    pub(super) fn sized<'s>(self, spectra: impl Iterator<Item = (usize, &'s [f64])>) -> Self {
        let mut samples = BTreeMap::<usize, Vec<Vec<f64>>>::new();
        for (sample, values) in spectra {
            samples.entry(sample).or_default().push(standardised(values));
        }
        let freedom: usize = samples.values().map(|replicates| replicates.len() - 1).sum();
        if freedom < REPLICATES_MIN {
            let mut noise: Vec<f64> = samples.values().flatten().map(|values| white_noise(values)).collect();
            return Self { noise: self.noise.min(median(&mut noise)), ..self };
        }
        let mut squares = [0.0; 4];
        for replicates in samples.values().filter(|replicates| replicates.len() > 1) {
            let points = replicates[0].len();
            let mean: Vec<f64> = (0..points)
                .map(|point| replicates.iter().map(|one| one[point]).sum::<f64>() / replicates.len() as f64)
                .collect();
            let shapes = DMatrix::from_fn(points, 4, |point, shape| match shape {
                0 => place(point, points - 1),
                1 => place(point, points - 1).powi(2) - 1.0 / 3.0,
                2 => derivative(&mean, point),
                _ => mean[point],
            });
            let normal = shapes.tr_mul(&shapes);
            let Some(solver) = normal.cholesky() else { continue };
            for one in replicates {
                let apart = DVector::from_iterator(points, one.iter().zip(&mean).map(|(value, mean)| value - mean));
                let sizes = solver.solve(&shapes.tr_mul(&apart));
                let left = (&apart - &shapes * &sizes).norm_squared() / points as f64;
                let each = sizes.iter().take(3).map(|size| size * size).chain([left]);
                squares.iter_mut().zip(each).for_each(|(sum, square)| *sum += square);
            }
        }
        let [slope, curvature, shift_points, noise] = squares.map(|sum| (sum / freedom as f64).sqrt());
        Self { slope, curvature, noise, shift_points }
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
            let t = place(i, last);
            let baseline = slope * t + curvature * (t * t - 1.0 / 3.0);
            spectrum[i] + shift * derivative(spectrum, i) + baseline + unit * strength.noise * normal()
        }));
    }
}

/// Replicates, beyond the first of each sample, below which they say too little about four sizes.
const REPLICATES_MIN: usize = 10;

/// From −1 at the first point to 1 at the last.
fn place(point: usize, last: usize) -> f64 {
    2.0 * point as f64 / last as f64 - 1.0
}

/// By central differences, per point.
fn derivative(spectrum: &[f64], point: usize) -> f64 {
    let (before, after) = (point.saturating_sub(1), (point + 1).min(spectrum.len() - 1));
    (spectrum[after] - spectrum[before]) / (after - before) as f64
}

/// Brought to mean 0 and standard deviation 1.
fn standardised(spectrum: &[f64]) -> Vec<f64> {
    let mean = spectrum.iter().sum::<f64>() / spectrum.len() as f64;
    let deviation = deviation(spectrum);
    spectrum.iter().map(|value| (value - mean) / deviation).collect()
}

/// Standard deviation of white noise that would leave second differences of this median.
fn white_noise(spectrum: &[f64]) -> f64 {
    let mut second: Vec<f64> = spectrum.windows(3).map(|of| (of[0] - 2.0 * of[1] + of[2]).abs()).collect();
    median(&mut second) / (6.0_f64.sqrt() * 0.6745)
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

    /// A spectrum of bands.
    fn bands(points: usize) -> Vec<f64> {
        let band = |i: usize, centre: f64| (-((i as f64 - centre) / 4.0).powi(2)).exp();
        (0..points).map(|i| band(i, 20.0) + 2.0 * band(i, 60.0) + band(i, 75.0)).collect()
    }

    #[test]
    fn replicates_say_how_large_each_disturbance_is() {
        let planted = Augmentation { slope: 0.2, curvature: 0.1, noise: 0.02, shift_points: 0.15 };
        let bands = bands(100);
        let (unit, mut random) = (deviation(&bands), ChaCha8Rng::seed_from_u64(5));
        let spectra: Vec<Vec<f64>> = (0..400)
            .map(|_| {
                let mut disturbed = Vec::new();
                Disturbance { strength: &planted, unit }.apply(&bands, &mut random, &mut disturbed);
                disturbed
            })
            .collect();
        let found = NONE.sized(spectra.iter().enumerate().map(|(index, spectrum)| (index / 4, spectrum.as_slice())));
        let pairs = [
            ("slope", found.slope, planted.slope),
            ("curvature", found.curvature, planted.curvature),
            ("noise", found.noise, planted.noise),
            ("shift", found.shift_points, planted.shift_points),
        ];
        for (what, found, planted) in pairs {
            assert!((found / planted - 1.0).abs() < 0.15, "{what}: {found} instead of {planted}");
        }
    }

    #[test]
    fn without_replicates_the_noise_is_at_most_what_second_differences_leave() {
        let bands = bands(400);
        let noisy = draws(Augmentation { noise: 0.02, ..NONE }, &bands, deviation(&bands));
        let few = || noisy.iter().take(40).enumerate().map(|(index, spectrum)| (index, spectrum.as_slice()));
        let asked = Augmentation { slope: 0.05, curvature: 0.03, noise: 1.0, shift_points: 0.1 };
        let found = asked.sized(few());
        assert!((found.noise / 0.02 - 1.0).abs() < 0.2, "{}", found.noise);
        assert_eq!(Augmentation { noise: 1.0, ..found }, asked);
        let asked = Augmentation { noise: 0.001, ..asked };
        assert_eq!(asked.sized(few()), asked);
    }

    #[test]
    fn no_disturbance_changes_nothing() {
        let spectrum = [1.0, 5.0, 2.0];
        assert_eq!(draws(NONE, &spectrum, 1.0)[0], spectrum);
    }
}
