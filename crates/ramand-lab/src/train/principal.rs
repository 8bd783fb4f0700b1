//! Principal components of a set of spectra, and the T² and Q of others on them.

use nalgebra::{DMatrix, DVector, RowDVector};

/// Variance below this share of the largest is rounding.
const RANK_TOLERANCE: f64 = 1e-10;

/// Principal components of a set of spectra.
pub(super) struct Principal {
    /// `[features]`
    pub(super) mean: RowDVector<f64>,
    /// `[features × components]`, orthonormal, largest variance first.
    pub(super) loadings: DMatrix<f64>,
    /// Variance of each score (n − 1).
    pub(super) eigenvalues: Vec<f64>,
}

impl Principal {
    /// Up to `most` components with any variance. The eigenvectors of the smaller of XᵀX and XXᵀ are enough:
    /// where there are fewer spectra than points, u of XXᵀ gives the loading Xᵀu.
    pub(super) fn fit(spectra: &DMatrix<f64>, most: usize) -> Self {
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
        order.truncate(most);
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

    pub(super) fn components(&self) -> usize {
        self.eigenvalues.len()
    }

    pub(super) fn centred(&self, spectra: &DMatrix<f64>) -> DMatrix<f64> {
        let mut x = spectra.clone();
        for mut row in x.row_iter_mut() {
            row -= &self.mean;
        }
        x
    }

    /// `[spectra × components]`, on the first `components`.
    pub(super) fn scores(&self, spectra: &DMatrix<f64>, components: usize) -> DMatrix<f64> {
        self.centred(spectra) * self.loadings.columns(0, components.min(self.components()))
    }

    /// T² and Q of every spectrum, with the first `components`.
    pub(super) fn statistics(&self, spectra: &DMatrix<f64>, components: usize) -> (DVector<f64>, DVector<f64>) {
        let x = self.centred(spectra);
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
    use crate::columns::columns;

    const COMPONENTS_MAX: usize = 15;
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
        let principal = Principal::fit(spectra, COMPONENTS_MAX);
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
        let wide = Principal::fit(&x, COMPONENTS_MAX);
        let stacked = DMatrix::from_fn(20, 12, |i, j| x[(i % 10, j)]);
        let tall = Principal::fit(&stacked, COMPONENTS_MAX);
        for (a, b) in wide.eigenvalues.iter().zip(&tall.eigenvalues) {
            assert!((a * 9.0 * 2.0 / 19.0 - b).abs() < TOLERANCE, "{a} against {b}");
        }
        let probe = DMatrix::from_vec(1, 12, noise(12, 5));
        let (q_wide, q_tall) = (wide.statistics(&probe, 4).1[0], tall.statistics(&probe, 4).1[0]);
        assert!((q_wide - q_tall).abs() < 1e-8, "{q_wide} against {q_tall}");
    }

    #[test]
    fn identical_spectra_have_no_components() {
        assert_eq!(Principal::fit(&DMatrix::from_element(5, 3, 2.0), COMPONENTS_MAX).components(), 0);
    }

    #[test]
    fn statistics_agree_with_scikit_learn() {
        let table = |file: &str| {
            let columns = columns(&format!("preprocess/{file}"));
            let of = |point: usize| columns[&format!("point {point}")].clone();
            let points: Vec<f64> = (0..8).flat_map(of).collect();
            (DMatrix::from_vec(points.len() / 8, 8, points), columns)
        };
        let principal = Principal::fit(&table("../conformal/pca_training.csv").0, COMPONENTS_MAX);
        let (spectra, expected) = table("../conformal/pca_new.csv");
        let (t2, q) = principal.statistics(&spectra, 3);
        for (row, (expected_t2, expected_q)) in expected["t2"].iter().zip(&expected["q"]).enumerate() {
            let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-8;
            assert!(near(t2[row], *expected_t2) && near(q[row], *expected_q), "row {row}: {} {}", t2[row], q[row]);
        }
    }
}
