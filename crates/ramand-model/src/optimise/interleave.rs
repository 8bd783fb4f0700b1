//! The phases of a strided convolution's backward, put side by side: point s·j + r is cell j of phase r.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::array::{Slice, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::change_axes::AxisOp;
use tract_onnx::tract_core::ops::math::Add;

use super::patch::{floats, instead, reshaped, unshaped};

pub(super) fn lower(model: &mut TypedModel) -> TractResult<()> {
    let all = |_: &(), model: &TypedModel, node: &TypedNode, name: &str, op: &AxisOp| {
        let (AxisOp::Move(1, 2), Some(shape)) = (op, floats(model, node.inputs[0])?) else { return Ok(None) };
        let &[_, phases, cells] = &*shape else { return Ok(None) };
        let Some(End { outlet, row, shape }) = End::of(model, node)? else { return Ok(None) };
        let whole = row == phases * cells;
        let interleaved = Interleaved { live: tvec!((0..phases).collect()), phases, cells, shape };
        whole.then(|| instead(model, outlet, name, interleaved, &[unshaped(model, node.inputs[0])])).transpose()
    };
    // Of a kernel shorter than its stride only one phase receives something.
    let one = |_: &(), model: &TypedModel, node: &TypedNode, name: &str, op: &TypedConcat| {
        let Some(shape) = floats(model, node.id.into())? else { return Ok(None) };
        let phases = node.inputs.len();
        if shape[op.axis + 1..].iter().any(|&size| size != 1) || phases != shape[op.axis] {
            return Ok(None);
        }
        let mut live = tvec!();
        for (phase, &input) in node.inputs.iter().enumerate() {
            match &model.outlet_fact(input)?.konst {
                Some(constant) if constant.is_all_zero()? => {}
                _ => live.push(phase),
            }
        }
        let Some(End { outlet, row, shape }) = End::of(model, node)? else { return Ok(None) };
        let (&[phase], 0) = (&*live, row % phases) else { return Ok(None) };
        let interleaved = Interleaved { live: tvec!(live), phases, cells: row / phases, shape };
        Ok(Some(instead(model, outlet, name, interleaved, &[unshaped(model, node.inputs[phase])])?))
    };
    let rules = Rewriter::<()>::default().with_rule_for("all phases", all).with_rule_for("one phase", one);
    rules.rewrite(&(), model)?;
    // Of the branches of a residual block.
    let sum = |_: &(), model: &TypedModel, node: &TypedNode, name: &str, op: &TypedBinOp| {
        let &[left, right] = &*node.inputs else { return Ok(None) };
        let nodes = [left, right].map(|input| model.node(input.node));
        let (Some(left), Some(right)) = (nodes[0].op_as::<Interleaved>(), nodes[1].op_as::<Interleaved>()) else {
            return Ok(None);
        };
        let alike = (left.phases, left.cells, &left.shape) == (right.phases, right.cells, &right.shape);
        if !op.0.is::<Add>() || op.1.is_some() || !alike {
            return Ok(None);
        }
        let live = left.live.iter().chain(&right.live).cloned().collect();
        let inputs: TVec<OutletId> = nodes.iter().flat_map(|node| node.inputs.iter().copied()).collect();
        Ok(Some(instead(model, node.id.into(), name, Interleaved { live, ..left.clone() }, &inputs)?))
    };
    Rewriter::<()>::default().with_rule_for("sum of phases", sum).rewrite(&(), model)
}

/// Where the reshapes behind a node end, and a cut: in a gradient it is of the cells that the last phases have too many.
struct End {
    outlet: OutletId,
    /// Points of a row before the cut.
    row: usize,
    shape: TVec<usize>,
}

impl End {
    /// `None` where a shape is not known, or nothing is left.
    fn of(model: &TypedModel, node: &TypedNode) -> TractResult<Option<Self>> {
        let known = |outlet| Ok::<_, TractError>(floats(model, outlet)?.filter(|shape| !shape.contains(&0)));
        let outlet = reshaped(model, node.id.into())?;
        let Some(shape) = known(outlet)? else { return Ok(None) };
        if let Some(next) = model.single_succ(outlet.node)?
            && !model.outputs.contains(&outlet)
            && let Some(cut) = next.op_as::<Slice>()
            && cut.start == TDim::Val(0)
            && shape[cut.axis + 1..].iter().all(|&size| size == 1)
        {
            let outlet = reshaped(model, next.id.into())?;
            return Ok(known(outlet)?.map(|left| Self { outlet, row: shape[cut.axis], shape: left }));
        }
        Ok(Some(Self { outlet, row: shape.last().copied().unwrap_or(1), shape }))
    }
}

/// Reads [rows, live phases, cells] of each operand, and writes the sum of their rows of `phases` · `cells` points, less those that are cut.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Interleaved {
    /// The phases that an operand has; the others are zeros.
    live: TVec<TVec<usize>>,
    phases: usize,
    cells: usize,
    shape: TVec<usize>,
}

impl Op for Interleaved {
    fn name(&self) -> StaticName {
        "Interleaved".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Interleaved {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let Self { ref live, phases, cells, ref shape } = *self;
        let mut result = Tensor::zero::<f32>(shape)?;
        let points = shape.iter().product::<usize>();
        let mut plain = result.try_as_plain_ram_mut()?;
        let written = plain.as_slice_mut::<f32>()?;
        for (operand, (live, input)) in live.iter().zip(&inputs).enumerate() {
            // Copied, not added to zeros, which would make 0 of −0.
            let put = |to: &mut f32, from: &f32| *to = if operand == 0 { *from } else { *to + *from };
            let input = input.try_as_plain_ram()?.as_slice::<f32>()?;
            let read = input.chunks_exact(live.len() * cells);
            let row_points = points / read.len();
            for (row, read) in written.chunks_exact_mut(row_points).zip(read) {
                match (&**live, phases) {
                    // In pairs the compiler vectorises it.
                    ([0, 1], 2) => {
                        let (pairs, last) = row.as_chunks_mut::<2>();
                        let (even, odd) = read.split_at(cells);
                        for ([first, second], (even, odd)) in pairs.iter_mut().zip(even.iter().zip(odd)) {
                            put(first, even);
                            put(second, odd);
                        }
                        last.iter_mut().zip(&even[pairs.len()..]).for_each(|(to, from)| put(to, from));
                    }
                    _ => {
                        for (&phase, read) in live.iter().zip(read.chunks_exact(cells)) {
                            row.iter_mut().skip(phase).step_by(phases).zip(read).for_each(|(to, from)| put(to, from));
                        }
                    }
                }
            }
        }
        Ok(tvec!(result.into_tvalue()))
    }
}

impl TypedOp for Interleaved {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::datum_type().fact(&self.shape)))
    }

    as_op!();
}
