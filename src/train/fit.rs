//! One fit: y = PLS(x) + network(x), with the number of PLS components chosen by an inner cross-validation.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nalgebra::DMatrix;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::augment::Augmentation;
use super::crossvalidate::{Partition, partition};
use super::dataset::{Dataset, DrawWorkspace, Truth};
use super::error::TrainError;
use super::layers::Affine;
use super::network::{Network, Parameters};
use super::optimise::Adam;
use super::pls::Pls;

/// Components beyond this describe noise in every set of spectra this was tried on.
const COMPONENTS_MAX: usize = 20;
/// Folds of the inner cross-validation that chooses the number of components.
const INNER_FOLDS: usize = 10;

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Recipe {
    /// Steps of gradient descent.
    pub(super) steps: usize,
    /// Spectra a step, drawn with replacement.
    pub(super) batch: usize,
    /// The highest learning rate.
    pub(super) rate: f32,
    /// Disturbances.
    pub(super) augmentation: Augmentation,
}

/// How far a training is, and whether it shall go on; shared between threads.
#[derive(Debug, Default)]
pub struct Progress {
    steps: AtomicU64,
    interrupted: AtomicBool,
}

impl Progress {
    /// Steps of gradient descent done, over all fits.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Ends the training at the next step with [`TrainError::Interrupted`].
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    pub(super) fn step(&self) -> Result<(), TrainError> {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.check()
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.interrupted.load(Ordering::Relaxed) { Err(TrainError::Interrupted) } else { Ok(()) }
    }
}

/// A fitted model: standardisation, PLS and network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// The shapes.
    pub(super) network: Network,
    /// Mean training spectrum, `[channels · points]`.
    pub(super) mean: Vec<f32>,
    /// One over the root mean square of the centred training spectra: one number, so that the map keeps its shape.
    pub(super) inverse_scale: f32,
    /// Mean of each target.
    pub(super) target_mean: Vec<f32>,
    /// Root mean square of the centred targets.
    pub(super) target_scale: f32,
    /// PLS on centred, scaled spectra, in standardised targets: the part of the model.
    pub(super) skip: Affine<f32>,
    /// The best PLS alone, which the model has to beat.
    baseline: Affine<f32>,
    /// The network's.
    pub(super) parameters: Parameters<f32>,
    /// PLS components of the skip.
    pub(super) components: usize,
}

impl Fit {
    /// Fits to the spectra `members` of `data`.
    ///
    /// # Errors
    /// When there is nothing to learn, a step was interrupted, or the training diverged.
    pub(super) fn new(
        data: &Dataset<'_>,
        members: &[usize],
        recipe: &Recipe,
        random: &mut ChaCha8Rng,
        progress: &Progress,
    ) -> Result<Self, TrainError> {
        let mut fit = Self::linear(data, members, random, progress)?;
        fit.descend(data, members, recipe, random, progress)?;
        Ok(fit)
    }

    /// PLS alone: the network's head is zero.
    fn linear(
        data: &Dataset<'_>,
        members: &[usize],
        random: &mut ChaCha8Rng,
        progress: &Progress,
    ) -> Result<Self, TrainError> {
        let chosen = choose_components(data, members, random, progress)?;
        let spectra = data.spectra(members);
        let targets = data.targets(members);
        let pls = Pls::fit(&spectra, &targets, chosen.least_error.max(chosen.parsimonious));
        let scale = spread(&spectra);
        if scale == 0.0 {
            return Err(TrainError::ConstantSpectra);
        }
        // Targets may be constant in one fold by accident: then there is nothing to scale.
        let target_scale = Some(spread(&targets)).filter(|&scale| scale > 0.0).unwrap_or(1.0);
        let outputs = targets.ncols();
        // Column-major p × m is row-major m × p.
        let linear = |components: usize| Affine {
            weights: pls.coefficients(components).iter().map(|&value| (value * scale / target_scale) as f32).collect(),
            bias: vec![0.0; outputs],
        };
        let network = Network::new(data.channels(), data.features / data.channels(), outputs);
        Ok(Self {
            network,
            mean: spectra.row_mean().iter().map(|&value| value as f32).collect(),
            inverse_scale: (1.0 / scale) as f32,
            target_mean: pls.response_mean().iter().map(|&value| value as f32).collect(),
            target_scale: target_scale as f32,
            skip: linear(chosen.parsimonious),
            baseline: linear(chosen.least_error),
            parameters: network.initial(random),
            components: chosen.parsimonious.min(pls.components()),
        })
    }

