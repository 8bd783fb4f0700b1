//! Without light: read noise, dark current, hot pixels.

use ramand::acquire::Spectrometer;
use serde_json::json;

use super::{CheckFinding, CheckTrouble, dark_counts, integration};
use crate::bench::InstrumentBench;
use crate::statistics::{median_frame, middle, read_noise};

/// Frames of each exposure: an odd number, for the median.
const FRAMES: usize = 5;

pub(super) fn check(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    let (rig, limits) = (&bench.rig.spectrometer, &bench.rig.limits);
    let mut driver = bench.open()?;
    let mut frames = |exposure| -> Result<Vec<Vec<f64>>, CheckTrouble> {
        driver.set_exposure(integration(exposure), 1)?;
        (0..FRAMES).map(|_| dark_counts(&mut driver)).collect()
    };
    let (short, long) = (frames(rig.exposure_min)?, frames(rig.exposure_max)?);
    let noise = middle(short.windows(2).map(|pair| read_noise(&pair[0], &pair[1])).collect());
    let seconds = (rig.exposure_max.saturating_sub(rig.exposure_min)).as_secs_f64();
    let rates: Vec<f64> =
        (median_frame(&long).iter().zip(median_frame(&short))).map(|(long, short)| (long - short) / seconds).collect();
    let current = middle(rates.clone());
    // Numbered as the device does, from its first pixel.
    let first = driver.instrument().active.start;
    let hot = (0..rates.len()).filter(|&pixel| rates[pixel] - current > limits.hot_pixel_counts_per_s);
    let hot: Vec<usize> = hot.map(|pixel| first + pixel).collect();
    let passed = noise <= limits.read_noise_counts_max
        && current <= limits.dark_counts_per_s_max
        && hot.len() <= limits.hot_pixels_max;
    let says = format!(
        "read noise {noise:.2} counts (at most {}), dark current {current:.0} counts/s (at most {}), {} hot pixels (at most {}): {hot:?}",
        limits.read_noise_counts_max,
        limits.dark_counts_per_s_max,
        hot.len(),
        limits.hot_pixels_max,
    );
    let figures = json!({ "read_noise_counts": noise, "dark_counts_per_s": current, "hot_pixels": hot });
    Ok(CheckFinding { passed, says, figures, table: Vec::new() })
}
