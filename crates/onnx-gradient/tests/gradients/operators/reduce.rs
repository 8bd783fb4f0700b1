//! Reductions, with their axes as an attribute and as an operand.

use super::{Case, case, check_all};
use onnx_gradient::proto::{int, ints};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in [
        "ReduceSum",
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
        "ReduceLogSumExp",
    ] {
        for operator_set in [11, 13, 18] {
            // ReduceSum takes its axes as an operand from operator set 13 on, the others from 18 on.
            let operand = operator_set >= if op == "ReduceSum" { 13 } else { 18 };
            for axes in [&[2][..], &[-2], &[1, 2], &[1, 3], &[1, 2, 3]] {
                for keep in [0, 1] {
                    let name = format!("{op} over {axes:?}, keepdims {keep}");
                    cases.push(case(name, operator_set, &[1, 3, 2, 4], |n| {
                        n.integers("axes", axes);
                        let keep = int("keepdims", keep);
                        match operand {
                            true => n.op(op, &["a", "axes"], "z", vec![keep]),
                            false => n.op(op, &["a"], "z", vec![ints("axes", axes), keep]),
                        };
                    }));
                }
            }
        }
        cases.push(case(format!("{op} over everything"), 17, &[1, 3, 4], |n| {
            n.op(op, &["a"], "z", vec![]);
        }));
    }
    cases.push(case("ReduceSum over nothing", 17, &[1, 3, 4], |n| {
        n.op("ReduceSum", &["a"], "z", vec![int("noop_with_empty_axes", 1)]);
    }));
    cases.push(case("ReduceLogSum of positive values", 17, &[1, 3, 4], |n| {
        n.op("Exp", &["a"], "v", vec![]).op("ReduceLogSum", &["v"], "z", vec![ints("axes", &[2])]);
    }));
    cases.push(case("a global average as exporters write it", 13, &[1, 3, 4], |n| {
        n.integers("up", &[2]).op("Unsqueeze", &["a", "up"], "u", vec![]);
        n.op("ReduceMean", &["u"], "m", vec![ints("axes", &[3, 2])]).op("Squeeze", &["m", "up"], "z", vec![]);
    }));
    cases
}

#[test]
fn reductions() {
    check_all(cases());
}
