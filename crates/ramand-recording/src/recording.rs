//! Labelled spectra in memory, wherever they were read from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ramand_core::spectrum::{Origin, RawSpectrum, ShiftAxis};

use super::error::RecordingError;

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

impl Recording {
    /// The rows as spectra that any pipeline takes.
    pub fn raw_spectra(&self) -> impl Iterator<Item = RawSpectrum> {
        self.spectra.iter().map(|row| {
            let origin = Origin::Recorded { id: row.id.clone() };
            RawSpectrum::new(row.axis.clone(), row.intensities.clone(), None, origin)
                .expect("every row was read with one finite number per shift")
        })
    }

    /// The same without the rows of these identifiers.
    ///
    /// # Errors
    /// When no row has one of them, or no row is left.
    pub fn without(mut self, ids: &[String]) -> Result<Self, RecordingError> {
        if let Some(id) = ids.iter().find(|id| self.spectra.iter().all(|row| row.id != **id)) {
            return Err(RecordingError::NoSuchId { path: self.path, id: id.clone() });
        }
        self.spectra.retain(|row| !ids.contains(&row.id));
        if self.spectra.is_empty() {
            return Err(RecordingError::NothingLeft { path: self.path });
        }
        Ok(self)
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

    /// Which sample each row belongs to, from 0 in the order of appearance: what stands in the column `group`; without one, every row
    /// is a sample.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn samples(&self, group: Option<&str>) -> Result<Vec<usize>, RecordingError> {
        Ok(match group {
            Some(column) => numbered(self.label_column(column)?),
            None => (0..self.spectra.len()).collect(),
        })
    }
}

/// Which of the different texts each is, from 0 in the order of appearance.
fn numbered(texts: Vec<&str>) -> Vec<usize> {
    let mut numbers = BTreeMap::new();
    let number = |text| {
        let next = numbers.len();
        *numbers.entry(text).or_insert(next)
    };
    texts.into_iter().map(number).collect()
}
