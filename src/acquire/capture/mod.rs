//! The conversation on a serial line as a text file: recorded while it happens, played back to the same driver later.
//!
//! [`Recorder`] taps a link; [`Conversation`] is the file, read back; [`Player`] stands in for the device. docs/capture.md
//! describes the file. A player has no clock of its own: the recorded times are the time of whoever asks the link, so a
//! night of time-outs plays back at once and comes to the same end.

mod error;
mod format;
mod play;
mod record;
mod settings;

pub use error::CaptureError;
pub use format::{Act, Conversation, Event, FILE_BYTES_MAX, Moment, Way};
pub use play::{Player, replay};
pub use record::Recorder;

use ramand_core::spectrum::RawSpectrum;

/// What a spectrum is recognised by: SHA-256 of its counts as little-endian f32, light first, then dark where there is one.
pub fn digest(spectrum: &RawSpectrum) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let counts = spectrum.light().iter().chain(spectrum.dark().unwrap_or_default());
    let mut hasher = Sha256::new();
    counts.for_each(|count| hasher.update(count.to_le_bytes()));
    hasher.finalize().into()
}
