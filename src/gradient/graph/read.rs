//! What a file declares of its values.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{ValueInfoProto, type_proto};

use super::Fact;
use crate::gradient::error::GradientError;
use crate::gradient::tensor::Element;

fn tensor_of(info: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    Some(tensor)
}

/// The sizes of a declared value; the batch, where it has none, is 1.
fn declared_shape(info: &ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let size = |dimension: &Dimension| match dimension.value {
        Some(dimension::Value::DimValue(size)) => Some(size),
        _ => None,
    };
    let mut sizes: Vec<Option<i64>> = tensor_of(info)?.shape.as_ref()?.dim.iter().map(size).collect();
    if let Some(batch @ None) = sizes.first_mut() {
        *batch = Some(1);
    }
    Some(sizes)
}

fn declared_element(info: &ValueInfoProto) -> Result<Element, DataType> {
    let found = tensor_of(info).and_then(|tensor| DataType::try_from(tensor.elem_type).ok());
    match found.unwrap_or(DataType::Undefined) {
        DataType::Float => Ok(Element::Float),
        DataType::Int32 | DataType::Int64 => Ok(Element::Integer),
        DataType::Bool => Ok(Element::Boolean),
        other => Err(other),
    }
}

/// What is declared of a value that some node gives, where it is declared whole.
pub(super) fn declared(info: &ValueInfoProto) -> Option<Fact> {
    let sizes = declared_shape(info)?.into_iter().map(|size| usize::try_from(size?).ok());
    Some(Fact { shape: sizes.collect::<Option<_>>()?, element: declared_element(info).ok()? })
}

/// What is declared of an input.
///
/// # Errors
/// When it is no tensor of fixed size of an element type that is understood.
pub(super) fn input(info: &ValueInfoProto) -> Result<Fact, GradientError> {
    let failed = |problem: String| GradientError::Input { name: info.name.clone(), problem };
    let sizes = declared_shape(info).ok_or_else(|| failed("it has no shape".into()))?;
    let element = declared_element(info).map_err(|found| {
        failed(format!("its elements are {}: export the model in FLOAT (f32)", found.as_str_name()))
    })?;
    let sized = |size: Option<i64>| {
        let size = size.ok_or_else(|| failed("only the batch may be of variable size: fix the others".into()))?;
        usize::try_from(size).ok().filter(|&size| size > 0).ok_or_else(|| failed("a size is not above 0".into()))
    };
    Ok(Fact { shape: sizes.into_iter().map(sized).collect::<Result<_, _>>()?, element })
}
