//! What a spectrum is recognised by in a recording.

use ramand_core::spectrum::RawSpectrum;
use sha2::{Digest, Sha256};

/// SHA-256 of the counts as little-endian f32, light first, then dark where there is one.
pub fn digest(spectrum: &RawSpectrum) -> [u8; 32] {
    let counts = spectrum.light().iter().chain(spectrum.dark().unwrap_or_default());
    let mut hasher = Sha256::new();
    counts.for_each(|count| hasher.update(count.to_le_bytes()));
    hasher.finalize().into()
}
