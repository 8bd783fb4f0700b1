//! Normalisations and softmax, as operators and as exporters unfold them.

use super::{Case, case, check_all};
use onnx_gradient::proto::{float, int, ints};

const SHAPE: [usize; 3] = [1, 4, 5];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["Softmax", "LogSoftmax"] {
        for operator_set in [11, 13, 17] {
            for axis in [1, 2, -1] {
                cases.push(case(format!("{op} along axis {axis}"), operator_set, &SHAPE, |n| {
                    n.op(op, &["a"], "z", vec![int("axis", axis)]);
                }));
            }
        }
    }
    for shape in [&[1, 4, 5][..], &[1, 4, 1, 5], &[1, 4]] {
        cases.push(case(format!("BatchNormalization of {shape:?}"), 17, shape, |n| {
            n.weights("s", &[4]).weights("o", &[4]).weights("m", &[4]).constant("v", &[4], &[0.5, 1.5, 0.2, 1.0]);
            n.op("BatchNormalization", &["a", "s", "o", "m", "v"], "z", vec![float("epsilon", 1e-3)]);
        }));
    }
    cases.push(case("BatchNormalization as MATLAB and Keras unfold it", 13, &SHAPE, |n| {
        n.weights("m", &[1, 4, 1]).constant("v", &[1, 4, 1], &[0.5, 1.5, 0.2, 1.0]).weights("s", &[1, 4, 1]);
        n.weights("o", &[1, 4, 1]).constant("e", &[], &[1e-3]).op("Sub", &["a", "m"], "c", vec![]);
        n.op("Add", &["v", "e"], "ve", vec![]).op("Sqrt", &["ve"], "d", vec![]).op("Div", &["c", "d"], "n", vec![]);
        n.op("Mul", &["n", "s"], "ns", vec![]).op("Add", &["ns", "o"], "z", vec![]);
    }));
    for axis in [-1, 1, 2] {
        cases.push(case(format!("LayerNormalization from axis {axis}"), 17, &SHAPE, |n| {
            let own: &[usize] = if axis == 1 { &[4, 5] } else { &[5] };
            n.weights("s", own).weights("o", own);
            n.op("LayerNormalization", &["a", "s", "o"], "z", vec![int("axis", axis), float("epsilon", 1e-3)]);
        }));
    }
    cases.push(case("LayerNormalization without an offset", 17, &SHAPE, |n| {
        n.weights("s", &[5]).op("LayerNormalization", &["a", "s"], "z", vec![]);
    }));
    for operator_set in [11, 17, 18] {
        cases.push(case("LayerNormalization unfolded", operator_set, &SHAPE, |n| {
            n.constant("two", &[], &[2.0]).constant("e", &[], &[1e-3]).weights("s", &[5]).weights("o", &[5]);
            n.integers("last", &[-1]);
            let (operands, attributes): (fn(&'static str) -> Vec<&'static str>, _) = match operator_set {
                18 => (|value| vec![value, "last"], vec![]),
                _ => (|value| vec![value], vec![ints("axes", &[-1])]),
            };
            n.op("ReduceMean", &operands("a"), "m", attributes.clone()).op("Sub", &["a", "m"], "c", vec![]);
            n.op("Pow", &["c", "two"], "q", vec![]).op("ReduceMean", &operands("q"), "v", attributes);
            n.op("Add", &["v", "e"], "ve", vec![]).op("Sqrt", &["ve"], "d", vec![]).op("Div", &["c", "d"], "n", vec![]);
            n.op("Mul", &["n", "s"], "ns", vec![]).op("Add", &["ns", "o"], "z", vec![]);
        }));
    }
    for shape in [&[1, 4, 5][..], &[1, 4, 3, 3]] {
        for operator_set in [17, 18] {
            cases.push(case(format!("InstanceNormalization of {shape:?}"), operator_set, shape, |n| {
                n.weights("s", &[4]).weights("o", &[4]).op("InstanceNormalization", &["a", "s", "o"], "z", vec![]);
            }));
        }
    }
    cases.push(groups(21, 4));
    cases.push(case("GroupNormalization as PyTorch writes it", 17, &SHAPE, |n| {
        n.integers("groups", &[0, 2, -1]).constant("one", &[2], &[1.0, 1.0]).constant("zero", &[2], &[0.0, 0.0]);
        n.op("Reshape", &["a", "groups"], "g", vec![]);
        n.op("InstanceNormalization", &["g", "one", "zero"], "i", vec![float("epsilon", 1e-5)]);
        n.op("Shape", &["a"], "sizes", vec![]).op("Reshape", &["i", "sizes"], "r", vec![]);
        n.weights("s", &[4, 1]).weights("o", &[4, 1]).op("Mul", &["r", "s"], "rs", vec![]);
        n.op("Add", &["rs", "o"], "z", vec![]);
    }));
    cases
}

fn groups(operator_set: i64, parameters: usize) -> Case {
    case("GroupNormalization", operator_set, &SHAPE, |n| {
        n.weights("s", &[parameters]).weights("o", &[parameters]);
        n.op("GroupNormalization", &["a", "s", "o"], "z", vec![int("num_groups", 2)]);
    })
}

/// One scale for each group, as before operator set 21, is deprecated, and ONNX Runtime does not take it.
fn not_for_onnx_runtime() -> Vec<Case> {
    vec![groups(18, 2)]
}

#[test]
fn normalisations() {
    check_all(cases());
    check_all(not_for_onnx_runtime());
}
