//! The label table: which spectrum is what, where the spectra stand in other files.
//!
//! ```text
//! file,sample,sunflower_pct
//! a-1.spc,a,0
//! ```
//! The first column is the file in a folder of spectra, or the identifier of a row of an array; every other one is a label.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::RecordingError;

/// Rows of one table: far above any calibration set.
const ROWS_MAX: usize = 1 << 20;

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LabelRow {
    /// First column.
    pub(super) name: String,
    /// The other columns by header.
    pub(super) labels: BTreeMap<String, String>,
    /// Line in the file, from 1.
    pub(super) line: u64,
}

/// Reads a label table: at least one row, no name twice.
pub(super) fn read(path: &Path) -> Result<Vec<LabelRow>, RecordingError> {
    let failed = |source| RecordingError::Read { path: path.to_owned(), source };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(failed)?;
    let headers = reader.headers().map_err(failed)?.clone();
    no_column_twice(path, &headers)?;
    let mut rows: Vec<LabelRow> = Vec::new();
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(failed)?;
        if rows.len() == ROWS_MAX {
            return Err(RecordingError::TooLarge { path: path.to_owned() });
        }
        let line = record.position().map_or(0, csv::Position::line);
        let name = record.get(0).unwrap_or_default().to_owned();
        if let Some(&earlier) = lines.get(&name) {
            return Err(RecordingError::NameTwice { path: path.to_owned(), line, name, earlier });
        }
        lines.insert(name.clone(), line);
        let labels = headers.iter().zip(record.iter()).skip(1);
        let labels = labels.map(|(header, label)| (header.to_owned(), label.to_owned())).collect();
        rows.push(LabelRow { name, labels, line });
    }
    if rows.is_empty() { Err(RecordingError::Empty { path: path.to_owned() }) } else { Ok(rows) }
}

/// A header that stands there twice would leave its second column unread.
pub(super) fn no_column_twice(path: &Path, headers: &csv::StringRecord) -> Result<(), RecordingError> {
    let twice = headers.iter().enumerate().find(|(place, header)| headers.iter().take(*place).any(|h| h == *header));
    match twice {
        Some((_, column)) => Err(RecordingError::ColumnTwice { path: path.to_owned(), column: column.to_owned() }),
        None => Ok(()),
    }
}
