//! `manifest.toml`, record by record as `docs/bundle.md` draws it: what training writes and inference reads.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ramand_core::failure::{Failure, Kind};
use ramand_core::outcome::Band;
use ramand_core::spectrum::{RamanShift, ShiftAxis};
use serde::{Deserialize, Serialize};

pub use super::applicability::{
    ConformalRecord, FormerClassesRecord, GateRecord, LimitRecord, ScoresRecord, VariatesRecord,
};
pub use super::evidence::{AdoptedRecord, CandidateRecord, CardRecord, MetricsRecord};
pub use super::targets::{CompletenessRecord, FORMED, NetworkRecord, TargetRecord};
pub use super::training::{AbscissaRecord, SuspectRecord, TrainingRecord};

/// The only format there is.
pub const FORMAT: u32 = 1;
/// A manifest is a few kilobytes; a megabyte is no manifest.
pub const MANIFEST_BYTES_MAX: u64 = 1 << 20;
/// Classes of one model, or quantities predicted together.
pub const OUTPUTS_MAX: usize = 256;
/// Cuts through which an output depends on the spectrum: a skip and a trunk make two.
pub const TARGETS_MAX: usize = 8;
/// Rows of the band table.
pub const BANDS_MAX: usize = 256;
/// Of PLS: more describe noise in every set of spectra this was tried on.
pub const PLS_COMPONENTS_MAX: usize = 20;
/// Files of a bundle that no other field names.
pub const FILES_MAX: usize = 64;

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, an unknown key, a missing one, or one of another type; the source says in which line.
    #[error("{}: not a bundle manifest", path.display())]
    Syntax {
        path: PathBuf,
        /// Line and key.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Written for another version of the format.
    #[error("{}: format {found}, this version of ramand reads format {FORMAT}", path.display())]
    Format {
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// A value that contradicts itself or another.
    #[error("{}: {field}: {problem}", path.display())]
    Field {
        path: PathBuf,
        /// The key, as in `network.target[0].stride`.
        field: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl Failure for ManifestError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// The whole manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The bundle's name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The bundle's version; every change is a new one.
    pub version: String,
    /// What the network's outputs are.
    pub task: Task,
    /// What may be said about the model, in words.
    pub claim: String,
    /// Licence of the weights.
    pub licence: String,
    /// Laser wavelength the model was made for, nm; 0 for methods without a laser.
    pub laser_nm: f64,
    /// What it is for and what not, where its maker says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardRecord>,
    /// Unit or labels.
    pub output: OutputRecord,
    /// The model's axis.
    pub axis: AxisRecord,
    /// From raw spectrum to network input, in order.
    pub pipeline: Vec<StepRecord>,
    /// Several input channels; empty where there is one.
    #[serde(rename = "channel", default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelRecord>,
    /// The network and its explanation targets.
    pub network: NetworkRecord,
    /// What the difference map subtracts.
    pub reference: ReferenceRecord,
    /// Whether a spectrum is like the training's; a bundle without a gate says nothing about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateRecord>,
    /// How sure a prediction is; a bundle without conformal scores says nothing about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conformal: Option<ConformalRecord>,
    /// Stretches of the axis that have a name.
    #[serde(rename = "band", default, skip_serializing_if = "Vec::is_empty")]
    pub bands: Vec<BandRecord>,
    /// Provenance.
    pub training: TrainingRecord,
    /// Where the network comes from, if it was trained elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<AdoptedRecord>,
    /// Out-of-fold figures.
    pub metrics: MetricsRecord,
    /// SHA-256, hexadecimal, of files no other field names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// What the outputs of a network are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// One quantity with a unit.
    Regression,
    /// One score per label.
    Classification,
}

/// `[output]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRecord {
    /// Of the value; regression only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// In the order of the network's outputs; classification only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// Probabilities are softmax(scores / temperature); classification only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
}

/// `[axis]`: equidistant, both ends included, cm⁻¹.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxisRecord {
    /// Smallest shift.
    pub first: f64,
    /// Largest shift.
    pub last: f64,
    pub points: usize,
}

