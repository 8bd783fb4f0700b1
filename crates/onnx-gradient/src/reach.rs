//! Which points of the input axis the cells of a value see.

/// Cell i of a value sees the input points `stride · i + first ..= stride · i + last`, counted along `axis` of the value. The
/// formulas are those of Araujo, Norris and Sim, *Computing Receptive Fields of Convolutional Neural Networks*, Distill 2019; k, s
/// and P are kernel, stride and padding before of layer l.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Which axis of the value holds the cells.
    pub axis: usize,
    first: i64,
    last: i64,
    stride: i64,
    context: bool,
}

impl Reach {
    /// Of the input itself, whose points lie along `axis`.
    pub(super) fn identity(axis: usize) -> Self {
        Self { axis, first: 0, last: 0, stride: 1, context: false }
    }

    /// Centre of cell 0 in input points: c0 = Σ_l ((k_l − 1)/2 − P_l) Π_{m<l} s_m along a chain of convolutions.
    pub fn first_cell(self) -> f64 {
        (self.first as f64 + self.last as f64) / 2.0
    }

    /// Input points between the centres of neighbouring cells: the product of the strides.
    pub fn stride(self) -> usize {
        self.stride as usize
    }

    /// Input points that one cell sees: RF = 1 + Σ_l (k_l − 1) Π_{m<l} s_m along a chain of convolutions.
    pub fn receptive_field(self) -> usize {
        (self.last - self.first) as usize + 1
    }

    /// Whether a cell also sees the rest of the input, through a number that is common to all cells: the gate of a
    /// squeeze-and-excite block, the spread that a normalisation over the cells divides by.
    pub fn context(self) -> bool {
        self.context
    }

    /// The same cells, which also see the rest of the input.
    pub(super) fn in_context(self) -> Self {
        Self { context: true, ..self }
    }

    /// After a kernel of `extent` + 1 points, padded by `padding` points on the left.
    pub(super) fn convolved(self, extent: usize, stride: usize, padding: usize) -> Option<Self> {
        let points = |steps: usize| self.stride.checked_mul(i64::try_from(steps).ok()?);
        let (padding, extent, stride) = (points(padding)?, points(extent)?, points(stride)?);
        let first = self.first.checked_sub(padding)?;
        Some(Self { first, last: self.last.checked_sub(padding)?.checked_add(extent)?, stride, ..self })
    }

    /// Of a value that sees what either of two sees; their cells must be equally far apart.
    pub(super) fn union(self, other: Self) -> Option<Self> {
        let alike = self.axis == other.axis && self.stride == other.stride;
        alike.then(|| Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            context: self.context || other.context,
            ..self
        })
    }

    /// The same cells along another axis of another value.
    pub(super) fn moved(self, axis: usize) -> Self {
        Self { axis, ..self }
    }

    /// After the first `cells` were cut off, or, if negative, were added.
    pub(super) fn shifted(self, cells: i64) -> Self {
        let points = self.stride.saturating_mul(cells);
        Self { first: self.first.saturating_add(points), last: self.last.saturating_add(points), ..self }
    }

    /// After the axes were named anew, if the cells kept an axis of their own.
    pub(super) fn reshaped(self, before: &[usize], after: &[usize]) -> Option<Self> {
        let cells = *before.get(self.axis)?;
        let inner: usize = before[self.axis + 1..].iter().product();
        let axis = (0..after.len())
            .find(|&axis| after[axis] == cells && after[axis + 1..].iter().product::<usize>() == inner)?;
        Some(Self { axis, ..self })
    }
}
