//! What can be wrong with a pipeline, and with a spectrum shown to it.

use crate::failure::{Failure, Kind};

/// Why a list of steps is no pipeline.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PipelineError {
    /// A setting outside its range.
    #[error("step '{step}': {setting} = {value} is outside {from}..={to}")]
    OutOfRange {
        step: &'static str,
        setting: &'static str,
        value: f64,
        /// Least allowed.
        from: f64,
        /// Most allowed.
        to: f64,
    },
    /// A Savitzky-Golay window without a centre.
    #[error("step 'smooth': window = {window} has no centre, it must be odd")]
    EvenWindow {
        /// Points in the window.
        window: usize,
    },
    /// None, or more than one, resampling.
    #[error("exactly one step must be 'resample', there are {found}")]
    Resamples {
        /// How many there are.
        found: usize,
    },
    /// A step at a place where it has no meaning.
    #[error("step '{step}' {rule}")]
    Misplaced {
        step: &'static str,
        /// Where it has to be.
        rule: &'static str,
    },
    /// More than a limit allows.
    #[error("{count} {what}, at most {limit} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        count: usize,
        /// How many at most.
        limit: usize,
    },
    /// The model's axis is shorter than a step needs.
    #[error("step '{step}' needs {needed} points, the axis has {points}")]
    AxisTooShort {
        step: &'static str,
        /// What it needs.
        needed: usize,
        /// What the axis has.
        points: usize,
    },
}

impl Failure for PipelineError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// Why a spectrum cannot be preprocessed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PreprocessError {
    /// The instrument's axis ends before the model's: nothing is extrapolated.
    #[error(
        "the spectrum covers {:.1} to {:.1} cm-1, the model needs {:.1} to {:.1} cm-1",
        measured.0, measured.1, needed.0, needed.1
    )]
    AxisNotCovered {
        /// The instrument's axis, cm⁻¹.
        measured: (f64, f64),
        /// The model's axis, cm⁻¹.
        needed: (f64, f64),
    },
    /// No structure is left to normalise: a closed shutter, a constant.
    #[error("the spectrum is flat at step '{step}': nothing is there to bring to scale")]
    Flat { step: &'static str },
    /// The instrument has fewer points than a step before the resampling needs.
    #[error("step '{step}' needs {needed} points, the spectrum has {points}")]
    TooFewPoints {
        step: &'static str,
        /// What it needs.
        needed: usize,
        /// What there is.
        points: usize,
    },
    /// A step left a number that is not finite.
    #[error("step '{step}' left a value that is not a finite number")]
    NotFinite { step: &'static str },
}

impl Failure for PreprocessError {
    /// The axis stays as it is until somebody changes instrument or model; the next spectrum may be a better one.
    fn kind(&self) -> Kind {
        match self {
            Self::AxisNotCovered { .. } | Self::TooFewPoints { .. } => Kind::Operator,
            Self::Flat { .. } | Self::NotFinite { .. } => Kind::Transient,
        }
    }
}
