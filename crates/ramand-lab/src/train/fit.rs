//! One fit of PLS, of networks, or of both: y = PLS(x) + s · network(x). Several networks that started differently are averaged.
//!
//! A network beside PLS learns what PLS leaves over of a target at the spectrum as it was measured, and is shown that spectrum
//! disturbed. Were PLS shown the disturbed one, the network would learn an error that training itself makes: PLS of many
//! components turns one percent of noise into many times what it leaves over (near infrared of corn, moisture).

use nalgebra::DMatrix;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::augment::{Augmentation, Disturbance};
use super::candidate::Family;
use super::dataset::{Dataset, DrawWorkspace};
use super::error::TrainError;
use super::layers::Affine;
use super::network::{BLOCK_MAPS, Examples, Parameters, ResidualNetwork};
use super::optimise::Adam;
use super::pls::Pls;
use super::progress::Progress;

/// Share of the spectra of a step that are mixed with another one, where spectra are mixed.
const MIXED_SHARE: f64 = 0.5;
/// The most of the other spectrum.
const MIXED_MAX: f32 = 0.5;

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
    /// Whether spectra are mixed.
    pub(super) mixing: Mixing,
    /// What the last layer sees.
    pub(super) head: Head,
}

impl Recipe {
    /// The same with another head.
    pub(super) fn with_head(self, head: Head) -> Self {
        Self { head, ..self }
    }
}

/// What the last linear layer sees of the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// Every cell by itself: position is information.
    Flat,
    /// Only each map's mean over the axis (global average pooling), as networks for images do; held here as one weight that
    /// all cells of a map share. It is trained to see what becomes of the explanations, never for a bundle.
    Pooled,
}

/// Whether a step sees blends of two training spectra, with the targets blended alike (H. Zhang et al., "mixup", ICLR 2018).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mixing {
    /// Each spectrum for itself.
    Never,
    /// Some of them: spectra of mixtures are about mixtures of spectra. A network without a linear part learns from it
    /// that the target is about linear between the samples it was shown.
    Some,
}

/// What brings spectra and targets to unit size.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Standard {
    /// Mean training spectrum, `[channels · points]`.
    pub(super) mean: Vec<f32>,
    /// One over the root mean square of the centred training spectra: one number, so that the map keeps its shape.
    pub(super) inverse_scale: f32,
    /// Mean of each target.
    pub(super) target_mean: Vec<f32>,
    /// Root mean square of the centred targets.
    pub(super) target_scale: f32,
}

/// What is fitted, to what, and how.
pub(super) struct Lesson<'a> {
    pub(super) data: &'a Dataset<'a>,
    /// The spectra of `data` that are shown.
    pub(super) members: &'a [usize],
    /// PLS, networks or both.
    pub(super) family: Family,
    /// The most components of PLS, where it is a part.
    pub(super) components: usize,
    pub(super) recipe: Recipe,
    pub(super) progress: &'a Progress,
}

/// A fitted model: standardisation, PLS and networks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fit {
    /// The shapes.
    pub(super) network: ResidualNetwork,
    /// Of spectra and targets.
    pub(super) standard: Standard,
    /// PLS, networks or both.
    pub(super) family: Family,
    /// PLS on centred, scaled spectra, in standardised targets; all zero where it is no part.
    pub(super) linear: Affine<f32>,
    /// Of each network; the model's is the mean of their outputs. None for PLS alone.
    pub(super) trunks: Vec<Parameters<f32>>,
    /// PLS components, 0 where it is no part.
    pub(super) components: usize,
}

impl Fit {
    /// Fits PLS where it is a part, and one network for each of `rngs` where networks are.
    ///
    /// # Errors
    /// When there is nothing to learn, a step was interrupted, or the training diverged.
    pub(super) fn new(lesson: &Lesson<'_>, rngs: &mut [ChaCha8Rng]) -> Result<Self, TrainError> {
        let mut fit = Self::linear(lesson)?;
        for random in rngs.iter_mut().filter(|_| lesson.family.has_network()) {
            let trunk = fit.descend(lesson, random)?;
            fit.trunks.push(trunk);
        }
        Ok(fit)
    }

