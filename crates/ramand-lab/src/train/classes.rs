//! Canonical variates of the classes of a classification, and each class's own covariance among them.
//!
//! The covariance within classes is estimated on principal components, one for every ten samples, since that of all points has no
//! inverse. Variates are the directions in which the means of classes differ, where that covariance is the unit matrix (Fisher's linear
//! discriminants); one in which classes hardly differ is left out, as a foreign class hardly would. There, a class's own covariance
//! is drawn towards the common one as regularised discriminant analysis does (J. H. Friedman, J. Am. Stat. Assoc. 84 (1989) 165-175), the
//! more the fewer samples it has. The three settings below were chosen by leaving out one class after the other.

use nalgebra::{Cholesky, DMatrix, RowDVector};
use ramand_core::decide::conformal::{Calibration, samples_needed};
use ramand_core::decide::{Classes, VARIATES_MAX, distance};

use super::dataset::{Dataset, Truth};
use super::principal::Principal;

/// Samples for each principal component that the covariance within classes is estimated on.
const SAMPLES_PER_COMPONENT: usize = 10;
/// Variance between the means of classes, in variances within them, below which a variate is left out.
const BETWEEN_MIN: f64 = 0.25;
/// Samples, for each variate, that the common covariance counts for beside those of a class.
const COMMON_SAMPLES_PER_VARIATE: f64 = 2.0;
/// Share of a class's held-out samples within what its distances are divided by. More would be the affair of too few samples.
const WITHIN: f64 = 0.9;

/// The classes of a set of spectra, before anything is known of held-out ones.
pub(super) struct Variates {
    fitted: Classes,
}

/// How many principal components [`Variates::fit`] asks for; none of a quantity, and where a class has too few samples for a limit of
/// its own.
pub(super) fn components(data: &Dataset<'_>) -> Option<usize> {
    let Truth::Classes { labels, indices } = &data.truth else { return None };
    let mut samples: Vec<(usize, usize)> = indices.iter().copied().zip(data.units.iter().copied()).collect();
    samples.sort_unstable();
    samples.dedup();
    let of = |class| samples.iter().filter(|&&(found, _)| found == class).count();
    let enough = (0..labels.len()).all(|class| of(class) >= samples_needed(WITHIN));
    enough.then_some((samples.len() / SAMPLES_PER_COMPONENT).max(labels.len()))
}

impl Variates {
    /// From the spectra `members` of `data`, with as many components of `principal` as there are, up to `components`. `None` where
    /// the spectra of classes do not vary, or a class is not among them.
    pub(super) fn fit(data: &Dataset<'_>, members: &[usize], principal: &Principal, components: usize) -> Option<Self> {
        let Truth::Classes { labels, indices } = &data.truth else { return None };
        let indices: Vec<usize> = members.iter().map(|&spectrum| indices[spectrum]).collect();
        let mut samples: Vec<(usize, usize)> =
            members.iter().zip(&indices).map(|(&spectrum, &class)| (class, data.groups[spectrum])).collect();
        samples.sort_unstable();
        samples.dedup();
        let count = |class| samples.iter().filter(|&&(found, _)| found == class).count();
        let samples: Vec<usize> = (0..labels.len()).map(count).collect();
        let components = components.min(principal.components());
        let scores = principal.scores(&data.spectra(members), components);
        Self::of_scores(&scores, &principal.loadings.columns(0, components).into_owned(), &indices, &samples)
    }

