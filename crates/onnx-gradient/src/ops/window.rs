//! Kernels that slide along the spatial axes: where they stand, what they see, and how their sums are taken back.

use crate::error::GradientError;
use crate::graph::Graph;
use crate::node::Node;
use crate::onnx::AttributeProto;
use crate::proto;
use crate::reach::Reach;

/// Kernels, strides, dilations and paddings, far below any axis's length: the product of two and the product of two others fit
/// together into a `usize` of 32 bits.
const STEP_MAX: usize = 1 << 15;
/// Spatial axes: a line, an image, a volume.
const AXES_MAX: usize = 3;
/// Batch and channels come before the spatial axes.
pub(super) const SPATIAL: usize = 2;

/// The kernel along one spatial axis: tap t of cell i is point s·i + d·t − p.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slide {
    /// Points of the operand.
    pub(super) length: usize,
    /// How many taps, at least 1.
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    /// Points of padding on the left.
    pub(super) before: usize,
    /// Points of padding on the right.
    pub(super) after: usize,
    /// Cells of the output.
    pub(super) cells: usize,
}

/// Which taps of a cell count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    /// Those on points.
    Points,
    /// Those on points and on the padding that was asked for.
    PointsAndPadding,
}

impl Slide {
    /// Points from the kernel's first tap to its last.
    fn extent(self) -> usize {
        self.dilation * (self.kernel - 1)
    }

    /// The point under a tap; `None` in the padding.
    fn point(self, cell: usize, tap: usize) -> Option<usize> {
        let point = (self.stride * cell + self.dilation * tap).checked_sub(self.before)?;
        (point < self.length).then_some(point)
    }

    /// How many taps of a cell count.
    pub(super) fn seen(self, cell: usize, counted: Counted) -> usize {
        let (first, last) = match counted {
            Counted::Points => (self.before, self.before + self.length),
            Counted::PointsAndPadding => (0, self.before + self.length + self.after),
        };
        let taps_before =
            |point: usize| point.saturating_sub(self.stride * cell).div_ceil(self.dilation).min(self.kernel);
        taps_before(last) - taps_before(first)
    }

    /// Whether the windows lie side by side from the first point on.
    pub(super) fn tiles(self) -> bool {
        self.stride == self.kernel && self.dilation == 1 && self.before == 0
    }
}

/// Reads `strides`, `dilations`, `pads`, `auto_pad` and `ceil_mode` of a node whose kernel has the sizes `kernel`.
pub(super) fn slides(graph: &Graph, node: &Node, kernel: &[usize]) -> Result<Vec<Slide>, GradientError> {
    let shape = graph.operand_shape(node, 0)?;
    let lengths = shape.get(SPATIAL..).unwrap_or(&[]);
    let axes = lengths.len() == kernel.len() && (1..=AXES_MAX).contains(&kernel.len());
    if !axes || shape.contains(&0) {
        return Err(node.fault(format!("a kernel of {kernel:?} on an operand of shape {shape:?}")));
    }
    let steps = |name: &str, default: i64| numbers(node, name, kernel.len(), default);
    if let Some(size) = kernel.iter().find(|size| !(1..=STEP_MAX).contains(*size)) {
        return Err(node.fault(format!("a kernel of {size} taps")));
    }
    let (strides, dilations) = (steps("strides", 1)?, steps("dilations", 1)?);
    let padding = Padding::of(node, kernel.len())?;
    let ceil = node.int("ceil_mode", 0)? != 0;
    let slide = |axis: usize| {
        let (length, kernel, stride, dilation) = (lengths[axis], kernel[axis], strides[axis], dilations[axis]);
        let mut slide = Slide { length, kernel, stride, dilation, before: 0, after: 0, cells: 0 };
        let seen = slide.extent() + 1;
        if let Padding::Same { upper } = padding {
            slide.cells = length.div_ceil(stride);
            let missing = ((slide.cells.max(1) - 1) * stride + seen).saturating_sub(length);
            slide.before = if upper { missing / 2 } else { missing.div_ceil(2) };
            slide.after = missing - slide.before;
            return Ok(slide);
        }
        if let Padding::Explicit(pads) = &padding {
            (slide.before, slide.after) = pads[axis];
        }
        let padded = length + slide.before + slide.after;
        let room = padded.checked_sub(seen);
        let room = room.ok_or_else(|| node.fault(format!("a kernel longer than the {padded} padded points")))?;
        slide.cells = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
        // A last window that would begin in the padding on the right is left out.
        if ceil && (slide.cells - 1) * stride >= length + slide.before {
            slide.cells -= 1;
        }
        Ok(slide)
    };
    (0..kernel.len()).map(slide).collect()
}

