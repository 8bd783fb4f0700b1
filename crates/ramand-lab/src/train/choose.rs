//! Every choice that is made on training samples alone: PLS components, settings of kernel ridge, the candidate.
//!
//! What is quickly fitted (PLS, kernel ridge, the mean of both) is compared on many inner folds. A network is compared with the
//! best of these on few, and taken only where it is better by more than three standard errors, and also better than what is quickly
//! fitted to the more spectra of the many folds: the simpler model otherwise.

use nalgebra::DMatrix;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::candidate::{Candidate, Family};
use super::components::Components;
use super::dataset::Dataset;
use super::error::TrainError;
use super::estimator::{Estimator, KernelEstimator};
use super::fit::{Fit, Lesson, Recipe, mean_output};
use super::kernel::{self, KernelChoice, KernelRidge};
use super::loss::{CandidateLoss, HeldOutLoss, HeldOutPredictions, SampleLosses, least};
use super::out_of_fold::{HeldOutSpectrum, OutOfFold};
use super::partition::{Fold, partition};
use super::pls::Pls;
use super::progress::Progress;

/// Folds of the inner cross-validation that chooses what is quickly fitted.
const INNER_FOLDS: usize = 10;
/// Folds of the inner cross-validation that compares networks with it: each takes one training of a network.
pub(super) const NETWORK_FOLDS: usize = 3;
/// Kernels of more spectra than this are chosen on [`NETWORK_FOLDS`] folds.
const SMALL: usize = 300;
/// Spectra, a share of the samples, on which width and penalty of a kernel are chosen: each of the many pairs costs the third
/// power of their number. The fit itself is to all of them.
const KERNEL_CHOICE_MAX: usize = 500;
/// A simpler one of the quickly fitted models may be worse by this share of the root mean square error. One standard error, as for
/// PLS components, would be ten times as much where samples are few.
const WORTH_SIMPLICITY: f64 = 0.01;
/// Standard errors by which a network must lose less than what is simpler. Of several that do about equally well the luckiest is
/// chosen, and it does worst where the sample that speaks against it is held out. Two standard errors are exceeded by luck in one of
/// forty choices, and a cross-validation makes thirty.
const EVIDENCE: f64 = 3.0;

/// PLS and kernel ridge, of one preprocessing, with what was chosen on held-out samples.
struct Tuned {
    components: Components,
    kernel: Option<KernelChoice>,
}

/// What is fitted beside the model, for comparison: the best preprocessing of each.
pub(super) struct Baselines {
    pls: (usize, Pls),
    kernel: Option<(usize, KernelRidge)>,
}

impl Baselines {
    /// Components of PLS.
    pub(super) fn components(&self) -> usize {
        self.pls.1.components()
    }

    /// What PLS says about one spectrum, one number per output.
    fn pls(&self, preprocessings: &[Dataset<'_>], spectrum: usize) -> Vec<f32> {
        let (preprocessing, pls) = &self.pls;
        let spectra = preprocessings[*preprocessing].spectra(&[spectrum]);
        let predicted = pls.predictions(&spectra).last().expect("one more than there are components");
        predicted.iter().map(|&value| value as f32).collect()
    }

    /// The same of kernel ridge; `None` where there are too many spectra.
    fn kernel(&self, preprocessings: &[Dataset<'_>], spectrum: usize) -> Option<Vec<f32>> {
        let (preprocessing, kernel) = self.kernel.as_ref()?;
        let predicted = kernel.predict(&preprocessings[*preprocessing].spectra(&[spectrum]));
        Some(predicted.iter().map(|&value| value as f32).collect())
    }
}

/// What was chosen and fitted on one set of training samples.
pub(super) struct Nested {
    /// Index into the candidates.
    pub(super) candidate: usize,
    /// Of each candidate; empty where there is one candidate only, `None` where it could not be fitted.
    pub(super) losses: Vec<Option<CandidateLoss>>,
    /// The model.
    pub(super) estimator: Estimator,
    /// PLS and kernel ridge, beside it.
    pub(super) baselines: Baselines,
}

/// What [`Nested::new`] chooses among, and how networks are trained.
pub(super) struct Choices<'a> {
    /// The same spectra in every preprocessing.
    pub(super) preprocessings: &'a [Dataset<'a>],
    pub(super) candidates: &'a [Candidate],
    /// Networks whose mean is the model.
    pub(super) networks: usize,
    /// Steps of gradient descent for each.
    pub(super) steps: usize,
    /// Of a family with a network, for a set of training spectra.
    pub(super) recipe: &'a (dyn Fn(Family, &Dataset<'_>, &[usize]) -> Recipe + Sync),
    pub(super) progress: &'a Progress,
}

