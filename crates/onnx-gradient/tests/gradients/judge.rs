//! The judge of every gradient: central differences in f64, and tract in f32.

use std::collections::HashMap;

use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, TValue, TVec, Tensor as Engine};

use super::networks::Network;
use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{Attached, COTANGENT, GradientError, Graph, Seed, Target, Tensor, attach, proto};

/// Largest difference from the finite difference, relative to the largest gradient: 1e-4 would barely notice a weight
/// that is wrong by 0.1 %.
pub(crate) const RELATIVE_ERROR_MAX: f64 = 1e-5;
/// Of an engine that computes in f32, relative to the largest value.
pub(crate) const F32_RELATIVE_ERROR_MAX: f64 = 2e-5;
/// Step of the central difference. The networks are piecewise linear or smooth: rounding decides.
pub(crate) const STEP: f64 = 1e-5;
/// The outputs are contrasted like this where one row is asked for.
const CONTRAST: [f32; 4] = [1.0, -0.7, 0.4, 0.2];

/// A random input `x`.
pub(crate) fn input(model: &ModelProto, seed: u64) -> HashMap<String, Tensor> {
    let graph = Graph::new(model).expect("a valid graph");
    let shape = graph.shape("x").expect("an input").to_vec();
    let numbers = Network::new(seed).numbers(shape.iter().product());
    HashMap::from([("x".into(), Tensor::new(shape, numbers.into_iter().map(f64::from).collect()))])
}

/// The gradient of `y` attached for some tensors, as `dYdA0`, `dYdA1`...
pub(crate) fn with_gradient(model: &ModelProto, seed: Seed, tensors: &[&str]) -> Result<Attached, GradientError> {
    let names: Vec<(String, String)> =
        (0..tensors.len()).map(|target| (format!("A{target}"), format!("dYdA{target}"))).collect();
    let targets = tensors.iter().zip(&names);
    let targets: Vec<Target<'_>> =
        targets.map(|(&tensor, (activation, gradient))| Target { tensor, activation, gradient }).collect();
    attach(model, "y", seed, &targets)
}

/// ∂y/∂tensor by central differences of a step: a row for each output.
pub(crate) fn differences(
    model: &ModelProto,
    tensor: &str,
    given: &HashMap<String, Tensor>,
    step: f64,
) -> Vec<Vec<f64>> {
    let forward = Graph::new(model).expect("a valid graph");
    let activation = forward.evaluate(given, &[tensor]).expect("evaluates").remove(tensor).expect("the activation");
    let y_at = |index: usize, step: f64| {
        let mut moved = activation.clone();
        moved.data_mut()[index] += step;
        // Everything else the output depends on comes from the input.
        let mut given = given.clone();
        given.insert(tensor.into(), moved);
        forward.evaluate(&given, &["y"]).expect("evaluates").remove("y").expect("the output")
    };
    let columns: Vec<Vec<f64>> = (0..activation.data().len())
        .map(|index| {
            let (above, below) = (y_at(index, step), y_at(index, -step));
            above.data().iter().zip(below.data()).map(|(above, below)| (above - below) / (2.0 * step)).collect()
        })
        .collect();
    (0..columns[0].len()).map(|output| columns.iter().map(|column| column[output]).collect()).collect()
}

/// The largest difference of two lists, relative to the largest of the second.
pub(crate) fn apart(found: impl IntoIterator<Item = f64>, expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(1e-12_f64, |largest, value| largest.max(value.abs()));
    let mut count = 0;
    let worst = found.into_iter().zip(expected).inspect(|_| count += 1).fold(0.0_f64, |worst, (found, expected)| {
        let error = (found - expected).abs();
        if error.is_nan() { f64::INFINITY } else { worst.max(error) }
    });
    assert_eq!(count, expected.len(), "as many values as expected");
    worst / largest
}

/// The largest difference between `dYdA0` of an attached graph and central differences of the original one.
pub(crate) fn relative_error(original: &ModelProto, attached: &ModelProto, tensor: &str) -> f64 {
    let given = input(original, 99);
    let backward = Graph::new(attached).expect("a valid attached graph");
    let gradient = backward.evaluate(&given, &["dYdA0"]).expect("evaluates").remove("dYdA0").expect("the gradient");
    apart(gradient.data().iter().copied(), &differences(original, tensor, &given, STEP).concat())
}