    /// PLS, or the mean of the targets where it is no part.
    fn linear(lesson: &Lesson<'_>) -> Result<Self, TrainError> {
        let &Lesson { data, members, family, components, .. } = lesson;
        let components = if family.has_pls() { components } else { 0 };
        let spectra = data.spectra(members);
        let targets = data.targets(members);
        let pls = Pls::fit(&spectra, &targets, components);
        let scale = spread(&spectra);
        if scale == 0.0 {
            return Err(TrainError::ConstantSpectra);
        }
        // Targets may be constant in one fold by accident: then there is nothing to scale.
        let target_scale = Some(spread(&targets)).filter(|&scale| scale > 0.0).unwrap_or(1.0);
        // Column-major p × m is row-major m × p.
        let coefficients = pls.coefficients(components);
        let linear = Affine {
            weights: coefficients.iter().map(|&value| (value * scale / target_scale) as f32).collect(),
            bias: vec![0.0; targets.ncols()],
        };
        Ok(Self {
            network: ResidualNetwork::new(data.channels(), data.shape().1, targets.ncols()),
            standard: Standard {
                mean: spectra.row_mean().iter().map(|&value| value as f32).collect(),
                inverse_scale: (1.0 / scale) as f32,
                target_mean: pls.response_mean().iter().map(|&value| value as f32).collect(),
                target_scale: target_scale as f32,
            },
            family,
            linear,
            trunks: Vec::new(),
            components: components.min(pls.components()),
        })
    }

    fn descend(&self, lesson: &Lesson<'_>, random: &mut ChaCha8Rng) -> Result<Parameters<f32>, TrainError> {
        let &Lesson { data, members, ref recipe, progress, .. } = lesson;
        let left: Vec<Vec<f32>> = members.iter().map(|&spectrum| self.left_over(data, spectrum)).collect();
        let nothing = Affine { weights: vec![0.0; self.linear.weights.len()], bias: self.linear.bias.clone() };
        let mut parameters = self.network.initial(random);
        let disturbance = Disturbance { strength: &recipe.augmentation, unit: data.mean_deviation(members) };
        let outputs = self.network.head.outputs;
        let weight = 1.0 / (recipe.batch * outputs) as f32;
        let mut adam = Adam::new(&parameters, recipe.steps, recipe.rate);
        let mut workspace = DrawWorkspace::default();
        let mut spectra = vec![0.0; recipe.batch * data.features];
        let mut other = vec![0.0; data.features];
        let mut targets = vec![0.0; recipe.batch * outputs];
        for step in 0..recipe.steps {
            progress.step()?;
            let rows = spectra.chunks_exact_mut(data.features).zip(targets.chunks_exact_mut(outputs));
            for (drawn, target) in rows {
                let mut draw = |random: &mut ChaCha8Rng, drawn: &mut [f32]| {
                    let member = random.random_range(0..members.len());
                    data.draw(members[member], disturbance, random, &mut workspace, drawn)
                        .map_err(|source| TrainError::Disturbed { step, source })?;
                    Ok::<_, TrainError>(member)
                };
                let member = draw(random, drawn)?;
                target.copy_from_slice(&left[member]);
                if recipe.mixing == Mixing::Some && random.random_bool(MIXED_SHARE) {
                    let share = random.random_range(0.0..MIXED_MAX);
                    let second = draw(random, &mut other)?;
                    let mix = |value: &mut f32, other: f32| *value += share * (other - *value);
                    drawn.iter_mut().zip(&other).for_each(|(value, &other)| mix(value, other));
                    target.iter_mut().zip(&left[second]).for_each(|(value, &other)| mix(value, other));
                }
            }
            self.standard.apply(&mut spectra);
            let mut gradient = parameters.zeros_like();
            let examples = Examples { spectra: &spectra, targets: &targets };
            let loss = self.network.squared_error(&parameters, &nothing, examples, weight, &mut gradient);
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step });
            }
            match recipe.head {
                Head::Flat => adam.step(&mut parameters, &gradient),
                Head::Pooled => pooled_step(&mut adam, &mut parameters, &mut gradient, self.network.head.features),
            }
        }
        Ok(parameters)
    }

    /// What PLS leaves over of the standardised targets of one spectrum, one per output.
    fn left_over(&self, data: &Dataset<'_>, spectrum: usize) -> Vec<f32> {
        let linear = self.linear_output(data.preprocessed(spectrum));
        let target = |(output, linear): (usize, f32)| {
            let value = data.truth.target(spectrum, output) as f32;
            (value - self.standard.target_mean[output]) / self.standard.target_scale - linear
        };
        linear.into_iter().enumerate().map(target).collect()
    }

    /// What the linear part says about one preprocessed spectrum, in standardised targets, one per output.
    fn linear_output(&self, spectrum: &[f32]) -> Vec<f32> {
        let mut standardised = spectrum.to_vec();
        self.standard.apply(&mut standardised);
        let rows = self.linear.weights.chunks_exact(standardised.len());
        let product = |row: &[f32]| row.iter().zip(&standardised).map(|(w, x)| w * x).sum::<f32>();
        rows.zip(&self.linear.bias).map(|(row, bias)| product(row) + bias).collect()
    }

    /// What the model without its networks says about one preprocessed spectrum, in the targets' units, one per output.
    pub(super) fn without_networks(&self, spectrum: &[f32]) -> Vec<f32> {
        self.in_units(self.linear_output(spectrum))
    }

    /// Multiplies what the networks add by `share`.
    pub(super) fn shrink(&mut self, share: f64) {
        for trunk in &mut self.trunks {
            let head = trunk.head.weights.iter_mut().chain(&mut trunk.head.bias);
            head.for_each(|value| *value *= share as f32);
        }
    }

    /// What the model says where all activations are zero, one per output.
    pub(super) fn offset(&self) -> Vec<f32> {
        if self.trunks.is_empty() {
            return self.standard.target_mean.clone();
        }
        let head = self.head();
        let biases = head.bias.iter().zip(&self.standard.target_mean);
        biases.map(|(bias, mean)| bias * self.standard.target_scale + mean).collect()
    }

    /// The heads of all networks as one layer over their maps, one network's after the other's: their mean.
    pub(super) fn head(&self) -> Affine<f32> {
        let share = 1.0 / self.trunks.len() as f32;
        let features = self.network.head.features;
        let row = |output: usize| {
            let of = move |trunk: &Parameters<f32>| {
                trunk.head.weights[output * features..][..features].iter().map(|w| w * share).collect::<Vec<_>>()
            };
            self.trunks.iter().flat_map(of)
        };
        let bias = |output: usize| self.trunks.iter().map(|trunk| trunk.head.bias[output] * share).sum();
        let outputs = self.network.head.outputs;
        Affine { weights: (0..outputs).flat_map(row).collect(), bias: (0..outputs).map(bias).collect() }
    }

    /// What each network with the linear part says about one preprocessed spectrum, `[networks][outputs]`, in the targets' units;
    /// without networks what PLS says, as one row.
    pub(super) fn predict_each(&self, spectrum: &[f32]) -> Vec<Vec<f32>> {
        if self.trunks.is_empty() {
            return vec![self.without_networks(spectrum)];
        }
        let mut standardised = spectrum.to_vec();
        self.standard.apply(&mut standardised);
        let one = |trunk| self.in_units(self.network.forward(trunk, &self.linear, &standardised));
        self.trunks.iter().map(one).collect()
    }

    fn in_units(&self, mut output: Vec<f32>) -> Vec<f32> {
        for (value, mean) in output.iter_mut().zip(&self.standard.target_mean) {
            *value = *value * self.standard.target_scale + mean;
        }
        output
    }
}

