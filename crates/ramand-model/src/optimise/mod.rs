//! What tract's own optimiser leaves on the table in graphs as small as networks of spectra with their gradient: there a node costs
//! what it costs, however little it computes, and several that always come together are better one.

mod convolution;
mod interleave;
mod map;
mod slope;
mod winner;

use tract_onnx::prelude::{InferenceModel, InferenceModelExt};
use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::change_axes::AxisOp;

pub(super) use convolution::kernel_name;

/// The graph as it runs fastest on this processor.
///
/// # Errors
/// When tract cannot shape or optimise it.
pub fn optimised(model: InferenceModel) -> TractResult<TypedModel> {
    let mut model = model.into_typed()?;
    // Offsets come through a conversion that is not calculated yet.
    model.prop_consts()?;
    // Decluttering would make a matrix product of a kernel of one point, and cut its stride out before. The others it simplifies.
    convolution::lower(&mut model, |kernel| kernel == 1)?;
    let mut model = model.into_decluttered()?;
    convolution::lower(&mut model, |_| true)?;
    // A map first: the winner's row is a part of it.
    map::lower(&mut model)?;
    winner::lower(&mut model)?;
    slope::lower(&mut model)?;
    interleave::lower(&mut model)?;
    let mut model = model.into_optimized()?;
    map::read_in_place(&mut model)?;
    Ok(model)
}

/// Follows a value through the nodes that only give it another shape, as long as nobody else reads it on the way: where it ends.
fn reshaped(model: &TypedModel, mut outlet: OutletId) -> TractResult<OutletId> {
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
fn unshaped(model: &TypedModel, mut outlet: OutletId) -> OutletId {
    while let node = model.node(outlet.node)
        && let Some(axes) = node.op_as::<AxisOp>()
        && !matches!(axes, AxisOp::Move(..))
    {
        outlet = node.inputs[0];
    }
    outlet
}

/// The shape of a value of f32, where it is known.
fn floats(model: &TypedModel, outlet: OutletId) -> TractResult<Option<TVec<usize>>> {
    let fact = model.outlet_fact(outlet)?;
    Ok(fact.shape.as_concrete().filter(|_| fact.datum_type == f32::datum_type()).map(TVec::from_slice))
}

/// `op` in the place of everything between `inputs` and `end`.
fn instead<O: Into<Box<dyn TypedOp>>>(
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
