//! How many components PLS takes, chosen on held-out samples.

use ramand_model::manifest::PLS_COMPONENTS_MAX as COMPONENTS_MAX;

use super::dataset::Dataset;
use super::error::TrainError;
use super::loss::{HeldOutLoss, least};
use super::partition::Fold;
use super::pls::Pls;
use super::progress::Progress;

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
    pub(super) loss: HeldOutLoss,
}

impl Components {
    /// Predicts every sample of `members` out of fold with 0 to [`COMPONENTS_MAX`] components.
    pub(super) fn choose(
        data: &Dataset<'_>,
        members: &[usize],
        parts: &[Fold],
        progress: &Progress,
    ) -> Result<Self, TrainError> {
        let mut losses = [HeldOutLoss::default(); COMPONENTS_MAX + 1];
        // By number of components, then by sample.
        let mut squared = vec![vec![0.0_f64; data.unit_count()]; COMPONENTS_MAX + 1];
        let mut available = COMPONENTS_MAX;
        for Fold { training, held_out } in parts {
            progress.check()?;
            let pls = Pls::fit(&data.spectra(training), &data.targets(training), COMPONENTS_MAX);
            available = available.min(pls.components());
            for (components, predicted) in pls.predictions(&data.spectra(held_out)).enumerate() {
                for (row, &spectrum) in predicted.row_iter().zip(held_out) {
                    let mut loss = HeldOutLoss::default();
                    loss.add(&data.truth, spectrum, &row.iter().copied().collect::<Vec<_>>());
                    squared[components][data.units[spectrum]] += loss.squared;
                    losses[components].wrong += loss.wrong;
                    losses[components].squared += loss.squared;
                }
            }
        }
        let mut samples: Vec<usize> = members.iter().map(|&spectrum| data.units[spectrum]).collect();
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
