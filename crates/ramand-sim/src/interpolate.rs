//! From one axis to another, without rounding bands off.

/// Catmull-Rom interpolation on uneven points: the cubic through two neighbours with the slopes of their own neighbours. Exact
/// at the points, constant beyond the ends; resampling a resampled spectrum linearly would round its bands off.
pub(super) fn cubic(shifts: &[f64], values: &[f32], at: f64) -> f64 {
    let last = shifts.len() - 1;
    if at <= shifts[0] {
        return f64::from(values[0]);
    }
    if at >= shifts[last] {
        return f64::from(values[last]);
    }
    let right = shifts.partition_point(|&shift| shift <= at).min(last);
    let left = right - 1;
    let slope = |point: usize| {
        let (before, after) = (point.saturating_sub(1), (point + 1).min(last));
        f64::from(values[after] - values[before]) / (shifts[after] - shifts[before])
    };
    let width = shifts[right] - shifts[left];
    let t = (at - shifts[left]) / width;
    let (t2, t3) = (t * t, t * t * t);
    (2.0 * t3 - 3.0 * t2 + 1.0) * f64::from(values[left])
        + (t3 - 2.0 * t2 + t) * width * slope(left)
        + (3.0 * t2 - 2.0 * t3) * f64::from(values[right])
        + (t3 - t2) * width * slope(right)
}

/// A tabulated spectrum between its points, 1 cm⁻¹ apart from 0; constant beyond the ends.
pub(super) fn linear(spectrum: &[f64], shift_per_cm: f64) -> f64 {
    let position = shift_per_cm.clamp(0.0, (spectrum.len() - 2) as f64);
    let (index, fraction) = (position as usize, position.fract());
    spectrum[index] + fraction * (spectrum[index + 1] - spectrum[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpolation_is_exact_on_points_and_parabolas_and_holds_the_ends() {
        let shifts: Vec<f64> = (0..20).map(|i| 100.0 + 3.0 * f64::from(i)).collect();
        let parabola = |shift: f64| 0.01 * (shift - 120.0).powi(2);
        let values: Vec<f32> = shifts.iter().map(|&shift| parabola(shift) as f32).collect();
        for at in [106.0, 110.5, 120.1, 140.0] {
            assert!((cubic(&shifts, &values, at) - parabola(at)).abs() < 1e-5, "{at}");
        }
        assert_eq!(cubic(&shifts, &values, 50.0), f64::from(values[0]));
        assert_eq!(cubic(&shifts, &values, 500.0), f64::from(values[19]));
    }
}
