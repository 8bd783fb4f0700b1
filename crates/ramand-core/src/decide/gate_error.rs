//! Why numbers are no gate, and the check of numbers that says so.

use crate::failure::{Failure, Kind};

/// Components of one gate: training sets that need more do not exist, and time per spectrum must be bounded.
pub const COMPONENTS_MAX: usize = 256;

/// Why numbers are no gate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GateError {
    /// None, or too many.
    #[error("a gate has 1 to {COMPONENTS_MAX} components, not {components}")]
    Components {
        /// How many there are.
        components: usize,
    },
    /// Loadings that are not components × features.
    #[error("{loadings} loadings are not {components} components of {features} features")]
    Shape {
        /// Numbers in the loadings.
        loadings: usize,
        /// Eigenvalues.
        components: usize,
        /// Length of the mean.
        features: usize,
    },
    /// Variates, centres or whitenings whose sizes do not fit.
    #[error(
        "{variates} numbers of variates, {centres} of centres and {whitening} of whitenings are not {classes} classes among {features} values"
    )]
    ClassesShape {
        /// Numbers in the variates.
        variates: usize,
        /// Numbers in the centres.
        centres: usize,
        /// Numbers in the whitenings.
        whitening: usize,
        /// Limits.
        classes: usize,
        /// Values of a spectrum.
        features: usize,
    },
    /// NaN, infinite, or a variance or limit that is not above zero.
    #[error("{what} {index} is {value}, expected {expected}")]
    Value {
        /// Of what.
        what: &'static str,
        /// Position, from 0.
        index: usize,
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// Rows that are no directions at right angles.
    #[error("loadings {first} and {second} have the product {product}, orthonormal ones have {expected}")]
    NotOrthonormal {
        /// Row.
        first: usize,
        /// Row.
        second: usize,
        product: f64,
        /// 1 for a row with itself, else 0.
        expected: f64,
    },
}

impl Failure for GateError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

pub(super) fn require(
    what: &'static str,
    values: impl Iterator<Item = f64>,
    expected: &'static str,
    accept: impl Fn(f64) -> bool,
) -> Result<(), GateError> {
    match values.enumerate().find(|&(_, value)| !accept(value)) {
        Some((index, value)) => Err(GateError::Value { what, index, value, expected }),
        None => Ok(()),
    }
}
