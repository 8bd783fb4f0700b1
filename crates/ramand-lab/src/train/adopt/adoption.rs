//! What is to be made of a network that was trained elsewhere.

use ramand_core::preprocess::Pipeline;
use ramand_model::manifest::{BandRecord, OutputRecord, ReferenceMap, Task};
use ramand_recording::Recording;

use super::super::error::TrainError;
use super::super::reference::Reference;
use super::super::request::{Provenance, samples};

/// The gate's folds follow from this number; nothing else is left to chance.
pub(super) const SEED: u64 = 1;

/// What is to be made of a network.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// The bundle's name.
    pub name: String,
    /// The bundle's version.
    pub version: String,
    /// The network's file name.
    pub file: String,
    /// A size for the input of a file that leaves more open than batch and length.
    pub shape: Option<Vec<usize>>,
    /// The output that is explained, by name or index; the first where none is named.
    pub output: Option<String>,
    /// The layer that is explained; the last residual stage or convolution where none is named.
    pub layer: Option<String>,
    /// Quantity or classes.
    pub task: Task,
    /// Of a quantity.
    pub unit: String,
    /// Of classes, in the order of the network's outputs; of one sigmoid, no and yes.
    pub labels: Vec<String>,
    /// From raw spectrum to network input.
    pub pipeline: Pipeline,
    /// Named stretches of the axis; those that reach beyond the model's axis are left out.
    pub bands: Vec<BandRecord>,
    /// Which spectra the difference map compares with.
    pub reference: Reference,
    /// What of theirs it subtracts.
    pub reference_map: ReferenceMap,
    /// Column of the reference spectra that tells independent samples apart; without one, every row is a sample.
    pub group: Option<String>,
    /// What to write about data and model.
    pub provenance: Provenance,
}

impl Adoption {
    /// Which sample each row belongs to, from 0 in the order of appearance.
    pub(super) fn samples(&self, recording: &Recording) -> Result<Vec<usize>, TrainError> {
        samples(recording, self.group.as_deref())
    }

    pub(super) fn output(&self) -> OutputRecord {
        match self.task {
            Task::Regression => OutputRecord { unit: Some(self.unit.clone()), labels: None, temperature: None },
            // Probabilities are those the network was trained to give: softmax of its scores.
            Task::Classification => {
                OutputRecord { unit: None, labels: Some(self.labels.clone()), temperature: Some(1.0) }
            }
        }
    }
}