/// A candidate that was compared: where it stands, and the part of the second of its two models where it has two.
#[derive(Debug, Clone)]
struct Compared {
    candidate: usize,
    losses: SampleLosses,
    /// Of the same PLS without its network, where that is a candidate's first model.
    without_network: Option<SampleLosses>,
    share: f64,
}

impl Nested {
    /// Chooses and fits on the spectra `members`, and looks at no other.
    ///
    /// # Errors
    /// The first failure of a fit.
    pub(super) fn new(choices: &Choices<'_>, members: &[usize], random: &mut ChaCha8Rng) -> Result<Self, TrainError> {
        let parts = partition(&choices.preprocessings[0], members, INNER_FOLDS, random);
        let tuned = choices.tuned(members, &parts, random)?;
        let baselines = choices.baselines(members, &tuned);
        let mut losses = vec![None; choices.candidates.len()];
        let mut chosen = Compared { candidate: 0, losses: SampleLosses::default(), without_network: None, share: 1.0 };
        if chooses(choices.candidates) {
            let few = match members.len() {
                0..=SMALL => parts,
                _ => partition(&choices.preprocessings[0], members, NETWORK_FOLDS, random),
            };
            let quick = choices.compare_quick(&tuned, &few, &mut losses)?;
            chosen = choices.compare_networks(quick, &tuned, members, random, &mut losses)?;
        }
        let mut rngs: Vec<ChaCha8Rng> =
            (0..choices.networks).map(|_| ChaCha8Rng::seed_from_u64(random.random())).collect();
        let candidate = &choices.candidates[chosen.candidate];
        let estimator = choices.fit(candidate, &tuned, members, &mut rngs, chosen.share)?;
        let networks = choices.candidates.iter().any(|candidate| candidate.family.has_network());
        if networks && !candidate.family.has_network() {
            choices.progress.skip((choices.networks * choices.steps) as u64)?;
        }
        if choices.candidates.len() == 1 {
            losses.clear();
        }
        Ok(Self { candidate: chosen.candidate, losses, estimator, baselines })
    }

    /// One held-out spectrum as everything that was chosen here sees it.
    pub(super) fn predict(&self, choices: &Choices<'_>, held_out: HeldOutSpectrum) -> OutOfFold {
        let HeldOutSpectrum { spectrum, repeat, fold } = held_out;
        let data = &choices.preprocessings[choices.candidates[self.candidate].preprocessing];
        let each = self.estimator.predict_each(data, spectrum);
        OutOfFold {
            spectrum,
            repeat,
            fold,
            candidate: self.candidate,
            prediction: mean_output(&each),
            each,
            pls: self.baselines.pls(choices.preprocessings, spectrum),
            kernel: self.baselines.kernel(choices.preprocessings, spectrum),
        }
    }
}

/// Whether anything is left to choose: the candidate, or the part of the second of its two models.
pub(super) fn chooses(candidates: &[Candidate]) -> bool {
    candidates.len() > 1 || matches!(candidates[0].family, Family::PlsAndKernelRidge | Family::PlsAndNetwork)
}

