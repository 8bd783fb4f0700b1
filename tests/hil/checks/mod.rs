//! The checks, each a function of the bench.

mod axis;
mod dark;
mod deadlines;
mod gain;
mod identify;
mod laser_off;
mod linearity;
mod soak;
mod unplug;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ramand::acquire::{AcquireError, Driver, Spectrometer};
use ramand_core::failure;
use ramand_core::spectrum::{IntegrationTime, Laser, RawSpectrum};
use serde_json::Value;

use crate::bench::InstrumentBench;

/// What a check comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckVerdict {
    Passed,
    Failed,
    Skipped,
}

impl CheckVerdict {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

/// What was found.
pub(crate) struct CheckFinding {
    /// Whether the limits are kept.
    pub(crate) passed: bool,
    /// In one line.
    pub(crate) says: String,
    /// For programs.
    pub(crate) figures: Value,
    /// Head first.
    pub(crate) table: Vec<Vec<String>>,
}

/// Why there is nothing to judge.
pub(crate) enum CheckTrouble {
    /// This bench has not what it takes.
    Skip(String),
    Fail(String),
}

impl From<AcquireError> for CheckTrouble {
    fn from(error: AcquireError) -> Self {
        Self::Fail(failure::chain(&error))
    }
}

impl From<std::io::Error> for CheckTrouble {
    fn from(error: std::io::Error) -> Self {
        Self::Fail(error.to_string())
    }
}

pub(crate) type BenchCheck = fn(&InstrumentBench) -> Result<CheckFinding, CheckTrouble>;

/// One check's part of the report.
pub(crate) struct CheckOutcome {
    pub(crate) name: &'static str,
    pub(crate) verdict: CheckVerdict,
    pub(crate) says: String,
    pub(crate) figures: Value,
    pub(crate) table: Vec<Vec<String>>,
}

impl CheckOutcome {
    pub(crate) fn line(&self) -> String {
        format!("{:<8} {:<10} {}", self.verdict.name(), self.name, self.says)
    }
}

/// The last one.
pub(crate) const LASER_OFF: &str = "laser-off";

/// In their order.
pub(crate) const CHECKS: &[(&str, BenchCheck)] = &[
    ("identify", identify::check),
    ("deadlines", deadlines::check),
    ("dark", dark::check),
    ("gain", gain::check),
    ("linearity", linearity::check),
    ("axis", axis::check),
    ("unplug", unplug::check),
    ("soak", soak::check),
    (LASER_OFF, laser_off::check),
];

/// Runs a check. A panic is a failure like any other, and after a stop request only the laser is looked after.
pub(crate) fn guarded(bench: &InstrumentBench, name: &'static str, check: BenchCheck) -> CheckOutcome {
    let of = |verdict, says: String| CheckOutcome { name, verdict, says, figures: Value::Null, table: Vec::new() };
    if bench.stop().is_requested() && name != LASER_OFF {
        return of(CheckVerdict::Failed, "stopped on request before it was done".to_owned());
    }
    match catch_unwind(AssertUnwindSafe(|| check(bench))) {
        Ok(Ok(CheckFinding { passed, says, figures, table })) => {
            let verdict = if passed { CheckVerdict::Passed } else { CheckVerdict::Failed };
            CheckOutcome { name, verdict, says, figures, table }
        }
        Ok(Err(CheckTrouble::Skip(why))) => of(CheckVerdict::Skipped, why),
        Ok(Err(CheckTrouble::Fail(why))) => of(CheckVerdict::Failed, why),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            of(CheckVerdict::Failed, format!("panicked: {}", said.unwrap_or("without a word")))
        }
    }
}

/// Whole microseconds.
pub(crate) fn integration(duration: Duration) -> IntegrationTime {
    IntegrationTime::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

fn laser_allowed(bench: &InstrumentBench) -> Result<(), CheckTrouble> {
    if bench.rig.laser.allowed {
        Ok(())
    } else {
        Err(CheckTrouble::Skip("this rig may not switch the laser on".to_owned()))
    }
}

/// Counts of one frame without the laser.
fn dark_counts(driver: &mut Driver) -> Result<Vec<f64>, CheckTrouble> {
    Ok(driver.measure_dark()?.light().iter().copied().map(f64::from).collect())
}

/// Counts above dark of one light frame, straightened by the device's own polynomial.
fn light_counts(driver: &mut Driver) -> Result<Vec<f64>, CheckTrouble> {
    Ok(light(driver)?.0)
}

/// The same, and the exposure that the device made of the one asked for.
fn light(driver: &mut Driver) -> Result<(Vec<f64>, IntegrationTime), CheckTrouble> {
    let spectrum = driver.measure()?;
    let acquisition = spectrum.acquisition().ok_or_else(|| CheckTrouble::Fail("not measured".to_owned()))?;
    if acquisition.laser != Laser::On {
        return Err(CheckTrouble::Fail("the laser went off during the exposure: is the interlock closed?".to_owned()));
    }
    if acquisition.saturated_pixels > 0 {
        return Err(CheckTrouble::Fail(format!("{} pixels are saturated", acquisition.saturated_pixels)));
    }
    let straight = driver.instrument().nonlinearity.clone();
    let above = above_dark(&spectrum);
    let counts = match straight {
        Some(polynomial) => above.into_iter().map(|counts| f64::from(polynomial.correct(counts as f32))).collect(),
        None => above,
    };
    Ok((counts, acquisition.integration))
}

fn above_dark(spectrum: &RawSpectrum) -> Vec<f64> {
    let dark = spectrum.dark().unwrap_or_default();
    let pairs = spectrum.light().iter().zip(dark);
    pairs.map(|(light, dark)| f64::from(light - dark)).collect()
}

/// These parts of the longest exposure, none shorter than the rig's shortest.
fn exposures(bench: &InstrumentBench, longest: Duration, parts: &[f64]) -> Result<Vec<Duration>, CheckTrouble> {
    let shortest = bench.rig.spectrometer.exposure_min;
    if longest < RANGE_MIN * shortest {
        return Err(CheckTrouble::Skip(format!(
            "half of full scale takes {} ms, and the rig's shortest exposure is {} ms: less light, or a smaller exposure_min",
            longest.as_millis(),
            shortest.as_millis()
        )));
    }
    Ok(parts.iter().map(|part| longest.mul_f64(*part).max(shortest)).collect())
}

/// The longest exposure must be this many times the shortest for anything to be seen to grow.
const RANGE_MIN: u32 = 2;

/// Brightest pixel at the longest exposure, as a part of full scale.
const BRIGHTEST: f64 = 0.5;

/// The longest exposure of the rig at which the brightest pixel is at half of full scale; tried out once.
fn exposure_max(bench: &InstrumentBench, driver: &mut Driver) -> Result<Duration, CheckTrouble> {
    if let Some(known) = *bench.exposure_max.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
        return Ok(known);
    }
    let shortest = bench.rig.spectrometer.exposure_min;
    driver.set_exposure(integration(shortest), 1)?;
    let brightest = light_counts(driver)?.into_iter().fold(1.0, f64::max);
    let full = f64::from(driver.instrument().saturation.value());
    let longest = shortest.mul_f64((BRIGHTEST * full / brightest).max(1.0)).min(bench.rig.spectrometer.exposure_max);
    let longest = Duration::from_millis(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX));
    *bench.exposure_max.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(longest);
    Ok(longest)
}
