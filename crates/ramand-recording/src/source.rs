//! Where a recording comes from, and which reader its files need.

use std::path::Path;

use super::curve::Abscissa;
use super::error::RecordingError;
use super::recording::Recording;
use super::{array, folder, wide};

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
}