/// One step of the pipeline; the parameters are `preprocess`'s own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase", deny_unknown_fields)]
pub enum StepRecord {
    /// Subtract the dark frame, correct nonlinearity.
    Dark {},
    /// Remove cosmic rays.
    Despike {
        /// Of the modified z-score.
        threshold: f64,
        /// Points on each side that replace a spike.
        window: usize,
    },
    /// Onto the model's axis.
    Resample {},
    /// Subtract the background.
    Baseline {
        /// Which algorithm; it decides which parameters belong here.
        method: BaselineMethod,
        /// Smoothness; arPLS and airPLS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lambda: Option<f64>,
        /// Where the iteration stops; arPLS and airPLS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tolerance: Option<f64>,
        /// Where it gives up; arPLS and airPLS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        iterations_max: Option<usize>,
        /// Degree; polynomial.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order: Option<usize>,
    },
    /// Savitzky-Golay.
    Smooth {
        /// Points, odd.
        window: usize,
        /// Degree of the polynomial.
        order: usize,
        /// Which derivative, 0 for none.
        derivative: usize,
    },
    /// To a common scale.
    Normalise { method: NormaliseMethod },
}

/// Algorithms of the `baseline` step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaselineMethod {
    /// Asymmetrically reweighted penalised least squares.
    Arpls,
    /// Adaptive iteratively reweighted penalised least squares.
    Airpls,
    /// Least-squares polynomial.
    Polynomial,
}

/// Algorithms of the `normalise` step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormaliseMethod {
    /// Standard normal variate.
    Snv,
    /// Unit area.
    Area,
    /// Unit maximum.
    Max,
}

/// `[[channel]]`: further steps of one input channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRecord {
    /// After the common pipeline, in order.
    pub steps: Vec<StepRecord>,
}

/// `[reference]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceRecord {
    /// Which spectra the difference map compares with, in words.
    pub population: String,
    /// What of theirs it subtracts.
    #[serde(default)]
    pub map: ReferenceMap,
    /// y that belongs to the subtracted map, one per output: that of the mean spectrum, or the population's mean.
    pub output: Vec<f64>,
}

impl ReferenceRecord {
    /// Whether the population is all the spectra that the gate was made of: then the gate's mean is their mean spectrum.
    pub fn is_of_all(&self) -> bool {
        self.population.starts_with("all ")
    }

    /// What a difference map is compared with, as in "the mean of all training spectra".
    pub fn in_words(&self) -> String {
        match self.map {
            ReferenceMap::MeanSpectrum => format!("the mean of {}", self.population),
            ReferenceMap::MeanOfMaps => format!("the mean map of {}", self.population),
        }
    }
}

/// `reference.map`: M\[i\] of what the difference map subtracts (D2 of `docs/method.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceMap {
    /// The map of the population's mean preprocessed spectrum.
    MeanSpectrum,
    /// The mean of the population's maps. Rectifiers before the explained layer make it differ from the map of the mean
    /// spectrum, by an offset that every difference map then carries. What a manifest means that does not say.
    #[default]
    MeanOfMaps,
}

/// `[[band]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandRecord {
    /// The assignment.
    pub name: String,
    /// Lower end, cm⁻¹.
    pub from: f64,
    /// Upper end, cm⁻¹.
    pub to: f64,
}

impl Manifest {
    /// As text, with the keys in the order of `docs/bundle.md`.
    ///
    /// # Errors
    /// When a number cannot be written as TOML: an integer beyond 64 signed bits.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// How many outputs the network has.
    pub fn outputs(&self) -> usize {
        self.output.labels.as_ref().map_or(1, Vec::len)
    }

    /// How many input channels the network has.
    pub fn input_channels(&self) -> usize {
        self.channels.len().max(1)
    }

    /// Every other file of the bundle with the SHA-256 it must have.
    pub fn hashes(&self) -> BTreeMap<&str, &str> {
        let mut hashes = BTreeMap::from([(self.network.file.as_str(), self.network.sha256.as_str())]);
        hashes.extend(self.network.targets.iter().map(|t| (t.reference.as_str(), t.reference_sha256.as_str())));
        if let Some(gate) = &self.gate {
            hashes.insert(&gate.file, &gate.sha256);
            hashes.extend(gate.scores.iter().map(|scores| (scores.file.as_str(), scores.sha256.as_str())));
            hashes.extend(gate.variates.iter().flat_map(|variates| {
                let VariatesRecord { file, sha256, kinds, kinds_sha256, .. } = variates;
                [(file.as_str(), sha256.as_str()), (kinds.as_str(), kinds_sha256.as_str())]
            }));
        }
        hashes.extend(self.conformal.iter().map(|scores| (scores.file.as_str(), scores.sha256.as_str())));
        hashes.extend(self.files.iter().map(|(file, sha256)| (file.as_str(), sha256.as_str())));
        hashes
    }

