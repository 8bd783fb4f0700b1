//! Explanations under test: what a bundle says about labelled spectra, and whether its maps can be believed.
//!
//! ```text
//! recording + bundle ─> observations (y, contributions, by spectrum) ─> definitions D1 to D9 ─> sections ─> document
//!                                                                        document ─> terminal, JSON, Markdown, HTML
//! ```
//! Each definition is a pure function of its own; a section says in words what it computed, or why it could not.

mod audit;
mod chart;
mod contribution;
pub mod document;
mod effect;
mod effect_map;
mod error;
mod light;
mod linearity;
mod maps;
mod merit;
pub mod methods;
mod observe;
mod occlusion;
mod off_band;
mod partition;
mod precision;
mod purity;
mod quadrant;
pub mod render;
mod request;
pub mod shift;
mod shortcut;
mod subject;
#[cfg(test)]
mod tests;
mod truth;

pub use error::EvaluateError;
pub use request::EvaluationRequest;

use ramand_model::Model;
use ramand_recording::Recording;

use self::audit::Occlusion;
use self::document::Document;
use self::observe::Observations;
use self::off_band::OffBand;
use self::shortcut::Shortcuts;
use crate::train::Progress;

/// How many steps [`evaluate`] takes: the length of a progress bar.
pub fn steps(recording: &Recording) -> u64 {
    let spectra = recording.spectra.len();
    (spectra + 2 * audit::spectra(spectra)) as u64
}

/// Tests `model` on `recording`.
///
/// # Errors
/// Names the column or row that cannot be used; [`EvaluateError::Interrupted`] when `progress` was told to stop.
pub fn evaluate(
    recording: &Recording,
    model: &Model,
    request: &EvaluationRequest,
    progress: &Progress,
) -> Result<Document, EvaluateError> {
    let observations = Observations::make(recording, model, request, progress)?;
    let budget = precision::of_observations(&observations);
    let linearity = linearity::linearity(&observations);
    let off_band = OffBand::of(&observations);
    let occlusion = if observations.rows.is_empty() {
        Err("no spectrum could be preprocessed".into())
    } else {
        let bands = observations.partition.bands();
        let pieces = off_band.as_ref().map_or(Vec::new(), |found| found.pieces(bands, audit::PIECES_MAX));
        Ok(Occlusion::make(&observations, model, &pieces, progress)?)
    };
    let shortcuts = match &off_band {
        Ok(found) => {
            let pieces = found.suspects(&observations.partition, audit::PIECES_MAX);
            Shortcuts::make(&observations, recording, model, &pieces, progress)?
        }
        Err(because) => Err(because.clone()),
    };
    let identity = model.identity();
    // The folder is nobody's business but its owner's: reports are passed on.
    let file = recording.path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Document {
        title: format!("{} {} on {file}", identity.name, identity.version),
        notes: vec![format!("The bundle says of itself: {}.", identity.claim)],
        sections: vec![
            subject::section(recording, model, request, &observations),
            merit::section(&observations, &budget, request.seen_before(model)),
            maps::section(&observations, model),
            contribution::section(&observations, &budget),
            quadrant::section(&observations, &linearity),
            purity::section(&observations),
            linearity::section(&observations, &linearity),
            precision::section(&observations, &budget),
            off_band::section(&observations, &off_band, &shortcuts),
            audit::section(&observations, &occlusion),
            maps::identities(&observations, &linearity, &budget),
        ],
    })
}
