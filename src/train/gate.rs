//! The applicability gate: principal components of the prepared training spectra, and limits from held-out samples.
//!
//! Hotelling's T² = Σ_a t_a² / λ_a says how unusual a spectrum is within the directions training varied in, Q = ‖x − P Pᵀ x‖²
//! how much of it lies outside them (J. E. Jackson and G. S. Mudholkar, Technometrics 21 (1979) 341-349). Textbook limits
//! assume normal scores; here both limits are the 99 % quantile of samples that the components were not fitted to.

use nalgebra::{DMatrix, DVector, RowDVector};
use rand::rngs::ChaCha8Rng;

use super::crossvalidate::{Partition, partition};
use super::dataset::Dataset;
use super::figures::quantile;

/// More components describe noise.
const COMPONENTS_MAX: usize = 15;
/// A further component has to lower the residual of held-out samples by this share, or there are enough.
const WORTHWHILE: f64 = 0.05;
/// Folds in which samples are held out for the limits.
const FOLDS: usize = 10;
/// Share of held-out spectra within a limit.
const WITHIN: f64 = 0.99;
/// Variance below this share of the largest is rounding.
const RANK_TOLERANCE: f64 = 1e-10;

/// What [`crate::decide`] needs to assess a spectrum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GateFit {
    /// `[1 + components, features]`: the mean, then the loadings, each of length 1.
    pub(super) rows: Vec<f32>,
    /// Variance of each score.
    pub(super) eigenvalues: Vec<f64>,
    /// Of T².
    pub(super) t2_limit: f64,
    /// Of Q.
    pub(super) q_limit: f64,
}

impl GateFit {
    /// From all spectra of `data`; `None` where they do not vary.
    pub(super) fn new(data: &Dataset<'_>, random: &mut ChaCha8Rng) -> Option<Self> {
        let everything: Vec<usize> = (0..data.len()).collect();
        let parts: Vec<(Principal, DMatrix<f64>)> = partition(data, &everything, FOLDS, random)
            .into_iter()
            .map(|Partition { training, held_out }| (Principal::fit(&data.spectra(&training)), data.spectra(&held_out)))
            .collect();
        let all = Principal::fit(&data.spectra(&everything));
        let available = parts.iter().map(|(principal, _)| principal.components()).min()?.min(all.components());
        let components = (1..=available).find(|&components| {
            let left = |components| -> f64 {
                parts.iter().map(|(part, held_out)| part.statistics(held_out, components).1.sum()).sum()
            };
            let (now, next) = (left(components), left(components + 1));
            components == available || next > (1.0 - WORTHWHILE) * now
        })?;
        let mut t2 = Vec::new();
        let mut q = Vec::new();
        for (principal, held_out) in &parts {
            let statistics = principal.statistics(held_out, components);
            t2.extend(statistics.0.iter());
            q.extend(statistics.1.iter());
        }
        let loadings = all.loadings.columns(0, components);
        let rows = all.mean.iter().chain(loadings.iter()).map(|&value| value as f32).collect();
        let eigenvalues = all.eigenvalues.iter().take(components).copied().collect();
        Some(Self { rows, eigenvalues, t2_limit: quantile(&mut t2, WITHIN), q_limit: quantile(&mut q, WITHIN) })
    }
}

/// Principal components of a set of spectra.
struct Principal {
    /// `[features]`
    mean: RowDVector<f64>,
    /// `[features × components]`, orthonormal, largest variance first.
    loadings: DMatrix<f64>,
    /// Variance of each score (n − 1).
    eigenvalues: Vec<f64>,
}

impl Principal {
    /// Up to [`COMPONENTS_MAX`] components with any variance. The eigenvectors of the smaller of XᵀX and XXᵀ are enough:
    /// where there are fewer spectra than points, u of XXᵀ gives the loading Xᵀu.
    fn fit(spectra: &DMatrix<f64>) -> Self {
        let mean = spectra.row_mean();
        let mut x = spectra.clone();
        for mut row in x.row_iter_mut() {
            row -= &mean;
        }
        let wide = x.nrows() < x.ncols();
        let eigen = if wide { &x * x.transpose() } else { x.tr_mul(&x) }.symmetric_eigen();
        let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let least = RANK_TOLERANCE * eigen.eigenvalues.amax();
        order.retain(|&index| eigen.eigenvalues[index] > least);
        order.truncate(COMPONENTS_MAX);
        let loading = |&index: &usize| -> DVector<f64> {
            let vector = eigen.eigenvectors.column(index);
            let mut loading = if wide { x.tr_mul(&vector) } else { vector.into_owned() };
            loading.normalize_mut();
            // The sign of an eigenvector is arbitrary: its largest element is made positive.
            if loading[loading.icamax()] < 0.0 { -loading } else { loading }
        };
        let loadings: Vec<DVector<f64>> = order.iter().map(loading).collect();
        let degrees = (x.nrows() as f64 - 1.0).max(1.0);
        let loadings =
            if loadings.is_empty() { DMatrix::zeros(x.ncols(), 0) } else { DMatrix::from_columns(&loadings) };
        Self { mean, loadings, eigenvalues: order.iter().map(|&i| eigen.eigenvalues[i] / degrees).collect() }
    }

