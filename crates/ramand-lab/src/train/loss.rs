//! What a model loses on samples it was not fitted to, and when one model is better than another.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::dataset::{Dataset, Truth};
use super::figures::best;

/// What was lost on held-out spectra, in the order that decides: wrong labels for classes (0 for quantities), squared error.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub(super) struct HeldOutLoss {
    pub(super) wrong: usize,
    pub(super) squared: f64,
}

/// What a candidate lost on held-out training samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct CandidateLoss {
    pub(super) loss: HeldOutLoss,
    /// Spectra it was counted on: fewer where a network was given up early.
    pub(super) spectra: usize,
}

impl HeldOutLoss {
    /// A total order: what is no number comes last.
    pub(super) fn total_cmp(&self, other: &Self) -> Ordering {
        self.wrong.cmp(&other.wrong).then_with(|| self.squared.total_cmp(&other.squared))
    }

    /// One more spectrum, of which `predicted` holds one number per output.
    pub(super) fn add(&mut self, truth: &Truth, spectrum: usize, predicted: &[f64]) {
        let errors = predicted.iter().enumerate().map(|(output, value)| value - truth.target(spectrum, output));
        self.squared += errors.map(|error| error * error).sum::<f64>();
        if let Truth::Classes { indices, .. } = truth {
            let scores: Vec<f32> = predicted.iter().map(|&value| value as f32).collect();
            self.wrong += usize::from(best(&scores) != indices[spectrum]);
        }
    }
}

/// The place of the least loss, the first of equals.
pub(super) fn least(losses: impl Iterator<Item = HeldOutLoss>) -> usize {
    let mut best: Option<(usize, HeldOutLoss)> = None;
    for (place, loss) in losses.enumerate() {
        if best.is_none_or(|(_, least)| loss < least) {
            best = Some((place, loss));
        }
    }
    best.map_or(0, |(place, _)| place)
}

/// Predictions of held-out spectra, in the order of the parts they were held out in.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldOutPredictions {
    /// Indices into the dataset.
    spectra: Vec<usize>,
    /// One row per spectrum, one number per output.
    rows: Vec<Vec<f64>>,
}

/// What a candidate loses on each sample it was not fitted to.
#[derive(Debug, Clone, Default)]
pub(super) struct SampleLosses {
    samples: Vec<HeldOutLoss>,
    spectra: usize,
}

impl HeldOutPredictions {
    /// One more spectrum.
    pub(super) fn push(&mut self, spectrum: usize, row: Vec<f64>) {
        self.spectra.push(spectrum);
        self.rows.push(row);
    }

    /// The part s in 0..=1 of the way from these predictions to the `others` of the same spectra that leaves the least squared
    /// error: Σ (t − p)(o − p) / Σ (o − p)², t the truth.
    pub(super) fn best_share(&self, others: &Self, truth: &Truth) -> f64 {
        let (mut product, mut square) = (0.0, 0.0);
        for ((&spectrum, row), other) in self.spectra.iter().zip(&self.rows).zip(&others.rows) {
            for (output, (value, other)) in row.iter().zip(other).enumerate() {
                product += (truth.target(spectrum, output) - value) * (other - value);
                square += (other - value).powi(2);
            }
        }
        if square > 0.0 { (product / square).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// These predictions, moved by `share` of the way to the `others`.
    pub(super) fn towards(&self, others: &Self, share: f64) -> Self {
        let moved = |(row, other): (&Vec<f64>, &Vec<f64>)| {
            row.iter().zip(other).map(|(value, other)| value + share * (other - value)).collect()
        };
        Self { spectra: self.spectra.clone(), rows: self.rows.iter().zip(&others.rows).map(moved).collect() }
    }

    /// The first `count` of them.
    pub(super) fn first(&self, count: usize) -> Self {
        Self { spectra: self.spectra[..count].to_vec(), rows: self.rows[..count].to_vec() }
    }

    /// What was lost, by sample.
    pub(super) fn losses(&self, data: &Dataset<'_>) -> SampleLosses {
        let mut by_sample = BTreeMap::<usize, HeldOutLoss>::new();
        for (&spectrum, row) in self.spectra.iter().zip(&self.rows) {
            by_sample.entry(data.units[spectrum]).or_default().add(&data.truth, spectrum, row);
        }
        SampleLosses { samples: by_sample.into_values().collect(), spectra: self.spectra.len() }
    }
}

impl SampleLosses {
    /// Over all samples.
    pub(super) fn total(&self) -> HeldOutLoss {
        self.samples.iter().fold(HeldOutLoss::default(), |sum, loss| HeldOutLoss {
            wrong: sum.wrong + loss.wrong,
            squared: sum.squared + loss.squared,
        })
    }

    /// The same as one loss with the number of spectra.
    pub(super) fn counted(&self) -> CandidateLoss {
        CandidateLoss { loss: self.total(), spectra: self.spectra }
    }

    /// Spectra they were counted on.
    pub(super) fn spectra(&self) -> usize {
        self.spectra
    }

    /// Whether `other`, on the same samples, loses less by more than so many standard errors of the difference, sample by sample:
    /// of wrong labels where these differ, of squared errors otherwise.
    pub(super) fn more_than(&self, other: &Self, standard_errors: f64) -> bool {
        let pairs = || self.samples.iter().zip(&other.samples);
        if self.total().wrong != other.total().wrong {
            return above_zero(pairs().map(|(own, other)| own.wrong as f64 - other.wrong as f64), standard_errors);
        }
        above_zero(pairs().map(|(own, other)| own.squared - other.squared), standard_errors)
    }
}

/// Whether the sum of `differences` is above zero by more than so many of its standard errors.
fn above_zero(differences: impl Iterator<Item = f64> + Clone, standard_errors: f64) -> bool {
    let count = differences.clone().count() as f64;
    let sum: f64 = differences.clone().sum();
    let variance = differences.map(|difference| (difference - sum / count).powi(2)).sum::<f64>() / count;
    sum > standard_errors * (count * variance).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_standard_errors_of_the_sum() {
        // Sum 4, variance 1, standard error 2; sum 1, variance 1.1875, standard error 2.18.
        assert!(above_zero([2.0, 0.0, 2.0, 0.0].into_iter(), 1.9));
        assert!(!above_zero([2.0, 0.0, 2.0, 0.0].into_iter(), 2.1));
        assert!(!above_zero([2.0, -1.0, 0.5, -0.5].into_iter(), 1.0));
        assert!(!above_zero([0.0; 4].into_iter(), 1.0));
    }

    #[test]
    fn the_best_share_is_the_least_squares_one_and_no_further_than_the_ends() {
        let truth = Truth::Values(vec![1.0, 2.0]);
        let of = |values: [f64; 2]| HeldOutPredictions {
            spectra: vec![0, 1],
            rows: values.iter().map(|&value| vec![value]).collect(),
        };
        assert_eq!(of([0.0, 0.0]).best_share(&of([4.0, 8.0]), &truth), 0.25);
        assert_eq!(of([0.0, 0.0]).best_share(&of([0.5, 1.0]), &truth), 1.0);
        assert_eq!(of([0.0, 0.0]).best_share(&of([-1.0, -1.0]), &truth), 0.0);
        assert_eq!(of([3.0, 3.0]).best_share(&of([3.0, 3.0]), &truth), 0.0);
    }
}
