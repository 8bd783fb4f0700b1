//! Conformal calibration: how unusual a score is among scores of samples that were held out.
//!
//! Independent are samples, not spectra: n samples with m_j spectra each weigh the same. With the scores s_jk of held-out
//! spectra and F(s) = Σ_j 1/m_j · #{k : s_jk ≥ s},
//!
//! ```text
//! p(s) = (1 + F(s)) / (n + 1)
//! q    = the smallest s_jk with Σ_j 1/m_j · #{k : s_jk ≤ q} ≥ confidence · (n + 1)
//! ```
//! and p(s) > 1 − confidence exactly where s ≤ q. With one spectrum a sample these are p = (1 + #{s_i ≥ s}) / (n + 1) and the
//! ⌈confidence · (n + 1)⌉-th smallest score (V. Vovk, A. Gammerman, G. Shafer, "Algorithmic learning in a random world", 2005).
//! With several, the weights are those of Y. Lee, R. F. Barber, R. Willett, arXiv:2306.06342: a spectrum of a new sample is
//! covered with at least the confidence where samples are exchangeable and spectra within a sample are. Pooled
//! distributions without the sample to come are R. Dunn, L. Wasserman, A. Ramdas, arXiv:1809.07441.
//!
//! Scores of cross-validation come from models that saw other samples than the model they are used with: what that
//! leaves of the guarantee is in R. F. Barber, E. J. Candès, A. Ramdas, R. J. Tibshirani, Ann. Statist. 49 (2021) 486-507 (it holds
//! for algorithms that a sample more or less hardly changes), and is why coverage is measured.

use std::collections::BTreeMap;

use crate::failure::{Failure, Kind};

/// Scores of one calibration: a million spectra are a few megabytes.
const SCORES_MAX: usize = 1 << 20;

/// Sums of 1/3 and 1/5 are whole numbers but for rounding.
const ROUNDING: f64 = 1e-9;

/// Why scores calibrate nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// None, or too many.
    #[error("a calibration has 1 to {SCORES_MAX} scores, not {scores}")]
    Scores { scores: usize },
    /// NaN or infinite.
    #[error("score {index} is {score}, expected a finite number")]
    NotFinite {
        /// Position, from 0.
        index: usize,
        score: f64,
    },
}

impl Failure for CalibrationError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// Scores of held-out spectra, each with its share of the weight of its sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Ascending.
    scores: Vec<f64>,
    /// Weight of all scores before each; one more than there are scores.
    before: Vec<f64>,
    samples: usize,
}

impl Calibration {
    /// From pairs of score and sample, the sample as any number that tells it from others.
    ///
    /// # Errors
    /// When there are none or too many, or one is not finite.
    pub fn new(held_out: impl IntoIterator<Item = (f64, usize)>) -> Result<Self, CalibrationError> {
        let mut pairs: Vec<(f64, usize)> = held_out.into_iter().take(SCORES_MAX + 1).collect();
        if !(1..=SCORES_MAX).contains(&pairs.len()) {
            return Err(CalibrationError::Scores { scores: pairs.len() });
        }
        if let Some((index, &(score, _))) = pairs.iter().enumerate().find(|(_, (score, _))| !score.is_finite()) {
            return Err(CalibrationError::NotFinite { index, score });
        }
        let mut spectra: BTreeMap<usize, usize> = BTreeMap::new();
        for &(_, sample) in &pairs {
            *spectra.entry(sample).or_default() += 1;
        }
        pairs.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let mut before = vec![0.0];
        let mut sum = 0.0;
        for (_, sample) in &pairs {
            sum += 1.0 / spectra[sample] as f64;
            before.push(sum);
        }
        Ok(Self { scores: pairs.into_iter().map(|(score, _)| score).collect(), before, samples: spectra.len() })
    }

    /// Independent samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// p(s): the share of samples, the new one included, that are at least as unusual. A score that is no number is the most
    /// unusual of all.
    pub fn p_value(&self, score: f64) -> f64 {
        let smaller = match score.is_nan() {
            true => self.scores.len(),
            false => self.scores.partition_point(|&held_out| held_out < score),
        };
        let as_unusual = (self.samples as f64 - self.before[smaller]).max(0.0);
        (1.0 + as_unusual) / (self.samples as f64 + 1.0)
    }

    /// q: the score that a new one does not exceed with this confidence, in 0..1; `None` where there are fewer samples than
    /// [`samples_needed`].
    pub fn quantile(&self, confidence: f64) -> Option<f64> {
        let needed = confidence * (self.samples as f64 + 1.0);
        self.reaching(needed)
    }

