//! Twice the exposure, twice the bands.

use std::time::Duration;

use ramand::acquire::Spectrometer;
use serde_json::json;

use super::{CheckFinding, CheckTrouble, exposure_max, exposures, integration, laser_allowed, light};
use crate::bench::InstrumentBench;
use crate::statistics::{band_factor, median_frame};

/// Exposures, as parts of the longest.
const LEVELS: [f64; 6] = [0.15, 0.3, 0.45, 0.6, 0.8, 1.0];

/// Frames at each.
const FRAMES: usize = 3;

pub(super) fn check(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    laser_allowed(bench)?;
    let mut driver = bench.open()?;
    let longest = exposure_max(bench, &mut driver)?;
    let mut frames = Vec::new();
    for exposure in exposures(bench, longest, &LEVELS)? {
        driver.set_exposure(integration(exposure), 1)?;
        let (mut taken, mut seconds) = (Vec::new(), 0.0);
        for _ in 0..FRAMES {
            let (counts, exposed) = light(&mut driver)?;
            taken.push(counts);
            // Some instruments round what they are asked for.
            seconds = Duration::from_micros(exposed.micros()).as_secs_f64();
        }
        frames.push((seconds, median_frame(&taken)));
    }
    driver.laser_off()?;
    let reference = frames.last().map(|(_, frame)| frame.clone()).unwrap_or_default();
    let per_s: Vec<f64> = frames.iter().map(|(seconds, frame)| band_factor(frame, &reference) / seconds).collect();
    let mean = per_s.iter().sum::<f64>() / per_s.len() as f64;
    let deviations: Vec<f64> = per_s.iter().map(|rate| 100.0 * (rate / mean - 1.0)).collect();
    let worst = deviations.iter().fold(0.0_f64, |worst, deviation| worst.max(deviation.abs()));
    let brightest = reference.iter().copied().fold(0.0, f64::max);
    let limit = bench.rig.limits.nonlinearity_pct_max;
    let says = format!("{worst:.2} % off at most ({limit} %), up to {brightest:.0} counts");
    let mut table = vec![vec!["exposure ms".to_owned(), "bands per second off by %".to_owned()]];
    table.extend(
        frames.iter().zip(&deviations).map(|((s, _), off)| vec![format!("{:.1}", 1e3 * s), format!("{off:+.2}")]),
    );
    let figures = json!({ "worst_pct": worst, "deviations_pct": deviations, "brightest_counts": brightest });
    Ok(CheckFinding { passed: worst <= limit, says, figures, table })
}
