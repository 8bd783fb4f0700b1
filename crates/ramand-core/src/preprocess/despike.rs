//! Cosmic rays: narrow spikes that are found by their jumps.
//!
//! Whitaker and Hayes, Chemom. Intell. Lab. Syst. 179 (2018) 82, doi 10.1016/j.chemolab.2018.06.009: the modified z-score
//! of the first differences ∇yᵢ = yᵢ₊₁ − yᵢ is zᵢ = 0.6745 (∇yᵢ − median) / MAD, and |zᵢ| above a threshold is a jump. Where
//! the MAD is zero (most differences are equal) the mean absolute deviation times 1.2533 takes its place (Iglewicz and
//! Hoaglin 1993).
//!
//! The published rule takes every jump for a spike, and so also cuts the flanks of bands that stand high above the
//! noise. Here a spike is a jump that an opposite one answers within `window` points and that leads back to where it
//! came from, both at least twice as high as the difference on their outer side: the flank of a band grows step by step,
//! a cosmic ray does not.

use super::step::Despike;
use crate::median::median;

/// Standard deviation of a normal distribution over its median absolute deviation, inverted (0.6745).
const NORMAL_MAD: f64 = 0.674_489_750_196_081_7;

/// Standard deviation of a normal distribution over its mean absolute deviation.
const NORMAL_MEAN_DEVIATION: f64 = 1.253_314_137_315_500_1;

/// How much higher than its outer neighbour a jump of a spike is.
const ISOLATION: f64 = 2.0;

/// After a spike the spectrum is back: within this fraction of the spike's height.
const RETURN: f64 = 0.5;

/// Buffers of one spectrum's length.
#[derive(Debug, Default)]
pub(super) struct DespikeScratch {
    jumps: Vec<f64>,
    sorted: Vec<f64>,
    spoilt: Vec<bool>,
}

/// Replaces spikes by the mean of the sound points within `window` points. The first and the last point have only one
/// difference, and stay.
pub(super) fn remove_spikes(values: &mut [f64], settings: &Despike, scratch: &mut DespikeScratch) {
    let DespikeScratch { jumps, sorted, spoilt } = scratch;
    jumps.clear();
    jumps.extend(values.windows(2).map(|pair| pair[1] - pair[0]));
    let Some(limit) = centre_and_limit(jumps, sorted, settings.threshold) else { return };
    spoilt.clear();
    spoilt.resize(values.len(), false);

    let mut found = false;
    let mut start = 0;
    while start < jumps.len() {
        match spike_end(jumps, start, settings.window, limit) {
            Some(end) => {
                spoilt[start + 1..=end].fill(true);
                found = true;
                start = end + 1;
            }
            None => start += 1,
        }
    }
    if found {
        replace(values, spoilt, settings.window);
    }
}

/// Subtracts the median from the jumps and returns how high one has to be; `None` where all are equal.
fn centre_and_limit(jumps: &mut [f64], sorted: &mut Vec<f64>, threshold: f64) -> Option<f64> {
    if jumps.is_empty() {
        return None;
    }
    sorted.clear();
    sorted.extend_from_slice(jumps);
    let centre = median(sorted);
    for jump in jumps.iter_mut() {
        *jump -= centre;
    }
    sorted.clear();
    sorted.extend(jumps.iter().map(|jump| jump.abs()));
    let mut deviation = median(sorted) / NORMAL_MAD;
    if deviation == 0.0 {
        deviation = sorted.iter().sum::<f64>() / sorted.len() as f64 * NORMAL_MEAN_DEVIATION;
    }
    (deviation > 0.0).then_some(threshold * deviation)
}

/// Where the spike ends that begins with the jump from point `start` to the next: its points are `start + 1..=end`.
fn spike_end(jumps: &[f64], start: usize, window: usize, limit: f64) -> Option<usize> {
    let rise = jumps[start];
    let before = start.checked_sub(1).map_or(0.0, |index| jumps[index].abs());
    if rise.abs() <= limit || rise.abs() < ISOLATION * before {
        return None;
    }
    // Relative to the point `start`: where the point after `end` stands, and the highest of the points up to `end`.
    let (mut level, mut height, mut found) = (rise, rise.abs(), None);
    for end in start + 1..=(start + window).min(jumps.len() - 1) {
        let fall = jumps[end];
        level += fall;
        let after = jumps.get(end + 1).map_or(0.0, |jump| jump.abs());
        let answered = fall.abs() > limit && fall * rise < 0.0 && fall.abs() >= ISOLATION * after;
        if answered && level.abs() <= RETURN * height {
            found = Some(end);
        }
        height = height.max(level.abs());
    }
    found
}

fn replace(values: &mut [f64], spoilt: &[bool], window: usize) {
    for point in (0..values.len()).filter(|&point| spoilt[point]) {
        // The first point is always sound, so that some reach finds a neighbour.
        let mut reach = window;
        loop {
            let (from, to) = (point.saturating_sub(reach), (point + reach + 1).min(values.len()));
            let sound = values[from..to].iter().zip(&spoilt[from..to]).filter(|(_, spoilt)| !**spoilt);
            let (sum, count) = sound.fold((0.0, 0usize), |(sum, count), (value, _)| (sum + value, count + 1));
            if count > 0 {
                values[point] = sum / count as f64;
                break;
            }
            reach += window;
        }
    }
}
