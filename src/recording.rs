//! Recorded spectra from CSV files: `id`, label columns, then one column per Raman shift in cm⁻¹.
//!
//! ```text
//! id,oil,sunflower_pct,800,802,804,...
//! s1-a,olive,0,1523.0,1533.1,...
//! ```
//! A column whose header is a number is a shift; every other one is a label. The first column is the identifier. Training,
//! replay and `explain` all read their spectra here, so that a fault in a file is reported in one way: file, row, column.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::failure::{Failure, Kind};
use crate::spectrum::{AxisError, Origin, RawSpectrum, ShiftAxis};

/// Cells (rows × shifts) in one file: 400 MB of f32, far above any calibration set, far below a board's memory limit.
pub const CELLS_MAX: usize = 100_000_000;

/// Why a file of spectra cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system or the CSV reader says.
        #[source]
        source: csv::Error,
    },
    /// No numeric header.
    #[error("{}: fewer than two columns have a number (a Raman shift in cm-1) as header", path.display())]
    NoShifts {
        /// Which file.
        path: PathBuf,
    },
    /// The shifts in the header are no axis.
    #[error("{}: the Raman shifts in the header are no axis", path.display())]
    Axis {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: AxisError,
    },
    /// A hole or text among the intensities.
    #[error("{}: line {line}, column '{column}': {found:?} is not a finite number", path.display())]
    NotANumber {
        /// Which file.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// Header of the column.
        column: String,
        /// What stands there.
        found: String,
    },
    /// A label column was asked for that is not there.
    #[error("{}: there is no label column '{column}'; there are: {available}", path.display())]
    NoColumn {
        /// Which file.
        path: PathBuf,
        /// Asked for.
        column: String,
        /// The label columns there are.
        available: String,
    },
    /// Only a header.
    #[error("{}: there is no spectrum in the file", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// More cells than [`CELLS_MAX`].
    #[error("{}: more than {CELLS_MAX} intensities", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
}

impl Failure for RecordingError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// One row of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedSpectrum {
    /// First column.
    pub id: String,
    /// Label columns by header.
    pub labels: BTreeMap<String, String>,
    /// One intensity per shift, in whatever unit the file has.
    pub intensities: Vec<f32>,
    /// Line in the file, from 1.
    pub line: u64,
}

/// A file of spectra on one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Where it was read from.
    pub path: PathBuf,
    /// The shifts of the header.
    pub axis: Arc<ShiftAxis>,
    /// The rows, in the file's order; at least one.
    pub spectra: Vec<RecordedSpectrum>,
}

impl Recording {
    /// # Errors
    /// When the file cannot be read, has no shifts or rows, or holds anything but finite numbers under a shift.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let failed = |source| RecordingError::Read { path: path.to_owned(), source };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(failed)?;
        let headers = reader.headers().map_err(failed)?.clone();
        let shift_of = |header: &str| header.parse::<f64>().ok().filter(|shift| shift.is_finite());
        let (shift_columns, label_columns): (Vec<usize>, Vec<usize>) =
            (1..headers.len()).partition(|&column| shift_of(&headers[column]).is_some());
        if shift_columns.len() < 2 {
            return Err(RecordingError::NoShifts { path: path.to_owned() });
        }
        let shifts = shift_columns.iter().filter_map(|&column| shift_of(&headers[column])).collect();
        let axis = ShiftAxis::new(shifts).map_err(|source| RecordingError::Axis { path: path.to_owned(), source })?;

