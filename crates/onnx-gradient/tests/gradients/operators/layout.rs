//! Operators that move elements, repeat them or leave some out.

use super::super::judge::trials;
use super::{Case, TARGET, case, check_all, text};
use onnx_gradient::proto::{int, ints};

const SHAPE: [usize; 3] = [1, 4, 5];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = shapes();
    cases.extend(parts());
    cases.extend(paddings());
    cases
}

fn shapes() -> Vec<Case> {
    let mut cases = Vec::new();
    for perm in [[0, 2, 1], [1, 0, 2], [2, 1, 0]] {
        cases.push(case(format!("Transpose {perm:?}"), 17, &SHAPE, |n| {
            n.op("Transpose", &["a"], "t", vec![ints("perm", &perm)]).weights("w", &[5]).integers("s", &[-1, 5]);
            n.op("Reshape", &["t", "s"], "r", vec![]).op("Mul", &["r", "w"], "z", vec![]);
        }));
    }
    for shape in [&[0, 2, -1][..], &[-1, 5], &[20], &[1, 2, 2, 5], &[-1, 20]] {
        cases.push(case(format!("Reshape {shape:?}"), 17, &SHAPE, |n| {
            n.integers("s", shape).op("Reshape", &["a", "s"], "z", vec![]);
        }));
    }
    cases.push(case("Reshape with literal zeros allowed", 17, &SHAPE, |n| {
        n.integers("s", &[2, 10]).op("Reshape", &["a", "s"], "z", vec![int("allowzero", 1)]);
    }));
    for axis in [0, 1, 2, -1, 3] {
        cases.push(case(format!("Flatten from axis {axis}"), 17, &SHAPE, |n| {
            n.op("Flatten", &["a"], "z", vec![int("axis", axis)]);
        }));
    }
    cases.push(case("Squeeze and Unsqueeze by operands", 13, &SHAPE, |n| {
        n.integers("up", &[1, -1]).integers("down", &[-4]).op("Unsqueeze", &["a", "up"], "u", vec![]);
        n.op("Squeeze", &["u", "down"], "z", vec![]);
    }));
    cases.push(case("Squeeze and Unsqueeze by attributes", 11, &SHAPE, |n| {
        n.op("Unsqueeze", &["a"], "u", vec![ints("axes", &[3, 1])]).op(
            "Squeeze",
            &["u"],
            "z",
            vec![ints("axes", &[0])],
        );
    }));
    cases.push(case("Squeeze of all", 17, &SHAPE, |n| {
        n.op("Squeeze", &["a"], "z", vec![]);
    }));
    for shape in [&[1, 4, 5][..], &[3, 4, 5], &[2, 1, 4, 5]] {
        cases.push(case(format!("Expand to {shape:?}"), 17, &SHAPE, |n| {
            n.op("GlobalAveragePool", &["a"], "p", vec![]).integers("s", shape).op("Expand", &["p", "s"], "z", vec![]);
        }));
    }
    for op in ["Identity", "Dropout"] {
        cases.push(case(op, 17, &SHAPE, |n| {
            n.op(op, &["a"], "z", vec![]);
        }));
    }
    cases.push(case("Cast", 17, &SHAPE, |n| {
        n.op("Cast", &["a"], "z", vec![int("to", 1)]);
    }));
    cases
}

