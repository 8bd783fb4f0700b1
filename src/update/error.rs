//! What goes wrong between an archive and a running model.

use std::io;
use std::path::PathBuf;

use ramand_core::archive::ArchiveError;
use ramand_core::failure::{Failure, Kind};
use ramand_core::signature::SignatureError;
use ramand_model::manifest::ManifestError;
use ramand_model::{BundleError, ModelError};

/// Why a bundle is not packed, not installed, or not run.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// A file or folder cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file, folder or link of the store cannot be written.
    #[error("failed to write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file that is longer than any of its kind.
    #[error("{} has more than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    /// The archive is none of a bundle.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A key file that holds no key.
    #[error("{}", path.display())]
    Key {
        path: PathBuf,
        #[source]
        source: SignatureError,
    },
    /// More keys than anybody keeps track of.
    #[error("{} holds more than {limit} keys", folder.display())]
    TooManyKeys { folder: PathBuf, limit: usize },
    /// Everybody could add a key.
    #[error("everybody may write {}: `chmod o-w` it", path.display())]
    OpenToAll {
        /// The folder of the keys, or a key.
        path: PathBuf,
    },
    /// A file that every signed bundle has.
    #[error("there is no {file}: the bundle is not signed; `ramand model pack` makes a signed archive")]
    Unsigned {
        /// Its name.
        file: &'static str,
    },
    /// No trusted key verifies the signature.
    #[error("signed by none of the keys in {}: {known}", folder.display())]
    UnknownKey {
        /// The folder of the keys.
        folder: PathBuf,
        /// Their ids and files.
        known: String,
    },
    /// The archive or the folder has a file that the signed manifest does not name.
    #[error("'{file}' is not in the manifest")]
    Unnamed { file: String },
    /// The manifest names a file that is not there.
    #[error("the manifest names '{file}', which is not there")]
    Missing { file: String },
    /// A file was changed after the manifest was signed.
    #[error("'{file}': its SHA-256 is {found}, the manifest says {expected}")]
    Hash {
        file: String,
        /// Of the file.
        found: String,
        /// In the manifest.
        expected: String,
    },
    /// The manifest is no text.
    #[error("the manifest is not UTF-8")]
    Encoding,
    /// The manifest does not hold together.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The bundle does not hold together.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The bundle cannot be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The manifest changed between the check of its signature and its use.
    #[error("{} changed while it was opened", folder.display())]
    Changed { folder: PathBuf },
    /// Opening it panicked.
    #[error("opening {} ended in a panic", path.display())]
    Interrupted { path: PathBuf },
    /// A name the store uses itself.
    #[error("'{name}' cannot be the {what} of a model in the store: the store uses it itself")]
    Reserved {
        name: String,
        /// Name or version.
        what: &'static str,
    },
    /// A version never changes.
    #[error(
        "{name} {version} is installed with other content: its manifest is {found}, this one is {new}; a change is a new version (--model-version of `ramand train` and `ramand model bundle`)"
    )]
    VersionTaken {
        name: String,
        version: String,
        /// SHA-256 of the manifest in the store.
        found: String,
        /// SHA-256 of the manifest in the archive.
        new: String,
    },
    /// There is no such model or version.
    #[error("the store has no {name} {version}; it has {known}")]
    NoVersion {
        name: String,
        /// The version asked for.
        version: String,
        /// Its versions.
        known: String,
    },
    /// Nothing to roll back to.
    #[error("there is no version of {name} to go back to; installed: {known}; --to names one of them")]
    NoPrevious {
        name: String,
        /// Its versions.
        known: String,
    },
    /// Another process installs.
    #[error("another process is changing the store {}", root.display())]
    Busy { root: PathBuf },
    /// Root in somebody else's folder: its owner could lead root elsewhere by a link.
    #[error("{} belongs to user {owner}: run this as that user, as in `sudo -u ramand ramand model ...`", path.display())]
    NotTheOwner {
        /// The store, or the folder it will be made in.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
    },
    /// The new model answers another question than the one it replaces.
    #[error("{what}: {new}, the model it replaces has {old}; --change-output allows it")]
    OtherOutput {
        /// Task, unit or labels.
        what: &'static str,
        /// Of the new model.
        new: String,
        /// Of the old one.
        old: String,
    },
    /// The instrument does not see what the model needs.
    #[error("the model needs {} to {} cm-1, the newest spectrum in the journal has {:.1} to {:.1}", needed.0, needed.1, measured.0, measured.1)]
    Axis {
        /// First and last shift of the model, cm⁻¹.
        needed: (f64, f64),
        /// Of the instrument, cm⁻¹.
        measured: (f64, f64),
    },
    /// Trained with another laser.
    #[error("the model was made for a laser of {model} nm, spectrometer.laser_nm is {configured}")]
    Laser {
        /// In the manifest.
        model: f64,
        /// In the configuration.
        configured: f64,
    },
}

impl Failure for UpdateError {
    fn kind(&self) -> Kind {
        match self {
            Self::Busy { .. } | Self::Changed { .. } => Kind::Transient,
            Self::Interrupted { .. } => Kind::Bug,
            Self::Bundle(error) => error.kind(),
            Self::Model(error) => error.kind(),
            _ => Kind::Operator,
        }
    }
}
