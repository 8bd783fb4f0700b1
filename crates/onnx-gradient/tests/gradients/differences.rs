//! The attached gradient of a whole network against central differences, with controls that must fail.

use super::judge::{RELATIVE_ERROR_MAX, judge, relative_error, with_gradient};
use super::networks::{Head, Residual, residual};
use onnx_gradient::Seed;

const SMALL: Residual = Residual { channels: 2, points: 30, outputs: 3, head: Head::FlattenAndSkip };

#[test]
fn every_layer_of_the_network_family() {
    for head in [Head::FlattenAndSkip, Head::Average, Head::TwoLayers] {
        for points in [29, 30, 31, 32] {
            let model = residual(Residual { points, head, ..SMALL }, 1);
            for tensor in ["stage", "sum", "second", "first", "stem", "stem_linear", "scaled"] {
                // Without the skip, "scaled" reaches y through the whole trunk; with it, along both ways.
                judge(&model, tensor).unwrap_or_else(|fault| panic!("{points} points, target {tensor}: {fault}"));
            }
        }
    }
}

#[test]
fn mutations_do_not_pass() {
    // In this network the largest weight's channel passes its ReLU, so that the weight matters.
    let model = residual(SMALL, 10);
    let attached = with_gradient(&model, Seed::All, &["stem"]).expect("differentiable").model;
    assert!(relative_error(&model, &attached, "stem") <= RELATIVE_ERROR_MAX);
    type Mutation = fn(&[usize], &mut [f32]);
    let mutations: [(&str, Mutation); 3] = [
        ("a weight times 1.001", |_, data| {
            let largest = data.iter_mut().max_by(|a, b| a.abs().total_cmp(&b.abs())).expect("weights");
            *largest *= 1.001;
        }),
        ("an unflipped kernel", |shape, data| data.chunks_exact_mut(shape[2]).for_each(<[f32]>::reverse)),
        ("swapped phases", |shape, data| {
            let phase = shape[1] * shape[2];
            data.chunks_exact_mut(2 * phase).for_each(|pair| {
                let (even, odd) = pair.split_at_mut(phase);
                even.swap_with_slice(odd);
            });
        }),
    ];
    for (name, mutate) in mutations {
        let mut mutated = attached.clone();
        let graph = mutated.graph.as_option_mut().expect("a graph");
        // Of the gradient's kernels, the one of the convolution k3 s2 24 -> 16 in two phases.
        let kernel = |dims: &[i64]| matches!(dims, [32, 24, 2]);
        let tensor =
            graph.initializer.iter_mut().find(|tensor| tensor.name.starts_with("grad/") && kernel(&tensor.dims));
        let tensor = tensor.expect("a kernel of the gradient");
        let mut data: Vec<f32> = tensor.raw_data.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        mutate(&[32, 24, 2], &mut data);
        tensor.raw_data = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        let error = relative_error(&model, &mutated, "stem");
        assert!(error > RELATIVE_ERROR_MAX, "{name} went unnoticed: {error:e}");
    }
    // The wrong class: the output's rows in another order.
    let mut swapped = model.clone();
    for tensor in &mut swapped.graph.as_option_mut().expect("a graph").initializer {
        if tensor.name.starts_with("head.") {
            let row = tensor.raw_data.len() / 3;
            tensor.raw_data.rotate_left(row);
        }
    }
    let error = relative_error(&swapped, &attached, "stem");
    assert!(error > RELATIVE_ERROR_MAX, "the wrong class went unnoticed: {error:e}");
}
