//! Partial least squares by SIMPLS: the linear part of every model, and the baseline it has to beat.
//!
//! S. de Jong, "SIMPLS: an alternative approach to partial least squares regression", Chemometr. Intell. Lab. Syst. 18
//! (1993) 251-263. With centred X (n × p) and Y (n × m) and S = Xᵀ Y, each component takes the weights r = S q that
//! maximise the covariance of the scores t = X r with Y under the constraint that t is orthogonal to all earlier scores
//! (q: dominant eigenvector of Sᵀ S); then S is deflated by the loadings p = Xᵀ t. The coefficients of a components are
//! B_a = Σ_{i ≤ a} r_i (Yᵀ t_i)ᵀ: one pass gives all of them. For one response this is NIPALS PLS1.

use nalgebra::{DMatrix, DVector, RowDVector};

/// A covariance this far below the first component's is rounding: there is nothing left to explain.
const EXHAUSTED: f64 = 1e-12;

/// A fit with up to as many components as were asked for and the data has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pls {
    /// Mean spectrum, `[p]`.
    mean: RowDVector<f64>,
    /// Mean response, `[m]`.
    response_mean: RowDVector<f64>,
    /// r of each component, `[p × components]`: scores are (x − mean) · weights.
    weights: DMatrix<f64>,
    /// Yᵀ t of each component, `[m × components]`.
    response_loadings: DMatrix<f64>,
}

impl Pls {
    /// `spectra` is n × p, `responses` n × m, n at least 1.
    pub(super) fn fit(spectra: &DMatrix<f64>, responses: &DMatrix<f64>, components_max: usize) -> Self {
        let mean = spectra.row_mean();
        let response_mean = responses.row_mean();
        let x = centred(spectra, &mean);
        let y = centred(responses, &response_mean);
        let (p, m) = (x.ncols(), y.ncols());
        let components_max = components_max.min(p).min(x.nrows().saturating_sub(1));

        let mut covariance = x.tr_mul(&y);
        let enough = EXHAUSTED * covariance.norm();
        let mut weights: Vec<DVector<f64>> = Vec::new();
        let mut response_loadings: Vec<DVector<f64>> = Vec::new();
        let mut basis: Vec<DVector<f64>> = Vec::new();
        for _ in 0..components_max {
            let direction = &covariance * dominant_direction(&covariance);
            let scores = &x * &direction;
            let length = scores.norm();
            if direction.norm() <= enough || length == 0.0 {
                break;
            }
            let scores = scores / length;
            let loadings = x.tr_mul(&scores);
            response_loadings.push(y.tr_mul(&scores));
            weights.push(direction / length);
            // Gram-Schmidt twice: once loses orthogonality as components pile up.
            let mut orthogonal = loadings;
            for _ in 0..2 {
                for earlier in &basis {
                    let overlap = earlier.dot(&orthogonal);
                    orthogonal.axpy(-overlap, earlier, 1.0);
                }
            }
            orthogonal.normalize_mut();
            let shadow = orthogonal.tr_mul(&covariance);
            covariance -= &orthogonal * shadow;
            basis.push(orthogonal);
        }
        Self { mean, response_mean, weights: columns(p, &weights), response_loadings: columns(m, &response_loadings) }
    }

    /// How many components there are.
    pub(super) fn components(&self) -> usize {
        self.weights.ncols()
    }

    /// B of the first `components`, p × m: the response is `response_mean` + (x − `mean`) B.
    pub(super) fn coefficients(&self, components: usize) -> DMatrix<f64> {
        let components = components.min(self.components());
        self.weights.columns(0, components) * self.response_loadings.columns(0, components).transpose()
    }

    /// The response that belongs to [`Self::mean`].
    pub(super) fn response_mean(&self) -> &RowDVector<f64> {
        &self.response_mean
    }

    /// The spectrum that coefficients count from.
    #[cfg(test)]
    pub(super) fn mean(&self) -> &RowDVector<f64> {
        &self.mean
    }

    /// Scores, n × components: orthonormal over the spectra of the fit.
    pub(super) fn scores(&self, spectra: &DMatrix<f64>) -> DMatrix<f64> {
        centred(spectra, &self.mean) * &self.weights
    }

    /// Predictions, n × m, with 0, 1, 2 ... components: one matrix more than there are components.
    pub(super) fn predictions(&self, spectra: &DMatrix<f64>) -> impl Iterator<Item = DMatrix<f64>> {
        let scores = self.scores(spectra);
        let mut sum = DMatrix::from_fn(spectra.nrows(), self.response_mean.ncols(), |_, j| self.response_mean[j]);
        (0..=self.components()).map(move |components| {
            if let Some(last) = components.checked_sub(1) {
                sum += scores.column(last) * self.response_loadings.column(last).transpose();
            }
            sum.clone()
        })
    }
}

/// The eigenvector of SᵀS with the largest eigenvalue: the combination of responses that covaries most with the spectra.
fn dominant_direction(covariance: &DMatrix<f64>) -> DVector<f64> {
    if covariance.ncols() == 1 {
        return DVector::from_element(1, 1.0);
    }
    let eigen = covariance.tr_mul(covariance).symmetric_eigen();
    eigen.eigenvectors.column(eigen.eigenvalues.imax()).into_owned()
}

