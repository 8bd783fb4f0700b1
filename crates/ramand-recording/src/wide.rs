//! Wide CSV files: `id`, label columns, then one column per Raman shift in cm⁻¹ or wavelength in nm.
//!
//! ```text
//! id,oil,sunflower_pct,800,802,804,...
//! s1-a,olive,0,1523.0,1533.1,...
//! ```
//! A column whose header is a number is a shift; every other one is a label. The first column is the identifier.

use std::path::Path;
use std::sync::Arc;

use ramand_core::spectrum::{AxisError, ShiftAxis};

use super::curve::{Abscissa, descends};
use super::error::{CELLS_MAX, RecordingError};
use super::labels::no_column_twice;
use super::recording::{RecordedSpectrum, Recording};

pub(super) fn read(path: &Path, abscissa: Abscissa) -> Result<Recording, RecordingError> {
    let failed = |source| RecordingError::Read { path: path.to_owned(), source };
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(failed)?;
    let headers = reader.headers().map_err(failed)?.clone();
    no_column_twice(path, &headers)?;
    let number_in = |header: &str| header.parse::<f64>().ok().filter(|number| number.is_finite());
    let (mut shift_columns, label_columns): (Vec<usize>, Vec<usize>) =
        (1..headers.len()).partition(|&column| number_in(&headers[column]).is_some());
    if shift_columns.len() < 2 {
        return Err(RecordingError::NoShifts { path: path.to_owned() });
    }
    let shift = |&column: &usize| abscissa.per_cm(None, number_in(&headers[column]).unwrap_or(f64::NAN));
    if descends(&[shift(&shift_columns[0]), shift(&shift_columns[shift_columns.len() - 1])]) {
        shift_columns.reverse();
    }
    let axis = ShiftAxis::new(shift_columns.iter().map(shift).collect()).map_err(|source| match source {
        AxisError::NotIncreasing { index, .. } => {
            let column = |index: usize| headers[shift_columns[index]].to_owned();
            RecordingError::ColumnOrder { path: path.to_owned(), column: column(index), beside: column(index - 1) }
        }
        source => RecordingError::Axis { path: path.to_owned(), source },
    })?;
    let axis = Arc::new(axis);

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
            axis: axis.clone(),
            intensities: shift_columns.iter().map(number).collect::<Result<_, _>>()?,
            line,
        });
    }
    if spectra.is_empty() {
        return Err(RecordingError::Empty { path: path.to_owned() });
    }
    Ok(Recording { path: path.to_owned(), files: vec![path.to_owned()], spectra })
}
