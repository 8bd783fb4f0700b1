//! The coefficients stored in the device.

use super::{indexed_queries, queries};

queries! {
    /// How many wavelength coefficients there are.
    WavelengthCoefficientCount: WAVELENGTH_COEFFICIENT_COUNT -> u8;
    /// How many nonlinearity coefficients there are.
    NonlinearityCoefficientCount: NONLINEARITY_COEFFICIENT_COUNT -> u8;
    /// How many stray light coefficients there are.
    StrayLightCoefficientCount: STRAY_LIGHT_COEFFICIENT_COUNT -> u8;
}

indexed_queries! {
    /// c_i of λ(p) = Σ c_i p^i, nm per pixel^i.
    WavelengthCoefficient: WAVELENGTH_COEFFICIENT -> f32;
    /// n_i of true = measured / Σ n_i measured^i, ascending powers.
    NonlinearityCoefficient: NONLINEARITY_COEFFICIENT -> f32;
    /// Stray light coefficient.
    StrayLightCoefficient: STRAY_LIGHT_COEFFICIENT -> f32;
}