    /// As [`Calibration::quantile`], and the largest score where there are too few samples.
    pub fn quantile_or_largest(&self, confidence: f64) -> f64 {
        let largest = self.scores.last().copied().unwrap_or(f64::NAN);
        self.quantile(confidence).unwrap_or(largest)
    }

    /// The smallest score up to which there is so much weight.
    fn reaching(&self, weight: f64) -> Option<f64> {
        let place = self.before[1..].partition_point(|&sum| sum < weight - ROUNDING);
        self.scores.get(place).copied()
    }
}

/// The fewest samples with which a quantile of this confidence exists: n ≥ confidence · (n + 1).
pub fn samples_needed(confidence: f64) -> usize {
    (confidence / (1.0 - confidence) - ROUNDING).ceil().max(1.0) as usize
}

/// ln((1 − p) / p) of the probability p = softmax(scores / temperature)\[class\]: ln Σ_{k ≠ class} exp(s_k / T) − s_class / T.
///
/// It orders labels as 1 − p does, the score of the least ambiguous set-valued classifiers (M. Sadinle, J. Lei, L. Wasserman,
/// J. Am. Stat. Assoc. 114 (2019) 223-234), and does not drown where p is 1 but for rounding.
pub fn odds_against(scores: &[f32], temperature: f64, class: usize) -> f64 {
    let scaled = |&score: &f32| f64::from(score) / temperature;
    let others = || scores.iter().enumerate().filter(|&(other, _)| other != class).map(|(_, score)| scaled(score));
    let highest = others().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = others().map(|score| (score - highest).exp()).sum();
    highest + sum.ln() - scores.get(class).map_or(f64::NAN, scaled)
}

/// The labels that conform: every class whose [`odds_against`] does not exceed its limit, one limit a class. The set may be empty.
pub fn conforming(scores: &[f32], temperature: f64, limits: &[f64]) -> Vec<usize> {
    let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scaled = |score: f32| f64::from(score) / temperature;
    let conforms = |&(class, &limit): &(usize, &f64)| {
        // The odds are at least those against the best class alone: that settles most classes without an exponential.
        let hopeless = scores.get(class).is_some_and(|&own| own < best && scaled(best) - scaled(own) > limit);
        !hopeless && odds_against(scores, temperature, class) <= limit
    };
    limits.iter().enumerate().filter(conforms).map(|(class, _)| class).collect()
}

/// As [`conforming`], with `likeliest` among them: the set that a gate leaves to say which class it is, once the gate has refused what
/// is none of them. It holds the true class at least as often.
pub fn conforming_or_likeliest(scores: &[f32], temperature: f64, limits: &[f64], likeliest: usize) -> Vec<usize> {
    let mut members = conforming(scores, temperature, limits);
    if let Err(place) = members.binary_search(&likeliest) {
        members.insert(place, likeliest);
    }
    members
}

/// Limits of [`conforming`] from the true classes of held-out spectra.
#[derive(Debug, Clone, PartialEq)]
pub struct SetLimits {
    /// One a class.
    pub limits: Vec<f64>,
    /// Whether each class has a quantile of its own, so that each is covered with the confidence (the Mondrian or label-conditional
    /// class of V. Vovk, "Conditional validity of inductive conformal predictors", 2013), or all share one.
    pub by_kind: bool,
}

/// The limits with which a set holds the true class with this confidence: by class where every class has [`samples_needed`], else
/// one for all; `None` where there are too few samples for that.
///
/// # Errors
/// When there are no scores, or one is not finite.
pub fn set_limits(
    held_out: &[HeldOutClass],
    classes: usize,
    confidence: f64,
) -> Result<Option<SetLimits>, CalibrationError> {
    let of = |class: Option<usize>| {
        let own = held_out.iter().filter(move |row| class.is_none_or(|class| class == row.class));
        Calibration::new(own.map(|row| (row.odds_against, row.sample)))
    };
    let all = of(None)?;
    let by_kind: Option<Vec<f64>> = (0..classes).map(|class| of(Some(class)).ok()?.quantile(confidence)).collect();
    let for_all = || all.quantile(confidence).map(|limit| SetLimits { limits: vec![limit; classes], by_kind: false });
    Ok(by_kind.map(|limits| SetLimits { limits, by_kind: true }).or_else(for_all))
}

