//! The backward of a rectifier: the cotangent where the layer is above zero.

use tract_onnx::tract_core::internal::*;
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::element_wise::ElementWiseOp;
use tract_onnx::tract_core::ops::math::{Mul, Sign};

use super::patch::{floats, instead};

pub(super) fn lower(model: &mut TypedModel) -> TractResult<()> {
    let rule = |_: &(), model: &TypedModel, node: &TypedNode, name: &str, op: &TypedBinOp| {
        if !op.0.is::<Mul>() || op.1.is_some() {
            return Ok(None);
        }
        for (sign, factor) in [(node.inputs[0], node.inputs[1]), (node.inputs[1], node.inputs[0])] {
            let signed = model.node(sign.node);
            if !signed.op_as::<ElementWiseOp>().is_some_and(|op| op.0.is::<Sign>()) {
                continue;
            }
            let of = signed.inputs[0];
            let (Some(shape), Some(other)) = (floats(model, of)?, floats(model, factor)?) else { continue };
            if shape == other {
                return Ok(Some(instead(model, node.id.into(), name, TimesSign { shape }, &[factor, of])?));
            }
        }
        Ok(None)
    };
    Rewriter::<()>::default().with_rule_for("product with a sign", rule).rewrite(&(), model)
}

/// The first operand times the sign of the second.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TimesSign {
    shape: TVec<usize>,
}

impl Op for TimesSign {
    fn name(&self) -> StaticName {
        "TimesSign".into()
    }

    op_as_typed_op!();
}

impl EvalOp for TimesSign {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let (factor, of) = args_2!(inputs);
        let of = of.try_as_plain_ram()?.as_slice::<f32>()?;
        // In its own memory where nobody else reads it.
        let mut product = factor.into_tensor();
        let mut plain = product.try_as_plain_ram_mut()?;
        for (product, &of) in plain.as_slice_mut::<f32>()?.iter_mut().zip(of) {
            // `signum` is ±1 at ±0, where the sign is 0.
            *product *= if of == 0.0 { 0.0 } else { of.signum() };
        }
        Ok(tvec!(product.into_tvalue()))
    }
}

impl TypedOp for TimesSign {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::datum_type().fact(&self.shape)))
    }

    as_op!();
}
