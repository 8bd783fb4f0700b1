//! Operators of several values, element by element and as matrices.

use super::{Case, case, check_all};
use onnx_gradient::proto::{float, int, ints};

const SHAPE: [usize; 3] = [1, 4, 5];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = elementwise();
    cases.extend(choices());
    cases.extend(powers());
    cases.extend(products());
    cases
}

fn elementwise() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["Add", "Sub", "Mul", "Div"] {
        let mut with = |name: &str, constant: &[usize], order: [&str; 2]| {
            cases.push(case(format!("{op} {name}"), 17, &SHAPE, |n| {
                n.weights("free", constant).op("Exp", &["free"], "c", vec![]).op("Exp", &["a"], "v", vec![]);
                n.op(op, &order, "z", vec![]);
            }));
        };
        with("of a number", &[], ["v", "c"]);
        with("of a channel's constant", &[4, 1], ["v", "c"]);
        with("to a larger constant", &[3, 1, 5], ["v", "c"]);
        with("on the right", &[5], ["c", "v"]);
        cases.push(case(format!("{op} of a value and itself"), 17, &SHAPE, |n| {
            n.op("Exp", &["a"], "v", vec![]).op(op, &["v", "v"], "w", vec![]).op("Add", &["w", "a"], "z", vec![]);
        }));
        cases.push(case(format!("{op} of two dependent values"), 17, &SHAPE, |n| {
            n.op("Exp", &["a"], "v", vec![]).op("Sigmoid", &["a"], "s", vec![]).op(op, &["s", "v"], "z", vec![]);
        }));
        for order in [["p", "v"], ["v", "p"]] {
            cases.push(case(format!("{op} of {order:?}, one of them a channel's mean"), 17, &SHAPE, |n| {
                n.op("Exp", &["a"], "v", vec![]).op("GlobalAveragePool", &["v"], "p", vec![]).op(
                    op,
                    &order,
                    "z",
                    vec![],
                );
            }));
        }
        cases.push(case(format!("{op} of a shorter value"), 17, &SHAPE, |n| {
            n.op("Exp", &["a"], "v", vec![]);
            n.op("ReduceMean", &["v"], "p", vec![ints("axes", &[0, 1]), int("keepdims", 0)]);
            n.op(op, &["v", "p"], "z", vec![]);
        }));
    }
    for op in ["Sum", "Mean"] {
        cases.push(case(format!("{op} of three"), 17, &SHAPE, |n| {
            n.weights("c", &[4, 1]).op("Sigmoid", &["a"], "s", vec![]).op(op, &["a", "c", "s"], "z", vec![]);
        }));
    }
    cases.push(case("squeeze and excite", 17, &SHAPE, |n| {
        n.op("GlobalAveragePool", &["a"], "p", vec![]).weights("w1", &[2, 4, 1]).weights("w2", &[4, 2, 1]);
        n.op("Conv", &["p", "w1"], "h", vec![]).op("Relu", &["h"], "hr", vec![]);
        n.op("Conv", &["hr", "w2"], "g", vec![]).op("Sigmoid", &["g"], "gate", vec![]);
        n.op("Mul", &["a", "gate"], "z", vec![]);
    }));
    cases
}

