//! Every choice that is made on training samples alone: PLS components, settings of kernel ridge, the candidate.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::candidate::{Candidate, Skip};
use super::dataset::{Dataset, Truth};
use super::error::TrainError;
use super::figures::best;
use super::fit::{Fit, Lesson, Recipe, mean_output};
use super::kernel::{self, KernelRidge};
use super::out_of_fold::{HeldOutSpectrum, OutOfFold};
use super::partition::{Fold, partition};
use super::pls::Pls;
use super::progress::Progress;

/// Components beyond this describe noise in every set of spectra this was tried on.
const COMPONENTS_MAX: usize = 20;
/// Folds of the inner cross-validation that chooses what is quickly fitted: components, and kernels of small sets.
const INNER_FOLDS: usize = 10;
/// Folds of the inner cross-validation that chooses among candidates: each takes one training of a network.
pub(super) const CANDIDATE_FOLDS: usize = 3;
/// Kernels of more spectra than this are chosen on [`CANDIDATE_FOLDS`] folds.
const SMALL: usize = 300;

/// Spectra, a share of the samples, on which width and penalty of a kernel are chosen: each of the many pairs costs the third
/// power of their number. The fit itself is to all of them.
const KERNEL_CHOICE_MAX: usize = 500;

/// What was lost on held-out spectra, in the order that decides: wrong labels for classes (0 for quantities), squared error.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub(super) struct HeldOutLoss {
    wrong: usize,
    pub(super) squared: f64,
}

impl HeldOutLoss {
    fn add(&mut self, truth: &Truth, spectrum: usize, predicted: impl Iterator<Item = f64> + Clone) {
        let targets = predicted.clone().enumerate();
        self.squared += targets.map(|(output, value)| (value - truth.target(spectrum, output)).powi(2)).sum::<f64>();
        if let Truth::Classes { indices, .. } = truth {
            let scores: Vec<f32> = predicted.map(|value| value as f32).collect();
            self.wrong += usize::from(best(&scores) != indices[spectrum]);
        }
    }
}

/// The place of the least loss, the first of equals.
fn least(losses: impl Iterator<Item = HeldOutLoss>) -> usize {
    let mut best: Option<(usize, HeldOutLoss)> = None;
    for (place, loss) in losses.enumerate() {
        if best.is_none_or(|(_, least)| loss < least) {
            best = Some((place, loss));
        }
    }
    best.map_or(0, |(place, _)| place)
}

/// Numbers of PLS components, chosen on held-out samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Components {
    /// What PLS alone does best with: fewest wrong labels for classes, least squared error otherwise and where labels tie.
    pub(super) least_error: usize,
    /// The fewest whose squared error is within one standard error of the least: the one-standard-error rule (T. Hastie,
    /// R. Tibshirani, J. Friedman, "The elements of statistical learning", section 7.10). Components that hardly help PLS
    /// fit the training spectra too well and leave the network nothing to learn from.
    pub(super) parsimonious: usize,
    /// With `least_error` components.
    loss: HeldOutLoss,
}

