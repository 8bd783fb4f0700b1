//! Pools, along a line and over an image.

use super::{Case, case, check_all, text};
use onnx_gradient::onnx::AttributeProto;
use onnx_gradient::proto::{int, ints};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut pool = |op: &str, shape: &[usize], settings: Vec<AttributeProto>| {
        let shown: Vec<String> = settings
            .iter()
            .map(|a| format!("{} {:?}{}{}", a.name, a.ints, a.i, String::from_utf8_lossy(&a.s)))
            .collect();
        // Dilated averages came with operator set 19.
        let dilated = settings.iter().any(|setting| setting.name == "dilations");
        let operator_set = if op == "AveragePool" && dilated { 19 } else { 17 };
        cases.push(case(format!("{op} of {shape:?}, {}", shown.join(", ")), operator_set, shape, |n| {
            n.op(op, &["a"], "z", settings);
        }));
    };
    for op in ["AveragePool", "MaxPool"] {
        for ceil in [0, 1] {
            for length in [16, 17] {
                let mut line = |kernel: i64, stride: i64, pads: [i64; 2]| {
                    let size = [ints("kernel_shape", &[kernel]), ints("strides", &[stride])];
                    let more = [ints("pads", &pads), int("ceil_mode", ceil)];
                    pool(op, &[1, 3, length], [size, more].concat());
                };
                line(2, 2, [0, 0]);
                line(3, 3, [0, 0]);
                line(3, 2, [1, 1]);
                line(3, 1, [1, 1]);
                line(2, 3, [0, 0]);
                line(4, 2, [2, 1]);
            }
        }
        pool(op, &[1, 3, 17], vec![ints("kernel_shape", &[3]), ints("dilations", &[2]), ints("strides", &[2])]);
        pool(op, &[1, 3, 17], vec![ints("kernel_shape", &[3]), text("auto_pad", "SAME_UPPER"), ints("strides", &[2])]);
        pool(op, &[1, 3, 17], vec![ints("kernel_shape", &[4]), text("auto_pad", "SAME_LOWER"), ints("strides", &[3])]);
        pool(op, &[1, 3, 1, 16], vec![ints("kernel_shape", &[1, 2]), ints("strides", &[1, 2])]);
        pool(op, &[1, 3, 16, 1], vec![ints("kernel_shape", &[2, 1]), ints("strides", &[2, 1])]);
        pool(op, &[1, 3, 6, 8], vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]);
        pool(
            op,
            &[1, 3, 7, 9],
            vec![ints("kernel_shape", &[3, 2]), ints("strides", &[2, 2]), ints("pads", &[1, 0, 1, 1])],
        );
    }
    for ceil in [0, 1] {
        let settings = [ints("kernel_shape", &[3]), ints("strides", &[2]), ints("pads", &[1, 1])];
        let more = vec![int("count_include_pad", 1), int("ceil_mode", ceil)];
        pool("AveragePool", &[1, 3, 18], settings.into_iter().chain(more).collect());
    }
    for op in ["GlobalAveragePool", "GlobalMaxPool"] {
        for shape in [&[1, 3, 9][..], &[1, 3, 1, 9], &[1, 3, 4, 5]] {
            pool(op, shape, vec![]);
        }
    }
    // After a ReLU a window of zeros is tied, and a padded zero must not win.
    for (kernel, stride, pads) in [(2, 2, [0, 0]), (3, 2, [1, 1])] {
        cases.push(case(format!("MaxPool k{kernel} of rectified values, many tied"), 17, &[1, 3, 16], |n| {
            n.op("Relu", &["a"], "r", vec![]);
            let settings = vec![ints("kernel_shape", &[kernel]), ints("strides", &[stride]), ints("pads", &pads)];
            n.op("MaxPool", &["r"], "z", settings);
        }));
    }
    // nn.AdaptiveAvgPool1d(4) of 16 points, as exporters write it.
    cases.push(case("adaptive pooling", 17, &[1, 3, 16], |n| {
        n.op("AveragePool", &["a"], "z", vec![ints("kernel_shape", &[4]), ints("strides", &[4])]);
    }));
    cases
}

#[test]
fn pools() {
    check_all(cases());
}
