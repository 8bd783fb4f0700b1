//! Any graph in tract, with whatever inputs it has: for looking into files, where a [`super::Network`] is for the line.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use onnx_gradient::onnx::ModelProto;
use onnx_gradient::{Element, Graph, Tensor, proto};
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, IntoRunnable, TValue, TVec, Tensor as Value, TractResult, TypedRunnableModel,
    TypedSimpleState, tvec,
};

use super::network::NetworkError;
use super::optimise::optimised;

/// A graph that runs again and again on the same inputs.
#[derive(Debug)]
pub struct Runner {
    state: TypedSimpleState,
    inputs: TVec<TValue>,
    outputs: Vec<String>,
}

impl Runner {
    /// Optimises a checked graph for the inputs `given`; `graph` is `model`'s.
    ///
    /// # Errors
    /// When tract cannot run the graph.
    pub fn new(model: &ModelProto, graph: &Graph, given: &HashMap<String, Tensor>) -> Result<Self, NetworkError> {
        let preprocess = || -> TractResult<Self> {
            let onnx = tract_onnx::onnx().with_ignore_value_info(true);
            let mut typed = onnx.model_for_read(&mut proto::encode(model).as_slice())?;
            let mut inputs = tvec!();
            for (index, name) in graph.inputs().iter().enumerate() {
                let Some(tensor) = given.get(name) else { continue };
                let value = match graph.element(name) {
                    Some(Element::Integer) => {
                        let integers: Vec<i64> = tensor.data().iter().map(|&value| value as i64).collect();
                        Value::from_shape(tensor.shape(), &integers)?
                    }
                    _ => Value::from_shape(tensor.shape(), &tensor.to_f32())?,
                };
                typed = typed.with_input_fact(index, InferenceFact::dt_shape(value.datum_type(), tensor.shape()))?;
                inputs.push(value.into());
            }
            let plan: Arc<TypedRunnableModel> = optimised(typed)?.into_runnable()?;
            Ok(Self { state: plan.spawn()?, inputs, outputs: graph.outputs().to_vec() })
        };
        // The graph was checked before; what tract does with the rest is not worth the process.
        let preprocessed = catch_unwind(AssertUnwindSafe(preprocess)).map_err(|_| NetworkError::Panicked)?;
        preprocessed.map_err(|error| NetworkError::Load(error.into()))
    }

    /// Runs the graph once; the outputs that are floating-point numbers, by name.
    ///
    /// # Errors
    /// When tract fails.
    pub fn run(&mut self) -> Result<Vec<(&str, Vec<f32>)>, NetworkError> {
        let outputs = self.state.run(self.inputs.clone()).map_err(|error| NetworkError::Run(error.into()))?;
        // tract renames the outputs on its way: only the index is reliable.
        let named = self.outputs.iter().zip(outputs);
        named
            .filter(|(_, value)| value.datum_type() == f32::datum_type())
            .map(|(name, value)| {
                let view = value.try_as_plain_ram().and_then(|view| Ok(view.as_slice::<f32>()?.to_vec()));
                Ok((name.as_str(), view.map_err(|error| NetworkError::Run(error.into()))?))
            })
            .collect()
    }
}
