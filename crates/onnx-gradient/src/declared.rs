//! What a file declares of its values.

use crate::error::GradientError;
use crate::fact::{Element, Fact};
use crate::onnx::tensor_proto::DataType;
use crate::onnx::{Enumeration, ValueInfoProto, type_proto};
use crate::shapes::{open_shape, sizes};
use crate::tensor::size;

fn tensor_of(info: &ValueInfoProto) -> Option<&type_proto::Tensor> {
    match info.r#type.value.as_ref()? {
        type_proto::Value::TensorType(tensor) => Some(tensor),
        _ => None,
    }
}

/// The sizes of a declared value; the batch, where it has none, is 1.
fn declared_shape(info: &ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let mut sizes = sizes(info)?;
    if let Some(batch @ None) = sizes.first_mut() {
        *batch = Some(1);
    }
    Some(sizes)
}

fn declared_element(info: &ValueInfoProto) -> Result<Element, DataType> {
    let found = tensor_of(info).and_then(|tensor| DataType::from_i32(tensor.elem_type));
    match found.unwrap_or(DataType::Undefined) {
        DataType::Float => Ok(Element::Float),
        DataType::Int32 | DataType::Int64 => Ok(Element::Integer),
        DataType::Bool => Ok(Element::Boolean),
        other => Err(other),
    }
}

/// What is declared of a value that some node gives, where it is declared whole.
pub(super) fn declared(info: &ValueInfoProto) -> Option<Fact> {
    let sizes = declared_shape(info)?.into_iter().map(|stated| size(stated?));
    Some(Fact { shape: sizes.collect::<Option<_>>()?, element: declared_element(info).ok()? })
}

/// What is declared of an input.
///
/// # Errors
/// When it is no tensor of fixed size of an element type that is understood.
pub(super) fn input(info: &ValueInfoProto) -> Result<Fact, GradientError> {
    let failed = |problem: String| GradientError::Input { name: info.name.clone(), problem };
    let sizes = declared_shape(info).ok_or_else(|| failed("it has no shape".into()))?;
    let element = declared_element(info)
        .map_err(|found| failed(format!("its elements are {}: export the model in FLOAT (f32)", found.proto_name())))?;
    let sized = |stated: Option<i64>| {
        let stated = stated.ok_or_else(|| {
            let (open, example) = (open_shape(info), example(&sizes));
            failed(format!(
                "its shape is {open}: only the batch may be left open, fix the rest, as in --shape {example}"
            ))
        })?;
        size(stated).filter(|&size| size > 0).ok_or_else(|| failed("a size is not above 0".into()))
    };
    Ok(Fact { shape: sizes.iter().copied().map(sized).collect::<Result<_, _>>()?, element })
}

/// A shape with a length that a spectrum could have where the file leaves it open.
fn example(sizes: &[Option<i64>]) -> String {
    let sizes = sizes.iter().map(|size| size.map_or("512".into(), |size| size.to_string()));
    sizes.collect::<Vec<_>>().join(",")
}
