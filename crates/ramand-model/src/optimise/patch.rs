//! What the rewriting rules share: values through changes of shape, and an operator in the place of several.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::change_axes::AxisOp;

/// Follows a value through the nodes that only give it another shape, as long as nobody else reads it on the way: where it ends.
pub(super) fn reshaped(model: &TypedModel, mut outlet: OutletId) -> TractResult<OutletId> {
    while let Some(next) = model.single_succ(outlet.node)?
        && !model.outputs.contains(&outlet)
        && let Some(axes) = next.op_as::<AxisOp>()
        && !matches!(axes, AxisOp::Move(..))
    {
        outlet = next.id.into();
    }
    Ok(outlet)
}

/// The value before the nodes that only give it another shape: for what reads the same elements in the same order either way.
pub(super) fn unshaped(model: &TypedModel, mut outlet: OutletId) -> OutletId {
    while let node = model.node(outlet.node)
        && let Some(axes) = node.op_as::<AxisOp>()
        && !matches!(axes, AxisOp::Move(..))
    {
        outlet = node.inputs[0];
    }
    outlet
}

/// The shape of a value of f32, where it is known.
pub(super) fn floats(model: &TypedModel, outlet: OutletId) -> TractResult<Option<TVec<usize>>> {
    let fact = model.outlet_fact(outlet)?;
    Ok(fact.shape.as_concrete().filter(|_| fact.datum_type == f32::datum_type()).map(TVec::from_slice))
}

/// `op` in the place of everything between `inputs` and `end`.
pub(super) fn instead<O: Into<Box<dyn TypedOp>>>(
    model: &TypedModel,
    end: OutletId,
    name: &str,
    op: O,
    inputs: &[OutletId],
) -> TractResult<TypedModelPatch> {
    let mut patch = TypedModelPatch::default();
    let inputs = inputs.iter().map(|&input| patch.tap_model(model, input)).collect::<TractResult<TVec<_>>>()?;
    let output = patch.wire_node(name, op, &inputs)?;
    patch.shunt_outside(model, end, output[0])?;
    Ok(patch)
}
