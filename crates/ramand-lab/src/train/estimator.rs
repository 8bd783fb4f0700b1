//! A fitted model of any family: what is kept, and what predicts held-out spectra.

use nalgebra::DMatrix;

use super::dataset::Dataset;
use super::fit::{Fit, mean_output};
use super::kernel::KernelRidge;

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Estimator {
    /// PLS, networks or both.
    Network(Fit),
    /// Kernel ridge, alone or beside PLS.
    Kernel(KernelEstimator),
}

/// y = share · kernel ridge(x) + (1 − share) · PLS(x).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KernelEstimator {
    pub(super) kernel: KernelRidge,
    /// In 0..=1.
    pub(super) share: f64,
    /// PLS; none where kernel ridge is all there is.
    pub(super) linear: Option<Fit>,
}

impl Estimator {
    /// Networks that were trained for it.
    pub(super) fn networks(&self) -> usize {
        match self {
            Self::Network(fit) => fit.trunks.len(),
            Self::Kernel(_) => 0,
        }
    }

    /// PLS components, where it is a part.
    pub(super) fn components(&self) -> Option<usize> {
        let fit = match self {
            Self::Network(fit) => Some(fit),
            Self::Kernel(kernel) => kernel.linear.as_ref(),
        };
        fit.filter(|fit| fit.family.has_pls()).map(|fit| fit.components)
    }

    /// What each network with the rest of the model says about one spectrum of `data`, `[networks][outputs]`, in the targets'
    /// units; one row where there are no networks.
    pub(super) fn predict_each(&self, data: &Dataset<'_>, spectrum: usize) -> Vec<Vec<f32>> {
        let preprocessed = data.preprocessed(spectrum);
        match self {
            Self::Network(fit) => fit.predict_each(preprocessed),
            Self::Kernel(KernelEstimator { kernel, share, linear }) => {
                let row = DMatrix::from_fn(1, preprocessed.len(), |_, point| f64::from(preprocessed[point]));
                let by_kernel = kernel.predict(&row);
                let by_linear = linear.as_ref().map(|fit| mean_output(&fit.predict_each(preprocessed)));
                let both = |output: usize, kernel: f64| match &by_linear {
                    None => kernel as f32,
                    Some(linear) => (share * kernel + (1.0 - share) * f64::from(linear[output])) as f32,
                };
                vec![by_kernel.iter().enumerate().map(|(output, &value)| both(output, value)).collect()]
            }
        }
    }
}
