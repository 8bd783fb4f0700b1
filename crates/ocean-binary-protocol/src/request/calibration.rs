//! The coefficients of the calibration that is stored in the device.
//!
//! A device that holds no such coefficient, or has no such message, answers with
//! [`NoSuchInformation`](crate::DeviceError::NoSuchInformation) or
//! [`UnknownMessageType`](crate::DeviceError::UnknownMessageType).

use super::{indexed_queries, queries};

queries! {
    /// Asks how many wavelength coefficients are stored. SeaBreeze does not ask and takes four, a cubic.
    WavelengthCoefficientCount: WAVELENGTH_COEFFICIENT_COUNT -> u8;
    /// Asks how many nonlinearity coefficients are stored; eight in most models.
    NonlinearityCoefficientCount: NONLINEARITY_COEFFICIENT_COUNT -> u8;
}

indexed_queries! {
    /// Asks for cᵢ of λ(p) = Σ cᵢ pⁱ, in nm per pixelⁱ; p is the pixel's index from 0, λ its wavelength.
    WavelengthCoefficient: WAVELENGTH_COEFFICIENT -> f32;
    /// Asks for nᵢ of true = measured / Σ nᵢ measuredⁱ, in counts⁻ⁱ, ascending powers; counts are those above darkness. A
    /// device that was never calibrated may hold zeros, which must not be divided by.
    NonlinearityCoefficient: NONLINEARITY_COEFFICIENT -> f32;
}
