//! The axis in bands as wide as one cell sees, with soft borders: what is replaced, and what is summed up.

use std::f64::consts::PI;
use std::ops::Range;

/// Half the width of a border, in widths of a band: a border is half a band wide, so that a band keeps a flat top.
const HALF_BORDER: f64 = 0.25;

/// Bands of equal width whose windows overlap at the borders in half a cosine each and add up to 1 everywhere.
///
/// w_s\[i\] = c_s(i) − c_(s+1)(i) with c_s(i) = ½ − ½ cos(π u), u = (i − p_s + t) / 2t between 0 and 1, where p_s is the border
/// between band s − 1 and band s and t is [`HALF_BORDER`] band widths; c = 1 at the first border and 0 at the last. What is put
/// together from several bands has no seam, and all of them together are the whole axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segments {
    points: usize,
    windows: Vec<(Range<usize>, Vec<f64>)>,
}

impl Segments {
    /// As many bands as fit `points` with about `width` points each, at least two.
    pub(super) fn new(points: usize, width: usize) -> Self {
        let count = ((points as f64 / width as f64).round() as usize).max(2);
        let even = points as f64 / count as f64;
        let half = HALF_BORDER * even;
        let rise = |border: usize, point: usize| {
            if border == 0 {
                return 1.0;
            }
            if border == count {
                return 0.0;
            }
            // A border lies between two points.
            let place = border as f64 * even - 0.5;
            let across = ((point as f64 - place + half) / (2.0 * half)).clamp(0.0, 1.0);
            0.5 - 0.5 * (PI * across).cos()
        };
        let window = |segment: usize| {
            let weight = |point: usize| rise(segment, point) - rise(segment + 1, point);
            let first = (0..points).find(|&point| weight(point) > 0.0).unwrap_or(0);
            let end = (first..points).find(|&point| weight(point) == 0.0).unwrap_or(points);
            (first..end, (first..end).map(weight).collect())
        };
        Self { points, windows: (0..count).map(window).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// Σ_i w_s\[i\] v\[i\] of every band: nothing is lost, nothing counts twice.
    pub(super) fn gather(&self, points: &[f64]) -> Vec<f64> {
        let sum = |(range, window): &(Range<usize>, Vec<f64>)| {
            points[range.clone()].iter().zip(window).map(|(value, weight)| value * weight).sum()
        };
        self.windows.iter().map(sum).collect()
    }

    /// Each band's value shared out over its window, so that the sum over points is the sum over bands.
    pub(super) fn share_out(&self, segments: &[f64]) -> Vec<f64> {
        let mut points = vec![0.0; self.points];
        for ((range, window), value) in self.windows.iter().zip(segments) {
            let area: f64 = window.iter().sum();
            for (point, weight) in points[range.clone()].iter_mut().zip(window) {
                *point += value * weight / area;
            }
        }
        points
    }

    /// `spectrum` with the bands `replaced` taken from `reference`: x + (r − x) Σ_s w_s; both are [channels · points].
    pub(super) fn replace(&self, spectrum: &[f32], reference: &[f32], replaced: &[usize]) -> Vec<f32> {
        let mut mask = vec![0.0; self.points];
        for &segment in replaced {
            let (range, window) = &self.windows[segment];
            mask[range.clone()].iter_mut().zip(window).for_each(|(mask, weight)| *mask += weight);
        }
        let pairs = spectrum.iter().zip(reference).zip(mask.iter().cycle());
        pairs.map(|((&x, &r), &mask)| (f64::from(x) + mask * f64::from(r - x)) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows are sums of a few numbers near 1.
    const ROUNDING: f64 = 1e-12;

    #[test]
    fn windows_add_up_to_one_everywhere() {
        for (points, width, count) in [(251, 7, 36), (40, 10, 4), (9, 100, 2)] {
            let segments = Segments::new(points, width);
            assert_eq!(segments.len(), count);
            let ones = segments.gather(&vec![1.0; points]);
            assert!((ones.iter().sum::<f64>() - points as f64).abs() < ROUNDING * points as f64);
            let (x, r) = (vec![2.0_f32; points], vec![-1.0_f32; points]);
            let all: Vec<usize> = (0..count).collect();
            assert!(segments.replace(&x, &r, &all).iter().all(|value| (value + 1.0).abs() < 1e-6));
            assert_eq!(segments.replace(&x, &r, &[]), x);
        }
    }

    #[test]
    fn a_band_is_flat_inside_and_ends_in_half_a_cosine() {
        // Four bands of 10 points, borders 5 points wide about 9.5 and 19.5.
        let segments = Segments::new(40, 10);
        let (range, window) = &segments.windows[1];
        let at = |point: usize| if range.contains(&point) { window[point - range.start] } else { 0.0 };
        assert_eq!((at(7), at(12), at(15), at(17)), (0.0, 1.0, 1.0, 1.0));
        let quarter = |u: f64| 0.5 - 0.5 * (PI * u).cos();
        for (point, u) in [(8, 0.2), (9, 0.4), (10, 0.6), (11, 0.8), (20, 0.4), (21, 0.2)] {
            assert!((at(point) - quarter(u)).abs() < ROUNDING, "{point}: {}", at(point));
        }
        // The ends of the axis are no borders.
        assert_eq!(segments.windows[0].1[0], 1.0);
        assert_eq!(segments.windows[3].1.last(), Some(&1.0));
    }

    #[test]
    fn sharing_out_keeps_the_sum_and_the_place() {
        let segments = Segments::new(40, 10);
        let points = segments.share_out(&[0.0, 3.0, 0.0, -1.0]);
        assert!((points.iter().sum::<f64>() - 2.0).abs() < ROUNDING);
        assert!(points[14] > 0.2 && points[35] < 0.0 && points[2] == 0.0);
    }

    #[test]
    fn every_channel_is_replaced_alike() {
        let segments = Segments::new(40, 10);
        let x: Vec<f32> = (0..80).map(|i| i as f32).collect();
        let replaced = segments.replace(&x, &[0.0; 80], &[0]);
        assert!(replaced[..7].iter().chain(&replaced[40..47]).all(|value| *value == 0.0));
        assert_eq!((replaced[30], replaced[70]), (30.0, 70.0));
    }
}
