//! The steps of a pipeline as settings, named as in a bundle's manifest, and the ranges they may have.

use std::ops::RangeInclusive;

use super::PipelineError;

/// Points in a window: wider than any band of an instrument this program reads.
const WINDOW_MAX: usize = 129;

/// Order of a smoothing polynomial: above this it follows the noise.
const SMOOTH_ORDER_MAX: usize = 8;

/// Order of a baseline polynomial: above this it follows the bands.
const POLYNOMIAL_ORDER_MAX: usize = 12;

/// λ of a Whittaker baseline. Below, the baseline follows the bands; above, W + λ DᵀD is beyond the precision of f64.
pub const LAMBDA_RANGE: RangeInclusive<f64> = 1.0..=1e10;

/// Reweightings of a baseline: bounds the time one spectrum may take. The methods converge in 10 to 50.
const ITERATIONS_MAX: usize = 500;

/// One step of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PipelineStep {
    /// Subtract the dark frame, then correct the detector's nonlinearity where the instrument has coefficients. A
    /// spectrum without a dark frame passes as it is.
    Dark,
    /// Remove cosmic rays.
    Despike(Despike),
    /// Go from the instrument's axis to the model's.
    Resample,
    /// Subtract what varies slowly: fluorescence, stray light.
    Baseline(Baseline),
    /// Savitzky-Golay filter.
    Smooth(Smooth),
    /// Bring spectra of different brightness to one scale.
    Normalise(Normalise),
}

impl PipelineStep {
    /// The step's name in a manifest.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Despike(_) => "despike",
            Self::Resample => "resample",
            Self::Baseline(_) => "baseline",
            Self::Smooth(_) => "smooth",
            Self::Normalise(_) => "normalise",
        }
    }

    /// # Errors
    /// Names the first setting that is out of its range.
    pub(super) fn validate(&self) -> Result<(), PipelineError> {
        match self {
            Self::Dark | Self::Resample | Self::Normalise(_) => Ok(()),
            Self::Despike(despike) => despike.validate(),
            Self::Baseline(Baseline::Arpls(whittaker) | Baseline::Airpls(whittaker)) => whittaker.validate(),
            Self::Baseline(Baseline::Polynomial { order }) => {
                within("baseline", "order", *order as f64, 0.0..=POLYNOMIAL_ORDER_MAX as f64)
            }
            Self::Smooth(smooth) => smooth.validate(),
        }
    }
}

/// Cosmic rays by the modified z-score of first differences (Whitaker and Hayes).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Despike {
    /// Modified z-score above which a difference is a jump; 7 is the authors' choice.
    pub threshold: f64,
    /// Points on each side whose mean replaces a spike; also the most points one spike may cover.
    pub window: usize,
}

impl Despike {
    fn validate(&self) -> Result<(), PipelineError> {
        within("despike", "threshold", self.threshold, 1.0..=1000.0)?;
        within("despike", "window", self.window as f64, 1.0..=WINDOW_MAX as f64)
    }
}

/// How a baseline is estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Baseline {
    /// Asymmetrically reweighted penalised least squares (Baek et al. 2015).
    Arpls(Whittaker),
    /// Adaptive iteratively reweighted penalised least squares (Zhang et al. 2010).
    Airpls(Whittaker),
    /// The least-squares polynomial through all points of the model's axis; only after the resampling.
    Polynomial {
        /// Its order.
        order: usize,
    },
}

/// A reweighted Whittaker smoother: minimises Σ wᵢ (yᵢ − zᵢ)² + λ Σ (second difference of z)².
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whittaker {
    /// Stiffness of the baseline, in counts of points: grows with the fourth power of the points per band.
    pub lambda: f64,
    /// The change between two reweightings below which the baseline stands.
    pub tolerance: f64,
    /// After so many reweightings the last baseline is taken as it is.
    pub iterations_max: usize,
}

impl Whittaker {
    fn validate(&self) -> Result<(), PipelineError> {
        within("baseline", "lambda", self.lambda, LAMBDA_RANGE)?;
        within("baseline", "tolerance", self.tolerance, 1e-12..=1.0)?;
        within("baseline", "iterations_max", self.iterations_max as f64, 1.0..=ITERATIONS_MAX as f64)
    }
}

/// A Savitzky-Golay filter: the least-squares polynomial in a moving window, evaluated at its centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Smooth {
    /// Points in the window, odd.
    pub window: usize,
    /// Order of the polynomial, below `window`.
    pub order: usize,
    /// Which derivative, per point (not per cm⁻¹); 0 smooths.
    pub derivative: usize,
}

impl Smooth {
    fn validate(&self) -> Result<(), PipelineError> {
        within("smooth", "window", self.window as f64, 3.0..=WINDOW_MAX as f64)?;
        if self.window.is_multiple_of(2) {
            return Err(PipelineError::EvenWindow { window: self.window });
        }
        within("smooth", "order", self.order as f64, 0.0..=SMOOTH_ORDER_MAX.min(self.window - 1) as f64)?;
        within("smooth", "derivative", self.derivative as f64, 0.0..=self.order as f64)
    }
}

/// What one scale is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalise {
    /// Standard normal variate: mean 0, standard deviation 1 with the n − 1 of Barnes et al. 1989
    /// (doi 10.1366/0003702894202201).
    Snv,
    /// Mean absolute value 1: the area between curve and zero per point of the axis.
    Area,
    /// Largest absolute value 1.
    Max,
}

fn within(
    step: &'static str,
    setting: &'static str,
    value: f64,
    range: RangeInclusive<f64>,
) -> Result<(), PipelineError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(PipelineError::OutOfRange { step, setting, value, from: *range.start(), to: *range.end() })
}
