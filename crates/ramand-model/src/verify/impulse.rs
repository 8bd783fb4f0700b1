//! Where the cells of a layer look, against impulses.

use onnx_gradient::{GradientError, Tensor};

use super::differences::cell_of;
use super::subject::{Look, VerifiedGraph, VerifiedLayer, random};

/// Height of the impulse, in units of a normalised spectrum.
const HEIGHT: f64 = 1e3;
/// Spectra the impulse is put on, besides none: a rectifier that is closed on one may be open on another.
const SPECTRA: u64 = 2;
/// Places along the axis at which a stride's length of points is tried.
const PLACES: usize = 5;

/// What the impulses showed: in words, or why the cells are not where they are said to be.
pub(super) fn aligned(subject: &VerifiedGraph, cut: &VerifiedLayer) -> Result<Result<String, String>, GradientError> {
    let Some(look) = cut.look else { return Ok(Ok("its cells have no known place, none was checked".into())) };
    let shape = subject.graph.shape(&subject.input)?.to_vec();
    let points = shape[subject.point_axis];
    let count: usize = shape.iter().product();
    let inner: usize = shape[subject.point_axis + 1..].iter().product();
    let layer = subject.graph.shape(&cut.activation)?.to_vec();
    let Look { first_cell, stride, receptive_field } = look;
    let half = (receptive_field as f64 - 1.0) / 2.0;
    let distance = |point: usize, cell: usize| point as f64 - (first_cell + cell as f64 * stride);
    let (mut nearest, mut farthest) = (f64::INFINITY, f64::NEG_INFINITY);
    for base in 0..=SPECTRA {
        let spectrum = if base == 0 { vec![0.0; count] } else { random(base, count) };
        let mut given = subject.random(0)?;
        let mut cells_of = |values: &[f64]| {
            given.insert(subject.input.clone(), Tensor::new(shape.clone(), values.to_vec()));
            subject.value(&given, &cut.activation)
        };
        let rest = cells_of(&spectrum)?;
        for point in tried(points, stride) {
            for height in [HEIGHT, -HEIGHT] {
                let mut values = spectrum.clone();
                for (place, value) in values.iter_mut().enumerate() {
                    if place / inner.max(1) % points == point {
                        *value += height;
                    }
                }
                let moved = cells_of(&values)?;
                let change = |place: usize| (moved.data()[place] - rest.data()[place]).abs();
                if cut.whole_axis {
                    // Every cell moves a little; the one that moves most must see the point.
                    let most = (0..cut.places.len()).max_by(|&a, &b| change(a).total_cmp(&change(b)));
                    let Some(most) = most.filter(|&most| change(most) > 0.0) else { continue };
                    let off = distance(point, cell_of(cut, &layer, most));
                    (nearest, farthest) = (nearest.min(off), farthest.max(off));
                    continue;
                }
                for place in (0..cut.places.len()).filter(|&place| change(place) > 0.0) {
                    let off = distance(point, cell_of(cut, &layer, place));
                    (nearest, farthest) = (nearest.min(off), farthest.max(off));
                }
            }
        }
    }
    let seen = format!("points {nearest} to {farthest} from a cell's centre move it, {half} on each side said");
    Ok(if nearest > farthest {
        Err("no impulse moves any cell".into())
    } else if nearest < -half || farthest > half {
        Err(seen)
    } else if cut.whole_axis {
        Ok("the whole axis moves every cell, and most of all the cell that sees the point".into())
    } else if (nearest, farthest) == (-half, half) {
        Ok(format!("every cell sees its {receptive_field} points and no other"))
    } else {
        Ok(format!("no point outside moves a cell; {seen}"))
    })
}

/// Points of every place relative to a cell, at both ends of the axis and between.
fn tried(points: usize, stride: f64) -> Vec<usize> {
    let run = (stride.ceil() as usize).max(1);
    let starts = (0..PLACES).map(|place| place * points.saturating_sub(run) / (PLACES - 1));
    let mut tried: Vec<usize> = starts.flat_map(|start| start..(start + run).min(points)).collect();
    tried.sort_unstable();
    tried.dedup();
    tried
}
