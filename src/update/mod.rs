//! Models that are replaced without the package: signed archives, a store of versions, and what runs from it.
//!
//! Archives and signatures are read by `ramand_core::{archive, signature}`; [`Package`] is an archive whose signature and hashes hold; a [`Store`] keeps
//! versions and switches between them so that a power cut leaves the old one or the new one; [`Trust`] opens bundles, and
//! opens none from the store that nobody known has signed; [`audit`] is the trail of all of it.

pub mod audit;
mod error;
mod keyring;
mod package;
pub mod shadow;
mod store;
pub mod suitability;
mod trust;

pub use error::UpdateError;
pub use keyring::Keyring;
pub use package::{MANIFEST, Package, SIGNATURE};
pub use store::{Store, StoreStep, Version, versions};
pub use trust::Trust;

use ramand_core::hex::hex;
use sha2::{Digest, Sha256};

/// SHA-256, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
pub(crate) mod tests;
