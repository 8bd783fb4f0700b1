//! The transposed convolution, one phase of the stride at a time.

use super::window::{SPATIAL, Slide};
use crate::error::GradientError;
use crate::graph::Graph;
use crate::proto;
use crate::tensor::{Tensor, elements};

/// One axis of the transposed convolution: point s·j + r receives tap t of cell j + (r + p − d·t) / s where the division is
/// exact, which is a convolution of stride 1 with a kernel of its own for each phase r.
struct Phases {
    /// Cells the kernels of the phases reach to the right at most; to the left if negative.
    nearest: isize,
    farthest: isize,
    /// Distance of the cells the kernels look at.
    dilation: usize,
    /// For each phase, for each place of its kernel, the tap that stands there.
    taps: Vec<Vec<Option<usize>>>,
    /// Cells of each phase.
    steps: usize,
    /// Taps of the kernel that is transposed.
    kernel: usize,
}

impl Phases {
    fn of(slide: Slide) -> Self {
        let signed = |value: usize| value as isize;
        let Slide { length, kernel, stride, dilation, before, .. } = slide;
        let offset = |phase: usize, tap: usize| {
            let distance = signed(phase + before) - signed(dilation * tap);
            (distance % signed(stride) == 0).then_some(distance / signed(stride))
        };
        // A line shorter than the stride has points in the first phases only.
        let phases = stride.min(length);
        let offsets = || (0..phases).flat_map(|phase| (0..kernel).filter_map(move |tap| offset(phase, tap)));
        let (nearest, farthest) = (offsets().min().unwrap_or(0), offsets().max().unwrap_or(0));
        let common = offsets().fold(0, |common, offset| divisor(common, (offset - nearest).unsigned_abs()));
        let dilation = common.max(1);
        let extent = (farthest - nearest) as usize / dilation + 1;
        let mut taps = vec![vec![None; extent]; phases];
        for (phase, row) in taps.iter_mut().enumerate() {
            for tap in 0..kernel {
                if let Some(offset) = offset(phase, tap) {
                    row[(offset - nearest) as usize / dilation] = Some(tap);
                }
            }
        }
        Self { nearest, farthest, dilation, taps, steps: length.div_ceil(stride), kernel }
    }

    fn extent(&self) -> usize {
        self.taps.first().map_or(1, Vec::len)
    }

    /// The phases that receive anything.
    fn live(&self) -> Vec<usize> {
        (0..self.taps.len()).filter(|&phase| self.taps[phase].iter().any(Option::is_some)).collect()
    }
}

/// Greatest common divisor.
fn divisor(left: usize, right: usize) -> usize {
    if right == 0 { left } else { divisor(right, left % right) }
}

/// The transposed convolution of a cotangent with `weights`, [outputs, inputs / groups, taps...]: one Conv of stride 1 with
/// the flipped kernels of all phases, whose results are interleaved. In tract this takes a quarter to a half of the time of
/// ConvTranspose. With a stride of 1 there is one phase, and its kernel is the flipped one.
pub(super) fn transposed(
    graph: &mut Graph,
    cotangent: &str,
    slides: &[Slide],
    weights: &Tensor,
    groups: usize,
) -> Result<String, GradientError> {
    let batch = graph.shape(cotangent)?[0];
    let channels = weights.shape()[1] * groups;
    let phases: Vec<Phases> = slides.iter().map(|&slide| Phases::of(slide)).collect();
    let mut seen = cotangent.to_owned();
    let (mut pads_before, mut pads_after) = (Vec::new(), Vec::new());
    for (axis, (slide, phase)) in slides.iter().zip(&phases).enumerate() {
        // Where the gradient looks beyond the cells there are, it sees zeros; where it never looks, cells are cut off.
        let (before, after) = (-phase.nearest, phase.steps as isize - slide.cells as isize + phase.farthest);
        let cut = |side: isize| side.min(0).unsigned_abs();
        // Nothing comes back where every tap stands on padding, or where every cell looks elsewhere.
        if phase.live().is_empty() || cut(before) + cut(after) >= slide.cells {
            let lengths = slides.iter().map(|slide| slide.length);
            return graph.emit_constant(Tensor::zeros([batch, channels].into_iter().chain(lengths).collect()));
        }
        seen = graph.emit_slice(&seen, SPATIAL + axis, cut(before), slide.cells - cut(after))?;
        pads_before.push(before.max(0) as i64);
        pads_after.push(after.max(0) as i64);
    }
    let kernels = graph.emit_constant(phased(weights, groups, &phases)?)?;
    let sizes = |size: fn(&Phases) -> usize| phases.iter().map(|phase| size(phase) as i64).collect::<Vec<_>>();
    let attributes = vec![
        proto::ints("kernel_shape", &sizes(Phases::extent)),
        proto::ints("dilations", &sizes(|phase| phase.dilation)),
        proto::ints("pads", &[pads_before, pads_after].concat()),
        proto::ints("strides", &vec![1; slides.len()]),
        proto::int("group", groups as i64),
    ];
    let convolved = graph.emit("Conv", &[&seen, &kernels], attributes)?;
    interleaved(graph, convolved, slides, &phases, channels)
}