fn centred(matrix: &DMatrix<f64>, mean: &RowDVector<f64>) -> DMatrix<f64> {
    let mut centred = matrix.clone();
    for mut row in centred.row_iter_mut() {
        row -= mean;
    }
    centred
}

fn columns(rows: usize, columns: &[DVector<f64>]) -> DMatrix<f64> {
    if columns.is_empty() { DMatrix::zeros(rows, 0) } else { DMatrix::from_columns(columns) }
}

#[cfg(test)]
mod tests {

    use super::super::layers::tests::noise;
    use super::*;

    /// Against scikit-learn and the projection form of SIMPLS in numpy.
    const FIXTURE_TOLERANCE: f64 = 1e-6;
    /// Against closed forms.
    const ANALYTIC_TOLERANCE: f64 = 1e-9;

    fn fixture(name: &str) -> DMatrix<f64> {
        let path = crate::root::root().join("tests/fixtures/pls").join(name);
        let text = std::fs::read_to_string(&path).expect("the fixture is part of the repository");
        let rows: Vec<Vec<f64>> =
            text.lines().map(|line| line.split(',').map(|v| v.parse().expect("a number")).collect()).collect();
        DMatrix::from_fn(rows.len(), rows[0].len(), |i, j| rows[i][j])
    }

    fn check(what: &str, found: &DMatrix<f64>, expected: &DMatrix<f64>, tolerance: f64) {
        assert_eq!(found.shape(), expected.shape(), "{what}");
        let error = (found - expected).amax() / expected.amax();
        assert!(error < tolerance, "{what}: relative error {error:e}");
    }

    #[test]
    fn one_response_agrees_with_scikit_learn_for_every_number_of_components() {
        let pls = Pls::fit(&fixture("x.csv"), &fixture("y1.csv"), 6);
        let expected = fixture("coefficients_one.csv"); // row a: coefficients with a + 1 components
        for components in 1..=6 {
            let row = expected.row(components - 1).transpose();
            let row = DMatrix::from_column_slice(row.len(), 1, row.as_slice());
            check(&format!("{components} components"), &pls.coefficients(components), &row, FIXTURE_TOLERANCE);
        }
        let predicted = pls.predictions(&fixture("x_new.csv")).nth(4).expect("more than four components");
        check("predictions", &predicted, &fixture("predictions_one.csv"), FIXTURE_TOLERANCE);
    }

    #[test]
    fn several_responses_agree_with_the_constrained_maximum() {
        // NIPALS PLS2 is another method from the second component on, so the fixture solves de Jong's criterion directly.
        let pls = Pls::fit(&fixture("x.csv"), &fixture("y3.csv"), 5);
        for components in [1, 3, 5] {
            let expected = fixture(&format!("coefficients_three_{components}.csv"));
            check(&format!("{components} components"), &pls.coefficients(components), &expected, FIXTURE_TOLERANCE);
        }
    }

    #[test]
    fn all_components_are_ordinary_least_squares() {
        let x = DMatrix::from_vec(12, 4, noise(48, 1));
        let b = DMatrix::from_vec(4, 2, noise(8, 2));
        let y = &x * &b + DMatrix::from_element(12, 2, 3.0);
        let pls = Pls::fit(&x, &y, 10);
        assert_eq!(pls.components(), 4);
        check("coefficients", &pls.coefficients(10), &b, ANALYTIC_TOLERANCE);
        check("predictions", &pls.predictions(&x).last().expect("some"), &y, ANALYTIC_TOLERANCE);
    }

    #[test]
    fn a_response_along_one_direction_needs_one_component() {
        // X = t pᵀ with y = 2 t: rank one, so the only component is p and its coefficient is closed: B = 2 p / |p|².
        let t = DVector::from_vec(vec![-1.0, 0.0, 2.0, -1.0]);
        let p = RowDVector::from_vec(vec![1.0, 2.0, -2.0]);
        let pls = Pls::fit(&(&t * &p), &DMatrix::from_column_slice(4, 1, (&t * 2.0).as_slice()), 3);
        assert_eq!(pls.components(), 1);
        let expected = p.transpose() * (2.0 / 9.0);
        let expected = DMatrix::from_column_slice(3, 1, expected.as_slice());
        check("coefficients", &pls.coefficients(1), &expected, ANALYTIC_TOLERANCE);
        assert!(pls.mean().amax() < ANALYTIC_TOLERANCE && pls.response_mean().amax() < ANALYTIC_TOLERANCE);
    }

    #[test]
    fn a_constant_response_has_no_component_and_predicts_itself() {
        let x = DMatrix::from_vec(6, 3, noise(18, 1));
        let pls = Pls::fit(&x, &DMatrix::from_element(6, 1, 7.0), 3);
        assert_eq!(pls.components(), 0);
        let predicted: Vec<_> = pls.predictions(&x).collect();
        assert_eq!(predicted, [DMatrix::from_element(6, 1, 7.0)]);
    }
}
