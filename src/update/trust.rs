//! What may run: a bundle in the store only with a signature that holds, any other by the permissions of its files.

use std::path::{Path, PathBuf, absolute};

use ramand_core::signature::KeyId;
use ramand_model::{Bundle, Model};

use super::package::read_signed;
use super::{Keyring, UpdateError, sha256};

/// Opens bundles for the line.
#[derive(Debug, Clone)]
pub struct Trust {
    store: PathBuf,
    keys: PathBuf,
}

impl Trust {
    /// `store` is the folder below which nothing unsigned runs, `keys` that of the trusted keys.
    pub fn new(store: &Path, keys: &Path) -> Self {
        Self { store: store.to_owned(), keys: keys.to_owned() }
    }

    /// Opens the bundle at `path` and makes it ready. The keys are read anew each time.
    ///
    /// # Errors
    /// When it is in the store and nobody known has signed it, or it is no bundle that runs.
    pub fn open(&self, path: &Path) -> Result<Model, UpdateError> {
        Ok(self.open_signed(path)?.0)
    }

    /// As [`Trust::open`], with the key that signed it; `None` outside the store, where nobody has to.
    ///
    /// # Errors
    /// As [`Trust::open`].
    pub fn open_signed(&self, path: &Path) -> Result<(Model, Option<KeyId>), UpdateError> {
        if !self.in_store(path) {
            return Ok((Model::open(path)?, None));
        }
        // Links are followed once: a switch in between cannot mix two versions.
        let folder = path.canonicalize().map_err(|source| UpdateError::Read { path: path.to_owned(), source })?;
        let (manifest, signature) = read_signed(&folder)?;
        let key = Keyring::read(&self.keys)?.verify(&manifest, &signature)?;
        let bundle = Bundle::open(&folder)?;
        if bundle.identity.sha256 != sha256(&manifest) {
            return Err(UpdateError::Changed { folder });
        }
        Ok((Model::new(bundle)?, Some(key)))
    }

    /// Whether `path` is written as one below the store, lies below it, or leads into it.
    pub fn in_store(&self, path: &Path) -> bool {
        let below = |path: Option<PathBuf>, store: Option<PathBuf>| {
            path.zip(store).is_some_and(|(path, store)| path.starts_with(store))
        };
        let real = |path: &Path| path.canonicalize().ok();
        let store = || real(&self.store);
        let parent = absolute(path).ok().and_then(|path| real(path.parent()?));
        below(absolute(path).ok(), absolute(&self.store).ok()) || below(parent, store()) || below(real(path), store())
    }
}
