//! A signed bundle in an archive: made of a folder, or read and checked before anything is written.

use std::collections::BTreeMap;
use std::path::Path;

use ramand_core::archive::{self, ARCHIVE_BYTES_MAX};
use ramand_core::signature::{KeyId, SIGNATURE_BYTES, SigningKey};
use ramand_model::manifest::{MANIFEST_BYTES_MAX, Manifest};
use ramand_model::{Bundle, Model};

use super::keyring::read_limited;
use super::{Keyring, UpdateError, sha256};

/// The file that names all others.
pub const MANIFEST: &str = "manifest.toml";
/// The file that says who vouches for the manifest: the 64 bytes of the signature.
pub const SIGNATURE: &str = "manifest.sig";

/// An archive whose signature and hashes hold.
#[derive(Debug, Clone)]
pub struct Package {
    /// Every file, by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What the bundle says about itself.
    pub manifest: Manifest,
    /// SHA-256 of the manifest, hexadecimal: the model's identity.
    pub sha256: String,
    /// Who signed it.
    pub key: KeyId,
}

impl Package {
    /// Reads and checks an archive. The signature comes first: nothing that nobody known has signed is interpreted
    /// further than its file names.
    ///
    /// # Errors
    /// When it is no archive of a bundle, nobody known has signed it, or its files are not those of the manifest.
    pub fn read(bytes: &[u8], keys: &Keyring) -> Result<Self, UpdateError> {
        let files = archive::read(bytes)?;
        let manifest = files.get(MANIFEST).ok_or_else(|| UpdateError::Missing { file: MANIFEST.into() })?;
        let signature = files.get(SIGNATURE).ok_or(UpdateError::Unsigned { file: SIGNATURE })?;
        let key = keys.verify(manifest, signature)?;
        let identity = sha256(manifest);
        let text = std::str::from_utf8(manifest).map_err(|_| UpdateError::Encoding)?;
        let manifest = Manifest::parse(text, Path::new(MANIFEST))?;
        let hashes = manifest.hashes();
        let unnamed = files
            .keys()
            .find(|file| ![MANIFEST, SIGNATURE].contains(&file.as_str()) && !hashes.contains_key(file.as_str()));
        if let Some(file) = unnamed {
            return Err(UpdateError::Unnamed { file: file.clone() });
        }
        for (file, expected) in hashes {
            let content = files.get(file).ok_or_else(|| UpdateError::Missing { file: file.to_owned() })?;
            let found = sha256(content);
            if found != expected {
                return Err(UpdateError::Hash { file: file.to_owned(), found, expected: expected.to_owned() });
            }
        }
        Ok(Self { files, manifest, sha256: identity, key })
    }

    /// The archive of the bundle in `folder`, signed. The bundle is opened and run once first.
    ///
    /// # Errors
    /// When the folder is no bundle that runs, or is too large for an archive.
    pub fn pack(folder: &Path, key: &SigningKey) -> Result<(Self, Vec<u8>), UpdateError> {
        let bundle = Bundle::open(folder)?;
        let (identity, manifest) = (bundle.identity.clone(), bundle.manifest.clone());
        Model::new(bundle)?;
        let mut files = BTreeMap::new();
        let text = read_limited(&folder.join(MANIFEST), MANIFEST_BYTES_MAX)?;
        if sha256(&text) != identity.sha256 {
            return Err(UpdateError::Changed { folder: folder.to_owned() });
        }
        files.insert(SIGNATURE.to_owned(), key.sign(&text));
        files.insert(MANIFEST.to_owned(), text);
        for file in manifest.hashes().keys() {
            files.insert((*file).to_owned(), read_limited(&folder.join(file), ARCHIVE_BYTES_MAX)?);
        }
        let bytes = archive::write(&files)?;
        if bytes.len() as u64 > ARCHIVE_BYTES_MAX {
            return Err(archive::ArchiveError::TooLarge.into());
        }
        Ok((Self { files, manifest, sha256: identity.sha256, key: key.public().id() }, bytes))
    }
}

/// The signature beside a manifest, and the manifest's bytes.
pub(super) fn read_signed(folder: &Path) -> Result<(Vec<u8>, Vec<u8>), UpdateError> {
    let manifest = read_limited(&folder.join(MANIFEST), MANIFEST_BYTES_MAX)?;
    let signature = match read_limited(&folder.join(SIGNATURE), SIGNATURE_BYTES as u64) {
        Err(UpdateError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(UpdateError::Unsigned { file: SIGNATURE });
        }
        read => read?,
    };
    Ok((manifest, signature))
}
