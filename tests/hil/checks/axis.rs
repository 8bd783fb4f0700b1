//! The bands of the reference on the stage, where ASTM E1840 has them.

use ramand::acquire::Spectrometer;
use ramand_core::axis_check::{AxisCheck, AxisLimits};
use serde_json::json;

use super::{CheckFinding, CheckTrouble, exposure_max, integration, laser_allowed, light_counts};
use crate::bench::InstrumentBench;
use crate::statistics::median_frame;

/// Frames in the median.
const FRAMES: usize = 5;

pub(super) fn check(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    laser_allowed(bench)?;
    let material = bench.rig.material().map_err(CheckTrouble::Fail)?;
    let material = material.ok_or_else(|| CheckTrouble::Skip("this rig has no reference on its stage".to_owned()))?;
    let mut driver = bench.open()?;
    let longest = exposure_max(bench, &mut driver)?;
    driver.set_exposure(integration(longest), 1)?;
    let frames = (0..FRAMES).map(|_| light_counts(&mut driver)).collect::<Result<Vec<_>, _>>()?;
    driver.laser_off()?;
    let counts: Vec<f32> = median_frame(&frames).into_iter().map(|counts| counts as f32).collect();
    let found = AxisCheck::of(driver.axis(), &counts, material);
    let limits = &bench.rig.limits;
    let keeps = AxisLimits { rms_per_cm_max: limits.axis_rms_per_cm_max, missing_max: limits.axis_missing_max };
    let says = format!(
        "{}: RMS {} cm-1 (at most {}), {} of {} bands missing (at most {})",
        material.name(),
        found.rms_per_cm().map_or("-".to_owned(), |rms| format!("{rms:.2}")),
        limits.axis_rms_per_cm_max,
        found.missing(),
        found.lines.len(),
        limits.axis_missing_max,
    );
    let mut table = vec![vec!["tabulated cm-1".to_owned(), "found cm-1".to_owned(), "off by".to_owned()]];
    table.extend(found.lines.iter().map(|line| {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        vec![
            line.tabulated.per_cm().to_string(),
            shown(line.found.map(|shift| format!("{:.2}", shift.per_cm()))),
            shown(line.residual_per_cm().map(|residual| format!("{residual:+.2}"))),
        ]
    }));
    let residuals: Vec<Option<f64>> = found.lines.iter().map(|line| line.residual_per_cm()).collect();
    let figures = json!({ "rms_per_cm": found.rms_per_cm(), "residuals_per_cm": residuals });
    Ok(CheckFinding { passed: found.passes(keeps), says, figures, table })
}
