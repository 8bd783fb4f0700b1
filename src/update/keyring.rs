//! The public keys that are trusted: the `.pem` files of one folder.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ramand_core::signature::{KeyId, PublicKey};

use super::UpdateError;

/// Keys one folder holds at most: each is tried.
const KEYS_MAX: usize = 32;
/// A public key in PEM has 113 bytes; the rest is room for comments.
const KEY_BYTES_MAX: u64 = 16 << 10;
/// Write permission of everybody.
const WRITE_BY_ALL: u32 = 0o002;

/// The keys that may sign bundles.
#[derive(Debug, Clone)]
pub struct Keyring {
    folder: PathBuf,
    keys: Vec<(PublicKey, String)>,
}

impl Keyring {
    /// Reads every `.pem` of `folder`. A folder that does not exist holds none.
    ///
    /// # Errors
    /// When one of them is no ed25519 public key, or everybody may write it: whose key it is would be anybody's guess.
    pub fn read(folder: &Path) -> Result<Self, UpdateError> {
        let failed = |path: &Path, source| UpdateError::Read { path: path.to_owned(), source };
        let listing = match fs::read_dir(folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { folder: folder.to_owned(), keys: Vec::new() });
            }
            Err(error) => return Err(failed(folder, error)),
        };
        let mut paths = Vec::new();
        for entry in listing {
            let path = entry.map_err(|error| failed(folder, error))?.path();
            if path.extension().is_some_and(|extension| extension == "pem") {
                paths.push(path);
            }
        }
        if paths.len() > KEYS_MAX {
            return Err(UpdateError::TooManyKeys { folder: folder.to_owned(), limit: KEYS_MAX });
        }
        paths.sort();
        let mut keys = Vec::new();
        for path in std::iter::once(folder).chain(paths.iter().map(PathBuf::as_path)) {
            let metadata = fs::metadata(path).map_err(|error| failed(path, error))?;
            if metadata.permissions().mode() & WRITE_BY_ALL != 0 {
                return Err(UpdateError::OpenToAll { path: path.to_owned() });
            }
        }
        for path in paths {
            let pem = read_limited(&path, KEY_BYTES_MAX)?;
            let key = PublicKey::from_pem(&pem).map_err(|source| UpdateError::Key { path: path.clone(), source })?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            keys.push((key, name));
        }
        Ok(Self { folder: folder.to_owned(), keys })
    }

    /// The key that signed `manifest`.
    ///
    /// # Errors
    /// When none of the keys did.
    pub fn verify(&self, manifest: &[u8], signature: &[u8]) -> Result<KeyId, UpdateError> {
        let found = self.keys.iter().find(|(key, _)| key.verifies(manifest, signature));
        found.map(|(key, _)| key.id()).ok_or_else(|| UpdateError::UnknownKey {
            folder: self.folder.clone(),
            known: match self.keys.is_empty() {
                true => "there are none; put the signer's public key there, as FILE.pem".into(),
                false => {
                    self.keys.iter().map(|(key, file)| format!("{} ({file})", key.id())).collect::<Vec<_>>().join(", ")
                }
            },
        })
    }
}

/// A file of at most `limit` bytes.
pub(super) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, UpdateError> {
    let failed = |source| UpdateError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("not a file")));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(UpdateError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(bytes)
}