/// One attached graph with everything it is to be compared on.
pub(crate) struct Trial {
    pub(crate) model: ModelProto,
    /// In the order of the graph's inputs.
    pub(crate) inputs: Vec<(String, Tensor)>,
    /// `y`, the activation and its gradient, in f64.
    pub(crate) outputs: Vec<(&'static str, Tensor)>,
}

/// Attaches the gradient of `y` by `tensor` for every output at once and for a contrast of outputs, and holds both against
/// central differences. Every output at once may be refused where an operator mixes the batch axis.
pub(crate) fn trials(model: &ModelProto, tensor: &str) -> Result<Vec<Trial>, String> {
    let given = input(model, 99);
    let rows = differences(model, tensor, &given, STEP);
    let contrast = &CONTRAST[..rows.len()];
    let mixed = (0..rows[0].len())
        .map(|column| rows.iter().zip(contrast).map(|(row, weight)| row[column] * f64::from(*weight)).sum::<f64>());
    let mut trials = Vec::new();
    for (seed, expected) in [(Seed::Cotangent, mixed.collect()), (Seed::All, rows.concat())] {
        let attached = match with_gradient(model, seed, &[tensor]) {
            Err(GradientError::Rows { .. }) if seed == Seed::All => continue,
            result => result.map_err(|error| format!("{seed:?}: {error}"))?,
        };
        let mut given = given.clone();
        if seed == Seed::Cotangent {
            let contrast = contrast.iter().map(|&weight| f64::from(weight)).collect();
            given.insert(COTANGENT.into(), Tensor::new(vec![1, rows.len()], contrast));
        }
        let graph = Graph::new(&attached.model).map_err(|error| format!("{seed:?}: {error}"))?;
        let names = ["y", "A0", "dYdA0"];
        let mut values = graph.evaluate(&given, &names).map_err(|error| format!("{seed:?}: {error}"))?;
        let error = apart(values["dYdA0"].data().iter().copied(), &expected);
        if error > RELATIVE_ERROR_MAX {
            return Err(format!("{seed:?}: relative error {error:e}"));
        }
        let inputs = graph.inputs().iter().map(|name| (name.clone(), given[name].clone())).collect();
        let outputs = names.map(|name| (name, values.remove(name).expect("evaluated"))).into();
        trials.push(Trial { model: attached.model, inputs, outputs });
    }
    Ok(trials)
}

/// Whether tract gives the same in f32.
pub(crate) fn run_by_tract(trial: &Trial) -> Result<(), String> {
    let bytes = proto::encode(&trial.model);
    let plan = tract_onnx::onnx()
        .model_for_read(&mut bytes.as_slice())
        .and_then(|model| model.into_optimized())
        .and_then(|model| model.into_runnable())
        .map_err(|error| format!("tract refuses it: {error:#}"))?;
    let tensors = trial.inputs.iter().map(|(_, value)| -> TValue {
        Engine::from_shape(value.shape(), &value.to_f32()).expect("the input's shape").into()
    });
    let found = plan.run(tensors.collect::<TVec<_>>()).map_err(|error| format!("tract fails: {error:#}"))?;
    for ((output, expected), found) in trial.outputs.iter().zip(&found) {
        if found.shape() != expected.shape() {
            return Err(format!("tract: {output} has the shape {:?}, not {:?}", found.shape(), expected.shape()));
        }
        let found = found.to_plain_array_view::<f32>().expect("f32");
        let error = apart(found.iter().map(|&value| f64::from(value)), expected.data());
        if error > F32_RELATIVE_ERROR_MAX {
            return Err(format!("tract: {output} is off by {error:e}"));
        }
    }
    Ok(())
}

/// Everything a model has to pass.
pub(crate) fn judge(model: &ModelProto, tensor: &str) -> Result<(), String> {
    trials(model, tensor)?.iter().try_for_each(run_by_tract)
}
