//! Kernel ridge regression with a Gaussian kernel: the honest non-linear baseline that needs no network.
//!
//! ŷ(x) = ȳ + Σ_i α_i k(x, x_i) with k(a, b) = exp(−γ |a − b|²) and (K + λ I) α = y − ȳ (C. Saunders, A. Gammerman,
//! V. Vovk, ICML 1998). γ counts in units of one over the mean squared distance of the training spectra.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::dataset::{Dataset, Truth};
use super::error::TrainError;
use super::partition::Fold;
use super::progress::Progress;

/// γ, in units of one over the mean squared distance.
const WIDTHS: [f64; 6] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0];
/// λ.
const RIDGES: [f64; 6] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1];
/// The cost grows with the third power of the number of spectra: more would take longer than the networks.
pub(super) const SPECTRA_MAX: usize = 2000;

/// γ and λ, and what they cost on held-out samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct KernelChoice {
    width: f64,
    ridge: f64,
    /// Sum of squared errors over all held-out spectra.
    pub(super) squared: f64,
}

/// A fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KernelRidge {
    members: Vec<usize>,
    gamma: f64,
    weights: DVector<f64>,
    mean: f64,
}

impl KernelRidge {
    /// The γ and λ with the least squared error on held-out samples; `None` for classes, or where no kernel could be solved.
    ///
    /// # Errors
    /// Only when interrupted.
    pub(super) fn choose(
        data: &Dataset<'_>,
        parts: &[Fold],
        progress: &Progress,
    ) -> Result<Option<KernelChoice>, TrainError> {
        let Truth::Values(truth) = &data.truth else { return Ok(None) };
        let mut squared = [[0.0; RIDGES.len()]; WIDTHS.len()];
        for Fold { training, held_out } in parts {
            let among = distances(data, training, training);
            let across = distances(data, held_out, training);
            let unit = 1.0 / among.mean();
            let (mean, centred) = centred(truth, training);
            for (&width, row) in WIDTHS.iter().zip(&mut squared) {
                progress.check()?;
                let kernel = among.map(|distance| (-width * unit * distance).exp());
                let held_out_kernel = across.map(|distance| (-width * unit * distance).exp());
                for (&ridge, sum) in RIDGES.iter().zip(row) {
                    let Some(weights) = solve(&kernel, ridge, &centred) else {
                        *sum = f64::INFINITY;
                        continue;
                    };
                    let predicted = &held_out_kernel * weights;
                    let errors = predicted.iter().zip(held_out).map(|(value, &row)| mean + value - truth[row]);
                    *sum += errors.map(|error| error * error).sum::<f64>();
                }
            }
        }
        let each = WIDTHS.iter().zip(&squared).flat_map(|(&width, row)| {
            RIDGES.iter().zip(row).map(move |(&ridge, &squared)| KernelChoice { width, ridge, squared })
        });
        Ok(each.filter(|choice| choice.squared.is_finite()).min_by(|a, b| a.squared.total_cmp(&b.squared)))
    }

    /// Fits to the spectra `members`; `None` as [`Self::choose`].
    pub(super) fn fit(data: &Dataset<'_>, members: &[usize], choice: &KernelChoice) -> Option<Self> {
        let Truth::Values(truth) = &data.truth else { return None };
        let among = distances(data, members, members);
        let gamma = choice.width / among.mean();
        let (mean, centred) = centred(truth, members);
        let weights = solve(&among.map(|distance| (-gamma * distance).exp()), choice.ridge, &centred)?;
        Some(Self { members: members.to_vec(), gamma, weights, mean })
    }

    /// What it says about one spectrum of the set it was fitted to a part of.
    pub(super) fn predict(&self, data: &Dataset<'_>, spectrum: usize) -> f64 {
        let kernel = distances(data, &[spectrum], &self.members).map(|distance| (-self.gamma * distance).exp());
        self.mean + (kernel * &self.weights)[0]
    }
}

/// Squared distances between preprocessed spectra, `[rows × columns]`.
fn distances(data: &Dataset<'_>, rows: &[usize], columns: &[usize]) -> DMatrix<f64> {
    let (a, b) = (data.spectra(rows), data.spectra(columns));
    let squares = |matrix: &DMatrix<f64>| matrix.row_iter().map(|row| row.norm_squared()).collect::<Vec<_>>();
    let (of_a, of_b) = (squares(&a), squares(&b));
    let mut products = a * b.transpose();
    for (j, mut column) in products.column_iter_mut().enumerate() {
        for (i, value) in column.iter_mut().enumerate() {
            // Rounding leaves equal spectra a little below zero.
            *value = (of_a[i] + of_b[j] - 2.0 * *value).max(0.0);
        }
    }
    products
}

fn centred(truth: &[f64], members: &[usize]) -> (f64, DVector<f64>) {
    let mean = members.iter().map(|&row| truth[row]).sum::<f64>() / members.len() as f64;
    (mean, DVector::from_iterator(members.len(), members.iter().map(|&row| truth[row] - mean)))
}

fn solve(kernel: &DMatrix<f64>, ridge: f64, targets: &DVector<f64>) -> Option<DVector<f64>> {
    let mut regular = kernel.clone();
    for i in 0..regular.nrows() {
        regular[(i, i)] += ridge;
    }
    Some(Cholesky::new(regular)?.solve(targets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_have_a_closed_form() {
        // (1 + λ, k; k, 1 + λ) (a, −a) = (1, −1): a = 1 / (1 + λ − k).
        let kernel = DMatrix::from_row_slice(2, 2, &[1.0, 0.25, 0.25, 1.0]);
        let weights = solve(&kernel, 0.5, &DVector::from_vec(vec![1.0, -1.0])).expect("positive definite");
        assert!((weights[0] - 0.8).abs() < 1e-12 && (weights[1] + 0.8).abs() < 1e-12, "{weights}");
    }

    #[test]
    fn what_is_no_kernel_is_not_solved() {
        let kernel = DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 2.0, 1.0]);
        assert_eq!(solve(&kernel, 0.1, &DVector::from_vec(vec![1.0, -1.0])), None);
    }
}
