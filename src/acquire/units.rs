//! The protocol's quantities as the station's, and back: the crates of both know nothing of each other.

use ocean_binary_protocol as obp;
use ramand_core::spectrum::{Celsius, IntegrationTime};

/// An exposure, as the device takes it.
pub(super) fn exposure_for_device(exposure: IntegrationTime) -> obp::IntegrationTime {
    obp::IntegrationTime::from_micros(exposure.micros())
}

/// An exposure, as the device gave it.
pub(super) fn exposure_of_device(exposure: obp::IntegrationTime) -> IntegrationTime {
    IntegrationTime::from_micros(exposure.micros())
}

/// A temperature, as the device takes it.
pub(super) fn temperature_for_device(temperature: Celsius) -> obp::Celsius {
    obp::Celsius::new(temperature.degrees())
}

/// A temperature, as the device gave it.
pub(super) fn temperature_of_device(temperature: obp::Celsius) -> Celsius {
    Celsius::new(temperature.degrees())
}