impl Choices<'_> {
    /// The first candidate fitted to `members`; nothing is held out to choose by but PLS components and kernels.
    ///
    /// # Errors
    /// The first failure of a fit.
    pub(super) fn fit_first(&self, members: &[usize], random: &mut ChaCha8Rng) -> Result<Estimator, TrainError> {
        let parts = partition(&self.preprocessings[0], members, INNER_FOLDS, random);
        let tuned = self.tuned(members, &parts, random)?;
        let mut rngs: Vec<ChaCha8Rng> =
            (0..self.networks).map(|_| ChaCha8Rng::seed_from_u64(random.random())).collect();
        self.fit(&self.candidates[0], &tuned, members, &mut rngs, 1.0)
    }

    /// Components and kernels of every preprocessing, chosen by predicting each sample of `members` from others.
    fn tuned(&self, members: &[usize], parts: &[Fold], random: &mut ChaCha8Rng) -> Result<Vec<Tuned>, TrainError> {
        let folds = self.kernel_folds(members, parts, random);
        let tune = |data: &Dataset<'_>| -> Result<Tuned, TrainError> {
            Ok(Tuned {
                components: Components::choose(data, members, parts, self.progress)?,
                kernel: match &folds {
                    None => None,
                    Some(folds) => KernelRidge::choose(data, folds, self.progress)?,
                },
            })
        };
        self.preprocessings.iter().map(tune).collect()
    }

    /// The folds a kernel is chosen on; `None` for too many spectra.
    fn kernel_folds(&self, members: &[usize], parts: &[Fold], random: &mut ChaCha8Rng) -> Option<Vec<Fold>> {
        let data = &self.preprocessings[0];
        if members.len() > kernel::SPECTRA_MAX {
            return None;
        }
        if members.len() <= SMALL {
            return Some(parts.to_vec());
        }
        let shares = members.len().div_ceil(KERNEL_CHOICE_MAX);
        let among = match shares {
            1 => members.to_vec(),
            _ => partition(data, members, shares, random).swap_remove(0).held_out,
        };
        Some(partition(data, &among, NETWORK_FOLDS, random))
    }

    fn baselines(&self, members: &[usize], tuned: &[Tuned]) -> Baselines {
        let best = least(tuned.iter().map(|tuned| tuned.components.loss));
        let data = &self.preprocessings[best];
        let components = tuned[best].components.least_error;
        let pls = (best, Pls::fit(&data.spectra(members), &data.targets(members), components));
        let kernels = || tuned.iter().enumerate().filter_map(|(place, tuned)| Some((place, tuned.kernel?)));
        let best = least(kernels().map(|(_, choice)| choice.loss));
        let kernel = kernels().nth(best).and_then(|(place, choice)| {
            Some((place, KernelRidge::fit(&self.preprocessings[place], members, &choice)?))
        });
        Baselines { pls, kernel }
    }

    /// Fits one candidate; `share` is the part of the second of two models.
    ///
    /// # Errors
    /// The first failure of a fit; that a kernel is wanted and there is none.
    fn fit(
        &self,
        candidate: &Candidate,
        tuned: &[Tuned],
        members: &[usize],
        rngs: &mut [ChaCha8Rng],
        share: f64,
    ) -> Result<Estimator, TrainError> {
        let Candidate { preprocessing, family } = *candidate;
        let data = &self.preprocessings[preprocessing];
        let Tuned { components, kernel } = &tuned[preprocessing];
        let lesson = |family: Family| Lesson {
            data,
            members,
            family,
            components: if family == Family::Pls { components.least_error } else { components.parsimonious },
            recipe: (self.recipe)(family, data, members),
            progress: self.progress,
        };
        let kernel = || {
            let fit = kernel.and_then(|choice| KernelRidge::fit(data, members, &choice));
            fit.ok_or(TrainError::TooManyForKernel { spectra: members.len(), most: kernel::SPECTRA_MAX })
        };
        Ok(match family {
            Family::Pls | Family::Network => Estimator::Network(Fit::new(&lesson(family), rngs)?),
            Family::KernelRidge => Estimator::Kernel(KernelEstimator { kernel: kernel()?, share: 1.0, linear: None }),
            Family::PlsAndKernelRidge => {
                let linear = Some(Fit::new(&lesson(Family::Pls), &mut [])?);
                Estimator::Kernel(KernelEstimator { kernel: kernel()?, share, linear })
            }
            Family::PlsAndNetwork => {
                let mut fit = Fit::new(&lesson(family), rngs)?;
                fit.shrink(share);
                Estimator::Network(fit)
            }
        })
    }

    /// What a quickly fitted candidate says about the held-out spectra of `parts`.
    fn quick_predictions(
        &self,
        candidate: &Candidate,
        tuned: &[Tuned],
        parts: &[Fold],
    ) -> Result<Option<HeldOutPredictions>, TrainError> {
        let data = &self.preprocessings[candidate.preprocessing];
        let Tuned { components, kernel } = &tuned[candidate.preprocessing];
        let mut predictions = HeldOutPredictions::default();
        for Fold { training, held_out } in parts {
            self.progress.check()?;
            let spectra = data.spectra(held_out);
            let predicted: DMatrix<f64> = match candidate.family {
                Family::KernelRidge => {
                    let Some(fit) = kernel.and_then(|choice| KernelRidge::fit(data, training, &choice)) else {
                        return Ok(None);
                    };
                    fit.predict(&spectra)
                }
                _ => {
                    let pls = Pls::fit(&data.spectra(training), &data.targets(training), components.least_error);
                    pls.predictions(&spectra).last().expect("one more than there are components")
                }
            };
            for (row, &spectrum) in predicted.row_iter().zip(held_out) {
                predictions.push(spectrum, row.iter().copied().collect());
            }
        }
        Ok(Some(predictions))
    }

    /// Compares PLS, kernel ridge and both on `parts`: the simplest that hardly loses more than the best of them, if there is any.
    fn compare_quick(
        &self,
        tuned: &[Tuned],
        parts: &[Fold],
        losses: &mut [Option<CandidateLoss>],
    ) -> Result<Option<Compared>, TrainError> {
        let mut compared: Vec<Compared> = Vec::new();
        for (place, candidate) in self.candidates.iter().enumerate().filter(|(_, one)| !one.family.has_network()) {
            let data = &self.preprocessings[candidate.preprocessing];
            let Some((predictions, share)) = self.quick(candidate, tuned, parts, None)? else { continue };
            let lost = predictions.losses(data);
            losses[place] = Some(lost.counted());
            compared.push(Compared { candidate: place, losses: lost, without_network: None, share });
        }
        let total = |one: &Compared| one.losses.total();
        let family = |one: &Compared| self.candidates[one.candidate].family;
        let least = |of: Family| {
            let those = compared.iter().filter(|one| family(one) == of);
            those.min_by(|a, b| total(a).total_cmp(&total(b))).map(|one| &one.losses)
        };
        let pure = [least(Family::Pls), least(Family::KernelRidge)];
        let clearly = |worse: Option<&SampleLosses>, better: Option<&SampleLosses>| {
            worse.zip(better).is_none_or(|(worse, better)| worse.more_than(better, 1.0))
        };
        // The mean of two is for where it is not clear which is the better one, and has to gain: its weight is one more thing to fit.
        let both = least(Family::PlsAndKernelRidge);
        let one_is_better =
            pure.iter().all(Option::is_some) && (clearly(pure[0], pure[1]) || clearly(pure[1], pure[0]));
        let mean = !one_is_better && pure.iter().all(|&pure| clearly(pure, both));
        if !mean {
            compared.retain(|one| self.candidates[one.candidate].family != Family::PlsAndKernelRidge);
        }
        let Some(best) = compared.iter().min_by(|a, b| total(a).total_cmp(&total(b))) else { return Ok(None) };
        let most = HeldOutLoss { squared: total(best).squared * (1.0 + WORTH_SIMPLICITY).powi(2), ..total(best) };
        let good_enough = |one: &&Compared| total(one).wrong <= most.wrong && total(one).squared <= most.squared;
        let simplest = compared
            .iter()
            .filter(good_enough)
            .min_by(|a, b| family(a).cmp(&family(b)).then_with(|| total(a).total_cmp(&total(b))));
        Ok(simplest.or(Some(best)).cloned())
    }

    /// Predictions of a quickly fitted candidate, with the part kernel ridge has in them: `share`, or the best.
    fn quick(
        &self,
        candidate: &Candidate,
        tuned: &[Tuned],
        parts: &[Fold],
        share: Option<f64>,
    ) -> Result<Option<(HeldOutPredictions, f64)>, TrainError> {
        if candidate.family != Family::PlsAndKernelRidge {
            return Ok(self.quick_predictions(candidate, tuned, parts)?.map(|predictions| (predictions, 1.0)));
        }
        let of = |family| self.quick_predictions(&Candidate { family, ..*candidate }, tuned, parts);
        let (Some(pls), Some(kernel)) = (of(Family::Pls)?, of(Family::KernelRidge)?) else { return Ok(None) };
        let truth = &self.preprocessings[candidate.preprocessing].truth;
        let share = share.unwrap_or_else(|| pls.best_share(&kernel, truth));
        Ok(Some((pls.towards(&kernel, share), share)))
    }

    /// Compares networks with the best of what is quickly fitted, `quick`: the network that loses least, where that is clearly
    /// less; otherwise `quick`. A network that is not ahead after a fold is not trained on the next.
    fn compare_networks(
        &self,
        quick: Option<Compared>,
        tuned: &[Tuned],
        members: &[usize],
        random: &mut ChaCha8Rng,
        losses: &mut [Option<CandidateLoss>],
    ) -> Result<Compared, TrainError> {
        let networks: Vec<usize> =
            (0..self.candidates.len()).filter(|&place| self.candidates[place].family.has_network()).collect();
        let parts = partition(&self.preprocessings[0], members, NETWORK_FOLDS, random);
        // The same for every candidate, so that they differ by nothing else.
        let seeds: Vec<u64> = parts.iter().map(|_| random.random()).collect();
        let mut bar = None;
        if let Some(quick) = quick.as_ref().filter(|_| !networks.is_empty()) {
            let candidate = &self.candidates[quick.candidate];
            bar = self.quick(candidate, tuned, &parts, Some(quick.share))?.map(|(predictions, _)| predictions);
        }
        let mut best: Option<Compared> = None;
        for place in networks {
            let compared = self.race(place, tuned, &parts, &seeds, bar.as_ref())?;
            losses[place] = Some(compared.losses.counted());
            let whole = compared.losses.spectra() == members.len();
            if whole && best.as_ref().is_none_or(|best| compared.losses.total() < best.losses.total()) {
                best = Some(compared);
            }
        }
        let bar = bar.map(|bar| bar.losses(&self.preprocessings[0]));
        // The gain must be the network's own, not that of another number of components. What could not be compared shows none.
        // And a network that gains on few spectra may not gain on more, where the other model learns faster.
        let gains = |best: &Compared| {
            let over = |simpler: &SampleLosses| simpler.more_than(&best.losses, EVIDENCE);
            let with_more = quick.as_ref().is_none_or(|quick| best.losses.total() < quick.losses.total());
            with_more && bar.as_ref().is_some_and(over) && best.without_network.as_ref().is_none_or(over)
        };
        let gains = best.as_ref().is_some_and(gains);
        Ok(match (quick, best) {
            (Some(quick), Some(_)) if !gains => quick,
            (Some(quick), None) => quick,
            (_, Some(best)) => best,
            (None, None) => {
                Compared { candidate: 0, losses: SampleLosses::default(), without_network: None, share: 1.0 }
            }
        })
    }

    /// Trains a candidate with a network fold by fold for as long as it loses less than `bar` does on the same spectra; without
    /// `bar`, on all folds.
    fn race(
        &self,
        place: usize,
        tuned: &[Tuned],
        parts: &[Fold],
        seeds: &[u64],
        bar: Option<&HeldOutPredictions>,
    ) -> Result<Compared, TrainError> {
        let candidate = &self.candidates[place];
        let data = &self.preprocessings[candidate.preprocessing];
        let (mut without, mut with) = (HeldOutPredictions::default(), HeldOutPredictions::default());
        let mut left = parts.len();
        loop {
            let fold = parts.len() - left;
            let Fold { training, held_out } = &parts[fold];
            let mut rngs = [ChaCha8Rng::seed_from_u64(seeds[fold])];
            let Estimator::Network(fit) = self.fit(candidate, tuned, training, &mut rngs, 1.0)? else {
                unreachable!("a family with a network")
            };
            for &spectrum in held_out {
                let preprocessed = data.preprocessed(spectrum);
                let wide = |row: Vec<f32>| row.into_iter().map(f64::from).collect();
                without.push(spectrum, wide(fit.without_networks(preprocessed)));
                with.push(spectrum, wide(mean_output(&fit.predict_each(preprocessed))));
            }
            left -= 1;
            let share = match candidate.family {
                Family::PlsAndNetwork => without.best_share(&with, &data.truth),
                _ => 1.0,
            };
            let losses = without.towards(&with, share).losses(data);
            let behind = bar.is_some_and(|bar| losses.total() >= bar.first(losses.spectra()).losses(data).total());
            if left == 0 || behind {
                self.progress.skip((left * self.steps) as u64)?;
                let without_network = (candidate.family == Family::PlsAndNetwork).then(|| without.losses(data));
                return Ok(Compared { candidate: place, losses, without_network, share });
            }
        }
    }
}