/// A step that keeps the head's weights equal over the cells of a map, where they start equal. A weight of a map's mean is their
/// sum, and it is that which moves at the learning rate.
fn pooled_step(adam: &mut Adam, parameters: &mut Parameters<f32>, gradient: &mut Parameters<f32>, features: usize) {
    let cells = features / BLOCK_MAPS;
    for map in gradient.head.weights.chunks_exact_mut(cells) {
        let mean = map.iter().sum::<f32>() / cells as f32;
        map.fill(mean);
    }
    let before = parameters.head.weights.clone();
    adam.step(parameters, gradient);
    for (weight, before) in parameters.head.weights.iter_mut().zip(before) {
        *weight = before + (*weight - before) / cells as f32;
    }
}

impl Standard {
    /// Centres and scales preprocessed spectra in place.
    fn apply(&self, spectra: &mut [f32]) {
        for spectrum in spectra.chunks_exact_mut(self.mean.len()) {
            for (value, mean) in spectrum.iter_mut().zip(&self.mean) {
                *value = (*value - mean) * self.inverse_scale;
            }
        }
    }
}

/// The mean over networks of what each says, one number per output.
pub(super) fn mean_output(each: &[Vec<f32>]) -> Vec<f32> {
    let outputs = each.first().map_or(0, Vec::len);
    (0..outputs).map(|output| each.iter().map(|one| one[output]).sum::<f32>() / each.len() as f32).collect()
}

/// Root mean square of a matrix about its column means.
pub(super) fn spread(matrix: &DMatrix<f64>) -> f64 {
    let mean = matrix.row_mean();
    let squares: f64 = matrix.row_iter().map(|row| (row - &mean).norm_squared()).sum();
    (squares / matrix.len() as f64).sqrt()
}
