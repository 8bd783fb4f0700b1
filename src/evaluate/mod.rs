//! Explanations under test: what a bundle says about labelled spectra, and whether its maps can be believed.
//!
//! ```text
//! recording + bundle ─> observations (y, contributions, by spectrum) ─> definitions D1 to D9 ─> sections ─> document
//!                                                                        document ─> terminal, JSON, Markdown, HTML
//! ```
//! Each definition is a pure function of its own; a section says in words what it computed, or why it could not.

pub mod document;
mod error;
pub mod methods;
pub mod render;
pub mod shift;
mod subject;

pub use error::EvaluateError;

use self::document::Document;
use crate::infer::Model;
use crate::recording::Recording;
use crate::train::Progress;

/// What is asked about a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Label column that holds the truth; without it, nothing is compared with a truth.
    pub label: Option<String>,
    /// Label column that tells independent samples apart; without it, the one the bundle was trained with if it is there, else
    /// every row is a sample.
    pub group: Option<String>,
    /// SHA-256 of the recording, hexadecimal, as training writes it.
    pub data_sha256: String,
}

/// Tests `model` on `recording`.
///
/// # Errors
/// Names the column or row that cannot be used; [`EvaluateError::Interrupted`] when `progress` was told to stop.
pub fn evaluate(
    recording: &Recording,
    model: &Model,
    request: &Request,
    progress: &Progress,
) -> Result<Document, EvaluateError> {
    progress.step()?;
    let identity = model.identity();
    Ok(Document {
        title: format!("{} {} on {}", identity.name, identity.version, recording.path.display()),
        notes: vec![format!("The bundle says of itself: {}.", identity.claim)],
        sections: vec![subject::section(recording, model, request)?],
    })
}
