//! Temperatures, and the detector's thermoelectric cooler. A model without cooler refuses the messages about it.

use super::{queries, settings};
use crate::units::Celsius;

queries! {
    /// Asks for the readings of all sensors at once, in the device's order: QE Pro processor, reserved, board, detector; STS
    /// detector, reserved, board. A sensor that is not there reads as NaN or infinite on the wire and as `None` here.
    Temperatures: TEMPERATURES -> Vec<Option<Celsius>>;
    /// Asks whether the cooler runs.
    TecEnabled: TEC_ENABLED -> bool;
    /// Asks for the temperature that the cooler is set to hold.
    TecSetpoint: TEC_SETPOINT -> Celsius;
    /// Asks whether the detector has reached the set point and holds it.
    TecStable: TEC_STABLE -> bool;
    /// Asks for the detector's temperature.
    TecTemperature: TEC_TEMPERATURE -> Celsius;
}

settings! {
    /// Switches the cooler on or off.
    EnableTec {
        /// `true` is on.
        enabled: bool
    }: ENABLE_TEC;
    /// Changes the temperature that the cooler is to hold.
    SetTecSetpoint {
        /// The detector's temperature to hold.
        setpoint: Celsius
    }: SET_TEC_SETPOINT;
}
