//! Attached files in tract, as the daemon runs them, and in f64.

use std::collections::HashMap;

use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{Attached, CLASS_INDEX, Graph, Seed, Target, Tensor, attach, fix_shape, proto};
use ramand_model::optimised;
use tract_onnx::prelude::{Datum, Framework, InferenceFact, IntoRunnable, Tensor as Engine, TypedSimpleState, tensor0};

use crate::files::{File, Module};

/// Names of what is attached.
pub(crate) const ACTIVATION: &str = "grad/activation";
pub(crate) const GRADIENT: &str = "grad/gradient";

/// The file's graph with one target attached.
pub(crate) fn attached(file: &File, target: &Module, seed: Seed) -> Attached {
    let model = fixed(file);
    let target = Target { tensor: &target.value, activation: ACTIVATION, gradient: GRADIENT };
    attach(&model, &file.explained, seed, &[target])
        .unwrap_or_else(|error| panic!("{} ({}), {}: {error}", file.name, file.exporter, target.tensor))
}

/// The file with its open sizes fixed, as `--shape` does.
pub(crate) fn fixed(file: &File) -> ModelProto {
    let mut model = file.model();
    if file.shape.is_some() {
        fix_shape(&mut model, None, &file.input).unwrap_or_else(|error| panic!("{}: {error}", file.name));
    }
    model
}

/// A loaded file; its outputs are addressed by index, because tract renames them.
pub(crate) struct Running {
    state: TypedSimpleState,
    shape: Vec<usize>,
    outputs: Vec<String>,
}

impl Running {
    pub(crate) fn new(model: &ModelProto, shape: &[usize]) -> Self {
        let graph = model.graph.as_option().expect("a graph");
        let mut loaded = tract_onnx::onnx()
            .with_ignore_value_info(true)
            .model_for_read(&mut proto::encode(model).as_slice())
            .expect("tract reads it");
        loaded.set_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape)).expect("tract takes the shape");
        let plan = optimised(loaded).and_then(|model| model.into_runnable()).expect("tract optimises it");
        let outputs = graph.output.iter().map(|output| output.name.clone()).collect();
        Self { state: plan.spawn().expect("tract makes buffers"), shape: shape.to_vec(), outputs }
    }

    /// Every output by name; `class` is the class index, where the file has one.
    pub(crate) fn run(&mut self, x: &[f64], class: Option<usize>) -> HashMap<String, Vec<f64>> {
        self.run_with(x, class.map(|class| tensor0(class as i64)))
    }

    /// The same of a file that asks how much each output counts.
    pub(crate) fn mixed(&mut self, x: &[f64], weights: &[f64]) -> HashMap<String, Vec<f64>> {
        let weights: Vec<f32> = weights.iter().map(|&weight| weight as f32).collect();
        self.run_with(x, Some(Engine::from_shape(&[1, weights.len()], &weights).expect("a row")))
    }

    fn run_with(&mut self, x: &[f64], more: Option<Engine>) -> HashMap<String, Vec<f64>> {
        let x: Vec<f32> = x.iter().map(|&value| value as f32).collect();
        let mut inputs = vec![Engine::from_shape(&self.shape, &x).expect("as many values").into()];
        inputs.extend(more.map(Into::into));
        let values = self.state.run(inputs.into()).expect("tract runs it");
        let values = values.iter().map(|value| {
            let value = value.cast_to::<f32>().expect("numbers");
            value
                .try_as_plain_ram()
                .and_then(|plain| plain.as_slice::<f32>().map(|values| values.iter().map(|&v| f64::from(v)).collect()))
                .expect("in memory")
        });
        self.outputs.iter().cloned().zip(values).collect()
    }
}

/// The same in f64, operator by operator.
pub(crate) fn evaluated(
    model: &ModelProto,
    shape: &[usize],
    x: &[f64],
    class: Option<usize>,
) -> HashMap<String, Vec<f64>> {
    let graph = Graph::new(model).expect("a valid graph");
    let mut given = HashMap::from([(graph.inputs()[0].clone(), Tensor::new(shape.to_vec(), x.to_vec()))]);
    if let Some(class) = class {
        given.insert(CLASS_INDEX.into(), Tensor::new(vec![], vec![class as f64]));
    }
    let outputs = graph.outputs().to_vec();
    let wanted: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let values = graph.evaluate(&given, &wanted).expect("evaluates");
    values.into_iter().map(|(name, value)| (name, value.data().to_vec())).collect()
}

/// The largest difference relative to the largest value of the tensor.
pub(crate) fn distance(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len(), "the same shape");
    let largest = wanted.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let worst = found.iter().zip(wanted).fold(0.0_f64, |worst, (found, wanted)| worst.max((found - wanted).abs()));
    if found.iter().all(|value| value.is_finite()) { worst / largest } else { f64::INFINITY }
}
