//! Short ways to append the nodes that derivatives are made of.

use crate::error::GradientError;
use crate::graph::Graph;
use crate::proto;
use crate::tensor::{Tensor, elements};

impl Graph {
    /// A constant of rank 0, which broadcasts against everything.
    pub(super) fn emit_number(&mut self, number: f64) -> Result<String, GradientError> {
        self.emit_constant(Tensor::new(Vec::new(), vec![number]))
    }

    /// `op` of one operand.
    pub(super) fn emit_of(&mut self, op: &str, value: &str) -> Result<String, GradientError> {
        self.emit(op, &[value], Vec::new())
    }

    /// `op` of two operands.
    pub(super) fn emit_pair(&mut self, op: &str, left: &str, right: &str) -> Result<String, GradientError> {
        self.emit(op, &[left, right], Vec::new())
    }

    /// `op` of a value and a number.
    pub(super) fn emit_with(&mut self, op: &str, value: &str, number: f64) -> Result<String, GradientError> {
        let number = self.emit_number(number)?;
        self.emit(op, &[value, &number], Vec::new())
    }

    /// `number` − `value`.
    pub(super) fn emit_less(&mut self, number: f64, value: &str) -> Result<String, GradientError> {
        let number = self.emit_number(number)?;
        self.emit("Sub", &[&number, value], Vec::new())
    }

    /// `factor` · `value`; nothing is emitted for a factor of 1.
    pub(super) fn emit_scaled(&mut self, value: &str, factor: f64) -> Result<String, GradientError> {
        if factor == 1.0 { Ok(value.to_owned()) } else { self.emit_with("Mul", value, factor) }
    }

    /// 1 where `value` is above 0, 0 elsewhere.
    pub(super) fn emit_step(&mut self, value: &str) -> Result<String, GradientError> {
        let positive = self.emit_of("Relu", value)?;
        self.emit_of("Sign", &positive)
    }

    /// The mean over some axes, which stay with size 1.
    pub(super) fn emit_mean(&mut self, value: &str, axes: &[usize]) -> Result<String, GradientError> {
        let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        // The axes became an operand with operator set 18.
        if self.operator_set() < 18 {
            return self.emit("ReduceMean", &[value], vec![proto::ints("axes", &axes)]);
        }
        let axes = self.emit_integers(axes)?;
        self.emit("ReduceMean", &[value, &axes], Vec::new())
    }

    /// `value` repeated to `shape`. A product with ones would do, but tract takes a constant of equal numbers for one
    /// number when it fuses a product into the matrix product before it, and loses the shape.
    pub(super) fn emit_expanded(&mut self, value: &str, shape: &[usize]) -> Result<String, GradientError> {
        if self.shape(value)? == shape {
            return Ok(value.to_owned());
        }
        elements(shape)?;
        let shape = self.emit_integers(shape.iter().map(|&size| size as i64).collect())?;
        self.emit("Expand", &[value, &shape], Vec::new())
    }

    /// Zeros at both ends of an axis. Concat does this faster than Pad in tract.
    pub(super) fn emit_padded(
        &mut self,
        value: &str,
        axis: usize,
        before: usize,
        after: usize,
    ) -> Result<String, GradientError> {
        self.emit_filled(value, axis, before, after, 0.0)
    }

    /// One number at both ends of an axis.
    pub(super) fn emit_filled(
        &mut self,
        value: &str,
        axis: usize,
        before: usize,
        after: usize,
        number: f64,
    ) -> Result<String, GradientError> {
        let mut parts = vec![value.to_owned()];
        for (place, size) in [(0, before), (usize::from(before > 0) + 1, after)] {
            if size > 0 {
                let mut shape = self.shape(value)?.to_vec();
                shape[axis] = size;
                let count = elements(&shape)?;
                parts.insert(place, self.emit_constant(Tensor::new(shape, vec![number; count]))?);
            }
        }
        if parts.len() == 1 {
            return Ok(value.to_owned());
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.emit("Concat", &parts, vec![proto::int("axis", axis as i64)])
    }

    /// The places of an axis in the opposite order. A Slice that leads backwards would do, but tract 0.23.9 fails on one
    /// that follows a Reshape.
    pub(super) fn emit_reversed(&mut self, value: &str, axis: usize) -> Result<String, GradientError> {
        let size = self.shape(value)?[axis] as i64;
        let places = self.emit_integers((0..size).rev().collect())?;
        self.emit("Gather", &[value, &places], vec![proto::int("axis", axis as i64)])
    }

    /// 1 at the place of the greatest element along an axis, the first of equals, and 0 elsewhere.
    pub(super) fn emit_first_greatest(&mut self, value: &str, axis: usize) -> Result<String, GradientError> {
        let shape = self.shape(value)?.to_vec();
        let greatest = self.emit("ArgMax", &[value], vec![proto::int("axis", axis as i64)])?;
        let mut places = vec![1; shape.len()];
        places[axis] = shape[axis];
        let all = Tensor::integers(&(0..shape[axis] as i64).collect::<Vec<_>>()).reshaped(places);
        let all = self.emit_constant(all)?;
        let chosen = self.emit_pair("Equal", &greatest, &all)?;
        self.emit("Cast", &[&chosen], vec![proto::int("to", proto::FLOAT)])
    }

    /// Undoes broadcasting: sums over the axes along which a value of the shape `own` was repeated. With several rows, the
    /// batch axis counts outputs: it was not repeated.
    pub(super) fn emit_unrepeated(&mut self, value: &str, own: &[usize]) -> Result<String, GradientError> {
        let given = self.shape(value)?.to_vec();
        let mut single = own.to_vec();
        let first = usize::from(self.rows() > 1);
        single.iter_mut().take(first).for_each(|rows| *rows = 1);
        let operand = padded(&single, given.len());
        let repeated: Vec<usize> = (first..given.len()).filter(|&axis| operand[axis] == 1 && given[axis] > 1).collect();
        let summed = if repeated.is_empty() { value.to_owned() } else { self.emit_sum(value, &repeated)? };
        self.emit_reshape(&summed, own)
    }
}

/// The shape with 1s before it, up to a rank.
pub(super) fn padded(shape: &[usize], rank: usize) -> Vec<usize> {
    let mut padded = vec![1; rank.saturating_sub(shape.len())];
    padded.extend(shape);
    padded
}
