//! Why a network that was trained elsewhere cannot be deployed.

use onnx_gradient::GradientError;
use ramand_core::failure::{Failure, Kind};
use ramand_model::{BundleError, NetworkError};

use crate::train::error::TrainError;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// The file is no graph that can be differentiated.
    #[error(transparent)]
    Gradient(#[from] GradientError),
    /// The reference spectra are at fault.
    #[error(transparent)]
    Reference(#[from] TrainError),
    /// tract cannot run the network with its gradient.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The bundle cannot be written or does not hold together.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A network that asks for more than a spectrum.
    #[error("the network has {} inputs ({}); a bundle's network takes the spectrum alone: export it with that one input", found.len(), found.join(", "))]
    Inputs {
        /// Their names.
        found: Vec<String>,
    },
    /// An input that is no spectrum.
    #[error(
        "input '{input}' of shape {shape:?} is not laid out along one axis: a bundle's network takes [1, channels, points], [1, points, channels], [1, points] or an image of height 1"
    )]
    NotSpectra { input: String, shape: Vec<usize> },
    /// An input of another length or number of channels than the pipeline gives.
    #[error(
        "input '{input}' has shape {shape:?}, but --axis and the pipeline give {channels} channel(s) of {points} points: N in --axis A:B:N must be the network's length, and the pipeline must give its channels"
    )]
    Points {
        input: String,
        shape: Vec<usize>,
        /// What the pipeline gives.
        channels: usize,
        /// What the axis has.
        points: usize,
    },
    /// Labels and outputs that do not match.
    #[error("{labels} labels for the {outputs} outputs of '{explained}': --labels names every output, in its order")]
    Labels {
        /// How many were given.
        labels: usize,
        /// How many there are.
        outputs: usize,
        /// The value explained.
        explained: String,
    },
    /// Several quantities at once.
    #[error(
        "'{explained}' has {outputs} outputs and a regression one: export each quantity as an output of its own and choose it with --output"
    )]
    Quantities {
        /// How many there are.
        outputs: usize,
        /// The value explained.
        explained: String,
    },
    /// Probabilities that do not add up to one.
    #[error(
        "'{output}' answers {outputs} yes-or-no questions (Sigmoid), not one question of {outputs} classes: bundle each as an output of its own"
    )]
    Sigmoids { output: String, outputs: usize },
    /// A quantity that comes out of a probability.
    #[error("'{output}' ends in {op}, so it is no quantity: use --task classification with labels")]
    Probability {
        output: String,
        /// Its last operator.
        op: String,
    },
    /// A layer whose cells have lost their place.
    #[error(
        "the cells of layer '{layer}' have no known place on the spectrum: choose an earlier layer, `ramand model inspect` lists them"
    )]
    NoPlace { layer: String },
    /// The file holds the gradient of one output at a time.
    #[error(
        "the file holds a gradient, but not of each of the {outputs} outputs at once: attach with --seed all, or give the network as it was exported"
    )]
    Seeded {
        /// Outputs of the network.
        outputs: usize,
    },
    /// The file holds a map and neither layer nor gradient.
    #[error("the file holds a map without its layer and gradient (--seed linear): give the network as it was exported")]
    MapOnly,
    /// A layer is named, and the file has its own.
    #[error(
        "the file holds the gradient of a layer already: leave --layer out, or give the network as it was exported"
    )]
    LayerGiven,
    /// A number that is none.
    #[error("the network gives something that is not a finite number for {what}")]
    NotFinite {
        /// Which spectrum.
        what: String,
    },
}

impl Failure for AdoptError {
    fn kind(&self) -> Kind {
        match self {
            Self::Gradient(_) => Kind::Operator,
            Self::Reference(error) => error.kind(),
            Self::Network(error) => error.kind(),
            Self::Bundle(error) => error.kind(),
            _ => Kind::Operator,
        }
    }
}
