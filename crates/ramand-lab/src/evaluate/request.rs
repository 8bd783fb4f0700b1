//! What is asked about a bundle, and what the bundle answers about its own training.

use ramand_model::Model;
use ramand_recording::Recording;

/// What is asked about a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluationRequest {
    /// Label column that holds the truth; without it, nothing is compared with a truth.
    pub label: Option<String>,
    /// Label column that tells independent samples apart; without it, the one the bundle was trained with if it is there, else
    /// every row is a sample.
    pub group: Option<String>,
    /// SHA-256 of the recording, hexadecimal, as training writes it.
    pub data_sha256: String,
}

/// Whether the bundle has seen the spectra.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SeenBefore {
    /// The file is that of the training: no figure says anything about other spectra.
    InTraining,
    /// The file is another one. It may hold samples of the training all the same.
    NotThisFile,
}

impl EvaluationRequest {
    /// Whether these are the spectra the bundle was trained on.
    pub(super) fn seen_before(&self, model: &Model) -> SeenBefore {
        match model.manifest().training.data_sha256.eq_ignore_ascii_case(&self.data_sha256) {
            true => SeenBefore::InTraining,
            false => SeenBefore::NotThisFile,
        }
    }

    /// The column that tells samples apart.
    pub(super) fn group_column<'a>(&'a self, recording: &Recording, model: &'a Model) -> Option<&'a str> {
        let trained_with = model.manifest().training.group.as_str();
        let is_there = recording.spectra.iter().all(|row| row.labels.contains_key(trained_with));
        self.group.as_deref().or(is_there.then_some(trained_with))
    }
}
