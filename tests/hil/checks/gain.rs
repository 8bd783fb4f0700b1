//! Electrons per count, by photon transfer: in light, the variance of a pixel grows with its mean.

use ramand::acquire::Spectrometer;
use serde_json::json;

use super::{CheckFinding, CheckTrouble, exposure_max, exposures, integration, laser_allowed, light_counts};
use crate::bench::InstrumentBench;
use crate::statistics::{electrons_per_count, photon_transfer};

/// Exposures, as parts of the longest.
const LEVELS: [f64; 3] = [0.1, 0.4, 1.0];

/// Pairs of frames of each exposure.
const PAIRS: usize = 2;

/// Pixels in one point of the transfer curve.
const STRETCH: usize = 128;

/// Above this part of full scale the detector's own curvature would count as gain.
const MEAN_MAX: f64 = 0.1;

pub(super) fn check(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    laser_allowed(bench)?;
    let mut driver = bench.open()?;
    let longest = exposure_max(bench, &mut driver)?;
    let mean_max = MEAN_MAX * f64::from(driver.instrument().saturation.value());
    let mut points = Vec::new();
    for exposure in exposures(bench, longest, &LEVELS)? {
        driver.set_exposure(integration(exposure), 1)?;
        for _ in 0..PAIRS {
            let (a, b) = (light_counts(&mut driver)?, light_counts(&mut driver)?);
            points.extend(photon_transfer(&a, &b, STRETCH));
        }
    }
    driver.laser_off()?;
    points.retain(|point| point.mean > 0.0 && point.mean <= mean_max);
    let (electrons, noise) = electrons_per_count(&points)
        .ok_or_else(|| CheckTrouble::Fail(format!("{} points give no rising line: too little light?", points.len())))?;
    let [least, most] = bench.rig.limits.electrons_per_count;
    let says = format!("{electrons:.2} electrons per count ({least} to {most}), from {} points", points.len());
    let figures = json!({ "electrons_per_count": electrons, "read_noise_counts": noise, "points": points.len() });
    Ok(CheckFinding { passed: (least..=most).contains(&electrons), says, figures, table: Vec::new() })
}
