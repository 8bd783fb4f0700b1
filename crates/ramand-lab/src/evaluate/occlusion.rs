//! D9: what stands in for an occluded band, and how occlusion and map are compared.

use std::f64::consts::PI;

use ramand_core::spectrum::ShiftAxis;

/// The weight of the reference at each point: 1 inside, ½ (1 + cos(π d / taper)) at a distance d < `taper_cm` from the nearest
/// point inside, 0 beyond.
pub(super) fn window(axis: &ShiftAxis, inside: impl Fn(usize) -> bool, taper_cm: f64) -> Vec<f32> {
    let shifts = axis.per_cm();
    let mut distances = vec![f64::INFINITY; shifts.len()];
    let mut last: Option<f64> = None;
    for (point, &shift) in shifts.iter().enumerate() {
        last = if inside(point) { Some(shift) } else { last };
        distances[point] = last.map_or(f64::INFINITY, |last| shift - last);
    }
    let mut next: Option<f64> = None;
    for (point, &shift) in shifts.iter().enumerate().rev() {
        next = if inside(point) { Some(shift) } else { next };
        distances[point] = distances[point].min(next.map_or(f64::INFINITY, |next| next - shift));
    }
    let weight = |distance: &f64| match *distance {
        0.0 => 1.0,
        distance if distance < taper_cm => (0.5 * (1.0 + (PI * distance / taper_cm).cos())) as f32,
        _ => 0.0,
    };
    distances.iter().map(weight).collect()
}

/// x with the reference where the weights say, \[channels\]\[points\]: x + w (reference − x).
pub(super) fn occluded(values: &[f32], reference: &[f32], weights: &[f32]) -> Vec<f32> {
    let rows = values.chunks(weights.len()).zip(reference.chunks(weights.len()));
    let replaced = rows.flat_map(|(values, reference)| {
        values
            .iter()
            .zip(reference)
            .zip(weights)
            .map(|((value, reference), weight)| value + weight * (reference - value))
    });
    replaced.collect()
}

/// Pearson's correlation; `None` below two pairs or where either does not vary.
pub(super) fn correlation(one: &[f64], other: &[f64]) -> Option<f64> {
    let count = one.len() as f64;
    let (mean_one, mean_other) = (one.iter().sum::<f64>() / count, other.iter().sum::<f64>() / count);
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        one.iter().zip(other).map(|(one, other)| of(one - mean_one, other - mean_other)).sum()
    };
    let scale = (sum(&|one, _| one * one) * sum(&|_, other| other * other)).sqrt();
    (one.len() > 1 && scale > 0.0).then(|| sum(&|one, other| one * other) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramand_core::spectrum::RamanShift;

    #[test]
    fn a_window_fades_like_a_cosine() {
        let axis = ShiftAxis::even(RamanShift::from_per_cm(0.0), RamanShift::from_per_cm(45.0), 10).expect("even");
        let found = window(&axis, |point| point == 3 || point == 4, 10.0);
        let expected = [0.0, 0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0];
        assert!(
            found.iter().zip(expected).all(|(found, expected): (&f32, f32)| (found - expected).abs() < 1e-6),
            "{found:?}"
        );
        assert_eq!(window(&axis, |_| false, 10.0), [0.0; 10]);
    }

    #[test]
    fn occlusion_mixes_every_channel() {
        let found = occluded(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], &[0.5, 1.0]);
        assert_eq!(found, [3.0, 6.0, 5.0, 8.0]);
    }

    #[test]
    fn correlation_by_hand() {
        assert_eq!(correlation(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), Some(1.0));
        assert_eq!(correlation(&[1.0, -1.0], &[-3.0, 3.0]), Some(-1.0));
        assert_eq!(correlation(&[1.0, 2.0], &[3.0, 3.0]), None);
        assert_eq!(correlation(&[], &[]), None);
    }
}
