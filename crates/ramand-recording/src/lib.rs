//! Recorded spectra with their labels: wide CSV files, folders of JCAMP-DX and SPC files, NumPy arrays.
//!
//! Training, replay and `explain` all read their spectra here, so that a fault in a file is reported in one way: file, row,
//! column. Shifts increase in whatever was read; files whose axes run downwards are turned.

mod array;
mod asdf;
mod curve;
mod error;
mod folder;
pub mod jcamp;
mod labels;
pub mod spc;
#[cfg(test)]
mod tests;
mod wide;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ramand_core::spectrum::{Origin, RawSpectrum, ShiftAxis};

pub use asdf::AsdfError;
pub use curve::{Abscissa, Curve, Unit};
pub use error::RecordingError;

/// Cells (rows × shifts) in one recording: 400 MB of f32, far above any calibration set, far below a board's memory limit.
pub const CELLS_MAX: usize = 100_000_000;

/// One row of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedSpectrum {
    /// First column.
    pub id: String,
    /// Label columns by header.
    pub labels: BTreeMap<String, String>,
    /// The shifts: the same for all rows of a CSV file, each file's own in a folder.
    pub axis: Arc<ShiftAxis>,
    /// One intensity per shift, in whatever unit the file has.
    pub intensities: Vec<f32>,
    /// Line in the file that holds its labels, from 1.
    pub line: u64,
}

/// Labelled spectra.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// The file that holds the labels.
    pub path: PathBuf,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// The rows, in the file's order; at least one.
    pub spectra: Vec<RecordedSpectrum>,
}

/// Where a recording comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// A wide CSV file, a folder of JCAMP-DX and SPC files, or an `.npy` array `[spectra, points]`.
    pub spectra: &'a Path,
    /// CSV file of labels, for a folder or an array: see the module `labels`.
    pub labels: Option<&'a Path>,
    /// `.npy` array `[points]`, for an array.
    pub shifts: Option<&'a Path>,
    /// What files count in that do not say it.
    pub abscissa: Abscissa,
}

impl Source<'_> {
    /// # Errors
    /// Names the file and, where there is one, the line and column that cannot be used.
    pub fn read(&self) -> Result<Recording, RecordingError> {
        let Self { spectra, labels, shifts, abscissa } = *self;
        let is_array = spectra.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
        match (labels, shifts) {
            (Some(labels), Some(shifts)) if is_array => array::read(spectra, shifts, labels, abscissa),
            (Some(labels), None) if spectra.is_dir() => folder::read(spectra, labels, abscissa),
            (None, None) if !is_array && !spectra.is_dir() => wide::read(spectra, abscissa),
            _ => Err(RecordingError::Parts { path: spectra.to_owned() }),
        }
    }
}

impl Recording {
    /// A wide CSV file of Raman shifts.
    ///
    /// # Errors
    /// When the file cannot be read, has no shifts or rows, or holds anything but finite numbers under a shift.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        Source { spectra: path, labels: None, shifts: None, abscissa: Abscissa::PER_CM }.read()
    }

    /// The rows as spectra that any pipeline takes.
    pub fn raw_spectra(&self) -> impl Iterator<Item = RawSpectrum> {
        self.spectra.iter().map(|row| {
            let origin = Origin::Recorded { id: row.id.clone() };
            RawSpectrum::new(row.axis.clone(), row.intensities.clone(), None, origin)
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
#[path = "../../../tests/support/root.rs"]
mod root;