fn parts() -> Vec<Case> {
    let mut cases = Vec::new();
    for axis in [0, 1, 2, -1] {
        cases.push(case(format!("Concat along axis {axis}"), 17, &SHAPE, |n| {
            n.op("Exp", &["a"], "r", vec![]).weights("c", &[1, 4, 5]);
            n.op("Concat", &["r", "c", "a", "a"], "z", vec![int("axis", axis)]);
        }));
    }
    type Slices<'a> = &'a [(i64, i64, i64, i64)];
    // Axis, start, end, step.
    let slices: [Slices<'_>; 8] = [
        &[(1, 1, i64::MAX, 1), (2, -4, -2, 1)],
        &[(2, 0, 5, 2)],
        &[(2, 1, 5, 3)],
        &[(2, 1, 4, 2), (1, 0, 4, 3)],
        &[(2, -1, i64::MIN + 1, -1)],
        &[(2, 3, 0, -2)],
        &[(1, i64::MAX, i64::MIN, -1)],
        &[(0, 0, 1, 1), (-1, 2, 3, 1)],
    ];
    for parts in slices {
        cases.push(case(format!("Slice {parts:?}"), 17, &SHAPE, |n| {
            n.integers("axes", &parts.iter().map(|part| part.0).collect::<Vec<_>>());
            n.integers("from", &parts.iter().map(|part| part.1).collect::<Vec<_>>());
            n.integers("to", &parts.iter().map(|part| part.2).collect::<Vec<_>>());
            n.integers("step", &parts.iter().map(|part| part.3).collect::<Vec<_>>());
            n.op("Slice", &["a", "from", "to", "axes", "step"], "z", vec![]);
        }));
    }
    for (operator_set, sizes) in [(11, Some(vec![1, 3])), (13, Some(vec![1, 3])), (11, None), (13, None), (18, None)] {
        cases.push(case(format!("Split into {sizes:?}"), operator_set, &SHAPE, |n| {
            let mut attributes = vec![int("axis", 1)];
            let mut operands = vec!["a"];
            match &sizes {
                Some(sizes) if operator_set < 13 => attributes.push(ints("split", sizes)),
                Some(sizes) => {
                    n.integers("sizes", sizes);
                    operands.push("sizes");
                }
                None if operator_set >= 18 => attributes.push(int("num_outputs", 2)),
                None => {}
            }
            n.several("Split", &operands, &["s0", "s1"], attributes).op("Exp", &["s1"], "e", vec![]);
            n.op("Concat", &["e", "s0", "s0"], "z", vec![int("axis", 1)]);
        }));
    }
    cases.push(case("Split of which one part is used", 13, &SHAPE, |n| {
        n.integers("sizes", &[1, 2, 2]).several("Split", &["a", "sizes"], &["s0", "z", "s2"], vec![int("axis", 2)]);
    }));
    for (name, axis, shape, places) in [
        ("one place", 1, &[][..], &[2][..]),
        ("one place from the end", 2, &[], &[-1]),
        ("a list", 2, &[3], &[4, 0, 1]),
        ("a list with repetitions", 2, &[4], &[4, 1, 1, -1]),
        ("a table", 1, &[2, 2], &[3, 0, 0, 2]),
    ] {
        cases.push(case(format!("Gather of {name}"), 17, &SHAPE, |n| {
            n.shaped_integers("places", shape, places).op("Gather", &["a", "places"], "z", vec![int("axis", axis)]);
        }));
    }
    cases
}

fn paddings() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in ["constant", "reflect", "edge"] {
        for pads in [[0, 0, 0, 0, 0, 3], [0, 0, 2, 0, 0, 1], [0, 1, 4, 0, 2, 0]] {
            cases.push(case(format!("Pad {mode} {pads:?}"), 17, &SHAPE, |n| {
                n.integers("pads", &pads).constant("c", &[], &[0.3]);
                let operands: &[&str] = if mode == "constant" { &["a", "pads", "c"] } else { &["a", "pads"] };
                n.op("Pad", operands, "z", vec![text("mode", mode)]);
            }));
        }
    }
    cases.push(case("Pad by default", 13, &SHAPE, |n| {
        n.integers("pads", &[0, 0, 2, 0, 0, 1]).op("Pad", &["a", "pads"], "z", vec![]);
    }));
    cases.push(case("Pad of named axes", 18, &SHAPE, |n| {
        n.integers("pads", &[2, 1]).integers("axes", &[-1]).op("Pad", &["a", "pads", "", "axes"], "z", vec![]);
    }));
    cases
}

#[test]
fn shapes_renamed() {
    check_all(shapes());
}

#[test]
fn parts_taken_and_joined() {
    check_all(parts());
}

/// tract 0.23.9 does not read this mode.
fn not_for_tract() -> Vec<Case> {
    let pads = [[0, 0, 0, 0, 0, 3], [0, 0, 2, 0, 0, 1], [0, 1, 4, 0, 2, 0], [0, 0, 5, 0, 0, 5]];
    let wrapped = pads.map(|pads| {
        case(format!("Pad wrap {pads:?}"), 19, &SHAPE, |n| {
            n.integers("pads", &pads).op("Pad", &["a", "pads"], "z", vec![text("mode", "wrap")]);
        })
    });
    wrapped.into()
}

#[test]
fn points_added() {
    check_all(paddings());
    for Case { name, model } in not_for_tract() {
        trials(&model, TARGET).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    }
}
