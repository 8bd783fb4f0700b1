//! What a bundle says of itself in words, as `ramand train` and `ramand model bundle` take it.

use std::path::{Path, PathBuf};

use clap::Args;
use ramand_lab::train::Provenance;
use ramand_model::manifest::CardRecord;
use ramand_recording::Recording;

use super::error::CommandError;
use super::inputs::{data_sha256, read_toml};

/// The options.
#[derive(Debug, Args)]
pub(super) struct DescriptionArgs {
    /// The bundle's name [default: the name of the folder]
    #[arg(long)]
    name: Option<String>,
    /// The bundle's version
    #[arg(long = "model-version", alias = "version", value_name = "TEXT", default_value = "1.0.0")]
    pub(super) version: String,
    /// What may be said about the model [default: how its figures came about]
    #[arg(long, value_name = "TEXT")]
    claim: Option<String>,
    /// TOML file for the model card: `intended`, what the model is for, and `not_for`, a list of what it must not be used for
    #[arg(long, value_name = "FILE.toml")]
    card: Option<PathBuf>,
    /// Where the spectra come from [default: the name of the file]
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// Licence of the model
    #[arg(long, value_name = "TEXT", default_value = "not stated")]
    licence: String,
    /// Laser wavelength in nm; 0 for methods without a laser
    #[arg(long, value_name = "NM", default_value_t = 0.0)]
    pub(super) laser_nm: f64,
    /// Every spectrum was measured, none simulated
    #[arg(long)]
    measured: bool,
}

impl DescriptionArgs {
    /// The name of a bundle that is written to `out`.
    ///
    /// # Errors
    /// When neither has one.
    pub(super) fn name(&self, out: &Path) -> Result<String, CommandError> {
        let name = self.name.clone().or_else(|| file_name(out));
        name.ok_or_else(|| CommandError::operator("--out has no name to give to the bundle: use --name"))
    }

    /// What the manifest says; `claim` is what may be said where nothing was given.
    ///
    /// # Errors
    /// When the card or a file of spectra cannot be read.
    pub(super) fn provenance(
        &self,
        claim: &str,
        spectra: &Path,
        recording: &Recording,
    ) -> Result<Provenance, CommandError> {
        Ok(Provenance {
            claim: self.claim.clone().unwrap_or_else(|| claim.to_owned()),
            card: self.card.as_deref().map(read_toml::<CardRecord>).transpose()?,
            licence: self.licence.clone(),
            laser_nm: self.laser_nm,
            data: self.data.clone().or_else(|| file_name(spectra)).unwrap_or_default(),
            data_sha256: data_sha256(recording)?,
            measured: self.measured,
            left_out: Vec::new(),
        })
    }
}

/// The last part of a path.
pub(super) fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}