fn choices() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in ["Max", "Min"] {
        cases.push(case(format!("{op} with a number"), 17, &SHAPE, |n| {
            n.constant("c", &[], &[0.2]).op(op, &["a", "c"], "z", vec![]);
        }));
        cases.push(case(format!("{op} with a constant before"), 13, &SHAPE, |n| {
            n.weights("c", &[4, 1]).op(op, &["c", "a"], "z", vec![]);
        }));
        cases.push(case(format!("{op} of three"), 17, &SHAPE, |n| {
            n.weights("c", &[5]).op("Neg", &["a"], "m", vec![]).op("Exp", &["a"], "e", vec![]);
            n.constant("half", &[], &[0.5]).op("Sub", &["e", "half"], "f", vec![]).op(
                op,
                &["a", "m", "f", "c"],
                "z",
                vec![],
            );
        }));
        cases.push(case(format!("{op} of a value and its mean"), 17, &SHAPE, |n| {
            n.op("GlobalAveragePool", &["a"], "p", vec![]).op(op, &["p", "a"], "z", vec![]);
        }));
    }
    for (name, least, greatest) in [("both", "low", "high"), ("above", "", "high"), ("below", "low", "")] {
        for operator_set in [11, 17] {
            cases.push(case(format!("Clip {name}"), operator_set, &SHAPE, |n| {
                n.constant("low", &[], &[-0.4]).constant("high", &[], &[0.3]).op(
                    "Clip",
                    &["a", least, greatest],
                    "z",
                    vec![],
                );
            }));
        }
    }
    for slope in [vec![4, 1], vec![1], vec![1, 4, 1]] {
        cases.push(case(format!("PRelu {slope:?}"), 17, &SHAPE, |n| {
            n.weights("s", &slope).op("PRelu", &["a", "s"], "z", vec![]);
        }));
    }
    cases.push(case("PRelu of a dependent slope", 17, &SHAPE, |n| {
        n.op("GlobalAveragePool", &["a"], "s", vec![]).op("PRelu", &["a", "s"], "z", vec![]);
    }));
    cases.push(case("Where with a dependent condition", 17, &SHAPE, |n| {
        n.constant("c", &[], &[0.1]).op("Greater", &["a", "c"], "above", vec![]).op("Exp", &["a"], "e", vec![]);
        n.op("GlobalAveragePool", &["a"], "p", vec![]).op("Where", &["above", "e", "p"], "z", vec![]);
    }));
    cases.push(case("Where with a constant condition", 17, &SHAPE, |n| {
        n.weights("c", &[4, 5]).constant("zero", &[], &[0.0]).op("Less", &["c", "zero"], "chosen", vec![]);
        n.op("Where", &["chosen", "a", "zero"], "z", vec![]);
    }));
    cases
}

fn powers() -> Vec<Case> {
    let mut cases = Vec::new();
    for exponent in [0.0, 1.0, 2.0, 3.0, 4.0] {
        cases.push(case(format!("Pow {exponent}"), 17, &SHAPE, |n| {
            n.constant("e", &[], &[exponent]).op("Pow", &["a", "e"], "p", vec![]).op("Add", &["p", "a"], "z", vec![]);
        }));
    }
    for exponent in [0.5, -1.0, -0.5, 1.7] {
        cases.push(case(format!("Pow {exponent} of positive values"), 17, &SHAPE, |n| {
            n.constant("e", &[1], &[exponent]).op("Exp", &["a"], "v", vec![]).op("Pow", &["v", "e"], "z", vec![]);
        }));
    }
    cases.push(case("Pow with an exponent for each channel", 17, &SHAPE, |n| {
        n.constant("e", &[4, 1], &[2.0, 0.5, -1.0, 3.0]).op("Exp", &["a"], "v", vec![]).op(
            "Pow",
            &["v", "e"],
            "z",
            vec![],
        );
    }));
    cases.push(case("Pow of a constant", 17, &SHAPE, |n| {
        n.constant("two", &[1], &[2.0]).op("Pow", &["two", "a"], "z", vec![]);
    }));
    cases.push(case("Pow of two dependent values", 17, &SHAPE, |n| {
        n.op("Exp", &["a"], "v", vec![]).op("Pow", &["v", "a"], "z", vec![]);
    }));
    cases
}

