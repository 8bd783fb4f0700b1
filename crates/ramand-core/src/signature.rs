//! Who vouches for a bundle: an ed25519 signature (RFC 8032) over the bytes of its manifest, which pins every other file.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Kind};
use crate::hex::hex;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of a public key.
const PUBLIC_KEY_BYTES: usize = 32;
/// What is signed begins with this, so that a signature made for anything else is none for a bundle.
pub const DOMAIN: &[u8] = b"ramand model bundle v1\0";
/// SubjectPublicKeyInfo of RFC 8410 up to the key itself: SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING }.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not PEM, or PEM of something else.
    #[error("no public key in PEM: `openssl pkey -in KEY.pem -pubout` makes one ({why})")]
    NoPublicKey {
        /// What the reader says.
        why: String,
    },
    /// Which of them would be trusted?
    #[error("more than one public key in one file")]
    SeveralKeys,
    /// A key of another algorithm.
    #[error("not an ed25519 key")]
    OtherAlgorithm,
    /// No private key in PEM, or one of another algorithm.
    #[error("no ed25519 private key in PEM: `openssl genpkey -algorithm ed25519` makes one ({why})")]
    NoPrivateKey {
        /// What the reader says.
        why: String,
    },
}

impl Failure for SignatureError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// Names a public key: the first 8 bytes of the SHA-256 of its SubjectPublicKeyInfo (DER).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Checks signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

impl PublicKey {
    /// From PEM as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// When the text holds no ed25519 public key, or several.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignatureError> {
        let mut keys = SubjectPublicKeyInfoDer::pem_slice_iter(pem);
        let none = |why: String| SignatureError::NoPublicKey { why };
        let key = keys.next().ok_or_else(|| none("nothing there".into()))?.map_err(|error| none(error.to_string()))?;
        if keys.next().is_some() {
            return Err(SignatureError::SeveralKeys);
        }
        let raw = key.as_ref().strip_prefix(&SPKI_PREFIX).and_then(|raw| raw.try_into().ok());
        raw.map(Self).ok_or(SignatureError::OtherAlgorithm)
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        let digest = Sha256::new().chain_update(SPKI_PREFIX).chain_update(self.0).finalize();
        let mut id = [0; 8];
        id.iter_mut().zip(digest).for_each(|(id, byte)| *id = byte);
        KeyId(id)
    }

    /// Whether `signature` is this key's for the bytes of a manifest.
    pub fn verifies(&self, manifest: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(&message(manifest), signature).is_ok()
    }
}

/// Signs manifests.
#[derive(Debug)]
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// From PEM as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// When the text holds no such key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignatureError> {
        let none = |why: String| SignatureError::NoPrivateKey { why };
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|error| none(error.to_string()))?;
        // OpenSSL leaves the public key out (PKCS#8 version 1): there is nothing to check it against.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(Self).map_err(|error| none(error.to_string()))
    }

    /// The key that checks what this one signs.
    pub fn public(&self) -> PublicKey {
        let raw = self.0.public_key().as_ref().try_into();
        PublicKey(raw.expect("an ed25519 public key has 32 bytes"))
    }

    /// The signature of a manifest's bytes.
    pub fn sign(&self, manifest: &[u8]) -> Vec<u8> {
        self.0.sign(&message(manifest)).as_ref().to_vec()
    }
}

/// What is signed.
fn message(manifest: &[u8]) -> Vec<u8> {
    [DOMAIN, manifest].concat()
}
