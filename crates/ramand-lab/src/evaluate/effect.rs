//! What a model reacts to, place by place: the slope of its contributions on the truth, or what separates two classes.
//!
//! Our definitions. Regression: E_B = β_B, the least-squares slope of φ_B on the known c (D6). Classes c and c': E_B = mean of
//! φ_B under the contrast (c, c') over samples of c, less its mean over samples of c'. Over a partition of the axis E_B adds up to the
//! slope of y on c, or to how far the contrast keeps the two classes apart, whatever the reference population is.

use ramand_core::outcome::Explained;

use super::observe::{Kind, Observations, Truth, pick};

/// Sums over spectra that effect maps are made of.
#[derive(Debug, Clone)]
pub(super) struct MapSums {
    points: usize,
    /// Of a regression: n, Σ c and Σ c².
    moments: [f64; 3],
    /// Of a regression: Σ M and Σ c M, by point.
    value: [Vec<f64>; 2],
    /// Of classes: how many spectra, and Σ M, \[outputs\]\[points\].
    classes: Vec<(f64, Vec<f64>)>,
}

/// More numbers than these are no map anybody looks at, and memory has an end.
const MAP_VALUES_MAX: usize = 16_000_000;

impl MapSums {
    /// Of nothing yet.
    pub(super) fn new(outputs: usize, points: usize) -> Self {
        let by_class = outputs > 1 && outputs * outputs * points <= MAP_VALUES_MAX;
        let class = (0.0, vec![0.0; outputs * points]);
        Self {
            points,
            moments: [0.0; 3],
            value: [vec![0.0; points], vec![0.0; points]],
            classes: if by_class { vec![class; outputs] } else { Vec::new() },
        }
    }

    /// One more spectrum: what it is, and M of every output.
    pub(super) fn add(&mut self, kind: Kind, map: &[f32]) {
        match kind {
            Kind::Value(c) => {
                self.moments.iter_mut().zip([1.0, c, c * c]).for_each(|(sum, term)| *sum += term);
                let [plain, weighted] = &mut self.value;
                for ((plain, weighted), &value) in plain.iter_mut().zip(weighted).zip(map) {
                    *plain += f64::from(value);
                    *weighted += c * f64::from(value);
                }
            }
            Kind::Class(Some(class)) => {
                if let Some((count, sums)) = self.classes.get_mut(class) {
                    *count += 1.0;
                    sums.iter_mut().zip(map).for_each(|(sum, &value)| *sum += f64::from(value));
                }
            }
            Kind::Class(None) => {}
        }
    }

    /// E of every point; `None` where there is nothing to compare.
    pub(super) fn effect(&self, explained: Explained) -> Option<Vec<f64>> {
        match explained {
            Explained::Value => {
                let [count, c, c_squared] = self.moments;
                let variation = c_squared - c * c / count;
                let covariation = |(plain, weighted): (&f64, &f64)| weighted - c * plain / count;
                let slopes = self.value[0].iter().zip(&self.value[1]).map(|sums| covariation(sums) / variation);
                (count > 1.0 && variation > 0.0).then(|| slopes.collect())
            }
            Explained::Contrast { class, against } => {
                let mean = |class: usize| {
                    let (count, sums) = self.classes.get(class)?;
                    let of_contrast = pick(sums, self.points, explained);
                    (*count > 0.0).then(|| of_contrast.into_iter().map(|sum| sum / count).collect::<Vec<_>>())
                };
                let (one, other) = (mean(class)?, mean(against)?);
                Some(one.iter().zip(other).map(|(one, other)| one - other).collect())
            }
        }
    }
}

/// One sample: its truth as c, or ±1 for the two classes of a contrast, and the mean φ of each place over its spectra.
pub(super) type Sample = (f64, Vec<f64>);

/// The samples a question is about.
pub(super) fn samples(observations: &Observations, explained: Explained) -> Vec<Sample> {
    let means = observations.by_sample(|row| row.contributions(explained));
    let known = means.into_iter().filter_map(|(row, means)| {
        let truth = match (&observations.truth, explained) {
            (Ok(Truth::Values(values)), Explained::Value) => Some(values[row]),
            (Ok(Truth::Classes(classes)), Explained::Contrast { class, against }) => match classes[row] {
                Some(found) if found == class => Some(1.0),
                Some(found) if found == against => Some(-1.0),
                _ => None,
            },
            _ => None,
        };
        truth.map(|truth| (truth, means))
    });
    known.collect()
}

/// E of each place, each sample counted as often as `counts` says; `None` where all have the same truth.
///
/// Both kinds are a slope on the truth: that of two classes at ±1, doubled, is the difference of their means.
pub(super) fn effects(samples: &[Sample], counts: &[u32], explained: Explained) -> Option<Vec<f64>> {
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

    #[test]
    fn effect_maps_are_the_same_by_point() {
        let mut sums = MapSums::new(1, 2);
        for (c, map) in [(0.0, [1.0, 0.0]), (2.0, [5.0, 1.0]), (4.0, [9.0, 1.0])] {
            sums.add(Kind::Value(c), &map);
        }
        near(&sums.effect(Explained::Value).expect("varies"), &[2.0, 0.25]);
        let mut sums = MapSums::new(2, 1);
        for (class, map) in [(0, [3.0, 0.0]), (0, [5.0, 1.0]), (1, [1.0, 2.0])] {
            sums.add(Kind::Class(Some(class)), &map);
        }
        sums.add(Kind::Class(None), &[9.0, 9.0]);
        // Class 0: mean of 3 and 4; class 1: -1.
        near(&sums.effect(Explained::Contrast { class: 0, against: 1 }).expect("two classes"), &[4.5]);
        near(&sums.effect(Explained::Contrast { class: 1, against: 0 }).expect("two classes"), &[4.5]);
        assert_eq!(MapSums::new(1, 2).effect(Explained::Value), None);
    }
}
