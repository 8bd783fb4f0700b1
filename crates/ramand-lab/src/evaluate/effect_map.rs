//! Effect maps: what a model reacts to, point by point, from sums over spectra. [`super::effect`] has the definition.

use ramand_core::outcome::Explained;

use super::truth::Known;

/// More numbers than these are no map anybody looks at, and memory has an end.
const MAP_VALUES_MAX: usize = 16_000_000;

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
    pub(super) fn add(&mut self, known: Known, map: &[f32]) {
        match known {
            Known::Value(c) => {
                self.moments.iter_mut().zip([1.0, c, c * c]).for_each(|(sum, term)| *sum += term);
                let [plain, weighted] = &mut self.value;
                for ((plain, weighted), &value) in plain.iter_mut().zip(weighted).zip(map) {
                    *plain += f64::from(value);
                    *weighted += c * f64::from(value);
                }
            }
            Known::Class(Some(class)) => {
                if let Some((count, sums)) = self.classes.get_mut(class) {
                    *count += 1.0;
                    sums.iter_mut().zip(map).for_each(|(sum, &value)| *sum += f64::from(value));
                }
            }
            Known::Class(None) => {}
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
                    let of_contrast = explained.row_of(sums, self.points);
                    (*count > 0.0).then(|| of_contrast.into_iter().map(|sum| sum / count).collect::<Vec<_>>())
                };
                let (one, other) = (mean(class)?, mean(against)?);
                Some(one.iter().zip(other).map(|(one, other)| one - other).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effect_maps_are_the_same_by_point() {
        let mut sums = MapSums::new(1, 2);
        for (c, map) in [(0.0, [1.0, 0.0]), (2.0, [5.0, 1.0]), (4.0, [9.0, 1.0])] {
            sums.add(Known::Value(c), &map);
        }
        assert_eq!(sums.effect(Explained::Value), Some(vec![2.0, 0.25]));
        let mut sums = MapSums::new(2, 1);
        for (class, map) in [(0, [3.0, 0.0]), (0, [5.0, 1.0]), (1, [1.0, 2.0])] {
            sums.add(Known::Class(Some(class)), &map);
        }
        sums.add(Known::Class(None), &[9.0, 9.0]);
        // Class 0: mean of 3 and 4; class 1: -1.
        assert_eq!(sums.effect(Explained::Contrast { class: 0, against: 1 }), Some(vec![4.5]));
        assert_eq!(sums.effect(Explained::Contrast { class: 1, against: 0 }), Some(vec![4.5]));
        assert_eq!(MapSums::new(1, 2).effect(Explained::Value), None);
    }
}
