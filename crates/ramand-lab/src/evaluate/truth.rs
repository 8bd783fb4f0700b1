//! What spectra are known to be.

use ramand_core::outcome::Explained;
use ramand_model::manifest::Task;
use ramand_recording::Recording;

/// What spectra are known to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RecordedTruth {
    /// In the output's unit, one per row.
    Values(Vec<f64>),
    /// Index among the model's labels, one per row; `None` for a class the model does not know.
    Classes(Vec<Option<usize>>),
}

/// What one row is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Known {
    Value(f64),
    Class(Option<usize>),
}

impl RecordedTruth {
    /// What every row of the recording is.
    pub(super) fn of(
        recording: &Recording,
        task: Task,
        labels: &[String],
        column: Option<&str>,
    ) -> Result<Self, String> {
        let Some(column) = column else { return Err("no column with the truth was named (--label)".into()) };
        let said = |error: ramand_recording::RecordingError| error.to_string();
        match task {
            Task::Regression => Ok(Self::Values(recording.number_column(column).map_err(said)?)),
            Task::Classification => {
                let names = recording.label_column(column).map_err(said)?;
                let class = |name: &str| labels.iter().position(|label| label == name);
                let classes: Vec<_> = names.into_iter().map(class).collect();
                if classes.iter().all(Option::is_none) {
                    return Err(format!("column '{column}' holds no class the model knows ({})", labels.join(", ")));
                }
                Ok(Self::Classes(classes))
            }
        }
    }

    /// What one row is known to be.
    pub(super) fn at(&self, row: usize) -> Known {
        match self {
            Self::Values(values) => Known::Value(values[row]),
            Self::Classes(classes) => Known::Class(classes[row]),
        }
    }

    /// What a slope of the explained scalar is taken on: the value, or 1 and -1 for the two classes of a contrast. `None` for a row
    /// that the question is not about.
    pub(super) fn regressor(&self, row: usize, explained: Explained) -> Option<f64> {
        match (self, explained) {
            (Self::Values(values), Explained::Value) => Some(values[row]),
            (Self::Classes(classes), Explained::Contrast { class, against }) => match classes[row]? {
                found if found == class => Some(1.0),
                found if found == against => Some(-1.0),
                _ => None,
            },
            _ => None,
        }
    }

    /// The same of some rows.
    pub(super) fn only(&self, rows: &[usize]) -> Self {
        match self {
            Self::Values(values) => Self::Values(rows.iter().map(|&row| values[row]).collect()),
            Self::Classes(classes) => Self::Classes(rows.iter().map(|&row| classes[row]).collect()),
        }
    }
}
