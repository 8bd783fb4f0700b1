//! Every exported network: its attached gradient is what the training framework's automatic differentiation gives.

use onnx_gradient::Seed;
use onnx_gradient::onnx::ModelProto;

use crate::engine::{ACTIVATION, GRADIENT, Running, attached, distance, evaluated};
use crate::files::{File, Row, files};

/// Between the largest difference and the largest value of a tensor, tract in f32 against autograd in f64.
pub(crate) const F32_DISTANCE_MAX: f64 = 1e-5;
/// The f64 evaluation against autograd in f64: what is left are the exporters' own roundings of folded weights and
/// epsilons to f32.
const F64_DISTANCE_MAX: f64 = 1e-6;
/// What two inputs make of a map that depends on them.
const CHANGE_MIN: f64 = 1e-3;

/// dY/dA of class `class`.
pub(crate) fn of_class(gradients: &[f64], class: usize, outputs: usize) -> &[f64] {
    let size = gradients.len() / outputs;
    &gradients[class * size..(class + 1) * size]
}

fn argmax(y: &[f64]) -> usize {
    (0..y.len()).fold(0, |best, index| if y[index] > y[best] { index } else { best })
}

/// The largest distance of dY/dA from autograd's in tract, over all inputs and classes. `class_shift` asks for another class than the
/// one that is compared.
pub(crate) fn off_by(model: &ModelProto, file: &File, index: usize, rows: &[Row], class_shift: usize) -> f64 {
    let target = &file.targets[index];
    let mut running = Running::new(model, &file.input);
    let mut worst = 0.0_f64;
    for row in rows {
        let outputs = row.y.len();
        for class in 0..outputs {
            let values = running.run(&row.x, Some((class + class_shift) % outputs));
            let wanted = of_class(&row.targets[index].1, class, outputs);
            worst = worst.max(distance(&target.maps_first(&values[GRADIENT]), wanted));
        }
    }
    worst
}

/// What one input gave for one target.
struct Seen {
    /// dY/dA of every class.
    gradients: Vec<f64>,
    /// M of the greatest.
    map: Vec<f64>,
}

/// One target of one file in tract and in f64, for every input and every class.
fn check(file: &File, index: usize, rows: &[Row]) {
    let target = &file.targets[index];
    let attached = attached(file, target, Seed::ClassIndex);
    let found = &attached.targets[0];
    let name = format!("{} ({}), {}", file.name, file.exporter, target.module);
    assert_eq!(found.constant.is_some(), target.constant, "{name}: is the gradient constant?");
    assert_eq!(found.position_independent(), target.position_independent, "{name}: is it the same everywhere?");
    assert_eq!(found.positions.map_axis != 1, target.channel_last, "{name}: where the maps are");
    let mut running = Running::new(&attached.model, &file.input);
    let mut seen: Vec<Seen> = Vec::new();
    for row in rows {
        let (activation, gradients) = &row.targets[index];
        let outputs = row.y.len();
        let mut all = Vec::new();
        for class in 0..outputs {
            let wanted = of_class(gradients, class, outputs);
            let values = running.run(&row.x, Some(class));
            let exact = evaluated(&attached.model, &file.input, &row.x, Some(class));
            for (what, values, limit) in [("tract", &values, F32_DISTANCE_MAX), ("f64", &exact, F64_DISTANCE_MAX)] {
                let of_gradient = distance(&target.maps_first(&values[GRADIENT]), wanted);
                let of_activation = distance(&target.maps_first(&values[ACTIVATION]), activation);
                assert!(of_gradient <= limit, "{name}: dY/dA of class {class} in {what} is off by {of_gradient:e}");
                assert!(of_activation <= limit, "{name}: A in {what} is off by {of_activation:e}");
            }
            all.extend(target.maps_first(&values[GRADIENT]));
        }
        let best = of_class(&all, argmax(&row.y), outputs);
        let cells = activation.len() / found.maps;
        let mut map = vec![0.0; cells];
        best.iter().zip(activation).enumerate().for_each(|(at, (gradient, a))| map[at % cells] += gradient * a);
        seen.push(Seen { gradients: all, map });
    }
    // A map that does not follow the input explains nothing.
    let [first, second] = &seen[..] else { panic!("{name}: two inputs") };
    let change = distance(&first.map, &second.map);
    assert!(change > CHANGE_MIN, "{name}: the map hardly changes with the input: {change:e}");
    let change = distance(&first.gradients, &second.gradients);
    let wanted = distance(&rows[0].targets[index].1, &rows[1].targets[index].1);
    match target.constant {
        true => assert_eq!(change, 0.0, "{name}: the gradient is constant"),
        // A piecewise linear network may well treat two inputs alike.
        false => assert_eq!(change > CHANGE_MIN, wanted > CHANGE_MIN, "{name}: the gradient changes by {change:e}"),
    }
}

/// Every file of the table whose name `keep` likes.
fn check_all(table: &str, keep: fn(&str) -> bool) {
    let mut failed = Vec::new();
    for file in files(table).iter().filter(|file| keep(&file.name) && !file.targets.is_empty()) {
        let rows = file.rows();
        for index in 0..file.targets.len() {
            let checked = std::panic::catch_unwind(|| check(file, index, &rows));
            if let Err(panic) = checked {
                let text = panic.downcast_ref::<String>().cloned();
                failed.push(text.unwrap_or_else(|| panic.downcast_ref::<&str>().copied().unwrap_or_default().into()));
            }
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn pytorch_dynamo() {
    check_all("torch", |name| name.contains("dynamo"));
}

#[test]
fn pytorch_torchscript() {
    check_all("torch", |name| name.contains("torchscript"));
}

#[test]
fn keras_tf2onnx() {
    check_all("keras", |_| true);
}

#[test]
fn matlab_style() {
    check_all("matlab", |_| true);
}
