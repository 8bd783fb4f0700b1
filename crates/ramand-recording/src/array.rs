//! NumPy arrays: spectra as rows, the axis as another array, and a label table with as many rows.

use std::path::Path;
use std::sync::Arc;

use ramand_core::npy::Table;

use super::curve::{Abscissa, Curve, FILE_BYTES_MAX};
use super::error::RecordingError;
use super::folder::bytes;
use super::labels::{self, LabelRow};
use super::recording::{RecordedSpectrum, Recording};

/// Reads `[spectra, points]` from `array`, `[points]` from `shifts`, and one row of `table` a spectrum, in this order.
pub(super) fn read(array: &Path, shifts: &Path, table: &Path, abscissa: Abscissa) -> Result<Recording, RecordingError> {
    let opened = |path: &Path| {
        let failed = |source| RecordingError::Array { path: path.to_owned(), source };
        Table::read_saved(&bytes(path, FILE_BYTES_MAX)?).map_err(failed)
    };
    let (values, axis) = (opened(array)?, opened(shifts)?);
    if axis.values().len() != values.columns() {
        return Err(RecordingError::Lengths {
            path: array.to_owned(),
            points: values.columns(),
            other: shifts.to_owned(),
            shifts: axis.values().len(),
        });
    }
    let rows = labels::read(table)?;
    if rows.len() != values.rows() {
        return Err(RecordingError::Rows {
            path: array.to_owned(),
            spectra: values.rows(),
            other: table.to_owned(),
            labels: rows.len(),
        });
    }
    let abscissae: Vec<f64> = axis.values().iter().map(|&value| f64::from(value)).collect();
    let mut spectra: Vec<RecordedSpectrum> = Vec::with_capacity(rows.len());
    for (LabelRow { name, labels, line }, row) in rows.into_iter().zip(values.values().chunks(values.columns())) {
        let curve = Curve { abscissae: abscissae.clone(), ordinates: row.to_vec(), unit: None };
        let failed = |source| RecordingError::Axis { path: shifts.to_owned(), source };
        let (axis, intensities) = curve.on_axis(abscissa).map_err(failed)?;
        let axis = spectra.first().map_or_else(|| Arc::new(axis), |first| first.axis.clone());
        spectra.push(RecordedSpectrum { id: name, labels, axis, intensities, line });
    }
    Ok(Recording {
        path: table.to_owned(),
        files: vec![array.to_owned(), shifts.to_owned(), table.to_owned()],
        spectra,
    })
}
