//! Spectra that were changed alike.

use super::judge::Seen;

/// Spectra after one change, or of one thing the model does not know: in words, and what was seen of each with its sample.
pub(super) struct Group {
    pub(super) words: String,
    pub(super) seen: Vec<(usize, Seen)>,
}