impl Components {
    /// Predicts every sample of `members` out of fold with 0 to [`COMPONENTS_MAX`] components.
    fn choose(data: &Dataset<'_>, members: &[usize], parts: &[Fold], progress: &Progress) -> Result<Self, TrainError> {
        let mut losses = [HeldOutLoss::default(); COMPONENTS_MAX + 1];
        // By number of components, then by sample.
        let mut squared = vec![vec![0.0_f64; data.samples()]; COMPONENTS_MAX + 1];
        let mut available = COMPONENTS_MAX;
        for Fold { training, held_out } in parts {
            progress.check()?;
            let pls = Pls::fit(&data.spectra(training), &data.targets(training), COMPONENTS_MAX);
            available = available.min(pls.components());
            for (components, predicted) in pls.predictions(&data.spectra(held_out)).enumerate() {
                for (row, &spectrum) in predicted.row_iter().zip(held_out) {
                    let mut loss = HeldOutLoss::default();
                    loss.add(&data.truth, spectrum, row.iter().copied());
                    squared[components][data.groups[spectrum]] += loss.squared;
                    losses[components].wrong += loss.wrong;
                    losses[components].squared += loss.squared;
                }
            }
        }
        let mut samples: Vec<usize> = members.iter().map(|&spectrum| data.groups[spectrum]).collect();
        samples.sort_unstable();
        samples.dedup();
        let least_error = least(losses[..=available].iter().copied());
        let sums = losses[..=available].iter().map(|loss| loss.squared);
        let least_squared = least(sums.clone().map(|squared| HeldOutLoss { wrong: 0, squared }));
        let count = samples.len() as f64;
        let least_sum = losses[least_squared].squared;
        let deviation = |&sample: &usize| (squared[least_squared][sample] - least_sum / count).powi(2);
        let variance = samples.iter().map(deviation).sum::<f64>() / count;
        // The standard error of a sum over `count` samples.
        let allowed = least_sum + (count * variance).sqrt();
        let parsimonious = sums.into_iter().position(|sum| sum <= allowed).unwrap_or(least_squared);
        Ok(Self { least_error, parsimonious, loss: losses[least_error] })
    }
}

/// PLS alone, its preprocessing and components chosen on held-out samples.
pub(super) struct BestPls {
    preprocessing: usize,
    pls: Pls,
}

impl BestPls {
    /// What it says about one spectrum, one number per output.
    pub(super) fn predict(&self, preprocessings: &[Dataset<'_>], spectrum: usize) -> Vec<f32> {
        let spectra = preprocessings[self.preprocessing].spectra(&[spectrum]);
        let predicted = self.pls.predictions(&spectra).last().expect("one more than there are components");
        predicted.iter().map(|&value| value as f32).collect()
    }
}

/// Kernel ridge, its preprocessing and settings chosen on held-out samples.
pub(super) struct BestKernel {
    preprocessing: usize,
    fit: KernelRidge,
}

impl BestKernel {
    /// `None` for classes and for too many spectra.
    ///
    /// # Errors
    /// Only when interrupted.
    pub(super) fn choose(
        choices: &Choices<'_>,
        members: &[usize],
        random: &mut ChaCha8Rng,
    ) -> Result<Option<Self>, TrainError> {
        let preprocessings = choices.preprocessings;
        if members.len() > kernel::SPECTRA_MAX {
            return Ok(None);
        }
        let shares = members.len().div_ceil(KERNEL_CHOICE_MAX);
        let among = partition(&preprocessings[0], members, shares, random).swap_remove(0).held_out;
        let folds = if among.len() <= SMALL { INNER_FOLDS } else { CANDIDATE_FOLDS };
        let parts = partition(&preprocessings[0], &among, folds, random);
        let mut best: Option<(usize, kernel::KernelChoice)> = None;
        for (place, data) in preprocessings.iter().enumerate() {
            let Some(choice) = KernelRidge::choose(data, &parts, choices.progress)? else { continue };
            if best.is_none_or(|(_, best)| choice.squared < best.squared) {
                best = Some((place, choice));
            }
        }
        Ok(best.and_then(|(preprocessing, choice)| {
            Some(Self { preprocessing, fit: KernelRidge::fit(&preprocessings[preprocessing], members, &choice)? })
        }))
    }

    /// What it says about one spectrum.
    pub(super) fn predict(&self, preprocessings: &[Dataset<'_>], spectrum: usize) -> f32 {
        self.fit.predict(&preprocessings[self.preprocessing], spectrum) as f32
    }
}

/// What was chosen and fitted on one set of training samples.
pub(super) struct Nested {
    /// Index into the candidates.
    pub(super) candidate: usize,
    /// Of each candidate on held-out training samples; empty where there is one candidate only.
    pub(super) losses: Vec<HeldOutLoss>,
    /// The model.
    pub(super) fit: Fit,
    /// The linear baseline.
    pub(super) pls: BestPls,
}

/// What [`Nested::new`] chooses among, and how networks are trained.
pub(super) struct Choices<'a> {
    /// The same spectra in every preprocessing.
    pub(super) preprocessings: &'a [Dataset<'a>],
    pub(super) candidates: &'a [Candidate],
    /// Networks whose mean is the model.
    pub(super) networks: usize,
    /// With and without a skip.
    pub(super) recipe: &'a (dyn Fn(Skip) -> Recipe + Sync),
    pub(super) progress: &'a Progress,
}

