//! The row of a constant that belongs to the greatest output: where a walk from the winner begins.

use std::sync::Arc;

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::Gather;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::patch::{floats, instead, reshaped, unshaped};

/// Rows of a constant, and the outputs of which the greatest says which row is wanted.
pub(super) struct RowChoice {
    /// [outputs, …].
    pub(super) rows: Arc<Tensor>,
    pub(super) outputs: OutletId,
}

impl RowChoice {
    /// What `node` chooses, if that is what it does: `Gather` along the first axis, by `ArgMax` over all there is.
    pub(super) fn of(model: &TypedModel, node: &TypedNode) -> TractResult<Option<Self>> {
        let Some(gather) = node.op_as::<Gather>() else { return Ok(None) };
        let &[rows, index] = &*node.inputs else { return Ok(None) };
        let node = model.node(unshaped(model, index).node);
        let first_of_greatest = |reduce: &&Reduce| matches!(reduce.reducer, Reducer::ArgMax(false));
        let (Some(reduce), Some(rows)) =
            (node.op_as::<Reduce>().filter(first_of_greatest), &model.outlet_fact(rows)?.konst)
        else {
            return Ok(None);
        };
        let outputs = node.inputs[0];
        let Some(shape) = floats(model, outputs)? else { return Ok(None) };
        let over_all = reduce.axes.len() == 1 && shape[reduce.axes[0]] == shape.iter().product::<usize>();
        let one_each = rows.shape().first() == shape.get(reduce.axes[0]);
        let plain = gather.axis == 0 && gather.output_type.is_none() && rows.datum_type() == f32::datum_type();
        Ok((over_all && one_each && plain).then(|| Self { rows: rows.clone(), outputs }))
    }
}

/// The first of the greatest, as tract's own ArgMax finds it: of what is not greater than the least f32, the first.
pub(super) fn winner(outputs: &[f32]) -> usize {
    let greatest = outputs
        .iter()
        .enumerate()
        .fold((0, f32::MIN), |greatest, (index, &output)| if output > greatest.1 { (index, output) } else { greatest });
    greatest.0
}

pub(super) fn lower(model: &mut TypedModel) -> TractResult<()> {
    let rule = |_: &(), model: &TypedModel, node: &TypedNode, name: &str, _: &Gather| {
        let Some(RowChoice { rows, outputs }) = RowChoice::of(model, node)? else { return Ok(None) };
        let end = reshaped(model, node.id.into())?;
        let Some(shape) = floats(model, end)? else { return Ok(None) };
        let size = rows.len() / rows.shape()[0];
        if shape.iter().product::<usize>() != size {
            return Ok(None);
        }
        Ok(Some(instead(model, end, name, WinnersRow { rows, shape }, &[outputs])?))
    };
    Rewriter::<()>::default().with_rule_for("row of the greatest output", rule).rewrite(&(), model)
}

/// One row of a constant, in the shape it is read in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct WinnersRow {
    /// [outputs, …].
    rows: Arc<Tensor>,
    shape: TVec<usize>,
}

impl Op for WinnersRow {
    fn name(&self) -> StaticName {
        "WinnersRow".into()
    }

    op_as_typed_op!();
}

impl EvalOp for WinnersRow {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let outputs = args_1!(inputs);
        let winner = winner(outputs.try_as_plain_ram()?.as_slice::<f32>()?);
        let rows = self.rows.try_as_plain_ram()?.as_slice::<f32>()?;
        let size = self.shape.iter().product::<usize>();
        let row = rows.get(winner * size..(winner + 1) * size).context("there is no such row")?;
        Ok(tvec!(Tensor::from_shape(&self.shape, row)?.into_tvalue()))
    }
}

impl TypedOp for WinnersRow {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::datum_type().fact(&self.shape)))
    }

    as_op!();
}
