//! One node of a graph, as the operators see it.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

use super::error::GradientError;

/// An operator with its operands and attributes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The node's name, or its first output's where it has none.
    pub(super) name: String,
    pub(super) op: String,
    /// Names; an optional operand that is left out is empty.
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
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

    /// An error that names this node.
    pub(super) fn fault(&self, problem: impl Into<String>) -> GradientError {
        GradientError::Node { node: self.name.clone(), op: self.op.clone(), problem: problem.into() }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attributes.iter().find(|attribute| attribute.name == name)
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

    /// A text attribute.
    pub(super) fn text(&self, name: &str) -> Result<Option<&[u8]>, GradientError> {
        self.typed(name, AttributeType::String).map(|found| found.map(|attribute| attribute.s.as_slice()))
    }

    fn typed(&self, name: &str, expected: AttributeType) -> Result<Option<&AttributeProto>, GradientError> {
        match self.attribute(name) {
            Some(attribute) if attribute.r#type != i32::from(expected) => {
                Err(self.fault(format!("attribute '{name}' is not of type {}", expected.as_str_name())))
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