    /// `scores` on `loadings` `[features × components]`, the class of each row, and how many independent samples each class has.
    fn of_scores(scores: &DMatrix<f64>, loadings: &DMatrix<f64>, indices: &[usize], samples: &[usize]) -> Option<Self> {
        let classes = samples.len();
        if scores.ncols() == 0 || classes < 2 {
            return None;
        }
        let (means, within) = about_means(scores, indices, classes)?;
        let degrees = indices.len().checked_sub(classes).filter(|&degrees| degrees > 0)? as f64;
        let lower = (within.tr_mul(&within) / degrees).cholesky()?.unpack();
        // Means where the covariance within classes is the unit matrix, about their own mean.
        let mut between = lower.solve_lower_triangular(&means.transpose())?.transpose();
        let centre = between.row_mean();
        between.row_iter_mut().for_each(|mut row| row -= &centre);
        let found = between.svd(false, true);
        let directions = found.v_t?;
        let most = (classes - 1).min(VARIATES_MAX).min(directions.nrows());
        let worthwhile = |&value: &&f64| *value * *value / (classes - 1) as f64 > BETWEEN_MIN;
        let kept = found.singular_values.iter().take(most).take_while(worthwhile).count().max(1);
        let directions = directions.rows(0, kept).into_owned();
        // z = V L⁻¹ Pᵀ (x − x̄)
        let of_scores = lower.transpose().solve_upper_triangular(&directions.transpose())?.transpose();
        let of_scores = signed(of_scores);
        let z = scores * of_scores.transpose();
        let variates = of_scores * loadings.transpose();

        let (centres, within) = about_means(&z, indices, classes)?;
        let common = within.tr_mul(&within) / degrees;
        let mut whitening = Vec::new();
        for (class, &samples) in samples.iter().enumerate() {
            let rows: Vec<usize> = (0..indices.len()).filter(|&row| indices[row] == class).collect();
            let own = within.select_rows(&rows);
            let degrees = rows.len().checked_sub(1).filter(|&degrees| degrees > 0)? as f64;
            let weight = COMMON_SAMPLES_PER_VARIATE * kept as f64;
            let weight = weight / (samples as f64 + weight);
            let covariance = own.tr_mul(&own) / degrees * (1.0 - weight) + &common * weight;
            let inverse = Cholesky::new(covariance)?.l().solve_lower_triangular(&DMatrix::identity(kept, kept))?;
            whitening.extend(by_row(&inverse));
        }
        let (variates, centres) = (by_row(&variates), by_row(&centres));
        let finite = variates.iter().chain(&centres).chain(&whitening).all(|value| value.is_finite());
        finite.then(|| Self { fitted: Classes { variates, centres, whitening, limits: vec![1.0; classes] } })
    }

    /// The squared distance of a spectrum, less the mean of all, to each class.
    pub(super) fn distances(&self, centred: &RowDVector<f64>) -> Vec<f64> {
        let Classes { variates, centres, whitening, limits } = &self.fitted;
        let rows = variates.chunks_exact(centred.len());
        let z: Vec<f64> =
            rows.map(|row| row.iter().zip(centred.iter()).map(|(&a, x)| f64::from(a) * x).sum()).collect();
        let classes = centres.chunks_exact(z.len()).zip(whitening.chunks_exact(z.len() * z.len()));
        classes.take(limits.len()).map(|(centre, whitening)| distance(&z, centre, whitening)).collect()
    }

    /// The same classes, each with its limit.
    pub(super) fn with_limits(self, limits: Vec<f64>) -> Classes {
        Classes { limits, ..self.fitted }
    }
}

/// What held-out samples of each class reach, from class, squared distance to it and sample of each held-out spectrum; `None` where a
/// class has too few.
pub(super) fn limits(classes: usize, held_out: &[(usize, f64, usize)]) -> Option<Vec<f64>> {
    let of = |class: usize| {
        let own = held_out.iter().filter(|(of, ..)| *of == class).map(|&(_, distance, sample)| (distance, sample));
        Calibration::new(own).ok()?.quantile(WITHIN).filter(|limit| *limit > 0.0)
    };
    (0..classes).map(of).collect()
}

/// The mean of each class, and every row less that of its class; `None` where a class has no row.
fn about_means(rows: &DMatrix<f64>, indices: &[usize], classes: usize) -> Option<(DMatrix<f64>, DMatrix<f64>)> {
    let mut means = DMatrix::zeros(classes, rows.ncols());
    let mut counts = vec![0.0; classes];
    for (row, &class) in rows.row_iter().zip(indices) {
        counts[class] += 1.0;
        let mut mean = means.row_mut(class);
        mean += row;
    }
    for (mut mean, &count) in means.row_iter_mut().zip(&counts) {
        mean /= count;
    }
    let mut within = rows.clone();
    for (mut row, &class) in within.row_iter_mut().zip(indices) {
        row -= means.row(class);
    }
    counts.iter().all(|&count| count > 0.0).then_some((means, within))
}

