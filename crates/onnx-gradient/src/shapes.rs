//! Fixing what an exporter left open: the sizes of batch and length.

use super::error::GradientError;
use super::graph::Graph;
use crate::onnx::tensor_shape_proto::dimension;
use crate::onnx::{ModelProto, ValueInfoProto, type_proto};

/// Gives an input the sizes `shape`; `None` is the first input. Sizes that the file fixes must agree.
///
/// # Errors
/// When there is no such input, or when its rank or a fixed size is another one.
pub fn fix_shape(model: &mut ModelProto, input: Option<&str>, shape: &[usize]) -> Result<(), GradientError> {
    let graph = model.graph.as_mut().ok_or(GradientError::NoGraph)?;
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
pub fn open_shape(info: &ValueInfoProto) -> String {
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return "no tensor".into();
    };
    let dimensions = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let sizes = dimensions.map(|dimension| match &dimension.value {
        Some(dimension::Value::DimValue(size)) => size.to_string(),
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => name.clone(),
        _ => "?".into(),
    });
    format!("[{}]", sizes.collect::<Vec<_>>().join(", "))
}

/// The sizes of a declared value; `None` where one is open.
pub fn sizes(info: &ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let type_proto::Value::TensorType(tensor) = info.r#type.as_ref()?.value.as_ref()?;
    let size = |dimension: &crate::onnx::tensor_shape_proto::Dimension| match dimension.value {
        Some(dimension::Value::DimValue(size)) => Some(size),
        _ => None,
    };
    Some(tensor.shape.as_ref()?.dim.iter().map(size).collect())
}

/// Writes the sizes of a declared value that the file left open.
fn pin(info: &mut ValueInfoProto, shape: &[usize]) {
    let kind = info.r#type.as_mut().and_then(|kind| kind.value.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = kind else { return };
    let dimensions = tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim);
    for (dimension, &size) in dimensions.zip(shape) {
        dimension.value = Some(dimension::Value::DimValue(size as i64));
    }
}

/// Writes into inputs and outputs the sizes that the graph was analysed with, and drops what is declared with open ones:
/// the gradient holds for these sizes only.
pub(super) fn pin_all(model: &mut ModelProto, graph: &Graph) {
    let Some(proto) = model.graph.as_mut() else { return };
    let open = |info: &ValueInfoProto| sizes(info).is_none_or(|sizes| sizes.contains(&None));
    for info in proto.input.iter_mut().chain(&mut proto.output).filter(|info| open(info)) {
        if let Ok(shape) = graph.shape(&info.name) {
            pin(info, shape);
        }
    }
    proto.value_info.retain(|info| !open(info));
}