    fn components(&self) -> usize {
        self.eigenvalues.len()
    }

    /// T² and Q of every spectrum, with the first `components`.
    fn statistics(&self, spectra: &DMatrix<f64>, components: usize) -> (DVector<f64>, DVector<f64>) {
        let mut x = spectra.clone();
        for mut row in x.row_iter_mut() {
            row -= &self.mean;
        }
        let loadings = self.loadings.columns(0, components.min(self.components()));
        let scores = &x * loadings;
        let residual = &x - &scores * loadings.transpose();
        let t2 =
            |row: nalgebra::RowDVector<f64>| row.iter().zip(&self.eigenvalues).map(|(t, l)| t * t / l).sum::<f64>();
        (
            DVector::from_iterator(x.nrows(), scores.row_iter().map(|row| t2(row.into_owned()))),
            DVector::from_iterator(x.nrows(), residual.row_iter().map(|row| row.norm_squared())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers::tests::noise;
    use super::*;

    const TOLERANCE: f64 = 1e-10;

    /// n spectra of p points that vary along two orthogonal directions with known variances about a mean.
    fn known(n: usize, p: usize) -> DMatrix<f64> {
        let first = DVector::from_fn(p, |j, _| if j == 0 { 1.0 } else { 0.0 });
        let second = DVector::from_fn(p, |j, _| if j == 1 { 1.0 } else { 0.0 });
        DMatrix::from_fn(n, p, |i, j| {
            let (a, b) = (if i % 2 == 0 { 3.0 } else { -3.0 }, if i / 2 % 2 == 0 { 1.0 } else { -1.0 });
            5.0 + a * first[j] + b * second[j]
        })
    }

    fn check(spectra: &DMatrix<f64>) {
        let principal = Principal::fit(spectra);
        assert_eq!(principal.components(), 2, "rank two");
        let n = spectra.nrows() as f64;
        for (found, expected) in principal.eigenvalues.iter().zip([9.0 * n / (n - 1.0), n / (n - 1.0)]) {
            assert!((found - expected).abs() < TOLERANCE, "{found} against {expected}");
        }
        let (t2, q) = principal.statistics(spectra, 2);
        assert!(t2.iter().all(|t2| (t2 - 2.0 * (n - 1.0) / n).abs() < TOLERANCE));
        assert!(q.amax() < TOLERANCE);
        let (_, q) = principal.statistics(spectra, 1);
        assert!(q.iter().all(|q| (q - 1.0).abs() < TOLERANCE), "the second direction is left over");
    }

    #[test]
    fn known_directions_are_found_in_tall_and_wide_data() {
        check(&known(40, 5));
        check(&known(8, 30));
    }

    #[test]
    fn tall_and_wide_agree() {
        // The same numbers through XXᵀ and, with a zero column less, through XᵀX.
        let x = DMatrix::from_vec(10, 12, noise(120, 4));
        let wide = Principal::fit(&x);
        let stacked = DMatrix::from_fn(20, 12, |i, j| x[(i % 10, j)]);
        let tall = Principal::fit(&stacked);
        for (a, b) in wide.eigenvalues.iter().zip(&tall.eigenvalues) {
            assert!((a * 9.0 * 2.0 / 19.0 - b).abs() < TOLERANCE, "{a} against {b}");
        }
        let probe = DMatrix::from_vec(1, 12, noise(12, 5));
        let (q_wide, q_tall) = (wide.statistics(&probe, 4).1[0], tall.statistics(&probe, 4).1[0]);
        assert!((q_wide - q_tall).abs() < 1e-8, "{q_wide} against {q_tall}");
    }

    #[test]
    fn identical_spectra_have_no_components() {
        assert_eq!(Principal::fit(&DMatrix::from_element(5, 3, 2.0)).components(), 0);
    }
}