/// The kernels of the live phases: [channels · phases, outputs / groups, places...], a channel's phases side by side.
fn phased(weights: &Tensor, groups: usize, phases: &[Phases]) -> Result<Tensor, GradientError> {
    let &[outputs, group_in, ref kernel @ ..] = weights.shape() else { return Ok(weights.clone()) };
    let group_out = outputs / groups;
    let taps: usize = kernel.iter().product();
    let live: Vec<Vec<usize>> = phases.iter().map(Phases::live).collect();
    let kinds: usize = live.iter().map(Vec::len).product();
    let places: usize = phases.iter().map(Phases::extent).product();
    elements(&[group_in * groups, kinds, group_out, places])?;
    let mut shape = vec![group_in * groups * kinds, group_out];
    shape.extend(phases.iter().map(Phases::extent));
    let mut phased = Tensor::zeros(shape);
    for kind in 0..kinds {
        for place in 0..places {
            let Some(tap) = tap_at(phases, &live, kind, place) else { continue };
            for channel in 0..group_in * groups {
                let (group, c) = (channel / group_in, channel % group_in);
                for o in 0..group_out {
                    let weight = weights.data()[((group * group_out + o) * group_in + c) * taps + tap];
                    phased.data_mut()[((channel * kinds + kind) * group_out + o) * places + place] = weight;
                }
            }
        }
    }
    Ok(phased)
}

/// The row-major tap that stands at a row-major place of the kernel of a row-major kind of live phases.
fn tap_at(phases: &[Phases], live: &[Vec<usize>], kind: usize, place: usize) -> Option<usize> {
    let (mut kind, mut place, mut tap, mut size) = (kind, place, 0, 1);
    for (phase, live) in phases.iter().zip(live).rev() {
        let row = &phase.taps[live[kind % live.len()]];
        tap += row[place % row.len()]? * size;
        size *= phase.kernel;
        kind /= live.len();
        place /= row.len();
    }
    Some(tap)
}

/// Puts the phases of the last Conv side by side: cell j of phase r becomes point s·j + r. Phases that receive nothing are
/// zeros. Concat does this faster than Pad in tract.
fn interleaved(
    graph: &mut Graph,
    convolved: String,
    slides: &[Slide],
    phases: &[Phases],
    channels: usize,
) -> Result<String, GradientError> {
    let batch = graph.shape(&convolved)?[0];
    let axes = slides.len();
    let live: Vec<Vec<usize>> = phases.iter().map(Phases::live).collect();
    let mut value = convolved;
    // [batch, channels, phases..., steps...] to [batch, channels, steps, phases, steps, phases...]; what has size 1 is
    // left out, so that nothing is moved where nothing has to be.
    let sizes: Vec<usize> =
        [batch, channels].into_iter().chain(live.iter().map(Vec::len)).chain(phases.iter().map(|p| p.steps)).collect();
    let order: Vec<usize> =
        [0, 1].into_iter().chain((0..axes).flat_map(|axis| [SPATIAL + axes + axis, SPATIAL + axis])).collect();
    let moved: Vec<usize> = order.iter().copied().filter(|&axis| sizes[axis] != 1).collect();
    if !moved.is_sorted() {
        let kept: Vec<usize> = (0..sizes.len()).filter(|&axis| sizes[axis] != 1).collect();
        value = graph.emit_reshape(&value, &kept.iter().map(|&axis| sizes[axis]).collect::<Vec<_>>())?;
        let place = |axis: &usize| kept.iter().position(|kept| kept == axis).map_or(0, |place| place as i64);
        let permutation: Vec<i64> = moved.iter().map(place).collect();
        value = graph.emit("Transpose", &[&value], vec![proto::ints("perm", &permutation)])?;
    }
    for (axis, (phase, live)) in phases.iter().zip(&live).enumerate() {
        if live.len() == phase.taps.len() {
            continue;
        }
        // Axes before this one have all their phases, axes behind it the live ones.
        let full = |axis: usize| phases[axis].taps.len() * phases[axis].steps;
        let outer: usize = (0..axis).map(full).product::<usize>() * phase.steps;
        let inner: usize = (axis + 1..axes).map(|axis| live_size(&phases[axis])).product();
        value = graph.emit_reshape(&value, &[batch, channels * outer, live.len(), inner])?;
        let mut parts = Vec::new();
        for kind in 0..phase.taps.len() {
            parts.push(match live.binary_search(&kind) {
                Ok(place) => graph.emit_slice(&value, 2, place, place + 1)?,
                Err(_) => graph.emit_constant(Tensor::zeros(vec![batch, channels * outer, 1, inner]))?,
            });
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        value = graph.emit("Concat", &parts, vec![proto::int("axis", 2)])?;
    }
    let mut shape = vec![batch, channels];
    shape.extend(phases.iter().map(|phase| phase.taps.len() * phase.steps));
    value = graph.emit_reshape(&value, &shape)?;
    for (axis, slide) in slides.iter().enumerate() {
        value = graph.emit_slice(&value, SPATIAL + axis, 0, slide.length)?;
    }
    Ok(value)
}

/// Points of an axis whose dead phases are not filled in yet.
fn live_size(phase: &Phases) -> usize {
    phase.live().len() * phase.steps
}