    /// The band table.
    pub fn bands(&self) -> impl Iterator<Item = Band> {
        self.bands.iter().map(|band| Band {
            name: band.name.clone(),
            from: RamanShift::from_per_cm(band.from),
            to: RamanShift::from_per_cm(band.to),
        })
    }
}

impl TryFrom<&AxisRecord> for ShiftAxis {
    type Error = ramand_core::spectrum::AxisError;

    fn try_from(record: &AxisRecord) -> Result<Self, Self::Error> {
        let AxisRecord { first, last, points } = *record;
        Self::even(RamanShift::from_per_cm(first), RamanShift::from_per_cm(last), points)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;

    /// The example of `docs/bundle.md`, with what it leaves open filled in.
    pub(crate) fn documented() -> String {
        let page = include_str!("../../../docs/bundle.md");
        let start = page.find("```toml\n").expect("an example") + 8;
        let end = start + page[start..].find("```").expect("its end");
        page[start..end]
            .replace("components = 6", "components = 2")
            .replace("\"...\"", &format!("\"{}\"", "0f".repeat(32)))
    }

    fn parse(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(text, Path::new("manifest.toml"))
    }

    #[test]
    fn the_documented_example_is_a_manifest() {
        let manifest = parse(&documented()).expect("as documented");
        assert_eq!(manifest.outputs(), 1);
        assert_eq!(manifest.input_channels(), 2);
        assert_eq!(manifest.hashes().len(), 7);
        assert_eq!(manifest.bands().count(), 1);
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let manifest = parse(&documented()).expect("as documented");
        let text = manifest.to_toml().expect("writable");
        assert_eq!(parse(&text).expect("readable"), manifest);
    }

    #[test]
    fn every_fault_names_its_field() {
        let sha256 = "0f".repeat(32);
        let cases = [
            ("format = 1", "format = 2", "format 2, this version of ramand reads format 1"),
            ("licence =", "license =", "unknown field `license`"),
            ("step = \"dark\"", "step = \"dark\"\nwindow = 3", "unknown field `window`"),
            ("[axis]", "[axis]\nunit = 1", "unknown field `unit`"),
            ("name = \"olive-adulteration\"", "name = \"../olive\"", "name: expected"),
            ("laser_nm = 785.0", "laser_nm = nan", "laser_nm: expected"),
            ("task = \"regression\"", "task = \"classification\"", "output.unit: expected a classification has none"),
            ("points = 251", "points = 70000", "axis.points: expected 2 to 8192"),
            ("last = 1800.0", "last = 100.0", "axis: the axis does not increase"),
            ("offset = [0.31]", "offset = [0.31, 1.0]", "network.offset: expected 1 finite"),
            ("output = [0.02]", "output = [inf]", "reference.output: expected 1 finite"),
            ("gradient = \"dYdA0\"", "gradient = \"A0\"", "network.target[0].gradient: expected a name of its own"),
            ("stride = 4", "stride = 0", "network.target[0].stride: expected"),
            ("first_cell = 0.0", "first_cell = nan", "network.target[0].first_cell: expected"),
            ("eigenvalues = [12.1, 3.2]", "eigenvalues = [12.1, 0]", "gate.eigenvalues: expected variances"),
            ("range = [0.0, 30.0]", "range = [3.0, 3.0]", "training.range: expected two finite numbers"),
            ("from = 1640.0", "from = 1690.0", "band[0]: expected"),
            ("file = \"model.onnx\"", "file = \"/etc/passwd\"", "/etc/passwd: expected a file name"),
            ("\"reference-1.npy\"", "\"reference-0.npy\"", "reference-0.npy: expected a file is named once"),
            (sha256.as_str(), "beef", "expected 64 hexadecimal digits"),
        ];
        for (found, replacement, expected) in cases {
            let text = documented().replacen(found, replacement, 1);
            let error = parse(&text).expect_err(replacement);
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let message = format!("{error}: {source}");
            assert!(message.contains(expected), "{replacement}: {message}");
        }
    }
}