    fn descend(
        &mut self,
        data: &Dataset<'_>,
        members: &[usize],
        recipe: &Recipe,
        random: &mut ChaCha8Rng,
        progress: &Progress,
    ) -> Result<(), TrainError> {
        let unit = data.mean_deviation(members);
        let outputs = self.network.head.outputs;
        let weight = 1.0 / (recipe.batch * outputs) as f32;
        let mut adam = Adam::new(&self.parameters, recipe.steps, recipe.rate);
        let mut workspace = DrawWorkspace::default();
        let mut spectra = vec![0.0; recipe.batch * data.features];
        let mut targets = Vec::new();
        for step in 0..recipe.steps {
            progress.step()?;
            targets.clear();
            for drawn in spectra.chunks_exact_mut(data.features) {
                let spectrum = members[random.random_range(0..members.len())];
                data.draw(spectrum, &recipe.augmentation, unit, random, &mut workspace, drawn)
                    .map_err(|source| TrainError::Disturbed { step, source })?;
                targets.extend((0..outputs).map(|output| {
                    (data.truth.target(spectrum, output) as f32 - self.target_mean[output]) / self.target_scale
                }));
            }
            self.standardise(&mut spectra);
            let mut gradient = self.parameters.zeros_like();
            let loss =
                self.network.squared_error(&self.parameters, &self.skip, &spectra, &targets, weight, &mut gradient);
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step });
            }
            adam.step(&mut self.parameters, &gradient);
        }
        Ok(())
    }

    /// Centres and scales prepared spectra in place.
    fn standardise(&self, spectra: &mut [f32]) {
        for spectrum in spectra.chunks_exact_mut(self.mean.len()) {
            for (value, mean) in spectrum.iter_mut().zip(&self.mean) {
                *value = (*value - mean) * self.inverse_scale;
            }
        }
    }

    /// What the model says where both activations are zero, one per output.
    pub(super) fn offset(&self) -> Vec<f32> {
        let biases = self.parameters.head.bias.iter().zip(&self.target_mean);
        biases.map(|(bias, mean)| bias * self.target_scale + mean).collect()
    }

    /// What the whole model says about prepared spectra, `[spectra][outputs]`, in the targets' units.
    pub(super) fn predict(&self, spectra: &[f32]) -> Vec<f32> {
        let mut standardised = spectra.to_vec();
        self.standardise(&mut standardised);
        self.in_units(self.network.forward(&self.parameters, &self.skip, &standardised))
    }

    /// What the best PLS says.
    pub(super) fn predict_baseline(&self, spectra: &[f32]) -> Vec<f32> {
        let mut standardised = spectra.to_vec();
        self.standardise(&mut standardised);
        let mut output = vec![0.0; spectra.len() / self.mean.len() * self.network.skip.outputs];
        self.network.skip.add_forward(&self.baseline, &standardised, &mut output);
        self.in_units(output)
    }

    fn in_units(&self, mut output: Vec<f32>) -> Vec<f32> {
        for row in output.chunks_exact_mut(self.target_mean.len()) {
            for (value, mean) in row.iter_mut().zip(&self.target_mean) {
                *value = *value * self.target_scale + mean;
            }
        }
        output
    }
}

/// Root mean square of a matrix about its column means.
fn spread(matrix: &DMatrix<f64>) -> f64 {
    let mean = matrix.row_mean();
    let squares: f64 = matrix.row_iter().map(|row| (row - &mean).norm_squared()).sum();
    (squares / matrix.len() as f64).sqrt()
}

/// Numbers of PLS components, chosen on held-out samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Components {
    /// What PLS alone does best with: fewest wrong labels for classes, least squared error otherwise and where labels tie.
    least_error: usize,
    /// The fewest whose squared error is within one standard error of the least: the one-standard-error rule (T. Hastie,
    /// R. Tibshirani, J. Friedman, "The elements of statistical learning", section 7.10). Components that hardly help PLS
    /// fit the training spectra too well and leave the network nothing to learn from.
    parsimonious: usize,
}

/// Predicts every sample of `members` out of fold with 0 to [`COMPONENTS_MAX`] components.
fn choose_components(
    data: &Dataset<'_>,
    members: &[usize],
    random: &mut ChaCha8Rng,
    progress: &Progress,
) -> Result<Components, TrainError> {
    let mut wrong = [0_usize; COMPONENTS_MAX + 1];
    // By number of components, then by sample.
    let mut squared = vec![vec![0.0_f64; data.samples()]; COMPONENTS_MAX + 1];
    let mut available = COMPONENTS_MAX;
    for Partition { training, held_out } in partition(data, members, INNER_FOLDS, random) {
        progress.check()?;
        let pls = Pls::fit(&data.spectra(&training), &data.targets(&training), COMPONENTS_MAX);
        available = available.min(pls.components());
        let targets = data.targets(&held_out);
        for (components, predicted) in pls.predictions(&data.spectra(&held_out)).enumerate() {
            for ((row, target), &spectrum) in predicted.row_iter().zip(targets.row_iter()).zip(&held_out) {
                squared[components][data.groups[spectrum]] += (row - target).norm_squared();
                if let Truth::Classes { indices, .. } = &data.truth {
                    wrong[components] += usize::from(row.transpose().imax() != indices[spectrum]);
                }
            }
        }
    }
    let mut samples: Vec<usize> = members.iter().map(|&spectrum| data.groups[spectrum]).collect();
    samples.sort_unstable();
    samples.dedup();
    let sums: Vec<f64> = squared.iter().map(|errors| errors.iter().sum()).collect();
    let least_of = |key: &dyn Fn(usize) -> (usize, f64)| {
        let fewer = |a: &usize, b: &usize| key(*a).partial_cmp(&key(*b)).expect("errors are finite");
        (0..=available).min_by(fewer).unwrap_or(0)
    };
    let least_squared = least_of(&|components| (0, sums[components]));
    let count = samples.len() as f64;
    let mean = sums[least_squared] / count;
    let variance = samples.iter().map(|&sample| (squared[least_squared][sample] - mean).powi(2)).sum::<f64>() / count;
    // The standard error of a sum over `count` samples.
    let allowed = sums[least_squared] + (count * variance).sqrt();
    Ok(Components {
        least_error: least_of(&|components| (wrong[components], sums[components])),
        parsimonious: sums.iter().position(|&sum| sum <= allowed).unwrap_or(least_squared),
    })
}
