//! `[network]`: the network's file, and the layers through which its output depends on the spectrum.

use ramand_core::outcome::Completeness;
use serde::{Deserialize, Serialize};

/// Names of the nodes that bring a network that was trained elsewhere into a bundle's form begin like this.
pub const FORMED: &str = "bundle/";

/// `[network]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkRecord {
    /// The ONNX file in the bundle's folder.
    pub file: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// Name of the input, f32 [1, channels, points].
    pub input: String,
    /// Name of the output, f32 [1, outputs].
    pub output: String,
    /// b: what the maps leave out, one per output: the output where the targets' activations are zero.
    pub offset: Vec<f64>,
    /// Whether the maps add up to y − b.
    #[serde(default, skip_serializing_if = "CompletenessRecord::is_exact")]
    pub completeness: CompletenessRecord,
    /// The largest completeness error among the reference spectra, where it is only reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completeness_error: Option<f64>,
    /// The cuts through which y depends on the spectrum.
    #[serde(rename = "target")]
    pub targets: Vec<TargetRecord>,
}

/// `network.completeness`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CompletenessRecord {
    /// Behind the targets all is linear: a result whose map does not add up is invalid.
    #[default]
    Exact,
    /// The offsets of later layers are missing from the sum; every result says by how much.
    Reported,
}

impl CompletenessRecord {
    fn is_exact(&self) -> bool {
        *self == Self::Exact
    }
}

impl From<CompletenessRecord> for Completeness {
    fn from(record: CompletenessRecord) -> Self {
        match record {
            CompletenessRecord::Exact => Self::Exact,
            CompletenessRecord::Reported => Self::Reported,
        }
    }
}

/// `[[network.target]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetRecord {
    /// In words.
    pub name: String,
    /// Output of the graph: A, f32 [1, maps, cells].
    pub activation: String,
    /// Output of the graph: ∂y/∂A, f32 [outputs, maps, cells].
    pub gradient: String,
    /// Centre of cell 0, in points of the axis.
    pub first_cell: f64,
    /// Points between cell centres.
    pub stride: f64,
    /// Points one cell sees.
    pub receptive_field: usize,
    /// Whether a cell depends on the rest of the axis as well, through a squeeze-and-excite, a normalisation over the
    /// instance, or attention: then the receptive field is only what it sees directly.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole_axis: bool,
    /// Whether the activation is an affine function of the input: the linear (PLS) part.
    pub linear: bool,
    /// Whether `gradient` is the mean of ∂y/∂A along the straight line from A = 0 to A: then M are integrated gradients, and add up
    /// to y less the output at A = 0 although behind A nothing is linear.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub integrated: bool,
    /// `.npy` file of the reference maps, [outputs, cells].
    pub reference: String,
    /// Its SHA-256, hexadecimal.
    pub reference_sha256: String,
}
