//! Fixing what an exporter left open: the sizes of batch and length.

use crate::error::GradientError;
use crate::onnx::tensor_shape_proto::dimension;
use crate::onnx::{ModelProto, ValueInfoProto, type_proto};

/// Gives an input the sizes `shape`; `None` is the first input. Sizes that the file fixes must agree.
///
/// # Errors
/// [`GradientError::NoValue`] when there is no such input, [`GradientError::Input`] when its rank or a fixed size is another
/// one or a size is 0.
pub fn fix_shape(model: &mut ModelProto, input: Option<&str>, shape: &[usize]) -> Result<(), GradientError> {
    let graph = model.graph.as_option_mut().ok_or(GradientError::NoGraph)?;
    let initializer = |name: &str| graph.initializer.iter().any(|initializer| initializer.name == name);
    let place = graph.input.iter().position(|info| match input {
        Some(name) => info.name == name,
        None => !initializer(&info.name),
    });
    let missing = || GradientError::NoValue { name: input.unwrap_or("the first input").to_owned() };
    let info = place.and_then(|place| graph.input.get_mut(place)).ok_or_else(missing)?;
    let failed = |problem: String| GradientError::Input { name: info.name.clone(), problem };
    let found = sizes(info).ok_or_else(|| failed("it has no shape".into()))?;
    let agrees = |(found, &size): (&Option<i64>, &usize)| found.is_none_or(|found| i64::try_from(size) == Ok(found));
    if found.len() != shape.len() || !found.iter().zip(shape).all(agrees) {
        let problem = format!("its shape is {}, which {shape:?} does not fit", open_shape(info));
        return Err(failed(problem));
    }
    if shape.contains(&0) {
        return Err(failed("a size is not above 0".into()));
    }
    pin(info, shape);
    // What was declared for other sizes may no longer hold; it is found anew.
    graph.value_info.clear();
    Ok(())
}

/// The shape of an input as its file states it, with the names of the sizes it leaves open: `[N, 1, length]`.
pub(super) fn open_shape(info: &ValueInfoProto) -> String {
    let Some(type_proto::Value::TensorType(tensor)) = &info.r#type.value else {
        return "no tensor".into();
    };
    let dimensions = tensor.shape.dim.iter();
    let sizes = dimensions.map(|dimension| match &dimension.value {
        Some(dimension::Value::DimValue(size)) => size.to_string(),
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => name.clone(),
        _ => "?".into(),
    });
    format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
}

/// The sizes that a file declares of a value; `None` where one is open, and for what is no tensor or has no shape.
pub fn sizes(info: &ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let Some(type_proto::Value::TensorType(tensor)) = &info.r#type.value else { return None };
    let size = |dimension: &crate::onnx::tensor_shape_proto::Dimension| match dimension.value {
        Some(dimension::Value::DimValue(size)) => Some(size),
        _ => None,
    };
    Some(tensor.shape.as_option()?.dim.iter().map(size).collect())
}

/// Writes the sizes of a declared value that the file left open.
pub(super) fn pin(info: &mut ValueInfoProto, shape: &[usize]) {
    let kind = info.r#type.as_option_mut().and_then(|kind| kind.value.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = kind else { return };
    let dimensions = tensor.shape.as_option_mut().into_iter().flat_map(|shape| &mut shape.dim);
    for (dimension, &size) in dimensions.zip(shape) {
        dimension.value = Some(dimension::Value::DimValue(size as i64));
    }
}
