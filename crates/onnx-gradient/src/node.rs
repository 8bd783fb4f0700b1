//! One node of a graph, as the operators see it.

use std::collections::HashSet;

use crate::error::GradientError;
use crate::fact::Element;
use crate::onnx::attribute_proto::AttributeType;
use crate::onnx::{AttributeProto, Enumeration, GraphProto, NodeProto};
use crate::tensor::Tensor;

/// An operator with its operands and attributes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The node's name, or its first output's where it has none.
    pub(super) name: String,
    pub(super) op: String,
    /// Names; an optional operand that is left out is empty.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
    /// What the subgraphs of an If, Loop or Scan read from the graph around them.
    pub(super) captured: Vec<String>,
    attributes: Vec<AttributeProto>,
}

impl Node {
    pub(super) fn new(proto: &NodeProto) -> Self {
        let unnamed = || proto.output.first().cloned().unwrap_or_default();
        Self {
            name: if proto.name.is_empty() { unnamed() } else { proto.name.clone() },
            op: match proto.domain.as_str() {
                "" | "ai.onnx" => proto.op_type.clone(),
                domain => format!("{domain}.{}", proto.op_type),
            },
            inputs: proto.input.clone(),
            outputs: proto.output.clone(),
            captured: proto.attribute.iter().flat_map(subgraphs).flat_map(captured).collect(),
            attributes: proto.attribute.clone(),
        }
    }

    /// The node's first output: every operator here has one.
    pub(super) fn output(&self) -> &str {
        self.outputs.first().map_or("", String::as_str)
    }

    /// An operand's name; `None` where it is left out.
    pub(super) fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Everything the node reads, in its operands or in its subgraphs.
    pub(super) fn reads(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().chain(&self.captured).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// An error that says that this node cannot be differentiated.
    pub(super) fn no_rule(&self) -> GradientError {
        GradientError::NoRule { node: self.name.clone(), op: self.op.clone(), instead: None }
    }

    /// An error that names this node.
    pub(super) fn fault(&self, problem: impl Into<String>) -> GradientError {
        GradientError::Node { node: self.name.clone(), op: self.op.clone(), problem: problem.into() }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The value of a Constant node; `None` where it is of a type no gradient is computed with.
    pub(super) fn constant(&self) -> Result<Option<Tensor>, GradientError> {
        if let Some(tensor) = self.attribute("value").and_then(|attribute| attribute.t.as_option()) {
            return Tensor::read(tensor);
        }
        let scalar = |value: f64| Tensor::new(Vec::new(), vec![value]);
        let list = |values: Vec<f64>| Tensor::new(vec![values.len()], values);
        Ok(self.attributes.iter().find_map(|attribute| match attribute.name.as_str() {
            "value_float" => Some(scalar(f64::from(attribute.f))),
            "value_int" => Some(scalar(attribute.i as f64).with_element(Element::Integer)),
            "value_floats" => Some(list(attribute.floats.iter().map(|&value| f64::from(value)).collect())),
            "value_ints" => Some(Tensor::integers(&attribute.ints)),
            _ => None,
        }))
    }

    /// An integer attribute or its default.
    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, GradientError> {
        self.typed(name, AttributeType::Int).map(|found| found.map_or(default, |attribute| attribute.i))
    }

    /// A floating-point attribute or its default.
    pub(super) fn float(&self, name: &str, default: f32) -> Result<f64, GradientError> {
        self.typed(name, AttributeType::Float).map(|found| f64::from(found.map_or(default, |attribute| attribute.f)))
    }

    /// An attribute of several integers.
    pub(super) fn ints(&self, name: &str) -> Result<Option<&[i64]>, GradientError> {
        self.typed(name, AttributeType::Ints).map(|found| found.map(|attribute| attribute.ints.as_slice()))
    }

    /// The bytes of an attribute that is text; `None` where the node has none of that name.
    pub(super) fn text(&self, name: &str) -> Result<Option<&[u8]>, GradientError> {
        self.typed(name, AttributeType::String).map(|found| found.map(|attribute| attribute.s.as_slice()))
    }

    fn typed(&self, name: &str, expected: AttributeType) -> Result<Option<&AttributeProto>, GradientError> {
        match self.attribute(name) {
            Some(attribute) if attribute.r#type != expected => {
                Err(self.fault(format!("attribute '{name}' is not of type {}", expected.proto_name())))
            }
            found => Ok(found),
        }
    }

    /// Resolves an axis that may count from the end.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize, GradientError> {
        let signed = rank as i64;
        let resolved = if axis < 0 { axis.checked_add(signed) } else { Some(axis) };
        let inside = resolved.filter(|axis| (0..signed).contains(axis)).map(|axis| axis as usize);
        inside.ok_or_else(|| self.fault(format!("axis {axis} of a value of rank {rank}")))
    }
}

fn subgraphs(attribute: &AttributeProto) -> impl Iterator<Item = &GraphProto> {
    attribute.g.as_option().into_iter().chain(&attribute.graphs)
}

/// The names that a subgraph reads and does not provide itself. The protobuf reader limits how deep they nest.
fn captured(graph: &GraphProto) -> Vec<String> {
    let inner = graph.node.iter().flat_map(|node| node.attribute.iter().flat_map(subgraphs).flat_map(captured));
    let read = graph.node.iter().flat_map(|node| node.input.iter().cloned());
    let given = graph.output.iter().map(|output| output.name.clone());
    let own: HashSet<&str> = (graph.node.iter().flat_map(|node| node.output.iter().map(String::as_str)))
        .chain(graph.input.iter().map(|input| input.name.as_str()))
        .chain(graph.initializer.iter().map(|initializer| initializer.name.as_str()))
        .collect();
    read.chain(inner).chain(given).filter(|name| !name.is_empty() && !own.contains(name.as_str())).collect()
}
