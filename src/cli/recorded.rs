//! Spectra for models that exist: read as the file was read that the models were trained on.

use std::path::Path;

use ramand_core::spectrum::Wavelength;
use ramand_model::manifest::{AbscissaRecord, Manifest};
use ramand_recording::{Abscissa, AbscissaUnit, Recording, Source};

use super::error::CommandError;

/// Spectra in a file whose columns count what those did that the models were trained on.
///
/// # Errors
/// When the file cannot be read, or two models were trained on files of different columns.
pub(super) fn as_trained<'m>(
    path: &Path,
    manifests: impl Iterator<Item = &'m Manifest>,
) -> Result<Recording, CommandError> {
    let mut columns: Vec<(AbscissaRecord, f64)> =
        manifests.map(|manifest| (manifest.training.abscissa, manifest.laser_nm)).collect();
    // The laser matters only where wavelengths become shifts.
    columns.iter_mut().filter(|(unit, _)| *unit == AbscissaRecord::PerCm).for_each(|(_, laser_nm)| *laser_nm = 0.0);
    columns.dedup();
    let [(unit, laser_nm)] = columns[..] else {
        return Err(CommandError::operator(
            "these models were trained on files with different columns (cm-1, or nm of different lasers): give one model at a time",
        ));
    };
    let unit = match unit {
        AbscissaRecord::PerCm => AbscissaUnit::PerCm,
        AbscissaRecord::Nm => AbscissaUnit::Nm,
    };
    let laser = (laser_nm > 0.0).then(|| Wavelength::from_nm(laser_nm));
    Ok(Source { spectra: path, labels: None, shifts: None, abscissa: Abscissa { unit, laser } }.read()?)
}
