//! Facts 5 and 6 of the method: where a cell looks, by formula and by impulse.

use std::collections::HashMap;

use super::networks::{Convolution, Head, Network, Residual, residual};
use crate::gradient::geometry::reaches;
use crate::gradient::{Graph, Tensor};

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
