//! Growing the graph by the gradient's own nodes.

use std::collections::{BTreeSet, HashSet};

use super::{Graph, Winner};
use crate::error::GradientError;
use crate::node::Node;
use crate::onnx::{AttributeProto, NodeProto, TensorProto};
use crate::proto;
use crate::tensor::Tensor;

/// Every name that [`Graph::emit`] makes begins like this.
const PREFIX: &str = "grad/";

impl Graph {
    /// Appends a node to the gradient and returns the name of its output. A node whose operands are all constant is
    /// calculated here and now instead.
    pub(crate) fn emit(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> Result<String, GradientError> {
        let output = self.free_name(op);
        let node = proto::node(op, inputs, &output, attributes);
        self.add(Node::new(&node))?;
        if !self.constants.contains_key(&output) {
            self.emitted.push(node);
        }
        Ok(output)
    }

    /// A node of the gradient with a name that was promised to the caller.
    pub(crate) fn emit_as(&mut self, output: &str, input: &str) -> Result<(), GradientError> {
        if self.names.contains(output) {
            return Err(GradientError::Attached { name: output.to_owned() });
        }
        self.provide(output)?;
        let fact = self.fact(input)?.clone();
        self.set_fact(output, fact)?;
        self.emitted.push(proto::node("Identity", &[input], output, Vec::new()));
        self.outputs.push(output.to_owned());
        Ok(())
    }

    /// Names a constant of the gradient.
    pub(crate) fn emit_constant(&mut self, tensor: Tensor) -> Result<String, GradientError> {
        let name = self.free_name("constant");
        self.provide(&name)?;
        self.set_constant(&name, tensor)?;
        Ok(name)
    }

    /// Names a list of integers of the gradient: a shape, axes.
    pub(crate) fn emit_integers(&mut self, values: Vec<i64>) -> Result<String, GradientError> {
        let name = self.free_name("integers");
        self.provide(&name)?;
        self.set_constant(&name, Tensor::integers(&values))?;
        Ok(name)
    }

    pub(crate) fn emit_reshape(&mut self, value: &str, shape: &[usize]) -> Result<String, GradientError> {
        if self.shape(value)? == shape {
            return Ok(value.to_owned());
        }
        let shape = self.emit_integers(shape.iter().map(|&size| size as i64).collect())?;
        self.emit("Reshape", &[value, &shape], Vec::new())
    }

    /// `start..end` of one axis.
    pub(crate) fn emit_slice(
        &mut self,
        value: &str,
        axis: usize,
        start: usize,
        end: usize,
    ) -> Result<String, GradientError> {
        if start == 0 && self.shape(value)?.get(axis) == Some(&end) {
            return Ok(value.to_owned());
        }
        let start = self.emit_integers(vec![start as i64])?;
        let end = self.emit_integers(vec![end as i64])?;
        let axis = self.emit_integers(vec![axis as i64])?;
        self.emit("Slice", &[value, &start, &end, &axis], Vec::new())
    }

    /// The sum over some axes, which stay with size 1.
    pub(crate) fn emit_sum(&mut self, value: &str, axes: &[usize]) -> Result<String, GradientError> {
        let axes: Vec<i64> = axes.iter().map(|&axis| axis as i64).collect();
        // The axes became an operand with operator set 13.
        if self.operator_set() < 13 {
            return self.emit("ReduceSum", &[value], vec![proto::ints("axes", &axes)]);
        }
        let axes = self.emit_integers(axes)?;
        self.emit("ReduceSum", &[value, &axes], Vec::new())
    }

    /// Remembers that `cotangent`, [1, outputs], is 1 at the output whose `index`, \[1\], is known when the graph runs, and 0 elsewhere.
    pub(crate) fn set_winner(&mut self, cotangent: &str, index: &str) {
        self.winner = Some(Winner { cotangent: cotangent.to_owned(), index: index.to_owned() });
    }

    /// The product of two matrices. Of a winner's cotangent with a constant it is the winner's row, which nobody has to add up.
    pub(crate) fn emit_product(&mut self, left: &str, right: &str) -> Result<String, GradientError> {
        match &self.winner {
            Some(Winner { cotangent, index })
                if cotangent == left && self.constant(right).is_some_and(|rows| rows.shape().len() == 2) =>
            {
                let index = index.clone();
                self.emit("Gather", &[right, &index], Vec::new())
            }
            _ => self.emit("MatMul", &[left, right], Vec::new()),
        }
    }

    /// The emitted nodes that lead to an output, and the constants they read that the file does not hold, as initialisers.
    pub(crate) fn into_emitted(mut self, file: &HashSet<String>) -> (Vec<NodeProto>, Vec<TensorProto>) {
        let mut read: HashSet<String> = self.outputs.iter().cloned().collect();
        let mut needed = Vec::new();
        for node in self.emitted.drain(..).rev() {
            if node.output.iter().any(|output| read.contains(output)) {
                read.extend(node.input.iter().cloned());
                needed.push(node);
            }
        }
        needed.reverse();
        self.emitted = needed;
        let read: BTreeSet<&str> = self.emitted.iter().flat_map(|node| &node.input).map(String::as_str).collect();
        let initializers = read
            .into_iter()
            .filter(|&name| !file.contains(name))
            .filter_map(|name| self.constants.get(name).map(|constant| constant.write(name)));
        let initializers = initializers.collect();
        (self.emitted, initializers)
    }

    fn free_name(&self, kind: &str) -> String {
        let named = self.names.len();
        let mut candidates = (named..).map(|number| format!("{PREFIX}{}_{number}", kind.to_lowercase()));
        candidates.find(|name| !self.names.contains(name)).expect("there are more numbers than names")
    }
}
