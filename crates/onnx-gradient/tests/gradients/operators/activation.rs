//! Functions of one value.

use super::super::judge::trials;
use super::{Case, TARGET, case, check_all, plain, text};
use onnx_gradient::proto::float;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in [
        "Relu",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Celu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
        "Softplus",
        "Softsign",
        "Erf",
        "Exp",
        "Neg",
        "Abs",
        "Sin",
        "Cos",
        "ThresholdedRelu",
    ] {
        cases.push(plain(op, 17, vec![]));
    }
    for (op, alpha) in [("LeakyRelu", 0.3), ("LeakyRelu", 1.5), ("LeakyRelu", -0.2), ("Elu", 0.4)] {
        cases.push(plain(op, 17, vec![float("alpha", alpha)]));
    }
    cases.push(plain("ThresholdedRelu", 17, vec![float("alpha", 0.2)]));
    cases.push(plain("Selu", 17, vec![float("alpha", 0.8), float("gamma", 1.3)]));
    cases.push(plain("HardSigmoid", 17, vec![float("alpha", 0.9), float("beta", 0.3)]));
    cases.push(plain("Gelu", 20, vec![]));
    cases.push(plain("Gelu", 20, vec![text("approximate", "none")]));
    cases.push(plain("Gelu", 20, vec![text("approximate", "tanh")]));
    cases.push(plain("Mish", 18, vec![]));
    // Saturated on both sides, where a slope that is off by its offset shows.
    for op in ["HardSigmoid", "HardSwish", "Tanh", "Sigmoid", "Elu", "Softplus", "Erf"] {
        cases.push(case(format!("{op} of large values"), 17, &[1, 4, 5], |n| {
            n.constant("seven", &[], &[7.0]).op("Mul", &["a", "seven"], "wide", vec![]).op(op, &["wide"], "z", vec![]);
        }));
    }
    for op in ["Log", "Sqrt", "Reciprocal"] {
        cases.push(case(format!("{op} of positive values"), 17, &[1, 4, 5], |n| {
            n.op("Exp", &["a"], "positive", vec![]).op(op, &["positive"], "z", vec![]);
        }));
    }
    cases.push(case("SiLU as PyTorch writes it", 17, &[1, 4, 5], |n| {
        n.op("Sigmoid", &["a"], "s", vec![]).op("Mul", &["a", "s"], "z", vec![]);
    }));
    cases.push(case("GELU by Erf as PyTorch writes it", 17, &[1, 4, 5], |n| {
        n.constant("root", &[], &[std::f32::consts::SQRT_2]).op("Div", &["a", "root"], "d", vec![]);
        n.op("Erf", &["d"], "e", vec![]).constant("one", &[], &[1.0]).op("Add", &["e", "one"], "e1", vec![]);
        n.op("Mul", &["a", "e1"], "m", vec![]).constant("half", &[], &[0.5]).op("Mul", &["m", "half"], "z", vec![]);
    }));
    cases.push(case("GELU by Tanh as PyTorch writes it", 17, &[1, 4, 5], |n| {
        n.constant("three", &[], &[3.0]).op("Pow", &["a", "three"], "cube", vec![]).constant("c", &[], &[0.044_715]);
        n.op("Mul", &["cube", "c"], "m", vec![]).op("Add", &["a", "m"], "u", vec![]);
        n.constant("k", &[], &[0.797_884_6]).op("Mul", &["u", "k"], "ku", vec![]).op("Tanh", &["ku"], "t", vec![]);
        n.constant("one", &[], &[1.0]).op("Add", &["t", "one"], "t1", vec![]).op("Mul", &["a", "t1"], "at", vec![]);
        n.constant("half", &[], &[0.5]).op("Mul", &["at", "half"], "z", vec![]);
    }));
    cases
}

/// tract 0.23.9 leaves α out where Celu is below 0, so that these run elsewhere only.
pub(super) fn not_for_tract() -> Vec<Case> {
    [0.5, 2.0].map(|alpha| plain("Celu", 17, vec![float("alpha", alpha)])).into()
}

/// An operator of a set that neither runtime reads here; its rule is told by its name.
fn for_no_runtime() -> Vec<Case> {
    vec![plain("Swish", 23, vec![]), plain("Swish", 23, vec![float("alpha", 1.7)])]
}

#[test]
fn activations() {
    check_all(cases());
    for Case { name, model } in not_for_tract().into_iter().chain(for_no_runtime()) {
        trials(&model, TARGET).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
}