        let mut spectra = Vec::new();
        for record in reader.records() {
            let record = record.map_err(failed)?;
            if (spectra.len() + 1) * axis.len() > CELLS_MAX {
                return Err(RecordingError::TooLarge { path: path.to_owned() });
            }
            let line = record.position().map_or(0, csv::Position::line);
            let number = |&column: &usize| {
                let found = record.get(column).unwrap_or_default();
                found.parse::<f32>().ok().filter(|value| value.is_finite()).ok_or_else(|| RecordingError::NotANumber {
                    path: path.to_owned(),
                    line,
                    column: headers[column].to_owned(),
                    found: found.to_owned(),
                })
            };
            spectra.push(RecordedSpectrum {
                id: record.get(0).unwrap_or_default().to_owned(),
                labels: label_columns
                    .iter()
                    .map(|&column| (headers[column].to_owned(), record.get(column).unwrap_or_default().to_owned()))
                    .collect(),
                intensities: shift_columns.iter().map(number).collect::<Result<_, _>>()?,
                line,
            });
        }
        if spectra.is_empty() {
            return Err(RecordingError::Empty { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), axis: Arc::new(axis), spectra })
    }

    /// The rows as spectra that any pipeline takes.
    pub fn raw_spectra(&self) -> impl Iterator<Item = RawSpectrum> {
        self.spectra.iter().map(|row| {
            let origin = Origin::Recorded { id: row.id.clone() };
            RawSpectrum::new(self.axis.clone(), row.intensities.clone(), None, origin)
                .expect("every row was read with one finite number per shift")
        })
    }

    /// One label of every row.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn label_column(&self, column: &str) -> Result<Vec<&str>, RecordingError> {
        let of = |row: &'_ RecordedSpectrum| row.labels.contains_key(column);
        if !self.spectra.iter().all(of) {
            let available = self.spectra[0].labels.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(RecordingError::NoColumn { path: self.path.clone(), column: column.to_owned(), available });
        }
        Ok(self.spectra.iter().map(|row| row.labels[column].as_str()).collect())
    }

    /// One label of every row as a number.
    ///
    /// # Errors
    /// When there is no such column, or a row has no finite number in it.
    pub fn number_column(&self, column: &str) -> Result<Vec<f64>, RecordingError> {
        let texts = self.label_column(column)?;
        let rows = self.spectra.iter().zip(texts);
        rows.map(|(row, text)| {
            text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| RecordingError::NotANumber {
                path: self.path.clone(),
                line: row.line,
                column: column.to_owned(),
                found: text.to_owned(),
            })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Recording, RecordingError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("spectra.csv");
        std::fs::write(&path, text).expect("written");
        Recording::read(&path)
    }

    #[test]
    fn labels_and_shifts_are_told_apart_by_the_header() {
        let recording = read("id,oil,pct,800,802.5\na,olive,0,1,2\nb,palm,5.5,3,-4e1\n").expect("valid");
        assert_eq!(recording.axis.per_cm(), [800.0, 802.5]);
        assert_eq!(recording.label_column("oil").expect("there"), ["olive", "palm"]);
        assert_eq!(recording.number_column("pct").expect("numbers"), [0.0, 5.5]);
        assert_eq!(recording.spectra[1].intensities, [3.0, -40.0]);
    }

    #[test]
    fn every_fault_names_its_place() {
        let cases = [
            ("id,oil,800,802\na,olive,1,\n", "line 2, column '802': \"\" is not a finite number"),
            ("id,oil,800,802\na,olive,1,2\nb,palm,x,2\n", "line 3, column '800': \"x\" is not a finite number"),
            ("id,oil,800,802\na,olive,1,inf\n", "line 2, column '802': \"inf\" is not a finite number"),
            ("id,oil,tilt\na,olive,1\n", "fewer than two columns have a number"),
            ("id,oil,802,800\na,olive,1,2\n", "the Raman shifts in the header are no axis"),
            ("id,oil,800,802\n", "there is no spectrum in the file"),
        ];
        for (text, expected) in cases {
            let message = read(text).expect_err(text).to_string();
            assert!(message.contains(expected), "{message}");
        }
        let recording = read("id,oil,800,802\na,olive,1,2\n").expect("valid");
        let message = recording.label_column("country").expect_err("absent").to_string();
        assert!(message.contains("no label column 'country'; there are: oil"), "{message}");
        assert!(recording.number_column("oil").is_err());
    }
}
