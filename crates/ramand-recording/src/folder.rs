//! A folder of JCAMP-DX and SPC files with a label table.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ramand_core::spectrum::ShiftAxis;

use super::curve::{Abscissa, Curve, FILE_BYTES_MAX};
use super::error::{CELLS_MAX, RecordingError};
use super::labels::{self, LabelRow};
use super::recording::{RecordedSpectrum, Recording};
use super::{jcamp, spc};

/// Endings of files that must have a row in the table.
const ENDINGS: [&str; 4] = ["spc", "jdx", "dx", "jcm"];

/// Reads every file that the table names; a file of several spectra gives several rows with the same labels.
pub(super) fn read(folder: &Path, table: &Path, abscissa: Abscissa) -> Result<Recording, RecordingError> {
    let rows = labels::read(table)?;
    all_have_a_row(folder, table, &rows)?;
    let mut spectra: Vec<RecordedSpectrum> = Vec::new();
    let mut files = vec![table.to_owned()];
    let mut cells = 0;
    for LabelRow { name, labels, line } in rows {
        let plain = Path::new(&name).file_name().is_some_and(|file| file == name.as_str());
        if !plain {
            return Err(RecordingError::FileName { path: table.to_owned(), line, name });
        }
        let path = folder.join(&name);
        let curves = curves(&path)?;
        let count = curves.len();
        for (place, curve) in curves.into_iter().enumerate() {
            cells += curve.ordinates.len();
            if cells > CELLS_MAX {
                return Err(RecordingError::TooLarge { path: folder.to_owned() });
            }
            let id = if count == 1 { name.clone() } else { format!("{name}#{place}") };
            let failed = |source| RecordingError::Axis { path: path.clone(), source };
            let (axis, intensities) = curve.on_axis(abscissa).map_err(failed)?;
            // Files of one instrument share an axis: it is kept once.
            let axis = match spectra.last() {
                Some(last) if *last.axis == axis => last.axis.clone(),
                _ => Arc::<ShiftAxis>::new(axis),
            };
            spectra.push(RecordedSpectrum { id, labels: labels.clone(), axis, intensities, line });
        }
        files.push(path);
    }
    Ok(Recording { path: table.to_owned(), files, spectra })
}

/// A spectrum that the table forgot would silently be left out.
fn all_have_a_row(folder: &Path, table: &Path, rows: &[LabelRow]) -> Result<(), RecordingError> {
    let failed = |source| RecordingError::Open { path: folder.to_owned(), source };
    let mut unnamed: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let is_spectrum = ending.is_some_and(|ending| ENDINGS.contains(&&*ending));
        let named = |row: &LabelRow| path.file_name().is_some_and(|file| file == row.name.as_str());
        if is_spectrum && !rows.iter().any(named) {
            unnamed.push(path);
        }
    }
    // In the same order on every file system.
    match unnamed.into_iter().min() {
        Some(file) => Err(RecordingError::NoRow { path: table.to_owned(), file }),
        None => Ok(()),
    }
}

/// The content says what a file is, not its name.
fn curves(path: &Path) -> Result<Vec<Curve>, RecordingError> {
    let bytes = bytes(path, FILE_BYTES_MAX)?;
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).trim_ascii_start();
    if start.starts_with(b"##") {
        let curve = jcamp::read(&String::from_utf8_lossy(&bytes));
        return Ok(vec![curve.map_err(|source| RecordingError::Jcamp { path: path.to_owned(), source })?]);
    }
    spc::read(&bytes).map_err(|source| RecordingError::Spc { path: path.to_owned(), source })
}

/// A whole file of at most `limit` bytes.
pub(super) fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, RecordingError> {
    let failed = |source| RecordingError::Open { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit { Err(RecordingError::TooLarge { path: path.to_owned() }) } else { Ok(bytes) }
}
