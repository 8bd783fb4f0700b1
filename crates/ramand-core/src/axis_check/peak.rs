//! The position of one band.

use crate::median::upper_median;

/// How far from its tabulated position a band is looked for, cm⁻¹: ten times what a usable axis is off, and never nearer to
/// the neighbouring band.
pub(super) const SEARCH_PER_CM: f64 = 10.0;

/// A standard deviation is this many times the median absolute deviation of normally distributed values.
const SIGMA_PER_MAD: f64 = 1.4826;

/// The flanks of a band end within this distance of its top, cm⁻¹: twice the width of a band seen by a coarse instrument.
const FLANK_PER_CM: f64 = 28.0;

/// More points than this on either side of the top make no better parabola.
const HALF_POINTS_MAX: usize = 8;

/// The noise of one value: 1.4826 · median |xᵢ₋₁ − 2 xᵢ + xᵢ₊₁| / √6, which neither slopes nor a few bands disturb. Zero for
/// fewer than three values.
pub(super) fn noise(counts: &[f32]) -> f64 {
    let curvature = |three: &[f32]| f64::from(three[0] - 2.0 * three[1] + three[2]).abs();
    let mut curvatures: Vec<f64> = counts.windows(3).map(curvature).collect();
    upper_median(&mut curvatures, f64::total_cmp).map_or(0.0, |median| SIGMA_PER_MAD * median / 6.0_f64.sqrt())
}

/// Where the band near `tabulated` has its top, cm⁻¹; `None` where there is none of at least `height_min`. `room_per_cm` is half
/// the way to the next band.
pub(super) fn position(
    shifts: &[f64],
    counts: &[f32],
    tabulated: f64,
    room_per_cm: f64,
    height_min: f64,
) -> Option<f64> {
    let within = |reach: f64, centre: f64| {
        shifts.partition_point(|&shift| shift < centre - reach)
            ..shifts.partition_point(|&shift| shift <= centre + reach)
    };
    let searched = within(SEARCH_PER_CM.min(room_per_cm), tabulated);
    let value = |at: usize| counts.get(at).copied().map(f64::from);
    let top =
        searched.clone().max_by(|&a, &b| value(a).unwrap_or(f64::MIN).total_cmp(&value(b).unwrap_or(f64::MIN)))?;
    // The highest point at the edge of the window is the flank of another band.
    let neighbours = [value(top.checked_sub(1)?)?, value(top + 1)?];
    if neighbours.into_iter().any(|neighbour| neighbour > value(top).unwrap_or(f64::MIN)) {
        return None;
    }
    let flanks = within(FLANK_PER_CM.min(2.0 * room_per_cm), shifts[top]);
    let lowest = |range: std::ops::Range<usize>| {
        range.min_by(|&a, &b| value(a).unwrap_or(f64::MAX).total_cmp(&value(b).unwrap_or(f64::MAX)))
    };
    let (left, right) = (lowest(flanks.start..top)?, lowest(top + 1..flanks.end)?);
    let (left_value, right_value) = (value(left)?, value(right)?);
    let slope = (right_value - left_value) / (shifts[right] - shifts[left]);
    let net = |at: usize| Some(value(at)? - left_value - slope * (shifts[at] - shifts[left]));
    let height = net(top)?;
    if height <= 0.0 || height < height_min {
        return None;
    }
    let above_half = |at: Option<usize>| at.and_then(net).is_some_and(|value| value > height / 2.0);
    let half = (1..=HALF_POINTS_MAX)
        .take_while(|reach| above_half(top.checked_sub(*reach)) && above_half(Some(top + reach)))
        .last()
        .unwrap_or(1);
    vertex((top.checked_sub(half)?..=top + half).map(|at| Some((shifts[at] - shifts[top], net(at)?))))
        .map(|from_top| shifts[top] + from_top)
}

/// Of the parabola a + b x + c x² through the points, by least squares: −b / 2c. `None` where it opens upwards, or the vertex
/// lies beyond the points.
fn vertex(points: impl Iterator<Item = Option<(f64, f64)>>) -> Option<f64> {
    let points: Vec<(f64, f64)> = points.collect::<Option<_>>()?;
    let mean = |power: i32| points.iter().map(|(x, _)| x.powi(power)).sum::<f64>() / points.len() as f64;
    let moment = |power: i32| points.iter().map(|(x, y)| y * x.powi(power)).sum::<f64>() / points.len() as f64;
    let (m1, m2, m3, m4) = (mean(1), mean(2), mean(3), mean(4));
    // The normal equations without their first row: covariances of x and x² with each other and with y.
    let (xx, xq, qq) = (m2 - m1 * m1, m3 - m1 * m2, m4 - m2 * m2);
    let (xy, qy) = (moment(1) - m1 * moment(0), moment(2) - m2 * moment(0));
    let determinant = xx * qq - xq * xq;
    let (b, c) = ((xy * qq - qy * xq) / determinant, (qy * xx - xy * xq) / determinant);
    let vertex = -b / (2.0 * c);
    let inside = points.first()?.0..=points.last()?.0;
    (c < 0.0 && inside.contains(&vertex)).then_some(vertex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vertex_of_a_parabola_is_exact_on_uneven_points() {
        let parabola = |x: f64| Some((x, 5.0 - 2.0 * (x - 0.3).powi(2)));
        let found = vertex([-2.0, -0.9, 0.0, 1.1, 1.9].into_iter().map(parabola)).expect("a top");
        assert!((found - 0.3).abs() < 1e-12, "{found}");
        assert_eq!(vertex([-1.0, 0.0, 1.0].into_iter().map(|x| Some((x, x * x)))), None);
        assert_eq!(vertex([-1.0, 0.0, 1.0].into_iter().map(|x| Some((x, 9.0 * x - x * x)))), None);
    }

    #[test]
    fn the_noise_is_not_that_of_the_slope() {
        let slope: Vec<f32> = (0..100).map(|i| 30.0 * i as f32).collect();
        assert_eq!(noise(&slope), 0.0);
        assert_eq!(noise(&[1.0, 2.0]), 0.0);
    }
}
