//! The background under a Raman spectrum: smooth, decaying away from the laser, different in every sample and slightly
//! different in every exposure.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// How many shapes a background is mixed from.
pub(super) const SHAPES: usize = 3;

/// How the level at 200 cm⁻¹ divides among the shapes in a typical oil.
const TYPICAL: [f64; SHAPES] = [0.30, 0.45, 0.25];

/// Standard deviation (of the logarithm) of each shape's amplitude from bottle to bottle.
const BOTTLE_SPREAD: f64 = 0.25;

/// The same from exposure to exposure: bleaching, refocusing, the vial's wall.
const EXPOSURE_SPREAD: f64 = 0.03;

/// A background as amplitudes of three smooth shapes, in CH2 heights. Backgrounds add, so blends mix linearly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fluorescence {
    /// A steep decay, a slow decay, a broad hump.
    pub(super) amplitudes: [f64; SHAPES],
}

impl Fluorescence {
    /// A bottle's background of about `level` at 200 cm⁻¹.
    pub(super) fn draw(level: f64, rng: &mut impl Rng) -> Self {
        Self { amplitudes: TYPICAL.map(|share| level * share * log_normal(BOTTLE_SPREAD, rng)) }
    }

    /// What a typical background of that level is made of.
    pub(super) fn typical(level: f64) -> Self {
        Self { amplitudes: TYPICAL.map(|share| level * share) }
    }

    /// The same bottle as one exposure sees it.
    pub(super) fn in_one_exposure(&self, rng: &mut impl Rng) -> Self {
        Self { amplitudes: self.amplitudes.map(|amplitude| amplitude * log_normal(EXPOSURE_SPREAD, rng)) }
    }
}

/// The shapes at one Raman shift: exp(−(ν̃−200)/350), exp(−(ν̃−200)/1500), and a Gaussian at 1150 cm⁻¹ of σ = 550 cm⁻¹.
pub(super) fn shapes(shift_per_cm: f64) -> [f64; SHAPES] {
    let from_200 = shift_per_cm - 200.0;
    [(-from_200 / 350.0).exp(), (-from_200 / 1500.0).exp(), (-0.5 * ((shift_per_cm - 1150.0) / 550.0).powi(2)).exp()]
}

fn log_normal(spread: f64, rng: &mut impl Rng) -> f64 {
    let score: f64 = StandardNormal.sample(rng);
    (spread * score).exp()
}