impl Nested {
    /// Chooses and fits on the spectra `members`, and looks at no other.
    ///
    /// # Errors
    /// The first failure of a fit.
    pub(super) fn new(choices: &Choices<'_>, members: &[usize], random: &mut ChaCha8Rng) -> Result<Self, TrainError> {
        let preprocessings = choices.preprocessings;
        let parts = partition(&preprocessings[0], members, INNER_FOLDS, random);
        let components = |members: &[usize], parts: &[Fold]| -> Result<Vec<Components>, TrainError> {
            let of = |data| Components::choose(data, members, parts, choices.progress);
            preprocessings.iter().map(of).collect()
        };
        let chosen = components(members, &parts)?;
        let preprocessing = least(chosen.iter().map(|components| components.loss));
        let pls = BestPls {
            preprocessing,
            pls: Pls::fit(
                &preprocessings[preprocessing].spectra(members),
                &preprocessings[preprocessing].targets(members),
                chosen[preprocessing].least_error,
            ),
        };
        let fit = |candidate: &Candidate, components: &[Components], members: &[usize], rngs: &mut [ChaCha8Rng]| {
            let Candidate { preprocessing, skip } = *candidate;
            let lesson = Lesson {
                data: &preprocessings[preprocessing],
                members,
                skip,
                components: components[preprocessing].parsimonious,
                recipe: &(choices.recipe)(skip),
                progress: choices.progress,
            };
            Fit::new(&lesson, rngs)
        };

        let mut losses = Vec::new();
        if choices.candidates.len() > 1 {
            losses = vec![HeldOutLoss::default(); choices.candidates.len()];
            for Fold { training, held_out } in partition(&preprocessings[0], members, CANDIDATE_FOLDS, random) {
                let parts = partition(&preprocessings[0], &training, INNER_FOLDS, random);
                let components = components(&training, &parts)?;
                // The same for every candidate, so that they differ by nothing else.
                let seed = random.random();
                for (candidate, loss) in choices.candidates.iter().zip(&mut losses) {
                    let data = &preprocessings[candidate.preprocessing];
                    let fit = fit(candidate, &components, &training, &mut [ChaCha8Rng::seed_from_u64(seed)])?;
                    for &spectrum in &held_out {
                        let predicted = mean_output(&fit.predict_each(data.preprocessed(spectrum)));
                        loss.add(&data.truth, spectrum, predicted.into_iter().map(f64::from));
                    }
                }
            }
        }
        let candidate = least(losses.iter().copied());
        let mut rngs: Vec<ChaCha8Rng> =
            (0..choices.networks).map(|_| ChaCha8Rng::seed_from_u64(random.random())).collect();
        let fit = fit(&choices.candidates[candidate], &chosen, members, &mut rngs)?;
        Ok(Self { candidate, losses, fit, pls })
    }

    /// One held-out spectrum as everything that was chosen here sees it, but kernel ridge.
    pub(super) fn predict(&self, choices: &Choices<'_>, held_out: HeldOutSpectrum) -> OutOfFold {
        let HeldOutSpectrum { spectrum, repeat, fold } = held_out;
        let data = &choices.preprocessings[choices.candidates[self.candidate].preprocessing];
        let each = self.fit.predict_each(data.preprocessed(spectrum));
        OutOfFold {
            spectrum,
            repeat,
            fold,
            candidate: self.candidate,
            prediction: mean_output(&each),
            each,
            pls: self.pls.predict(choices.preprocessings, spectrum),
            kernel: None,
        }
    }
}