/// A spectrum of known class that a model without its sample predicted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutClass {
    /// [`odds_against`] its true class.
    pub odds_against: f64,
    pub sample: usize,
    pub class: usize,
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn one_spectrum_a_sample_gives_the_textbook_formulas() {
        let scores = [4.0, 1.0, 3.0, 2.0, 3.0, 7.0, 5.0, 6.0, 9.0];
        let calibration = Calibration::new(scores.into_iter().zip(0..)).expect("nine scores");
        // p = (1 + #{s_i >= s}) / 10
        let cases = [(0.5, 1.0), (3.0, 0.8), (3.5, 0.6), (9.0, 0.2), (9.1, 0.1), (f64::NAN, 0.1)];
        for (score, expected) in cases {
            assert!((calibration.p_value(score) - expected).abs() < 1e-12, "p({score})");
        }
        // The ceil(confidence * 10)-th smallest.
        let cases = [(0.05, Some(1.0)), (0.35, Some(3.0)), (0.9, Some(9.0)), (0.91, None), (0.8, Some(7.0))];
        for (confidence, expected) in cases {
            assert_eq!(calibration.quantile(confidence), expected, "{confidence}");
        }
        assert_eq!(calibration.quantile_or_largest(0.99), 9.0);
    }

    #[test]
    fn a_score_is_covered_exactly_where_its_p_value_says_so() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..200 {
            let samples = random.random_range(1..40);
            let rows: Vec<(f64, usize)> = (0..samples)
                .flat_map(|sample| (0..=sample % 3).map(move |_| sample))
                .map(|sample| (f64::from(random.random_range(0..20_i32)), sample))
                .collect();
            let calibration = Calibration::new(rows).expect("scores");
            let confidence: f64 = random.random_range(0.01..0.99);
            for score in 0..=20 {
                let score = f64::from(score);
                let covered = calibration.quantile(confidence).is_none_or(|limit| score <= limit);
                assert_eq!(covered, calibration.p_value(score) > 1.0 - confidence + 1e-9, "{score} at {confidence}");
            }
        }
    }

    #[test]
    fn replicates_of_one_sample_share_its_weight() {
        let alone: Vec<(f64, usize)> = (0..20).map(|sample| (sample as f64, sample)).collect();
        // The loudest sample with a hundred spectra weighs as much as any.
        let crowded = alone.iter().flat_map(|&(score, sample)| {
            let spectra = if sample == 19 { 100 } else { 1 };
            (0..spectra).map(move |_| (score, sample))
        });
        let (alone, crowded) = (Calibration::new(alone.clone()), Calibration::new(crowded));
        let (alone, crowded) = (alone.expect("scores"), crowded.expect("scores"));
        assert_eq!(crowded.samples(), 20);
        for score in [-1.0, 3.0, 18.5, 19.0, 20.0] {
            assert!((alone.p_value(score) - crowded.p_value(score)).abs() < 1e-9, "{score}");
        }
        for confidence in [0.1, 0.5, 0.9, 0.95, 0.96] {
            assert_eq!(alone.quantile(confidence), crowded.quantile(confidence), "{confidence}");
        }
    }

    #[test]
    fn so_many_samples_are_needed_and_no_more() {
        for (confidence, expected) in [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99), (0.999, 999)] {
            assert_eq!(samples_needed(confidence), expected, "{confidence}");
            let of = |samples: usize| Calibration::new((0..samples).map(|sample| (1.0, sample))).expect("scores");
            assert!(of(expected).quantile(confidence).is_some(), "{confidence}");
            assert!(expected == 1 || of(expected - 1).quantile(confidence).is_none(), "{confidence}");
        }
    }

    #[test]
    fn what_calibrates_nothing_is_refused() {
        assert_eq!(Calibration::new([]), Err(CalibrationError::Scores { scores: 0 }));
        let error = Calibration::new([(1.0, 0), (f64::INFINITY, 1)]).expect_err("not finite");
        assert_eq!(error, CalibrationError::NotFinite { index: 1, score: f64::INFINITY });
    }

    /// Standard errors that a measured share may be below a nominal one.
    const STANDARD_ERRORS: f64 = 4.0;

    /// Samples whose spectra share an offset: the effect of the sample is larger than that of the replicate.
    fn drawn(samples: usize, random: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
        let normal = |random: &mut ChaCha8Rng| (0..12).map(|_| random.random_range(0.0..1.0)).sum::<f64>() - 6.0;
        (0..samples)
            .map(|_| {
                let (offset, spectra) = (normal(random), random.random_range(1..6));
                (0..spectra).map(|_| offset + 0.5 * normal(random)).collect()
            })
            .collect()
    }

    #[test]
    fn coverage_of_exchangeable_samples_is_nominal_and_p_values_are_super_uniform() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let trials = 4000;
        for samples in [12, 30, 101] {
            let mut covered = [0.0; 2];
            let mut below = [0.0; 4];
            let (confidences, levels) = ([0.5, 0.9], [0.02, 0.1, 0.3, 0.8]);
            for _ in 0..trials {
                let mut held_out = drawn(samples + 1, &mut random);
                let new = held_out.pop().expect("one more").into_iter().next().expect("at least one spectrum");
                let rows = held_out.into_iter().enumerate();
                let rows = rows.flat_map(|(sample, scores)| scores.into_iter().map(move |score| (score, sample)));
                let calibration = Calibration::new(rows).expect("scores");
                for (covered, confidence) in covered.iter_mut().zip(confidences) {
                    let limit = calibration.quantile(confidence).expect("enough samples");
                    *covered += f64::from(u8::from(new <= limit));
                }
                for (below, level) in below.iter_mut().zip(levels) {
                    *below += f64::from(u8::from(calibration.p_value(new) <= level));
                }
            }
            let trials = f64::from(trials);
            let error = |share: f64| STANDARD_ERRORS * (share * (1.0 - share) / trials).sqrt();
            for (covered, confidence) in covered.into_iter().zip(confidences) {
                let coverage = covered / trials;
                assert!(coverage > confidence - error(confidence), "{coverage} of {confidence}, {samples} samples");
                // Nor much too wide: one sample's worth, and the spread of what a trial may find.
                let most = confidence + 1.0 / samples as f64 + error(confidence);
                assert!(coverage < most, "{coverage} of {confidence}, {samples} samples");
            }
            for (below, level) in below.into_iter().zip(levels) {
                assert!(below / trials < level + error(level), "{} below {level}, {samples} samples", below / trials);
            }
        }
    }

    #[test]
    fn odds_are_those_of_the_softmax_and_do_not_drown() {
        let scores = [0.2_f32, 1.0, -0.3];
        for temperature in [0.05, 0.3, 2.0] {
            let weights = scores.map(|score| (f64::from(score) / temperature).exp());
            let sum: f64 = weights.iter().sum();
            for (class, weight) in weights.iter().enumerate() {
                let probability = weight / sum;
                let expected = ((sum - weight) / sum / probability).ln();
                let found = odds_against(&scores, temperature, class);
                assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} against {expected}");
            }
        }
        // 1 - p is 1e-87 here, and 0 in f64 as a difference.
        assert!((odds_against(&[2.0, 0.0], 0.01, 0) + 200.0).abs() < 1e-4);
    }

    #[test]
    fn a_class_conforms_by_its_odds_and_by_nothing_else() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..2000 {
            let scores: Vec<f32> = (0..5).map(|_| random.random_range(-1.0..1.0)).collect();
            let limits: Vec<f64> = (0..5).map(|_| random.random_range(-3.0..3.0)).collect();
            let temperature = random.random_range(0.1..1.0);
            let by_odds = |&class: &usize| odds_against(&scores, temperature, class) <= limits[class];
            let expected: Vec<usize> = (0..5).filter(by_odds).collect();
            assert_eq!(conforming(&scores, temperature, &limits), expected, "{scores:?} {limits:?} {temperature}");
        }
    }

    #[test]
    fn limits_are_by_kind_where_every_kind_has_samples_for_it() {
        let row = |sample: usize, class: usize, odds_against: f64| HeldOutClass { odds_against, sample, class };
        let held_out: Vec<HeldOutClass> =
            (0..18).map(|sample| row(sample, sample % 2, sample as f64 - 10.0 * (sample % 2) as f64)).collect();
        let by_kind = set_limits(&held_out, 2, 0.9).expect("scores").expect("nine a kind");
        assert_eq!(by_kind, SetLimits { limits: vec![16.0, 7.0], by_kind: true });
        let for_all = set_limits(&held_out[..17], 2, 0.9).expect("scores").expect("seventeen");
        assert_eq!(for_all, SetLimits { limits: vec![16.0; 2], by_kind: false });
        assert_eq!(set_limits(&held_out[..8], 2, 0.9), Ok(None));
        assert_eq!(conforming(&[1.0, 0.0], 1.0, &[-0.5, 1.0]), [0, 1]);
        assert_eq!(conforming(&[1.0, 0.0], 1.0, &[-0.5, 0.9]), [0]);
        assert_eq!(conforming(&[1.0, 0.0], 1.0, &[-2.0, 0.9]), Vec::<usize>::new());
        assert_eq!(conforming_or_likeliest(&[1.0, 0.0], 1.0, &[-2.0, 0.9], 0), [0]);
        assert_eq!(conforming_or_likeliest(&[1.0, 0.0], 1.0, &[-2.0, 1.0], 0), [0, 1]);
        assert_eq!(conforming_or_likeliest(&[1.0, 0.0], 1.0, &[-0.5, 0.9], 0), [0]);
    }
}
