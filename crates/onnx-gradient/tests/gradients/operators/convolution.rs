//! Convolutions: every stride, padding, dilation and grouping, along a line and over an image.

use super::{Case, case, check_all, text};
use onnx_gradient::onnx::AttributeProto;
use onnx_gradient::proto::{int, ints};

/// A convolution of [1, 4, 17] to six maps.
fn line(kernel: usize, groups: usize, length: usize, settings: Vec<AttributeProto>) -> Case {
    let shown: Vec<String> =
        settings.iter().map(|a| format!("{} {:?}{}", a.name, a.ints, String::from_utf8_lossy(&a.s))).collect();
    let name = format!("Conv k{kernel} g{groups} of {length} points, {}", shown.join(", "));
    case(name, 17, &[1, 4, length], |n| {
        let outputs = if groups == 4 { 8 } else { 6 };
        n.weights("w", &[outputs, 4 / groups, kernel]).weights("b", &[outputs]);
        let group = int("group", groups as i64);
        n.op("Conv", &["a", "w", "b"], "z", settings.into_iter().chain([group]).collect());
    })
}

fn image(name: &str, shape: [usize; 4], weights: [usize; 4], settings: Vec<AttributeProto>) -> Case {
    case(format!("Conv over an image, {name}"), 17, &shape, |n| {
        n.weights("w", &weights).op("Conv", &["a", "w"], "z", settings);
    })
}

/// A transposed convolution of [1, 4, 7] to six maps.
fn transposed(kernel: usize, groups: usize, settings: Vec<AttributeProto>) -> Case {
    let shown: Vec<String> = settings.iter().map(|a| format!("{} {:?}", a.name, a.ints)).collect();
    case(format!("ConvTranspose k{kernel} g{groups}, {}", shown.join(", ")), 17, &[1, 4, 7], |n| {
        n.weights("w", &[4, 6 / groups, kernel]).weights("b", &[6]);
        let group = int("group", groups as i64);
        n.op("ConvTranspose", &["a", "w", "b"], "z", settings.into_iter().chain([group]).collect());
    })
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kernel, stride, pads, more) in [
        (1, 1, [0, 0], 0),
        (3, 1, [1, 1], 0),
        (4, 2, [1, 1], 0),
        (3, 2, [1, 0], 1),
        (2, 3, [0, 0], 1),
        (5, 3, [2, 1], 2),
    ] {
        let settings = || vec![ints("strides", &[stride]), ints("pads", &pads), ints("output_padding", &[more])];
        cases.push(transposed(kernel, 1, settings()));
        cases.push(transposed(kernel, 2, settings()));
    }
    cases.push(transposed(3, 1, vec![ints("dilations", &[2]), ints("strides", &[2]), ints("pads", &[2, 1])]));
    cases.push(case("ConvTranspose over an image", 17, &[1, 3, 4, 5], |n| {
        n.weights("w", &[3, 2, 2, 3]);
        let settings = vec![ints("strides", &[2, 1]), ints("pads", &[1, 0, 0, 1])];
        n.op("ConvTranspose", &["a", "w"], "z", settings);
    }));
    for stride in [1, 2, 3, 4] {
        for pads in [[0, 0], [1, 1], [2, 0], [0, 3], [4, 5]] {
            for dilation in [1, 2] {
                for (kernel, groups) in [(1, 1), (2, 1), (3, 2), (5, 1), (3, 4)] {
                    let settings =
                        vec![ints("strides", &[stride]), ints("pads", &pads), ints("dilations", &[dilation])];
                    cases.push(line(kernel, groups, 17, settings));
                }
            }
        }
        for policy in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
            // A kernel of 1 in steps of 4 has a test of its own.
            for (kernel, length) in [(1, 15), (2, 17), (3, 16), (4, 17), (5, 18)] {
                cases.push(line(kernel, 1, length, vec![ints("strides", &[stride]), text("auto_pad", policy)]));
            }
        }
    }
    cases.push(line(3, 1, 40, vec![ints("dilations", &[8]), ints("pads", &[8, 8])]));
    cases.push(line(3, 1, 40, vec![ints("dilations", &[6]), ints("strides", &[4]), ints("pads", &[3, 2])]));
    // A cell that sees no point.
    cases.push(line(2, 1, 1, vec![ints("strides", &[4]), ints("pads", &[2, 2])]));
    // A line shorter than the stride.
    cases.push(line(2, 1, 3, vec![ints("strides", &[4])]));
    cases.push(image("height 1", [1, 3, 1, 17], [4, 3, 1, 3], vec![ints("pads", &[0, 1, 0, 1])]));
    cases.push(image(
        "height 1, stride 2 in both",
        [1, 3, 1, 17],
        [4, 3, 1, 3],
        vec![ints("strides", &[2, 2]), ints("pads", &[0, 1, 0, 1])],
    ));
    cases.push(image(
        "height 1 under a kernel of height 3",
        [1, 3, 1, 12],
        [4, 3, 3, 3],
        vec![ints("strides", &[1, 2]), ints("pads", &[1, 1, 1, 1])],
    ));
    cases.push(image(
        "width 1",
        [1, 3, 14, 1],
        [4, 3, 5, 1],
        vec![ints("strides", &[3, 1]), ints("pads", &[2, 0, 2, 0])],
    ));
    cases.push(image(
        "7 by 9",
        [1, 3, 7, 9],
        [4, 3, 3, 2],
        vec![ints("strides", &[2, 3]), ints("pads", &[1, 0, 1, 1])],
    ));
    cases.push(image("1 by 1 in steps", [1, 3, 7, 9], [4, 3, 1, 1], vec![ints("strides", &[2, 3])]));
    cases.push(image(
        "dilated",
        [1, 2, 8, 9],
        [4, 2, 2, 3],
        vec![ints("dilations", &[3, 2]), ints("strides", &[1, 2])],
    ));
    cases.push(image(
        "same",
        [1, 2, 5, 6],
        [4, 2, 3, 4],
        vec![text("auto_pad", "SAME_LOWER"), ints("strides", &[2, 2])],
    ));
    cases.push(case("Conv over a volume", 17, &[1, 2, 4, 3, 5], |n| {
        n.weights("w", &[3, 2, 2, 1, 3]);
        let settings = vec![ints("strides", &[2, 1, 2]), ints("pads", &[0, 0, 1, 1, 0, 1])];
        n.op("Conv", &["a", "w"], "r", settings).integers("s", &[1, 3, -1]).op("Reshape", &["r", "s"], "z", vec![]);
    }));
    cases
}

/// Where the last window ends before the last point, ONNX Runtime 1.32 starts the first one behind the first point; the
/// specification, TensorFlow and tract add no padding.
fn not_for_onnx_runtime() -> Vec<Case> {
    vec![line(1, 1, 16, vec![ints("strides", &[4]), text("auto_pad", "SAME_UPPER")])]
}

#[test]
fn convolutions() {
    check_all(cases());
    check_all(not_for_onnx_runtime());
}
