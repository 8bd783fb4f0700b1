//! Who is there: the instrument of the rig, its laser off. One that is on, left so by whoever had it before, is switched off: the
//! checks that follow take dark frames, and send people to the bench.

use ramand::acquire::{Driver, Spectrometer, survey};
use serde_json::json;

use super::{CheckFinding, CheckTrouble};
use crate::bench::InstrumentBench;

pub(super) fn check(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    let settings = bench.settings_for_off();
    let survey = survey(&settings, &bench.stop())?;
    if survey.laser_on == Some(true) {
        Driver::open(settings, &bench.stop())?.laser_off()?;
    }
    let says = format!(
        "{} {} firmware {} at {} baud, {:.1} to {:.1} cm-1, laser {}",
        survey.model,
        survey.serial,
        survey.firmware.as_deref().unwrap_or("-"),
        survey.baud,
        survey.axis.first().per_cm(),
        survey.axis.last().per_cm(),
        survey.laser_on.map_or("not asked", |on| if on { "WAS ON, switched off now" } else { "off" }),
    );
    let figures = json!({
        "model": survey.model,
        "serial": survey.serial,
        "firmware": survey.firmware,
        "baud": survey.baud,
        "wavelength_coefficients": survey.calibration.coefficients,
        "detector_temperature_c": survey.detector_temperature.map(|temperature| temperature.degrees()),
    });
    Ok(CheckFinding { passed: survey.laser_on != Some(true), says, figures, table: Vec::new() })
}
