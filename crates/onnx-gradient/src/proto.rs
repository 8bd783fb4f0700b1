//! Reading and writing ONNX files, and short ways to make the messages a network needs.

use buffa::{DecodeError, DecodeOptions, Message};

use crate::error::GradientError;
use crate::fact::{Element, Fact};
use crate::onnx::attribute_proto::AttributeType;
use crate::onnx::tensor_proto::DataType;
use crate::onnx::tensor_shape_proto::{Dimension, dimension};
use crate::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};

/// The operator set this crate writes: tract is tested up to it, every runtime of the last years reads it.
pub const OPERATOR_SET: i64 = 17;
/// ONNX's number for f32, as Cast takes it.
pub(super) const FLOAT: i64 = DataType::Float as i64;
/// The file format version that goes with [`OPERATOR_SET`].
const IR_VERSION: i64 = 8;

/// How deep messages may nest in a file, subgraphs in subgraphs above all: what reads them calls itself as deep.
const DEPTH_MAX: u32 = 100;
/// Bytes that the nodes, names, attributes, tensors and dimensions of a file may take once they are decoded, without their numbers:
/// two bytes of a file can be a message of some hundred. The largest networks for spectra have a hundredth of it.
const RECORD_BYTES_MAX: usize = 32 << 20;
/// Fields of a file that the definition of the format does not have. Each takes some 40 bytes.
const UNKNOWN_FIELDS_MAX: usize = 1 << 18;

/// Reads an ONNX file. What the format's definition does not have is kept, and written again by [`encode`].
///
/// # Errors
/// [`GradientError::Decode`] when the bytes are no message of that kind or nest too deep, and
/// [`GradientError::TooManyRecords`] when its messages take more memory than those of a network do.
pub fn decode(bytes: &[u8]) -> Result<ModelProto, GradientError> {
    let options = DecodeOptions::new()
        .with_recursion_limit(DEPTH_MAX)
        .with_element_memory_limit(RECORD_BYTES_MAX)
        .with_unknown_field_limit(UNKNOWN_FIELDS_MAX);
    options.decode_from_slice(bytes).map_err(|error| match error {
        DecodeError::ElementMemoryLimitExceeded => GradientError::TooManyRecords { bytes_max: RECORD_BYTES_MAX },
        error => GradientError::Decode(error),
    })
}

/// Writes an ONNX file: known fields in the order of their numbers, then those the definition does not have.
///
/// # Panics
/// When the file would be longer than the 2 GiB that protobuf allows.
pub fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// A model around a graph, of [`OPERATOR_SET`].
pub fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { version: OPERATOR_SET, ..OperatorSetIdProto::default() }],
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: graph.into(),
        ..ModelProto::default()
    }
}

/// A node with one output, which is also the node's name.
pub fn node(op_type: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        name: output.into(),
        op_type: op_type.into(),
        attribute: attributes,
        ..NodeProto::default()
    }
}

/// An attribute of one integer.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int.into(), i: value, ..AttributeProto::default() }
}

/// An attribute of several integers.
pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let values = values.to_vec();
    AttributeProto { name: name.into(), r#type: AttributeType::Ints.into(), ints: values, ..AttributeProto::default() }
}

/// An attribute of one f32.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float.into(), f: value, ..AttributeProto::default() }
}

/// An f32 initialiser, row-major.
pub fn floats(name: &str, shape: &[usize], data: &[f32]) -> TensorProto {
    let raw_data = data.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, shape, DataType::Float, raw_data)
}

/// An f64 initialiser, row-major.
pub fn doubles(name: &str, shape: &[usize], data: &[f64]) -> TensorProto {
    let raw_data = data.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, shape, DataType::Double, raw_data)
}

/// A one-dimensional i64 initialiser: a shape, axes.
pub fn integers(name: &str, data: &[i64]) -> TensorProto {
    shaped_integers(name, &[data.len()], data)
}

/// An i64 initialiser, row-major.
pub(super) fn shaped_integers(name: &str, shape: &[usize], data: &[i64]) -> TensorProto {
    let raw_data = data.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, shape, DataType::Int64, raw_data)
}

/// A boolean initialiser, row-major, a byte a value.
pub(super) fn booleans(name: &str, shape: &[usize], raw_data: Vec<u8>) -> TensorProto {
    tensor(name, shape, DataType::Bool, raw_data)
}

/// An f32 input or output of a graph.
pub fn value(name: &str, shape: &[usize]) -> ValueInfoProto {
    typed_value(name, &Fact { shape: shape.to_vec(), element: Element::Float })
}

/// An input or output of a graph.
pub(super) fn typed_value(name: &str, fact: &Fact) -> ValueInfoProto {
    let dimension =
        |&size: &usize| Dimension { value: Some(dimension::Value::DimValue(size as i64)), ..Dimension::default() };
    let dim = fact.shape.iter().map(dimension).collect();
    let elem_type = match fact.element {
        Element::Float => DataType::Float,
        Element::Integer => DataType::Int64,
        Element::Boolean => DataType::Bool,
    };
    let tensor = type_proto::Tensor {
        elem_type: elem_type as i32,
        shape: TensorShapeProto { dim, ..TensorShapeProto::default() }.into(),
        ..type_proto::Tensor::default()
    };
    let r#type = TypeProto { value: tensor.into(), ..TypeProto::default() }.into();
    ValueInfoProto { name: name.into(), r#type, ..ValueInfoProto::default() }
}

fn tensor(name: &str, shape: &[usize], data_type: DataType, raw_data: Vec<u8>) -> TensorProto {
    let dims = shape.iter().map(|&size| size as i64).collect();
    TensorProto { name: name.into(), dims, data_type: data_type as i32, raw_data, ..TensorProto::default() }
}