/// The sign of a direction is arbitrary: its largest element is made positive.
fn signed(mut rows: DMatrix<f64>) -> DMatrix<f64> {
    for mut row in rows.row_iter_mut() {
        let largest =
            row.iter().copied().fold(0.0, |largest: f64, x| if x.abs() > largest.abs() { x } else { largest });
        if largest < 0.0 {
            row.neg_mut();
        }
    }
    rows
}

fn by_row(matrix: &DMatrix<f64>) -> Vec<f32> {
    matrix.transpose().iter().map(|&value| value as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::columns;

    /// Distances of f32 variates and whitenings.
    const RELATIVE: f64 = 1e-5;
    const CLASSES: usize = 4;
    const POINTS: usize = 12;
    const COMPONENTS: usize = 8;
    /// Of each class in the fixture.
    const SAMPLES: usize = 6;

    fn points(file: &str) -> DMatrix<f64> {
        let columns = columns(file);
        let of = |point: usize| columns[&format!("point {point}")].clone();
        let values: Vec<f64> = (0..POINTS).flat_map(of).collect();
        DMatrix::from_vec(values.len() / POINTS, POINTS, values)
    }

    #[test]
    fn distances_are_those_of_scikit_learn_and_scipy() {
        let training = points("conformal/kinds_training.csv");
        let classes =
            columns("conformal/kinds_training.csv")["kind"].iter().map(|&class| class as usize).collect::<Vec<_>>();
        let principal = Principal::fit(&training, COMPONENTS);
        let scores = principal.scores(&training, COMPONENTS);
        let found =
            Variates::of_scores(&scores, &principal.loadings, &classes, &[SAMPLES; CLASSES]).expect("four classes");
        assert_eq!(found.fitted.variates.len(), 2 * POINTS, "in the third direction classes hardly differ");
        let expected = columns("conformal/kinds_new.csv");
        for (row, spectrum) in principal.centred(&points("conformal/kinds_new.csv")).row_iter().enumerate() {
            let distances = found.distances(&spectrum.into_owned());
            for (class, distance) in distances.iter().enumerate() {
                let expected = expected[&format!("distance {class}")][row];
                assert!((distance / expected - 1.0).abs() < RELATIVE, "{distance} to {class}, {expected} of scipy");
            }
            // What a line computes from the bundle's numbers.
            let limits = vec![3.0, 9.0, 1.0, 0.5];
            let shares = distances.iter().zip(&limits).map(|(distance, limit)| distance / limit);
            let nearest = shares.fold(f64::INFINITY, f64::min);
            let of_line = Classes { limits, ..found.fitted.clone() };
            let of_line = of_line.nearest(&spectrum.iter().copied().collect::<Vec<_>>());
            assert!((of_line / nearest - 1.0).abs() < RELATIVE, "{of_line} on the line, {nearest} in training");
        }
    }

    #[test]
    fn a_kind_that_is_missing_or_does_not_vary_makes_no_variates() {
        let scores = DMatrix::from_row_slice(4, 1, &[0.0, 1.0, 5.0, 6.0]);
        let fit = |classes: &[usize], samples: &[usize], scores: &DMatrix<f64>| {
            Variates::of_scores(scores, &DMatrix::identity(1, 1), classes, samples).is_some()
        };
        assert!(fit(&[0, 0, 1, 1], &[2, 2], &scores));
        assert!(!fit(&[0, 0, 0, 0], &[4, 0], &scores), "a class without spectra");
        assert!(!fit(&[0, 0, 0, 0], &[4], &scores), "one class has no other to differ from");
        assert!(!fit(&[0, 0, 1, 1], &[2, 2], &DMatrix::from_row_slice(4, 1, &[1.0, 1.0, 5.0, 5.0])), "no variance");
    }

    #[test]
    fn limits_are_what_nine_of_ten_held_out_samples_reach() {
        // Class 0 reaches 1 to 9, class 1 ten times that, each sample with two spectra.
        let of = |class: usize, scale: f64| {
            (1..=9).flat_map(move |sample| [(class, scale * sample as f64, 10 * class + sample); 2])
        };
        let held_out: Vec<_> = of(0, 1.0).chain(of(1, 10.0)).collect();
        assert_eq!(limits(2, &held_out), Some(vec![9.0, 90.0]));
        assert_eq!(limits(2, &held_out[2..]), None, "eight samples have no such limit");
        assert_eq!(limits(3, &held_out), None, "a class without samples");
    }
}
