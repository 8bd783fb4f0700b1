//! Facts 5 and 6 of the method: where a cell looks, by formula and by impulse.

use std::collections::HashMap;

use super::networks::{Convolution, Head, Network, Residual, residual, text};
use onnx_gradient::geometry::reaches;
use onnx_gradient::proto::{int, ints};
use onnx_gradient::{Graph, Tensor};

#[test]
fn the_formula_agrees_with_the_method() {
    // Kernel, stride, left padding of each layer; then first cell, stride, receptive field.
    type Layers<'a> = &'a [(usize, i64, i64)];
    let cases: [(Layers<'_>, (f64, usize, usize)); 5] = [
        (&[(3, 2, 1), (3, 2, 1), (1, 1, 0)], (0.0, 4, 7)),
        (&[(3, 1, 0)], (1.0, 1, 3)),
        (&[(7, 2, 3), (3, 2, 1), (3, 2, 1)], (0.0, 8, 19)),
        (&[(4, 2, 1)], (0.5, 2, 4)),
        (&[(5, 3, 0), (2, 1, 1)], (0.5, 3, 8)),
    ];
    for (layers, expected) in cases {
        let mut network = Network::new(0);
        let mut last = "x".to_owned();
        for (index, &(kernel, stride, padding)) in layers.iter().enumerate() {
            let output = format!("c{index}");
            network.conv(&last, &output, [1, 1, kernel], Convolution::new(stride, [padding, padding]));
            last = output;
        }
        network.op("GlobalAveragePool", &[&last], "p", vec![]).op("Flatten", &["p"], "f", vec![]);
        let graph = Graph::new(&network.dense("f", "y", 1, 1).build(&[1, 1, 64], 1)).expect("valid");
        let reaches = reaches(&graph, "x", 2).expect("an input");
        let reach = reaches[&last];
        assert_eq!((reach.first_cell(), reach.stride(), reach.receptive_field()), expected, "{layers:?}");
        assert!(!reaches.contains_key("f") && !reaches.contains_key("y"), "the average has no position");
    }
}

#[test]
fn an_impulse_moves_exactly_the_cells_whose_field_it_is_in() {
    let shape = Residual { channels: 1, points: 41, outputs: 1, head: Head::FlattenAndSkip };
    let graph = Graph::new(&residual(shape, 11)).expect("valid");
    let reaches = reaches(&graph, "x", 2).expect("an input");
    // Before the first ReLU after the addition everything that is seen moves; a ReLU may hide it.
    for tensor in ["scaled", "stem_linear", "sum"] {
        let reach = reaches[tensor];
        let respond = |point: Option<usize>, height: f64| {
            let mut x = Tensor::zeros(vec![1, 1, 41]);
            if let Some(point) = point {
                x.data_mut()[point] = height;
            }
            let given = HashMap::from([("x".to_owned(), x)]);
            graph.evaluate(&given, &[tensor]).expect("evaluates").remove(tensor).expect("the tensor")
        };
        let rest = respond(None, 0.0);
        let (maps, cells) = (rest.shape()[1], rest.shape()[2]);
        for point in 0..41 {
            let moved = [1e3, -1e3].map(|height| respond(Some(point), height));
            for cell in 0..cells {
                let differs = |moved: &Tensor| {
                    (0..maps).any(|map| moved.data()[map * cells + cell] != rest.data()[map * cells + cell])
                };
                let half = (reach.receptive_field() as f64 - 1.0) / 2.0;
                let centre = reach.first_cell() + (cell * reach.stride()) as f64;
                let sees = (point as f64 - centre).abs() <= half;
                assert_eq!(moved.iter().any(differs), sees, "{tensor}: point {point}, cell {cell} at {centre}");
            }
        }
    }
}

#[test]
fn every_operator_that_moves_cells_says_where_they_look() {
    type Build = fn(&mut Network) -> &mut Network;
    const POINTS: usize = 23;
    // From `x`, [1, 1, 23], to `z`, whose cells lie along its last axis.
    let cases: [(&str, Build); 16] = [
        ("dilated", |n| n.conv("x", "z", [2, 1, 3], Convolution { dilation: 3, ..Convolution::new(2, [4, 1]) })),
        ("SAME_UPPER", |n| {
            n.weights("w", &[2, 1, 4]).op(
                "Conv",
                &["x", "w"],
                "z",
                vec![text("auto_pad", "SAME_UPPER"), ints("strides", &[3])],
            )
        }),
        ("SAME_LOWER", |n| {
            n.weights("w", &[2, 1, 4]).op(
                "Conv",
                &["x", "w"],
                "z",
                vec![text("auto_pad", "SAME_LOWER"), ints("strides", &[2])],
            )
        }),
        ("an image of height 1", |n| {
            n.integers("image", &[1, 1, 1, 23]).op("Reshape", &["x", "image"], "i", vec![]).weights("w", &[2, 1, 3, 5]);
            n.op("Conv", &["i", "w"], "z", vec![ints("strides", &[1, 2]), ints("pads", &[1, 2, 1, 2])])
        }),
        ("channel last", |n| {
            n.weights("w", &[2, 1, 3]).op("Conv", &["x", "w"], "c", vec![ints("strides", &[2])]);
            n.op("Transpose", &["c"], "t", vec![ints("perm", &[0, 2, 1])]).op("Relu", &["t"], "r", vec![]);
            n.op("Transpose", &["r"], "z", vec![ints("perm", &[0, 2, 1])])
        }),
        ("MaxPool", |n| n.op("MaxPool", &["x"], "z", vec![ints("kernel_shape", &[3]), ints("strides", &[2])])),
        ("AveragePool, padded", |n| {
            n.op(
                "AveragePool",
                &["x"],
                "z",
                vec![ints("kernel_shape", &[4]), ints("strides", &[4]), ints("pads", &[2, 1])],
            )
        }),
        ("pool behind a convolution", |n| {
            n.conv("x", "c", [2, 1, 3], Convolution::new(2, [1, 1]));
            n.op("MaxPool", &["c"], "z", vec![ints("kernel_shape", &[2]), ints("strides", &[2])])
        }),
        ("Slice in steps", |n| {
            n.integers("from", &[3]).integers("to", &[21]).integers("axis", &[2]).integers("step", &[4]);
            n.op("Slice", &["x", "from", "to", "axis", "step"], "z", vec![])
        }),
        ("Pad before a convolution", |n| {
            n.integers("pads", &[0, 0, 2, 0, 0, 3]).op("Pad", &["x", "pads"], "p", vec![]);
            n.conv("p", "z", [2, 1, 3], Convolution::new(2, [0, 0]))
        }),
        ("negative Pad", |n| n.integers("pads", &[0, 0, -2, 0, 0, -3]).op("Pad", &["x", "pads"], "z", vec![])),
        ("residual", |n| n.conv("x", "c", [1, 1, 5], Convolution::new(1, [2, 2])).op("Add", &["c", "x"], "z", vec![])),
        ("Concat", |n| {
            n.conv("x", "c", [1, 1, 3], Convolution::new(1, [2, 0])).op(
                "Concat",
                &["c", "x"],
                "z",
                vec![int("axis", 1)],
            )
        }),
        ("Gather of a channel", |n| {
            n.conv("x", "c", [3, 1, 3], Convolution::new(2, [0, 0])).shaped_integers("one", &[], &[1]);
            n.op("Gather", &["c", "one"], "z", vec![int("axis", 1)])
        }),
        ("MatMul of the channels", |n| {
            n.conv("x", "c", [3, 1, 3], Convolution::new(2, [0, 0])).weights("w", &[2, 3]);
            n.op("MatMul", &["w", "c"], "z", vec![])
        }),
        ("Split", |n| {
            n.integers("sizes", &[9, 14]).several("Split", &["x", "sizes"], &["left", "z"], vec![int("axis", 2)])
        }),
    ];
    for (name, build) in cases {
        let mut network = Network::new(21);
        let graph =
            Graph::new(&build(&mut network).draft(&[1, 1, POINTS])).unwrap_or_else(|error| panic!("{name}: {error}"));
        let reach = reaches(&graph, "x", 2).expect("an input").get("z").copied().expect(name);
        assert!(!reach.context(), "{name}");
        let respond = |point: Option<usize>, height: f64| {
            let mut x = Tensor::zeros(vec![1, 1, POINTS]);
            point.into_iter().for_each(|point| x.data_mut()[point] = height);
            let given = HashMap::from([("x".to_owned(), x)]);
            graph.evaluate(&given, &["z"]).expect("evaluates").remove("z").expect("the tensor")
        };
        let rest = respond(None, 0.0);
        let cells = *rest.shape().last().expect("cells");
        let moves = |point: usize, cell: usize| {
            [1.0, -1.0].into_iter().any(|height| {
                let moved = respond(Some(point), height);
                (cell..moved.data().len()).step_by(cells).any(|place| moved.data()[place] != rest.data()[place])
            })
        };
        for cell in 0..cells {
            let centre = reach.first_cell() + (cell * reach.stride()) as f64;
            let half = (reach.receptive_field() as f64 - 1.0) / 2.0;
            let (first, last) = (centre - half, centre + half);
            for point in 0..POINTS {
                let place = point as f64;
                let moved = moves(point, cell);
                assert!(
                    !moved || (first..=last).contains(&place),
                    "{name}: point {point} moves cell {cell} at {centre}"
                );
                assert!(moved || (place != first && place != last), "{name}: point {point} is an end of cell {cell}");
            }
        }
    }
}

#[test]
fn a_number_common_to_all_cells_puts_them_in_context() {
    let mut network = Network::new(22);
    network.conv("x", "c", [2, 1, 3], Convolution::new(2, [1, 1])).op("GlobalAveragePool", &["c"], "mean", vec![]);
    network.op("Sigmoid", &["mean"], "gate", vec![]).op("Mul", &["c", "gate"], "excited", vec![]);
    network.weights("s", &[2]).weights("o", &[2]).op("InstanceNormalization", &["c", "s", "o"], "standardised", vec![]);
    network.op("Add", &["excited", "standardised"], "z", vec![]);
    let graph = Graph::new(&network.draft(&[1, 1, 23])).expect("valid");
    let reaches = reaches(&graph, "x", 2).expect("an input");
    let place = |name: &str| (reaches[name].first_cell(), reaches[name].stride(), reaches[name].receptive_field());
    for name in ["excited", "standardised", "z"] {
        assert!(reaches[name].context() && place(name) == place("c"), "{name}");
    }
    assert!(!reaches["c"].context() && !reaches.contains_key("gate"));
}
