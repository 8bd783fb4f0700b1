//! What a device says about itself, without changing what it does.

use ocean_binary_protocol::LaserControl;
use ocean_binary_protocol::request::exposure::{CurrentIntegrationTime, IntegrationTimeMax, IntegrationTimeMin};
use ocean_binary_protocol::request::light::{LampLine, LightSourceEnabled};
use ocean_binary_protocol::request::temperature::{TecSetpoint, TecStable, TecTemperature, Temperatures};
use ramand_core::spectrum::{Celsius, IntegrationTime, ShiftAxis, WavelengthCalibration};

use super::AcquireError;
use super::driver::wavelength_coefficients;
use super::identify::{IdentifiedDevice, ask_if_supported, identify};
use super::settings::AcquisitionSettings;
use super::units::{exposure_of_device, temperature_of_device};
use crate::supervise::Stop;

/// A device's description of itself. `None` where it does not know the question.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// As in the configuration: `qepro`.
    pub profile: &'static str,
    /// As its maker writes it.
    pub model: &'static str,
    /// The serial number that the device gives.
    pub serial: String,
    /// The revision of the firmware, as in 1.23.
    pub firmware: Option<String>,
    /// The rate it answered at.
    pub baud: u32,
    /// Pixels in a spectrum.
    pub pixels: usize,
    /// Pixels that see light.
    pub active_pixels: std::ops::Range<usize>,
    /// Pixels that are shielded from light, by the profile.
    pub dark_pixels: &'static [std::ops::Range<usize>],
    /// Σ cᵢ pⁱ = λ(p) in nm.
    pub calibration: WavelengthCalibration,
    /// The axis that gives.
    pub axis: ShiftAxis,
    /// The integration time that is set in the device now.
    pub integration: Option<IntegrationTime>,
    /// The device's own limit, or the model's.
    pub integration_min: IntegrationTime,
    /// The device's own limit, or the model's.
    pub integration_max: IntegrationTime,
    /// How the laser would be switched.
    pub laser_control: Option<LaserControl>,
    /// Whether the laser is on; `None` where there is none.
    pub laser_on: Option<bool>,
    /// The detector's temperature.
    pub detector_temperature: Option<Celsius>,
    /// The cooler's target.
    pub tec_setpoint: Option<Celsius>,
    /// Whether the cooler has reached it.
    pub tec_stable: Option<bool>,
    /// All sensors, in the device's order.
    pub temperatures: Vec<Option<Celsius>>,
}

/// Opens the port and asks. The laser is not switched, no setting is changed.
///
/// # Errors
/// When there is no device, another one than configured, or one without a usable calibration.
pub fn survey(settings: &AcquisitionSettings, stop: &Stop) -> Result<Survey, AcquireError> {
    let IdentifiedDevice { mut session, profile, serial, firmware } = identify(settings, stop)?;
    let session = &mut session;
    let calibration = WavelengthCalibration { coefficients: wavelength_coefficients(session)?, laser: settings.laser };
    let axis = calibration.axis(profile.active.clone())?;
    let laser_control = settings.laser_switch.control(profile);
    let laser_on = match laser_control {
        None => None,
        Some(LaserControl::LampLine) => ask_if_supported(session, &LampLine)?,
        Some(LaserControl::LightSource { module, source }) => {
            ask_if_supported(session, &LightSourceEnabled { module, source })?
        }
    };
    let temperatures = ask_if_supported(session, &Temperatures)?.unwrap_or_default();
    let temperatures: Vec<_> = temperatures.into_iter().map(|reading| reading.map(temperature_of_device)).collect();
    let of_sensor = temperatures.get(profile.detector_sensor).copied().flatten();
    Ok(Survey {
        profile: profile.name,
        model: profile.model,
        serial,
        firmware,
        baud: session.link().baud(),
        pixels: profile.pixels,
        active_pixels: profile.active.clone(),
        dark_pixels: profile.dark,
        calibration,
        axis,
        integration: ask_if_supported(session, &CurrentIntegrationTime)?.map(exposure_of_device),
        integration_min: exposure_of_device(
            ask_if_supported(session, &IntegrationTimeMin)?.unwrap_or(profile.integration_min),
        ),
        integration_max: exposure_of_device(
            ask_if_supported(session, &IntegrationTimeMax)?.unwrap_or(profile.integration_max),
        ),
        laser_control,
        laser_on,
        detector_temperature: ask_if_supported(session, &TecTemperature)?.map(temperature_of_device).or(of_sensor),
        tec_setpoint: ask_if_supported(session, &TecSetpoint)?.map(temperature_of_device),
        tec_stable: ask_if_supported(session, &TecStable)?,
        temperatures,
    })
}