fn products() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut product = |name: &str, constant: &[usize], order: [&str; 2]| {
        cases.push(case(format!("MatMul {name}"), 17, &SHAPE, |n| {
            n.weights("w", constant).integers("row", &[1, 20]).op("Reshape", &["a", "row"], "f", vec![]);
            n.op("MatMul", &order, "z", vec![]);
        }));
    };
    product("by a matrix", &[5, 2], ["a", "w"]);
    product("of a matrix", &[3, 4], ["w", "a"]);
    product("by a vector", &[5], ["a", "w"]);
    product("of a vector", &[4], ["w", "a"]);
    product("by a stack of matrices", &[3, 5, 2], ["a", "w"]);
    product("by a stack of stacks", &[2, 1, 5, 2], ["a", "w"]);
    product("of features", &[20, 3], ["f", "w"]);
    for (left, right) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for (operand, rows) in [("first", 1), ("second", 1), ("first", 4), ("second", 4)] {
            // A is [rows, 20 / rows] as Gemm sees it, or B.
            let name = format!("Gemm, {operand} of {rows} rows, transA {left} transB {right}");
            cases.push(case(name, 17, &SHAPE, |n| {
                let inner = 20 / rows;
                let (own, transposed) = if operand == "first" { ([rows, inner], left) } else { ([inner, rows], right) };
                let stored = if transposed == 1 { [own[1], own[0]] } else { own };
                n.integers("stored", &stored.map(|size| size as i64)).op("Reshape", &["a", "stored"], "m", vec![]);
                let (other, other_transposed) =
                    if operand == "first" { ([inner, 3], right) } else { ([3, inner], left) };
                let other = if other_transposed == 1 { [other[1], other[0]] } else { other };
                n.weights("w", &other).weights("b", &[1]);
                let order = if operand == "first" { ["m", "w", "b"] } else { ["w", "m", "b"] };
                let settings =
                    vec![int("transA", left), int("transB", right), float("alpha", 0.3), float("beta", -2.0)];
                n.op("Gemm", &order, "z", settings);
            }));
        }
    }
    for offset in [vec![3], vec![1], vec![4, 1], vec![4, 3], vec![]] {
        cases.push(case(format!("Gemm plus a dependent value of shape {offset:?}"), 17, &SHAPE, |n| {
            n.weights("w", &[5, 3]).integers("s", &[4, 5]).op("Reshape", &["a", "s"], "m", vec![]);
            let size: usize = offset.iter().product();
            let shape: Vec<i64> = offset.iter().map(|&size| size as i64).collect();
            n.integers("from", &[0]).integers("to", &[size as i64]).integers("flat", &[-1]).integers("sizes", &shape);
            n.op("Reshape", &["a", "flat"], "v", vec![]).op("Slice", &["v", "from", "to"], "t", vec![]);
            n.op("Reshape", &["t", "sizes"], "c", vec![]);
            n.op("Gemm", &["m", "w", "c"], "z", vec![float("beta", 0.7)]);
        }));
    }
    cases.push(case("self-attention with two heads", 17, &[1, 6, 5], |n| {
        n.op("Transpose", &["a"], "tokens", vec![ints("perm", &[0, 2, 1])]).integers("split", &[1, 5, 2, 3]);
        for part in ["q", "k", "v"] {
            let (weights, flat, heads) = (format!("{part}.w"), format!("{part}.flat"), format!("{part}.heads"));
            n.weights(&weights, &[6, 6]).op("MatMul", &["tokens", &weights], &flat, vec![]);
            n.op("Reshape", &[&flat, "split"], &heads, vec![]);
            let order = if part == "k" { [0, 2, 3, 1] } else { [0, 2, 1, 3] };
            n.op("Transpose", &[&heads], part, vec![ints("perm", &order)]);
        }
        n.op("MatMul", &["q", "k"], "scores", vec![]).constant("scale", &[], &[0.577]);
        n.op("Mul", &["scores", "scale"], "scaled", vec![]).op(
            "Softmax",
            &["scaled"],
            "weights",
            vec![int("axis", -1)],
        );
        n.op("MatMul", &["weights", "v"], "mixed", vec![]);
        n.op("Transpose", &["mixed"], "joined", vec![ints("perm", &[0, 2, 1, 3])]).integers("whole", &[1, 5, 6]);
        n.op("Reshape", &["joined", "whole"], "z", vec![]);
    }));
    cases
}

#[test]
fn values_met_element_by_element() {
    check_all(elementwise());
}

#[test]
fn values_chosen_from_several() {
    check_all(choices());
}

#[test]
fn powers_of_values() {
    check_all(powers());
}

#[test]
fn matrix_products() {
    check_all(products());
}
