//! What can go wrong between a file of labelled spectra and a bundle.

use onnx_gradient::GradientError;
use ramand_core::failure::{Failure, Kind};
use ramand_core::preprocess::PreprocessError;
use ramand_model::NetworkError;
use ramand_recording::RecordingError;

use super::progress::Interrupted;

/// A class with fewer samples cannot be held out and shown at once.
pub(super) const SAMPLES_PER_CLASS_MIN: usize = 2;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The file of spectra is at fault.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A row cannot be preprocessed.
    #[error("line {line}, id '{id}': the spectrum cannot be preprocessed")]
    Preprocess {
        /// Line in the file, from 1.
        line: u64,
        /// First column.
        id: String,
        #[source]
        source: PreprocessError,
    },
    /// The exported graph could not be differentiated.
    #[error("the trained network cannot be differentiated")]
    Gradient(#[from] GradientError),
    /// The exported graph could not be run.
    #[error("the trained network cannot be run")]
    Network(#[from] NetworkError),
    /// A row without a label.
    #[error("line {line}, column '{column}': the label is empty")]
    EmptyLabel {
        /// Line in the file, from 1.
        line: u64,
        /// Header of the column.
        column: String,
    },
    /// Replicates of one sample disagree about what it is.
    #[error("line {line}: sample '{group}' is '{found}' here and '{earlier}' in an earlier line")]
    MixedGroup {
        /// Line in the file, from 1.
        line: u64,
        /// The sample.
        group: String,
        /// Its label in this line.
        found: String,
        /// Its label before.
        earlier: String,
    },
    /// An identifier that stands twice, without a column of samples.
    #[error(
        "line {line}: id '{id}' was there in line {earlier}: name the column of samples, or give each row an id of its own"
    )]
    IdentifierTwice {
        /// Line in the file, from 1.
        line: u64,
        /// First column.
        id: String,
        /// Where it was before.
        earlier: u64,
    },
    /// The same numbers in two samples.
    #[error("line {line}, id '{id}': the same spectrum stands in line {earlier}, as another sample")]
    SpectrumTwice {
        /// Line in the file, from 1.
        line: u64,
        /// First column.
        id: String,
        /// Where it was before.
        earlier: u64,
    },
    /// Too few independent samples to hold any out.
    #[error("{samples} {what} cannot be split into {folds} folds: group by another column, or fewer folds")]
    TooFewSamples {
        /// How many there are.
        samples: usize,
        /// Independent samples or blocks.
        what: &'static str,
        /// How many folds were asked for.
        folds: usize,
    },
    /// Cross-validation would meet a class it was never shown.
    #[error("class '{class}' has {samples} {what}, every class needs at least {}", SAMPLES_PER_CLASS_MIN)]
    RareClass {
        class: String,
        /// How many samples or blocks it has.
        samples: usize,
        /// Samples or blocks.
        what: &'static str,
    },
    /// Spectra of one sample in several blocks: held out with one, shown with another.
    #[error(
        "line {line}: sample '{sample}' is in block '{found}' here and in block '{earlier}' in an earlier line: its spectra have \
         to be held out together"
    )]
    SampleInTwoBlocks {
        /// Line in the file, from 1.
        line: u64,
        sample: String,
        /// Its block in this line.
        found: String,
        /// Its block before.
        earlier: String,
    },
    /// Rows that look like replicates, and nothing says which belong together.
    #[error(transparent)]
    LikelyReplicates(Box<LikelyReplicates>),
    /// One label only.
    #[error("column '{column}' holds one class only")]
    OneClass {
        /// Header of the column.
        column: String,
    },
    /// A label that is none of the network's classes.
    #[error("line {line}, column '{column}': '{found}' is none of the network's kinds: {known}")]
    UnknownClass {
        /// Line in the file, from 1.
        line: u64,
        /// Header of the column.
        column: String,
        /// What stands there.
        found: String,
        /// What could stand there.
        known: String,
    },
    /// Every row has the same number.
    #[error("column '{column}' holds the same number in every row")]
    ConstantTarget {
        /// Header of the column.
        column: String,
    },
    /// Methods of explanation are compared on networks and PLS.
    #[error("kernel ridge has no layers that methods of explanation could be compared on")]
    NoNetwork,
    /// Kernel ridge cannot be fitted.
    #[error(
        "kernel ridge takes at most {most} spectra, and cannot be solved for these {spectra}: leave it out of --family"
    )]
    TooManyForKernel {
        /// Of the training set.
        spectra: usize,
        /// The limit.
        most: usize,
    },
    /// No row belongs to the reference population.
    #[error("no row has '{value}' in column '{column}', so there is no reference population")]
    NoReference {
        /// Header of the column.
        column: String,
        /// What was looked for.
        value: String,
    },
    /// Every spectrum is the same.
    #[error("the preprocessed spectra do not differ from each other")]
    ConstantSpectra,
    /// A spectrum could be preprocessed, but not once a little noise and slope was added.
    #[error("step {step}: a disturbed spectrum cannot be preprocessed")]
    Disturbed {
        /// Steps done.
        step: usize,
        #[source]
        source: PreprocessError,
    },
    /// The training ran away.
    #[error("the training error is no longer a finite number after {step} steps")]
    Diverged {
        /// Steps done.
        step: usize,
    },
    /// Somebody asked for the end.
    #[error("interrupted; nothing was written")]
    Interrupted,
}

/// What rows that look like replicates have in common.
#[derive(Debug, thiserror::Error)]
#[error(
    "{rows} spectra have others {key}, and differ from these by {percent:.0} % of the variance between samples, as replicates of \
     one sample do: line {line}, id '{id}', and line {other_line}, id '{other_id}', are such. {advice}, or say that every row is an \
     independent sample (--independent)"
)]
pub struct LikelyReplicates {
    /// Spectra that have others in common with them.
    pub rows: usize,
    /// Variance within over variance between, in percent: the geometric mean of the two smallest of components.
    pub percent: f64,
    /// What they have in common, in words.
    pub key: String,
    /// Line of one of them, from 1.
    pub line: u64,
    /// Its first column.
    pub id: String,
    /// Line of another one.
    pub other_line: u64,
    /// Its first column.
    pub other_id: String,
    /// Which column would tell samples apart.
    pub advice: String,
}

impl From<Interrupted> for TrainError {
    fn from(_: Interrupted) -> Self {
        Self::Interrupted
    }
}

impl Failure for TrainError {
    fn kind(&self) -> Kind {
        match self {
            Self::Diverged { .. } | Self::Gradient(_) | Self::Network(_) => Kind::Bug,
            _ => Kind::Operator,
        }
    }
}
