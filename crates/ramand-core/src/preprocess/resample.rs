//! From the instrument's axis to the model's: the mean of the neighbours, without bias.

use std::ops::Range;

use super::PreprocessError;
use crate::spectrum::ShiftAxis;

/// How far beyond its edge, in target steps, a point still belongs to a cell: rounding of the shifts.
const EDGE: f64 = 1e-6;

/// For each target point, the least-squares line through the instrument's points within half a target step to either
/// side, read at the target. Where they lie evenly about the target that is their mean. Where they do not, as with the
/// two or three pixels a detector has in a step, their mean would belong to another shift than the target's, a
/// different one for every point; the line does not move a band. Where fewer than two points fall in, or all on one
/// side, linear interpolation takes its place: a spectrum that is on the target axis already stays as it is.
///
/// `values` lie on `from`; the result, one value per point of `onto`, replaces the contents of `result`.
///
/// # Errors
/// When `from` does not cover `onto`: nothing is extrapolated.
pub(super) fn resample(
    values: &[f64],
    from: &ShiftAxis,
    onto: &ShiftAxis,
    result: &mut Vec<f64>,
) -> Result<(), PreprocessError> {
    if !from.covers(onto) {
        let ends = |axis: &ShiftAxis| (axis.first().per_cm(), axis.last().per_cm());
        return Err(PreprocessError::AxisNotCovered { measured: ends(from), needed: ends(onto) });
    }
    let shifts = from.per_cm();
    let reach = (0.5 + EDGE) * onto.mean_step();
    let mut cell = 0..0;
    result.clear();
    for &target in onto.per_cm() {
        // The target rises from point to point, and with it both ends of the cell.
        while shifts[cell.start] < target - reach {
            cell.start += 1;
        }
        while cell.end < shifts.len() && shifts[cell.end] <= target + reach {
            cell.end += 1;
        }
        let astride = cell.len() >= 2 && shifts[cell.start] <= target && target <= shifts[cell.end - 1];
        result.push(if astride {
            line_at(target, &shifts[cell.clone()], &values[cell.clone()])
        } else {
            interpolate(target, shifts, values, &cell)
        });
    }
    Ok(())
}

/// The least-squares line through at least two points, at `target`.
fn line_at(target: f64, shifts: &[f64], values: &[f64]) -> f64 {
    let (mut x, mut xx, mut y, mut xy) = (0.0, 0.0, 0.0, 0.0);
    for (shift, value) in shifts.iter().zip(values) {
        let distance = shift - target;
        x += distance;
        xx += distance * distance;
        y += value;
        xy += distance * value;
    }
    (y * xx - x * xy) / (shifts.len() as f64 * xx - x * x)
}

/// Between the points next to `target`, which lie in the cell or right beside it.
fn interpolate(target: f64, shifts: &[f64], values: &[f64], cell: &Range<usize>) -> f64 {
    let mut right = cell.start.max(1);
    while right + 1 < shifts.len() && shifts[right] < target {
        right += 1;
    }
    let left = right - 1;
    let fraction = (target - shifts[left]) / (shifts[right] - shifts[left]);
    values[left] + fraction * (values[right] - values[left])
}
