//! Limits of T² and Q from few held-out samples.
//!
//! With a hundred samples or more, what 99 % of the held-out samples stay within is a limit that assumes no distribution. With
//! fewer, that is the largest value there is: one odd sample opens the gate for everything. Then the limit borrows strength from a
//! distribution, fitted so that single samples do not move it. From 19 samples on it is never so low that it refuses more than one
//! in twenty of those held out.

use ramand_core::decide::conformal::{Calibration, samples_needed};
use ramand_model::manifest::LimitRecord;
use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor};

/// Share of held-out samples within a limit.
const WITHIN: f64 = 0.99;
/// Share of held-out samples that a fitted distribution may not refuse.
const WITHIN_AT_LEAST: f64 = 0.95;
/// Degrees of freedom of a fitted chi-square distribution.
const FREEDOM: (f64, f64) = (1.0, 250.0);

/// A limit, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    pub(super) value: f64,
    pub(super) from: LimitRecord,
}

/// The limit of T² on so many `components`, from held-out values with their samples; `None` where there are no finite ones.
pub(super) fn of_t2(held_out: &[(f64, usize)], components: usize) -> Option<Limit> {
    let calibration = Calibration::new(held_out.iter().copied()).ok()?;
    if let Some(limit) = distribution_free(&calibration) {
        return Some(limit);
    }
    let by_f = hotelling(calibration.samples(), components);
    let by_f = by_f.map(|value| Limit { value, from: LimitRecord::F });
    Some(largest(&calibration, [by_f, chi_square(&calibration), at_least(&calibration)]))
}

/// The limit of Q, likewise.
pub(super) fn of_q(held_out: &[(f64, usize)]) -> Option<Limit> {
    let calibration = Calibration::new(held_out.iter().copied()).ok()?;
    let fitted = || largest(&calibration, [chi_square(&calibration), at_least(&calibration)]);
    Some(distribution_free(&calibration).unwrap_or_else(fitted))
}

/// What 99 % of the held-out samples stay within; `None` of too few.
fn distribution_free(calibration: &Calibration) -> Option<Limit> {
    Some(Limit { value: calibration.quantile(WITHIN)?, from: LimitRecord::HeldOut })
}

/// What 95 % of the held-out samples stay within; `None` of too few.
fn at_least(calibration: &Calibration) -> Option<Limit> {
    Some(Limit { value: calibration.quantile(WITHIN_AT_LEAST)?, from: LimitRecord::HeldOut })
}

/// A (n² − 1) / (n (n − A)) · F(A, n − A): T² of a new sample where A scores of n samples are normal (J. E. Jackson, "A user's
/// guide to principal components", 1991, section 1.5.2). `None` for n ≤ A.
fn hotelling(samples: usize, components: usize) -> Option<f64> {
    let (n, a) = (samples as f64, components as f64);
    let f = FisherSnedecor::new(a, n - a).ok()?.inverse_cdf(WITHIN);
    Some(a * (n * n - 1.0) / (n * (n - a)) * f)
}

/// v₀ / N · χ²(N), where v₀ and N are those of the median and the quartiles of the held-out values: up to a quarter of the samples
/// may lie anywhere (A. L. Pomerantsev, O. Ye. Rodionova, J. Chemometrics 28 (2014) 429-438).
fn chi_square(calibration: &Calibration) -> Option<Limit> {
    if calibration.samples() < samples_needed(0.75) {
        return None;
    }
    let [lower, median, upper] = [0.25, 0.5, 0.75].map(|share| calibration.quantile_or_largest(share));
    let found = (upper - lower) / median;
    let quantile = |freedom: f64, share| ChiSquared::new(freedom).map_or(f64::NAN, |of| of.inverse_cdf(share));
    let spread = |freedom| (quantile(freedom, 0.75) - quantile(freedom, 0.25)) / quantile(freedom, 0.5);
    // The spread falls with the degrees of freedom.
    let (mut low, mut high) = FREEDOM;
    while high - low > 1e-3 * low {
        let middle = (low * high).sqrt();
        if spread(middle) > found { low = middle } else { high = middle }
    }
    let value = median * quantile(low, WITHIN) / quantile(low, 0.5);
    value.is_finite().then_some(Limit { value, from: LimitRecord::ChiSquare })
}

/// The largest of `limits`, or the largest held-out value where there is none.
fn largest<const N: usize>(calibration: &Calibration, limits: [Option<Limit>; N]) -> Limit {
    let limits = limits.into_iter().flatten();
    let of_held_out = || Limit { value: calibration.quantile_or_largest(WITHIN), from: LimitRecord::HeldOut };
    limits.max_by(|a, b| a.value.total_cmp(&b.value)).unwrap_or_else(of_held_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a distribution gives at evenly spaced shares: a sample without chance.
    fn evenly(samples: usize, quantile: impl Fn(f64) -> f64) -> Vec<(f64, usize)> {
        (0..samples).map(|sample| (quantile((sample as f64 + 0.5) / samples as f64), sample)).collect()
    }

    #[test]
    fn f_agrees_with_tables() {
        // F(0.99; 3, 17) = 5.185: 3 · 399 / (20 · 17) · 5.185
        let found = hotelling(20, 3).expect("more samples than components");
        assert!((found - 3.0 * 399.0 / 340.0 * 5.185).abs() < 0.01, "{found}");
        assert_eq!(hotelling(3, 3), None);
    }

    #[test]
    fn few_samples_borrow_and_one_odd_sample_does_not_open_the_gate() {
        let of = ChiSquared::new(4.0).expect("above 0");
        let mut held_out = evenly(40, |share| 0.5 * of.inverse_cdf(share));
        let clean = of_q(&held_out).expect("a limit");
        assert_eq!(clean.from, LimitRecord::ChiSquare);
        assert!((clean.value / (0.5 * of.inverse_cdf(0.99)) - 1.0).abs() < 0.1, "{clean:?}");
        held_out[39].0 = 1e4;
        let odd = of_q(&held_out).expect("a limit");
        assert!((odd.value / clean.value - 1.0).abs() < 0.1, "{odd:?}, {clean:?} without the odd one");
        let t2 = of_t2(&held_out, 12).expect("a limit");
        assert_eq!(t2.from, LimitRecord::F);
    }

    #[test]
    fn no_more_than_one_in_twenty_is_refused() {
        // Two clusters are no chi-square distribution.
        let mut held_out = evenly(60, |share| 1.0 + 0.01 * share);
        held_out[50..].iter_mut().for_each(|(value, _)| *value += 9.0);
        let limit = of_q(&held_out).expect("a limit");
        assert_eq!(limit.from, LimitRecord::HeldOut);
        assert!(held_out.iter().filter(|(value, _)| *value > limit.value).count() <= 3, "{limit:?}");
    }

    #[test]
    fn many_samples_need_no_distribution() {
        let limit = of_q(&evenly(200, |share| share)).expect("a limit");
        assert_eq!(limit, Limit { value: 198.5 / 200.0, from: LimitRecord::HeldOut });
        assert_eq!(of_q(&[]), None);
    }
}
