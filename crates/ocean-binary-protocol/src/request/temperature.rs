//! Temperatures and the detector's cooler.

use super::{indexed_queries, queries, settings};
use crate::units::Celsius;

queries! {
    /// How many sensors there are.
    TemperatureCount: TEMPERATURE_COUNT -> u8;
    /// All sensors at once, in the device's order.
    Temperatures: TEMPERATURES -> Vec<Option<Celsius>>;
    /// Whether the cooler runs.
    TecEnabled: TEC_ENABLED -> bool;
    /// Where the cooler is set to.
    TecSetpoint: TEC_SETPOINT -> Celsius;
    /// Whether the detector has reached the set point.
    TecStable: TEC_STABLE -> bool;
    /// The detector's temperature.
    TecTemperature: TEC_TEMPERATURE -> Celsius;
}

indexed_queries! {
    /// One sensor.
    Temperature: TEMPERATURE -> Celsius;
}

settings! {
    /// Switches the cooler.
    EnableTec {
        /// On or off.
        enabled: bool
    }: ENABLE_TEC;
    /// Sets the cooler's target.
    SetTecSetpoint {
        /// The detector's temperature to hold.
        setpoint: Celsius
    }: SET_TEC_SETPOINT;
}
