//! Figures of merit of out-of-fold predictions.

/// How well a quantity was predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RegressionFigures {
    /// Root mean square error.
    pub(crate) rmse: f64,
    /// 1 − Σ (prediction − truth)² / Σ (truth − mean truth)².
    pub(crate) r2: f64,
    /// Mean of prediction − truth.
    pub(crate) bias: f64,
    /// Of the least-squares line of prediction on truth.
    pub(crate) slope: f64,
}

/// What [`RegressionFigures`] are computed from; sums of parts are the sums of the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct RegressionSums {
    count: f64,
    truth: f64,
    prediction: f64,
    truth_squared: f64,
    product: f64,
    error_squared: f64,
}

impl RegressionSums {
    /// One more spectrum.
    pub(crate) fn add(&mut self, truth: f64, prediction: f64) {
        self.count += 1.0;
        self.truth += truth;
        self.prediction += prediction;
        self.truth_squared += truth * truth;
        self.product += truth * prediction;
        self.error_squared += (prediction - truth).powi(2);
    }

    /// All spectra of a part, `times` times.
    pub(crate) fn add_times(&mut self, part: Self, times: f64) {
        self.count += times * part.count;
        self.truth += times * part.truth;
        self.prediction += times * part.prediction;
        self.truth_squared += times * part.truth_squared;
        self.product += times * part.product;
        self.error_squared += times * part.error_squared;
    }

    /// Of at least one spectrum; where all have the same truth, R² and slope are no numbers.
    pub(crate) fn figures(&self) -> RegressionFigures {
        let variation = self.truth_squared - self.truth * self.truth / self.count;
        let covariation = self.product - self.truth * self.prediction / self.count;
        RegressionFigures {
            rmse: (self.error_squared / self.count).sqrt(),
            r2: 1.0 - self.error_squared / variation,
            bias: (self.prediction - self.truth) / self.count,
            slope: covariation / variation,
        }
    }
}

/// The softmax temperature that makes the out-of-fold probabilities most likely: the minimum over T of
/// −Σ log softmax(scores / T)\[truth\], which has one minimum in 1/T (C. Guo et al., ICML 2017). Golden-section search
/// over log T within [`TEMPERATURE_RANGE`].
pub(super) fn temperature(scores: &[(usize, &[f32])]) -> f64 {
    let (mut low, mut high) = (TEMPERATURE_RANGE.0.ln(), TEMPERATURE_RANGE.1.ln());
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let loss = |log_temperature: f64| {
        let temperature = log_temperature.exp();
        scores.iter().map(|&(truth, scores)| surprise(truth, scores, temperature)).sum::<f64>()
    };
    while high - low > TEMPERATURE_PRECISION {
        let (left, right) = (high - ratio * (high - low), low + ratio * (high - low));
        if loss(left) <= loss(right) { high = right } else { low = left }
    }
    (0.5 * (low + high)).exp()
}

/// Scores are near 0 and 1: below, probabilities are 0 and 1 in f32; above, they are all alike.
const TEMPERATURE_RANGE: (f64, f64) = (0.01, 10.0);
/// Of log T.
const TEMPERATURE_PRECISION: f64 = 1e-6;

/// −log softmax(scores / temperature)[truth].
fn surprise(truth: usize, scores: &[f32], temperature: f64) -> f64 {
    let scaled = |score: &f32| f64::from(*score) / temperature;
    let largest = scores.iter().map(scaled).fold(f64::MIN, f64::max);
    let sum: f64 = scores.iter().map(|score| (scaled(score) - largest).exp()).sum();
    sum.ln() + largest - scaled(&scores[truth])
}

/// Index of the highest score, the first of equals.
pub(crate) fn best(scores: &[f32]) -> usize {
    let higher = |best: usize, index: usize| if scores[index] > scores[best] { index } else { best };
    (0..scores.len()).fold(0, higher)
}

/// The `share` quantile of values, as the smallest value that at least that share of them does not exceed.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        let mut sums = RegressionSums::default();
        [(0.0, 1.0), (2.0, 2.0), (4.0, 6.0)].into_iter().for_each(|(truth, prediction)| sums.add(truth, prediction));
        let mut twice = RegressionSums::default();
        twice.add_times(sums, 2.0);
        assert_eq!(twice.figures(), sums.figures());
        let figures = sums.figures();
        assert!((figures.rmse - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((figures.r2 - (1.0 - 5.0 / 8.0)).abs() < 1e-12);
        assert!((figures.bias - 1.0).abs() < 1e-12);
        assert!((figures.slope - 10.0 / 8.0).abs() < 1e-12);
    }

    #[test]
    fn the_temperature_gives_the_observed_odds() {
        // Score difference 1 between two classes, right 3 times of 4: softmax is right when exp(1/T) = 3.
        let right = [1.0_f32, 0.0];
        let wrong = [0.0_f32, 1.0];
        let scores = [(0, &right[..]), (0, &right), (0, &right), (0, &wrong)];
        assert!((temperature(&scores) - 1.0 / 3.0_f64.ln()).abs() < 1e-4);
        // Always right: as cold as allowed.
        assert!(temperature(&scores[..3]) < 0.011);
    }

    #[test]
    fn quantiles_are_order_statistics() {
        let mut values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.99), 198.0);
        assert_eq!(quantile(&mut values, 1.0), 200.0);
        assert_eq!(quantile(&mut [3.0], 0.5), 3.0);
    }

    #[test]
    fn the_first_of_equal_scores_is_best() {
        assert_eq!(best(&[0.1, 0.7, 0.7]), 1);
    }
}
