//! The arithmetic of the checks, without an instrument.

use ramand_core::median::upper_median;

/// Values beyond this many standard deviations are cosmic rays, not noise: of normal values one in sixteen thousand.
const CLIP_AT: f64 = 4.0;

/// Rounds of clipping: each finds what the one before made visible.
const CLIP_ROUNDS: usize = 5;

/// The middle value, of an even number the upper of the two in the middle: a pixel's count is one that was read. 0 for none.
pub(crate) fn middle(mut values: Vec<f64>) -> f64 {
    upper_median(&mut values, f64::total_cmp).unwrap_or(0.0)
}

/// The standard deviation about zero, without what lies beyond four of it. Values that were rounded to whole counts have no usable
/// median deviation.
pub(crate) fn spread_about_zero(values: impl Iterator<Item = f64>) -> f64 {
    let mut kept: Vec<f64> = values.collect();
    let mut spread = f64::INFINITY;
    for _ in 0..CLIP_ROUNDS {
        kept.retain(|value| value.abs() <= CLIP_AT * spread);
        spread = (kept.iter().map(|value| value * value).sum::<f64>() / kept.len().max(1) as f64).sqrt();
    }
    spread
}

/// Pixel by pixel, over frames of equal length.
pub(crate) fn median_frame(frames: &[Vec<f64>]) -> Vec<f64> {
    let pixels = frames.first().map_or(0, Vec::len);
    (0..pixels).map(|pixel| middle(frames.iter().map(|frame| frame[pixel]).collect())).collect()
}

/// The noise of one pixel of one frame, by the differences of two: σ = spread(a − b) / √2.
pub(crate) fn read_noise(a: &[f64], b: &[f64]) -> f64 {
    let offset = a.iter().zip(b).map(|(a, b)| a - b).sum::<f64>() / a.len().max(1) as f64;
    spread_about_zero(a.iter().zip(b).map(|(a, b)| a - b - offset)) / std::f64::consts::SQRT_2
}

/// Signal and variance of one stretch of the detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Transfer {
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

/// The photon transfer of two frames of one scene, counts above dark: pixels sorted by their mean into stretches of `size`. b is
/// scaled to a, so that a laser that drifts counts as signal; the difference of neighbouring differences, halved, has the
/// variance of one pixel and none of what changes smoothly between frames.
pub(crate) fn photon_transfer(a: &[f64], b: &[f64], size: usize) -> Vec<Transfer> {
    let scale = a.iter().sum::<f64>() / b.iter().sum::<f64>();
    let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - scale * b).collect();
    let mut points: Vec<(f64, f64)> = (difference.windows(2).zip(a.windows(2)))
        .map(|(pair, signal)| ((signal[0] + signal[1]) / 2.0, (pair[1] - pair[0]) / 2.0))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let stretch = |points: &[(f64, f64)]| Transfer {
        mean: middle(points.iter().map(|point| point.0).collect()),
        variance: spread_about_zero(points.iter().map(|point| point.1)).powi(2),
    };
    points.chunks_exact(size).map(stretch).collect()
}

/// var = r² + mean / K by least squares, each point weighted by mean⁻², because a variance is known to a part of itself: K in
/// electrons per count, r in counts. `None` where the points give no rising line.
pub(crate) fn electrons_per_count(points: &[Transfer]) -> Option<(f64, f64)> {
    let (mut w, mut wx, mut wy, mut wxx, mut wxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for Transfer { mean, variance } in points.iter().filter(|point| point.mean > 0.0) {
        let weight = mean.powi(-2);
        w += weight;
        wx += weight * mean;
        wy += weight * variance;
        wxx += weight * mean * mean;
        wxy += weight * mean * variance;
    }
    let slope = (w * wxy - wx * wy) / (w * wxx - wx * wx);
    let intercept = (wy - slope * wx) / w;
    (slope > 0.0).then(|| (1.0 / slope, intercept.max(0.0).sqrt()))
}

/// How much of `reference`'s bands is in `frame`: the least-squares factor between their steps from pixel to pixel, where the
/// reference's step is at least a tenth of its largest. What varies slowly, a background say, has no part in it.
pub(crate) fn band_factor(frame: &[f64], reference: &[f64]) -> f64 {
    let steps = |values: &[f64]| values.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<f64>>();
    let (frame, reference) = (steps(frame), steps(reference));
    let least = 0.1 * reference.iter().fold(0.0_f64, |largest, step| largest.max(step.abs()));
    let bands = || frame.iter().zip(&reference).filter(|(_, step)| step.abs() >= least);
    bands().map(|(frame, step)| frame * step).sum::<f64>() / bands().map(|(_, step)| step * step).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_variances_gives_gain_and_noise_back() {
        let points: Vec<Transfer> =
            (1..20).map(|i| f64::from(i) * 500.0).map(|mean| Transfer { mean, variance: 6.25 + mean / 1.5 }).collect();
        let (electrons, noise) = electrons_per_count(&points).expect("a rising line");
        assert!((electrons - 1.5).abs() < 1e-9 && (noise - 2.5).abs() < 1e-6, "{electrons} {noise}");
        assert_eq!(electrons_per_count(&[]), None);
    }

    #[test]
    fn a_cosmic_ray_is_no_noise() {
        // ±3 in turn has a standard deviation of 3.
        let noise = (0..1000).map(|i| if i % 2 == 0 { 3.0 } else { -3.0 });
        let spread = spread_about_zero(noise.chain([5_000.0, -900.0]));
        assert!((spread - 3.0).abs() < 1e-9, "{spread}");
        let frame =
            |sign: f64| (0..1000).map(|i| if i % 2 == 0 { 100.0 + sign } else { 100.0 - sign }).collect::<Vec<f64>>();
        assert!((read_noise(&frame(1.0), &frame(-1.0)) - std::f64::consts::SQRT_2).abs() < 1e-9);
    }

    #[test]
    fn bands_are_compared_without_their_background() {
        let bands = |height: f64, background: f64| -> Vec<f64> {
            (0..200)
                .map(|i| height * (-(f64::from(i) - 100.0).powi(2) / 20.0).exp() + background * f64::from(i))
                .collect()
        };
        assert!((band_factor(&bands(30.0, 0.001), &bands(100.0, -0.001)) - 0.3).abs() < 1e-3);
    }
}
