//! Kernel ridge regression with a Gaussian kernel: the honest non-linear baseline that needs no network.
//!
//! ŷ(x) = ȳ + Σ_i α_i k(x, x_i), of classes for each one against the others, with k(a, b) = exp(−γ |a − b|²) and (K + λ I) α = y − ȳ (C. Saunders, A. Gammerman,
//! V. Vovk, ICML 1998). γ counts in units of one over the mean squared distance of the training spectra.

use std::cmp::Ordering;

use nalgebra::{Cholesky, DMatrix, RowDVector};

use super::dataset::Dataset;
use super::error::TrainError;
use super::loss::HeldOutLoss;
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
    /// What is lost on all held-out spectra.
    pub(super) loss: HeldOutLoss,
}

/// A fit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KernelRidge {
    /// x_i, `[n × channels · points]`.
    pub(super) spectra: DMatrix<f64>,
    /// γ, over the squared distance of preprocessed spectra.
    pub(super) gamma: f64,
    /// α, `[n × outputs]`.
    pub(super) weights: DMatrix<f64>,
    /// ȳ, one per output.
    pub(super) mean: RowDVector<f64>,
}

impl KernelRidge {
    /// The γ and λ that lose least on held-out samples; `None` where no kernel could be solved.
    ///
    /// # Errors
    /// Only when interrupted.
    pub(super) fn choose(
        data: &Dataset<'_>,
        parts: &[Fold],
        progress: &Progress,
    ) -> Result<Option<KernelChoice>, TrainError> {
        let mut losses = [[Some(HeldOutLoss::default()); RIDGES.len()]; WIDTHS.len()];
        for Fold { training, held_out } in parts {
            let spectra = data.spectra(training);
            let among = distances(&spectra, &spectra);
            let across = distances(&data.spectra(held_out), &spectra);
            let unit = 1.0 / among.mean();
            let (mean, centred) = centred(&data.targets(training));
            for (&width, row) in WIDTHS.iter().zip(&mut losses) {
                progress.check()?;
                let kernel = among.map(|distance| (-width * unit * distance).exp());
                let held_out_kernel = across.map(|distance| (-width * unit * distance).exp());
                for (&ridge, loss) in RIDGES.iter().zip(row) {
                    let Some(weights) = solve(&kernel, ridge, &centred) else {
                        *loss = None;
                        continue;
                    };
                    let predicted = &held_out_kernel * weights;
                    for (row, &spectrum) in predicted.row_iter().zip(held_out) {
                        let values: Vec<f64> = row.iter().zip(mean.iter()).map(|(value, mean)| mean + value).collect();
                        loss.iter_mut().for_each(|loss| loss.add(&data.truth, spectrum, &values));
                    }
                }
            }
        }
        let each = WIDTHS.iter().zip(&losses).flat_map(|(&width, row)| {
            RIDGES.iter().zip(row).filter_map(move |(&ridge, &loss)| Some(KernelChoice { width, ridge, loss: loss? }))
        });
        let finite = each.filter(|choice| choice.loss.squared.is_finite());
        Ok(finite.min_by(|a, b| a.loss.partial_cmp(&b.loss).unwrap_or(Ordering::Equal)))
    }

    /// Fits to the spectra `members`; `None` where the kernel cannot be solved.
    pub(super) fn fit(data: &Dataset<'_>, members: &[usize], choice: &KernelChoice) -> Option<Self> {
        let spectra = data.spectra(members);
        let among = distances(&spectra, &spectra);
        let gamma = choice.width / among.mean();
        let (mean, centred) = centred(&data.targets(members));
        let weights = solve(&among.map(|distance| (-gamma * distance).exp()), choice.ridge, &centred)?;
        Some(Self { spectra, gamma, weights, mean })
    }

    /// What it says about preprocessed spectra, `[rows × outputs]`.
    pub(super) fn predict(&self, spectra: &DMatrix<f64>) -> DMatrix<f64> {
        let kernel = distances(spectra, &self.spectra).map(|distance| (-self.gamma * distance).exp());
        let mut predicted = kernel * &self.weights;
        predicted.row_iter_mut().for_each(|mut row| row += &self.mean);
        predicted
    }
}

/// Squared distances between the rows of two matrices, `[rows of a × rows of b]`.
fn distances(a: &DMatrix<f64>, b: &DMatrix<f64>) -> DMatrix<f64> {
    let squares = |matrix: &DMatrix<f64>| matrix.row_iter().map(|row| row.norm_squared()).collect::<Vec<_>>();
    let (of_a, of_b) = (squares(a), squares(b));
    let mut products = a * b.transpose();
    for (j, mut column) in products.column_iter_mut().enumerate() {
        for (i, value) in column.iter_mut().enumerate() {
            // Rounding leaves equal spectra a little below zero.
            *value = (of_a[i] + of_b[j] - 2.0 * *value).max(0.0);
        }
    }
    products
}

/// The mean of each column, and the columns less it.
fn centred(targets: &DMatrix<f64>) -> (RowDVector<f64>, DMatrix<f64>) {
    let mean = targets.row_mean();
    let mut centred = targets.clone();
    centred.row_iter_mut().for_each(|mut row| row -= &mean);
    (mean, centred)
}

fn solve(kernel: &DMatrix<f64>, ridge: f64, targets: &DMatrix<f64>) -> Option<DMatrix<f64>> {
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
        let weights = solve(&kernel, 0.5, &DMatrix::from_column_slice(2, 1, &[1.0, -1.0])).expect("positive definite");
        assert!((weights[0] - 0.8).abs() < 1e-12 && (weights[1] + 0.8).abs() < 1e-12, "{weights}");
    }

    #[test]
    fn what_is_no_kernel_is_not_solved() {
        let kernel = DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 2.0, 1.0]);
        assert_eq!(solve(&kernel, 0.1, &DMatrix::from_column_slice(2, 1, &[1.0, -1.0])), None);
    }
}
