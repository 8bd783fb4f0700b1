//! How far a figure can be trusted: percentile intervals over samples drawn with replacement.
//!
//! B. Efron and R. J. Tibshirani, "An introduction to the bootstrap", chapter 13. A sample is drawn with all its spectra and all
//! its repeats. The predictions are taken as they are: what another training would change is not in the interval.

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use super::figures::quantile;

/// Enough for two digits of a 95 % interval.
const DRAWS: usize = 2000;
/// Share of the draws on either side of the interval.
const TAIL: f64 = 0.025;

/// How often each sample counts: once each, or as drawn.
pub(crate) struct Draws(Vec<Vec<u32>>);

impl Draws {
    /// For so many samples.
    pub(crate) fn new(samples: usize, random: &mut ChaCha8Rng) -> Self {
        let draw = |_| {
            let mut counts = vec![0; samples];
            (0..samples).for_each(|_| counts[random.random_range(0..samples)] += 1);
            counts
        };
        Self((0..DRAWS).map(draw).collect())
    }

    /// The 95 % interval of `figure`, which is given how often each sample counts; `None` where it is undefined in most draws.
    pub(crate) fn interval(&self, figure: impl Fn(&[u32]) -> f64) -> Option<[f64; 2]> {
        // A draw without any sample of a class says nothing about that class.
        let mut values: Vec<f64> =
            self.0.iter().map(|counts| figure(counts)).filter(|value| value.is_finite()).collect();
        let enough = values.len() > DRAWS / 2;
        enough.then(|| [quantile(&mut values, TAIL), quantile(&mut values, 1.0 - TAIL)])
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_two_standard_errors() {
        // 100 samples, half of them 0 and half 1: mean 0.5, standard error 0.05.
        let draws = Draws::new(100, &mut ChaCha8Rng::seed_from_u64(1));
        let mean = |counts: &[u32]| {
            let ones = counts.iter().step_by(2).sum::<u32>();
            f64::from(ones) / f64::from(counts.iter().sum::<u32>())
        };
        let [low, high] = draws.interval(mean).expect("always defined");
        assert!((low - 0.402).abs() < 0.015 && (high - 0.598).abs() < 0.015, "{low} to {high}");
        assert_eq!(draws.interval(|_| f64::NAN), None);
    }
}
