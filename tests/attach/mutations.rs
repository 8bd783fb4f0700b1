//! Controls that must fail: what is wrong by little, or only looks right, is seen by the comparison with autograd.

use onnx_gradient::Seed;
use onnx_gradient::onnx::{ModelProto, TensorProto};

use crate::autograd::{F32_DISTANCE_MAX, off_by};
use crate::engine::attached;
use crate::files::file;

/// Files with strided convolutions behind the target, and the module that is the target: one-dimensional, images, asymmetric pads,
/// normalisation apart.
const CONTROLLED: [(&str, &str); 6] = [
    ("resnet-dynamo-18", "stages.0.0.relu2"),
    ("resnet-torchscript-13-unfolded", "stages.0.0.relu2"),
    ("resnet-flat-dynamo-20", "stages.0.0.relu2"),
    ("image-torchscript-11", "relu2"),
    ("keras-resnet-13", "a_relu2"),
    ("matlab-regression", "leaky_1"),
];
/// Controlled files with a stride of two behind the target, at least.
const STRIDED_MIN: usize = 4;
/// Weights of a kernel, the largest first, that are tried.
const PLACES: usize = 100;
/// A weight that is wrong by 0.1 %.
const SLIGHTLY: f32 = 1.001;

/// The files with one thing changed, in one place or another: none where there is no such thing.
type FileChange = fn(&ModelProto, usize) -> Vec<ModelProto>;

/// Changes each kernel that is attached to every controlled file. The file must then be off by more than the tolerance, for one of
/// the places at least: the others may belong to a map that is dead for both inputs.
fn check(what: &str, change: FileChange) {
    for (name, module) in CONTROLLED {
        let file = file(name);
        let index = file.targets.iter().position(|target| target.module == module).expect("a target of the file");
        let rows = file.rows();
        let sound = attached(&file, &file.targets[index], Seed::ClassIndex).model;
        let distance = off_by(&sound, &file, index, &rows, 0);
        assert!(distance <= F32_DISTANCE_MAX, "{name}, {module}: off by {distance:e} as it is");
        let mut changed = 0;
        loop {
            let wrong = change(&sound, changed);
            if wrong.is_empty() {
                break;
            }
            let seen = wrong.iter().any(|wrong| off_by(wrong, &file, index, &rows, 0) > F32_DISTANCE_MAX);
            assert!(seen, "{name}, {module}: {what} in kernel {changed} is not seen");
            changed += 1;
        }
        assert!(changed > 0, "{name}, {module}: {what}: there is nothing to change");
    }
}

/// The numbers that attaching added, of rank 3 or more: kernels.
fn kernels(model: &mut ModelProto) -> impl Iterator<Item = &mut TensorProto> {
    let added = model.graph.as_option_mut().expect("a graph").initializer.iter_mut();
    added.filter(|tensor| {
        tensor.name.starts_with("grad/") && tensor.dims.len() >= 3 && tensor.dims.iter().skip(2).any(|&size| size > 1)
    })
}

fn numbers(tensor: &TensorProto) -> Vec<f32> {
    tensor.raw_data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn set(tensor: &mut TensorProto, numbers: &[f32]) {
    tensor.raw_data = numbers.iter().flat_map(|value| value.to_le_bytes()).collect();
}

#[test]
fn the_wrong_class_is_seen() {
    for (name, module) in CONTROLLED {
        let file = file(name);
        let index = file.targets.iter().position(|target| target.module == module).expect("a target of the file");
        let rows = file.rows();
        if rows[0].y.len() > 1 {
            let sound = attached(&file, &file.targets[index], Seed::ClassIndex).model;
            let distance = off_by(&sound, &file, index, &rows, 1);
            assert!(distance > F32_DISTANCE_MAX, "{name}: the next class's gradient is not seen: off by {distance:e}");
        }
    }
}

#[test]
fn a_kernel_that_is_not_flipped_is_seen() {
    check("an unflipped kernel", |sound, index| {
        let mut wrong = sound.clone();
        let Some(tensor) = kernels(&mut wrong).nth(index) else { return Vec::new() };
        let extent: i64 = tensor.dims.iter().skip(2).product();
        let mut values = numbers(tensor);
        values.chunks_mut(extent as usize).for_each(<[f32]>::reverse);
        set(tensor, &values);
        vec![wrong]
    });
}

#[test]
fn a_weight_that_is_slightly_wrong_is_seen() {
    check("a weight too large by 0.1 %", |sound, index| {
        let Some(values) = kernels(&mut sound.clone()).nth(index).map(|tensor| numbers(tensor)) else {
            return Vec::new();
        };
        let mut places: Vec<usize> = (0..values.len()).collect();
        places.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
        let wrong = places.iter().take(PLACES).map(|&place| {
            let mut wrong = sound.clone();
            let mut values = values.clone();
            values[place] *= SLIGHTLY;
            set(kernels(&mut wrong).nth(index).expect("the same kernel"), &values);
            wrong
        });
        wrong.collect()
    });
}

#[test]
fn swapped_phases_are_seen() {
    let mut swapped = 0;
    for (name, module) in CONTROLLED {
        let file = file(name);
        let index = file.targets.iter().position(|target| target.module == module).expect("a target of the file");
        let mut wrong = attached(&file, &file.targets[index], Seed::ClassIndex).model;
        let phased = phased_kernels(&wrong);
        if phased.is_empty() {
            continue;
        }
        for tensor in kernels(&mut wrong).filter(|tensor| phased.contains(&tensor.name)) {
            // A map's two phases stand side by side.
            let row = tensor.dims.iter().skip(1).product::<i64>() as usize;
            let mut values = numbers(tensor);
            values.chunks_mut(2 * row).for_each(|pair| pair.rotate_left(row));
            set(tensor, &values);
        }
        let distance = off_by(&wrong, &file, index, &file.rows(), 0);
        assert!(distance > F32_DISTANCE_MAX, "{name}, {module}: swapped phases are not seen: off by {distance:e}");
        swapped += 1;
    }
    assert!(swapped >= STRIDED_MIN, "{swapped} files have a stride of two behind the target");
}

/// The kernels whose convolution gives phases that are then put side by side.
fn phased_kernels(model: &ModelProto) -> Vec<String> {
    let nodes = &model.graph.as_option().expect("a graph").node;
    let next = |name: &str| nodes.iter().find(|node| node.input.iter().any(|input| input == name));
    let convolutions = nodes.iter().filter(|node| node.name.starts_with("grad/") && node.op_type == "Conv");
    let phased = convolutions.filter(|node| {
        let reshape = next(&node.output[0]).filter(|next| next.op_type == "Reshape");
        reshape.and_then(|reshape| next(&reshape.output[0])).is_some_and(|next| next.op_type == "Transpose")
    });
    phased.map(|node| node.input[1].clone()).collect()
}
