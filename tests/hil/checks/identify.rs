//! Who is there: the instrument of the rig, its laser off.

use ramand::acquire::survey;
use serde_json::json;

use super::{Found, Trouble};
use crate::bench::Bench;

pub(super) fn check(bench: &Bench) -> Result<Found, Trouble> {
    let survey = survey(&bench.settings(), &bench.stop())?;
    let says = format!(
        "{} {} firmware {} at {} baud, {:.1} to {:.1} cm-1, laser {}",
        survey.model,
        survey.serial,
        survey.firmware.as_deref().unwrap_or("-"),
        survey.baud,
        survey.axis.first().per_cm(),
        survey.axis.last().per_cm(),
        survey.laser_on.map_or("not asked", |on| if on { "ON" } else { "off" }),
    );
    let figures = json!({
        "model": survey.model,
        "serial": survey.serial,
        "firmware": survey.firmware,
        "baud": survey.baud,
        "wavelength_coefficients": survey.calibration.coefficients,
        "detector_temperature_c": survey.detector_temperature.map(|temperature| temperature.degrees()),
    });
    Ok(Found { passed: survey.laser_on != Some(true), says, figures, table: Vec::new() })
}
