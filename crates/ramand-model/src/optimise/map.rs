//! The map of a linear head, Σ_k ∂y/∂A[k, i] · A[k, i] with a constant gradient: of every output, or of the greatest.

use std::sync::Arc;

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::change_axes::IntoShape;
use tract_onnx::tract_core::ops::math::Mul;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer};

use super::patch::{floats, instead, reshaped};
use super::winner::{RowChoice, winner};

pub(super) fn lower(model: &mut TypedModel) -> TractResult<()> {
    let rule = |_: &(), model: &TypedModel, node: &TypedNode, name: &str, reduce: &Reduce| {
        let Some((map, inputs)) = Map::of(model, node, reduce)? else { return Ok(None) };
        let end = reshaped(model, node.id.into())?;
        let Some(shape) = floats(model, end)? else { return Ok(None) };
        Ok(Some(instead(model, end, name, Map { shape, ..map }, &inputs)?))
    };
    Rewriter::<()>::default().with_rule_for("map of a linear head", rule).rewrite(&(), model)
}

/// Where tract gives the layer another shape for the product that makes the outputs, the map reads it in that shape: then nobody
/// reads the layer itself any more, and it can stay where it is in memory.
pub(super) fn read_in_place(model: &mut TypedModel) -> TractResult<()> {
    let rule = |_: &(), model: &TypedModel, node: &TypedNode, name: &str, map: &Map| {
        let layer = model.node(node.inputs[0].node);
        let mut readers = layer.outputs[node.inputs[0].slot].successors.iter().map(|reader| model.node(reader.node));
        let Some(shaped) = readers.find(|reader| reader.op_is::<IntoShape>()) else { return Ok(None) };
        let inputs: TVec<OutletId> =
            std::iter::once(shaped.id.into()).chain(node.inputs[1..].iter().copied()).collect();
        Ok(Some(instead(model, node.id.into(), name, map.clone(), &inputs)?))
    };
    Rewriter::<()>::default().with_rule_for("map of a reshaped layer", rule).rewrite(&(), model)
}

/// Products of a constant with the layer, summed over its maps.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Map {
    /// [outputs, maps, cells].
    gradient: Arc<Tensor>,
    maps: usize,
    cells: usize,
    /// Shape of the output: of all outputs' maps, or of one.
    shape: TVec<usize>,
}

impl Map {
    /// The map that the sum in `node` is, and what it is made of: the layer, and the outputs where the greatest of them chooses.
    fn of(model: &TypedModel, node: &TypedNode, reduce: &Reduce) -> TractResult<Option<(Self, TVec<OutletId>)>> {
        let Some(product) = model.linear_prec(node.id)? else { return Ok(None) };
        let is_product = product.op_as::<TypedBinOp>().is_some_and(|op| op.0.is::<Mul>() && op.1.is_none());
        if !is_product || !matches!(reduce.reducer, Reducer::Sum) || model.outputs.contains(&product.id.into()) {
            return Ok(None);
        }
        for (weights, layer) in [(product.inputs[0], product.inputs[1]), (product.inputs[1], product.inputs[0])] {
            let constant = model.outlet_fact(weights)?.konst.clone();
            let (gradient, outputs) = match (constant, RowChoice::of(model, model.node(weights.node))?) {
                (Some(constant), _) => (constant, None),
                (None, Some(choice)) => (choice.rows, Some(choice.outputs)),
                (None, None) => continue,
            };
            let (Some(of_layer), Some(of_weights)) = (floats(model, layer)?, floats(model, weights)?) else { continue };
            let (&[1, maps, cells], &[rows, own_maps, own_cells]) = (&*of_layer, &*of_weights) else { continue };
            // One row may be summed over as well: nothing happens there.
            let over_maps = *reduce.axes == [1] || (*reduce.axes == [0, 1] && rows == 1);
            let plain = (maps, cells) == (own_maps, own_cells) && gradient.datum_type() == f32::datum_type();
            if over_maps && plain && gradient.rank() == 3 && cells > 0 {
                let map = Self { gradient, maps, cells, shape: tvec!() };
                return Ok(Some((map, std::iter::once(layer).chain(outputs).collect())));
            }
        }
        Ok(None)
    }
}

impl Op for Map {
    fn name(&self) -> StaticName {
        "MapOfLinearHead".into()
    }

    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for Map {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let Self { maps, cells, .. } = *self;
        let (layer, outputs) = inputs.split_first().context("it reads a layer")?;
        let layer = layer.try_as_plain_ram()?.as_slice::<f32>()?;
        let size = maps * cells;
        let mut gradient = self.gradient.try_as_plain_ram()?.as_slice::<f32>()?;
        if let Some(outputs) = outputs.first() {
            let winner = winner(outputs.try_as_plain_ram()?.as_slice::<f32>()?);
            gradient = gradient.get(winner * size..(winner + 1) * size).context("there is no such output")?;
        }
        let mut result = Tensor::zero::<f32>(&self.shape)?;
        let mut plain = result.try_as_plain_ram_mut()?;
        let of_outputs = plain.as_slice_mut::<f32>()?.chunks_exact_mut(cells).zip(gradient.chunks_exact(size));
        for (map, gradient) in of_outputs {
            // Two maps at once: the sums are read and written half as often.
            for (gradient, layer) in gradient.chunks(2 * cells).zip(layer.chunks(2 * cells)) {
                let (first, second) = gradient.split_at(cells);
                let (one, other) = layer.split_at(cells);
                let one = map.iter_mut().zip(first.iter().zip(one));
                if second.is_empty() {
                    one.for_each(|(sum, (gradient, value))| *sum += gradient * value);
                } else {
                    let both = one.zip(second.iter().zip(other));
                    both.for_each(|((sum, (a, x)), (b, y))| *sum += a * x + b * y);
                }
            }
        }
        Ok(tvec!(result.into_tvalue()))
    }
}

impl TypedOp for Map {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::datum_type().fact(&self.shape)))
    }

    as_op!();
}
