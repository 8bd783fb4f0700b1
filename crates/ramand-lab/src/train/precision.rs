//! How far predictions of the same value lie apart, and the least value that can be told from none.

use crate::train::figures::RegressionSums;

/// Two errors of 5 % each, of a constant standard deviation that is well known: 2 · 1.645 (L. A. Currie, Pure Appl. Chem. 67,
/// 1995, 1699, doi 10.1351/pac199567101699).
const DETECTION_FACTOR: f64 = 3.3;
/// Fewer samples without any of it say too little about how far such samples lie apart.
const BLANKS_MIN: usize = 10;

/// Sums over the spectra of one sample, which has one true value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SampleSums {
    regression: RegressionSums,
    spectra: f64,
    truth: f64,
    prediction: f64,
    prediction_squared: f64,
}

impl SampleSums {
    /// One more spectrum of this sample.
    pub(super) fn add(&mut self, truth: f64, prediction: f64) {
        self.regression.add(truth, prediction);
        self.spectra += 1.0;
        self.truth = truth;
        self.prediction += prediction;
        self.prediction_squared += prediction * prediction;
    }

    /// Σ (prediction − the sample's mean prediction)².
    fn within(&self) -> f64 {
        (self.prediction_squared - self.prediction * self.prediction / self.spectra).max(0.0)
    }
}

/// √(Σ_s Σ_j (p_sj − p̄_s)² / Σ_s (n_s − 1)): how far two spectra of one sample lie apart. What differs between them is what
/// differed between the replicates: the exposure only, or the filling, the day and the instrument too.
pub(super) fn replicate_sd(samples: &[(f64, &SampleSums)]) -> f64 {
    let (mut squares, mut freedom) = (0.0, 0.0);
    for (count, sample) in samples.iter().filter(|(_, sample)| sample.spectra > 0.0) {
        squares += count * sample.within();
        freedom += count * (sample.spectra - 1.0);
    }
    (squares / freedom).sqrt()
}

/// The standard deviation of a single spectrum of another sample without any of it: √(Σ_s mean_j (p_sj − p̄)² / (S − 1)) over the S
/// samples of true value 0, p̄ the mean of their means. Replicates do not count as samples. NaN for fewer than [`BLANKS_MIN`].
pub(super) fn blank_sd(samples: &[(f64, &SampleSums)]) -> f64 {
    let blanks = || samples.iter().filter(|(_, sample)| sample.spectra > 0.0 && sample.truth == 0.0);
    if blanks().count() < BLANKS_MIN {
        return f64::NAN;
    }
    let count: f64 = blanks().map(|(count, _)| count).sum();
    let mean_of = |sample: &SampleSums| sample.prediction / sample.spectra;
    let mean = blanks().map(|(count, sample)| count * mean_of(sample)).sum::<f64>() / count;
    let square = |sample: &SampleSums| {
        let squared = sample.prediction_squared / sample.spectra;
        squared - 2.0 * mean * mean_of(sample) + mean * mean
    };
    (blanks().map(|(count, sample)| count * square(sample)).sum::<f64>() / (count - 1.0)).sqrt()
}

/// 3.3 · [`blank_sd`] / slope of prediction on truth: the least true value that one spectrum tells from none, with 5 % false
/// alarms and 5 % misses (Currie's detection limit, adopted by IUPAC and ISO 11843-1), if samples with a little of it lie as far
/// apart as samples without.
pub(super) fn detection_limit(samples: &[(f64, &SampleSums)]) -> f64 {
    let mut sums = RegressionSums::default();
    samples.iter().for_each(|(count, sample)| sums.add_times(sample.regression, *count));
    DETECTION_FACTOR * blank_sd(samples) / sums.figures().slope
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(truth: f64, predictions: &[f64]) -> SampleSums {
        let mut sums = SampleSums::default();
        predictions.iter().for_each(|&prediction| sums.add(truth, prediction));
        sums
    }

    fn check(what: &str, found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{what}: {found}, not {expected}");
    }

    #[test]
    fn replicates_are_pooled_by_their_degrees_of_freedom() {
        // Squares 2 and 8 about the means 1 and 12, degrees of freedom 2 and 1; one spectrum alone says nothing.
        let samples = [sample(0.0, &[0.0, 1.0, 2.0]), sample(10.0, &[10.0, 14.0]), sample(5.0, &[9.0])];
        let once: Vec<(f64, &SampleSums)> = samples.iter().map(|sample| (1.0, sample)).collect();
        check("pooled", replicate_sd(&once), (10.0_f64 / 3.0).sqrt());
    }

    #[test]
    fn the_detection_limit_is_that_of_single_spectra_of_other_samples() {
        // Ten blanks at -1 and +1 in turn, each with replicates 0.5 to either side; ten samples at 100 read as 50.
        let blank = |place: usize| if place.is_multiple_of(2) { -1.0 } else { 1.0 };
        let mut samples: Vec<SampleSums> =
            (0..10).map(|place| sample(0.0, &[blank(place) - 0.5, blank(place) + 0.5])).collect();
        samples.extend((0..10).map(|_| sample(100.0, &[50.0, 50.0])));
        let once: Vec<(f64, &SampleSums)> = samples.iter().map(|sample| (1.0, sample)).collect();
        // Between samples 1, within 0.25: a single spectrum's mean square is 1.25, of ten samples.
        let expected = (12.5_f64 / 9.0).sqrt();
        check("blank", blank_sd(&once), expected);
        check("limit", detection_limit(&once), 3.3 * expected / 0.5);
        assert!(blank_sd(&once[1..]).is_nan(), "nine blanks are too few");
        let twice: Vec<(f64, &SampleSums)> = samples.iter().map(|sample| (2.0, sample)).collect();
        check("drawn twice", blank_sd(&twice), (25.0_f64 / 19.0).sqrt());
    }
}
