//! Savitzky-Golay filters (Anal. Chem. 36 (1964) 1627, doi 10.1021/ac60214a047): in a window of 2m + 1 points, the value or
//! derivative of the least-squares polynomial at one of its points is a fixed weighted sum of the values.

use super::orthogonal::OrthonormalPolynomials;
use super::step::Smooth;

/// The weights of one filter.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    window: usize,
    /// `[window][window]`: row t holds the weights that give the polynomial at point t of the window.
    weights: Vec<f64>,
}

impl Filter {
    pub(super) fn new(settings: &Smooth) -> Self {
        let Smooth { window, order, derivative } = *settings;
        let basis = OrthonormalPolynomials::new(window, order);
        let mut weights = vec![0.0; window * window];
        for (at, row) in weights.chunks_exact_mut(window).enumerate() {
            for (polynomial, slope) in basis.iter().zip(basis.derivatives(at, derivative)) {
                row.iter_mut().zip(polynomial).for_each(|(weight, value)| *weight += slope * value);
            }
        }
        Self { window, weights }
    }

    /// Points in the window.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Filters `values`, at least a window of them, into `result`. The first and last m points come from the polynomials
    /// through the first and last window: scipy's `mode="interp"`.
    pub(super) fn apply(&self, values: &[f64], result: &mut Vec<f64>) {
        let (window, half) = (self.window, self.window / 2);
        let row = |at: usize| &self.weights[at * window..(at + 1) * window];
        let dot = |weights: &[f64], values: &[f64]| weights.iter().zip(values).map(|(w, v)| w * v).sum::<f64>();
        result.clear();
        result.extend((0..half).map(|at| dot(row(at), &values[..window])));
        result.extend(values.windows(window).map(|values| dot(row(half), values)));
        result.extend((half + 1..window).map(|at| dot(row(at), &values[values.len() - window..])));
    }
}
