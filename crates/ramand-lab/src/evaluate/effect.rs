//! What a model reacts to, place by place: the slope of its contributions on the truth, or what separates two classes.
//!
//! Our definitions. Regression: E_B = β_B, the least-squares slope of φ_B on the known c (D6). Classes c and c': E_B = mean of
//! φ_B under the contrast (c, c') over samples of c, less its mean over samples of c'. Over a partition of the axis E_B adds up to the
//! slope of y on c, or to how far the contrast keeps the two classes apart, whatever the reference population is.

use ramand_core::outcome::Explained;

use super::observe::Observations;

/// One sample: its truth as c, or ±1 for the two classes of a contrast, and the mean φ of each place over its spectra.
pub(super) type EffectSample = (f64, Vec<f64>);

/// The samples a question is about.
pub(super) fn samples(observations: &Observations, explained: Explained) -> Vec<EffectSample> {
    let means = observations.by_sample(|row| row.contributions(explained));
    let known = means.into_iter().filter_map(|(row, means)| {
        let truth = observations.truth.as_ref().ok().and_then(|truth| truth.regressor(row, explained));
        truth.map(|truth| (truth, means))
    });
    known.collect()
}

/// E of each place, each sample counted as often as `counts` says; `None` where all have the same truth.
///
/// Both kinds are a slope on the truth: that of two classes at ±1, doubled, is the difference of their means.
pub(super) fn effects(samples: &[EffectSample], counts: &[u32], explained: Explained) -> Option<Vec<f64>> {
    let places = samples.first()?.1.len();
    let weighted = || samples.iter().zip(counts).map(|((truth, values), &count)| (f64::from(count), truth, values));
    let total: f64 = weighted().map(|(weight, ..)| weight).sum();
    let mean = weighted().map(|(weight, truth, _)| weight * truth).sum::<f64>() / total;
    let variation: f64 = weighted().map(|(weight, truth, _)| weight * (truth - mean).powi(2)).sum();
    if variation.is_nan() || variation <= 0.0 {
        return None;
    }
    let mut slopes = vec![0.0; places];
    for (weight, truth, values) in weighted() {
        slopes.iter_mut().zip(values).for_each(|(slope, value)| *slope += weight * (truth - mean) * value / variation);
    }
    if matches!(explained, Explained::Contrast { .. }) {
        slopes.iter_mut().for_each(|slope| *slope *= 2.0);
    }
    Some(slopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: f64 = 1e-12;

    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let same = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < TOLERANCE);
        assert!(same, "{found:?}, not {expected:?}");
    }

    #[test]
    fn effects_are_slopes_and_differences_of_means() {
        let samples = [(0.0, vec![1.0, 0.0]), (2.0, vec![5.0, 1.0]), (4.0, vec![9.0, 1.0])];
        // Σ (c - 2) v / 8: (-2 + 18) / 8 and (0 + 2) / 8.
        near(&effects(&samples, &[1, 1, 1], Explained::Value).expect("varies"), &[2.0, 0.25]);
        near(&effects(&samples, &[1, 2, 0], Explained::Value).expect("varies"), &[2.0, 0.5]);
        assert_eq!(effects(&samples, &[0, 3, 0], Explained::Value), None, "one truth is no series");
        assert_eq!(effects(&samples, &[0, 0, 0], Explained::Value), None);
        let classes = [(1.0, vec![3.0]), (1.0, vec![5.0]), (-1.0, vec![1.0])];
        let contrast = Explained::Contrast { class: 0, against: 1 };
        near(&effects(&classes, &[1, 1, 1], contrast).expect("two classes"), &[3.0]);
    }
}