/// The slides of the convolution whose transpose a node is: its cells are this one's points.
pub(super) fn transposed_slides(node: &Node, kernel: &[usize], cells: &[usize]) -> Result<Vec<Slide>, GradientError> {
    let axes = kernel.len();
    let sizes = kernel.iter().chain(cells).all(|size| (1..=STEP_MAX).contains(size));
    if axes != cells.len() || !(1..=AXES_MAX).contains(&axes) || !sizes {
        return Err(node.fault(format!("a kernel of {kernel:?} for {cells:?} cells")));
    }
    let (strides, dilations) = (numbers(node, "strides", axes, 1)?, numbers(node, "dilations", axes, 1)?);
    let more = numbers(node, "output_padding", axes, 0)?;
    let Padding::Explicit(pads) = Padding::of(node, axes)? else { return Err(node.fault("'auto_pad'")) };
    let slide = |axis: usize| {
        let (kernel, stride, dilation, cells) = (kernel[axis], strides[axis], dilations[axis], cells[axis]);
        let (before, after) = pads[axis];
        let slide = Slide { length: 0, kernel, stride, dilation, before, after, cells };
        let seen = (cells - 1) * stride + slide.extent() + 1 + more[axis];
        let length = seen.checked_sub(before + after).filter(|&length| length > 0 && more[axis] < stride.max(dilation));
        let length = length.ok_or_else(|| node.fault(format!("{before} and {after} points cut off {seen}")))?;
        Ok(Slide { length, ..slide })
    };
    (0..axes).map(slide).collect()
}

/// The attributes of a Conv with these slides, whose paddings are as long as it needs.
pub(super) fn attributes(slides: &[Slide], groups: usize) -> Vec<AttributeProto> {
    let all = |size: fn(&Slide) -> usize| slides.iter().map(|slide| size(slide) as i64).collect::<Vec<_>>();
    let after = |slide: &Slide| {
        let seen = (slide.cells - 1) * slide.stride + slide.extent() + 1;
        seen.saturating_sub(slide.before + slide.length)
    };
    vec![
        proto::ints("kernel_shape", &all(|slide| slide.kernel)),
        proto::ints("strides", &all(|slide| slide.stride)),
        proto::ints("dilations", &all(|slide| slide.dilation)),
        proto::ints("pads", &[all(|slide| slide.before), all(after)].concat()),
        proto::int("group", groups as i64),
    ]
}

/// An attribute of one number for each axis.
fn numbers(node: &Node, name: &str, axes: usize, default: i64) -> Result<Vec<usize>, GradientError> {
    let given = node.ints(name)?.map_or_else(|| vec![default; axes], <[i64]>::to_vec);
    let sizes: Option<Vec<usize>> = given.iter().map(|&size| limited(size, default as usize)).collect();
    let sizes = sizes.filter(|sizes| sizes.len() == axes);
    sizes.ok_or_else(|| node.fault(format!("'{name}' is {given:?} for {axes} spatial axes")))
}

/// How many points are added at the ends.
enum Padding {
    /// On the left and on the right of each axis.
    Explicit(Vec<(usize, usize)>),
    /// As many as give length / stride cells; of an odd number the larger part on the right (`upper`) or on the left.
    Same { upper: bool },
}

impl Padding {
    fn of(node: &Node, axes: usize) -> Result<Self, GradientError> {
        match node.text("auto_pad")? {
            None | Some(b"NOTSET") => {}
            Some(b"VALID") => return Ok(Self::Explicit(vec![(0, 0); axes])),
            Some(b"SAME_UPPER") => return Ok(Self::Same { upper: true }),
            Some(b"SAME_LOWER") => return Ok(Self::Same { upper: false }),
            Some(other) => return Err(node.fault(format!("'auto_pad' is {}", String::from_utf8_lossy(other)))),
        }
        let Some(given) = node.ints("pads")? else { return Ok(Self::Explicit(vec![(0, 0); axes])) };
        let pads: Option<Vec<usize>> = given.iter().map(|&pad| limited(pad, 0)).collect();
        let pads = pads.filter(|pads| pads.len() == 2 * axes);
        let pads = pads.ok_or_else(|| node.fault(format!("'pads' is {given:?} for {axes} spatial axes")))?;
        Ok(Self::Explicit((0..axes).map(|axis| (pads[axis], pads[axes + axis])).collect()))
    }
}

fn limited(size: i64, least: usize) -> Option<usize> {
    usize::try_from(size).ok().filter(|size| (least..=STEP_MAX).contains(size))
}

/// Taps of the whole kernel.
pub(super) fn taps(slides: &[Slide]) -> usize {
    slides.iter().map(|slide| slide.kernel).product()
}

/// Cells of the whole output.
pub(super) fn cells(slides: &[Slide]) -> usize {
    slides.iter().map(|slide| slide.cells).product()
}

/// For each cell in turn, the place under a tap in the row-major operand; `None` in the padding.
pub(super) fn under(slides: &[Slide], tap: usize) -> impl Iterator<Item = Option<usize>> {
    (0..cells(slides)).map(move |cell| {
        let (mut place, mut size, mut cell, mut tap) = (0, 1, cell, tap);
        for slide in slides.iter().rev() {
            place += slide.point(cell % slide.cells, tap % slide.kernel)? * size;
            size *= slide.length;
            cell /= slide.cells;
            tap /= slide.kernel;
        }
        Some(place)
    })
}

/// Where the cells look, if they lie along a spatial axis.
pub(super) fn reach(slides: &[Slide], operand: Option<Reach>) -> Option<Reach> {
    let reach = operand?;
    let slide = slides.get(reach.axis.checked_sub(SPATIAL)?)?;
    reach.convolved(slide.extent(), slide.stride, slide.before)
}
