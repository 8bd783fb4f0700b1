//! A network in tract: loaded, shaped, optimised and warmed up once; run once per spectrum.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use onnx_gradient::onnx::ModelProto;
use onnx_gradient::proto;
use ramand_core::cam::LayerValues;
use ramand_core::failure::{Failure, Kind};
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, IntoRunnable, TValue, Tensor, TractResult, TypedRunnableModel, TypedSimpleState,
    tvec,
};

use super::optimise::optimised;

/// Why a network cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// tract refuses the graph.
    #[error("the network cannot be loaded")]
    Load(#[source] Box<dyn Error + Send + Sync>),
    /// tract panicked on the graph: it is malformed in a way nobody checks.
    #[error("the network cannot be loaded: the inference engine gave up on it")]
    Panicked,
    /// A name the manifest uses.
    #[error("the network has no output '{name}'")]
    NoOutput { name: String },
    /// The run failed.
    #[error("the network did not run")]
    Run(#[source] Box<dyn Error + Send + Sync>),
    /// Another number of values than the network takes.
    #[error("{found} values for a network of {channels} by {points}")]
    InputLength {
        /// How many there are.
        found: usize,
        /// Input channels.
        channels: usize,
        /// Points of the axis.
        points: usize,
    },
}

impl Failure for NetworkError {
    fn kind(&self) -> Kind {
        match self {
            Self::Load(_) | Self::Panicked | Self::NoOutput { .. } => Kind::Operator,
            Self::Run(_) | Self::InputLength { .. } => Kind::Bug,
        }
    }
}

/// Where a target's gradient comes from.
#[derive(Debug, Clone)]
enum Gradient {
    /// The same for every spectrum, read once.
    Constant(Vec<f32>),
    /// An output of the run, by index.
    Output(usize),
}

/// A network ready to run, shared between threads.
#[derive(Debug, Clone)]
pub struct Network {
    plan: Arc<TypedRunnableModel>,
    channels: usize,
    points: usize,
    /// Index of the activation among the outputs, and the gradient.
    targets: Vec<(usize, Gradient)>,
}

/// One thread's buffers for one network.
#[derive(Debug)]
pub struct Session {
    state: TypedSimpleState,
}

/// What one run gave.
#[derive(Debug)]
pub struct Values<'n> {
    network: &'n Network,
    outputs: Vec<TValue>,
}

impl Network {
    /// Optimises a checked graph for one spectrum at a time and runs it once on zeros. `targets` are the names of
    /// activation and gradient.
    ///
    /// # Errors
    /// When an output is missing or tract cannot run the graph.
    pub fn load(
        model: &ModelProto,
        (channels, points): (usize, usize),
        output: &str,
        targets: &[(&str, &str)],
    ) -> Result<Self, NetworkError> {
        let names: Vec<&str> = model.graph.output.iter().map(|output| output.name.as_str()).collect();
        let index = |name: &str| {
            let place = names.iter().position(|known| *known == name);
            place.ok_or_else(|| NetworkError::NoOutput { name: name.to_owned() })
        };
        // tract renames the outputs on its way: only the index is reliable.
        let output = index(output)?;
        let places = targets.iter().map(|(activation, gradient)| Ok((index(activation)?, index(gradient)?)));
        let places = places.collect::<Result<Vec<_>, NetworkError>>()?;

        let preprocess = || -> TractResult<Self> {
            let fact = InferenceFact::dt_shape(f32::datum_type(), tvec!(1, channels, points));
            let onnx = tract_onnx::onnx().with_ignore_value_info(true);
            let model =
                optimised(onnx.model_for_read(&mut proto::encode(model).as_slice())?.with_input_fact(0, fact)?)?;
            let outlets = model.output_outlets()?.to_vec();
            let mut kept = vec![outlets[output]];
            let mut targets = Vec::new();
            for (activation, gradient) in places {
                kept.push(outlets[activation]);
                let activation = kept.len() - 1;
                let gradient = match &model.outlet_fact(outlets[gradient])?.konst {
                    Some(constant) => Gradient::Constant(constant.try_as_plain_ram()?.as_slice::<f32>()?.to_vec()),
                    None => {
                        kept.push(outlets[gradient]);
                        Gradient::Output(kept.len() - 1)
                    }
                };
                targets.push((activation, gradient));
            }
            let plan = model.with_output_outlets(&kept)?.into_runnable()?;
            Ok(Self { plan, channels, points, targets })
        };
        let tried = || -> Result<Self, NetworkError> {
            let network = preprocess().map_err(|error| NetworkError::Load(error.into()))?;
            network.run(&mut network.session()?, &vec![0.0; channels * points])?;
            Ok(network)
        };
        // The graph was checked before; what tract does with the rest is not worth the process.
        catch_unwind(AssertUnwindSafe(tried)).map_err(|_| NetworkError::Panicked)?
    }

    /// Buffers for a thread.
    ///
    /// # Errors
    /// When tract cannot make them.
    pub fn session(&self) -> Result<Session, NetworkError> {
        let state = self.plan.spawn().map_err(|error| NetworkError::Run(error.into()))?;
        Ok(Session { state })
    }

    /// Runs the network on `values`, [channels][points].
    ///
    /// # Errors
    /// When there are more or fewer values, or tract fails.
    pub fn run(&self, session: &mut Session, values: &[f32]) -> Result<Values<'_>, NetworkError> {
        let Self { channels, points, .. } = *self;
        if values.len() != channels * points {
            return Err(NetworkError::InputLength { found: values.len(), channels, points });
        }
        let input = Tensor::from_shape(&[1, channels, points], values);
        let outputs = input.and_then(|input| session.state.run(tvec!(input.into())));
        leave_vector_mode();
        let outputs = outputs.map_err(|error| NetworkError::Run(error.into()))?;
        Ok(Values { network: self, outputs: outputs.into_vec() })
    }
}

/// Clears the upper halves of the vector registers, which tract 0.23's kernels for x86 leave in use. Until somebody does, changing
/// between code for SSE (this program) and for AVX (the mathematics library) stalls the processor: profiled, every `exp` of the next
/// spectrum's baseline waited on its first SSE instruction, and preparing took several times as long.
#[cfg(target_arch = "x86_64")]
fn leave_vector_mode() {
    #[target_feature(enable = "avx")]
    fn clear_upper_halves() {
        std::arch::x86_64::_mm256_zeroupper();
    }
    if std::is_x86_feature_detected!("avx") {
        // SAFETY: the processor has AVX.
        unsafe { clear_upper_halves() }
    }
}

/// Other processors have no such modes.
#[cfg(not(target_arch = "x86_64"))]
fn leave_vector_mode() {}

impl Values<'_> {
    /// y, one per output of the network.
    ///
    /// # Errors
    /// When tract gave something else than f32 in memory.
    pub fn y(&self) -> Result<&[f32], NetworkError> {
        self.slice(0)
    }

    /// Activation and gradient of each target.
    ///
    /// # Errors
    /// As [`Values::y`].
    pub fn layers(&self) -> Result<Vec<LayerValues<'_>>, NetworkError> {
        let layers = self.network.targets.iter().map(|(activation, gradient)| {
            let gradient = match gradient {
                Gradient::Constant(values) => values,
                Gradient::Output(index) => self.slice(*index)?,
            };
            Ok(LayerValues { activation: self.slice(*activation)?, gradient })
        });
        layers.collect()
    }

    fn slice(&self, index: usize) -> Result<&[f32], NetworkError> {
        let values = self.outputs[index].try_as_plain_ram().and_then(|view| view.as_slice::<f32>());
        values.map_err(|error| NetworkError::Run(error.into()))
    }
}
