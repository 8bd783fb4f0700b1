//! One thing that was checked, and how it is judged.

use onnx_gradient::GradientError;
use ramand_core::failure::chain;

/// Largest difference of the gradient from the finite difference, relative to the largest gradient.
pub(super) const GRADIENT_ERROR_MAX: f64 = 1e-5;

/// The same of a mean gradient along a line, whose quadrature has an error too.
pub(super) const PATH_ERROR_MAX: f64 = 1e-4;

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// In words.
    pub name: String,
    /// The figure that passed, or why it failed.
    pub outcome: Result<String, String>,
}

pub(super) fn passed(name: &str, figure: String) -> Check {
    Check { name: name.to_owned(), outcome: Ok(figure) }
}

pub(super) fn failed(name: &str, error: &(dyn std::error::Error + 'static)) -> Check {
    Check { name: name.to_owned(), outcome: Err(chain(error)) }
}

pub(super) fn judged(name: String, error: Result<f64, GradientError>, allowed: f64) -> Check {
    match error {
        Ok(error) => {
            let figure = format!("relative error {error:.1e}, allowed {allowed:.0e}");
            Check { name, outcome: if error <= allowed { Ok(figure) } else { Err(figure) } }
        }
        Err(error) => failed(&name, &error),
    }
}
