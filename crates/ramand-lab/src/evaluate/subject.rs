//! What is tested on what: the bundle, the spectra, and whether the bundle has seen them.

use ramand_model::Model;
use ramand_model::manifest::Task;
use ramand_recording::Recording;

use super::document::{Cell, Content, Section, Table};
use super::observe::Observations;
use super::request::{EvaluationRequest, SeenBefore};

/// The first section.
pub(super) fn section(
    recording: &Recording,
    model: &Model,
    request: &EvaluationRequest,
    observations: &Observations,
) -> Section {
    let (identity, manifest) = (model.identity(), model.manifest());
    let group = request.group_column(recording, model);
    let assessed = || observations.rows.iter().filter_map(|row| row.applies);
    let passed = (assessed().count() > 0).then(|| assessed().filter(|applies| *applies).count());
    let task = match manifest.task {
        Task::Regression => "regression",
        Task::Classification => "classification",
    };
    let facts: Vec<(&str, Cell)> = vec![
        ("bundle", identity.name.as_str().into()),
        ("version", identity.version.as_str().into()),
        ("sha256 of the manifest", identity.sha256.as_str().into()),
        ("task", task.into()),
        ("trained on measured spectra", if manifest.training.measured { "yes" } else { "no, or not only" }.into()),
        ("spectra", recording.spectra.len().into()),
        ("spectra that could be preprocessed", observations.rows.len().into()),
        ("independent samples among them", observations.samples.into()),
        ("spectra the gate lets pass", passed.into()),
        ("told apart by", group.unwrap_or("nothing: every row is a sample").into()),
        ("truth", request.label.as_deref().unwrap_or("not given").into()),
    ];
    let rows = facts.into_iter().map(|(what, value)| vec![what.into(), value]).collect();
    let note = if request.seen_before(model) == SeenBefore::InTraining {
        "The bundle was trained on exactly these spectra: this is not a test, and every figure of merit below is too good."
    } else {
        "The file is not the one the bundle was trained on. Whether it holds samples of the training is for you to know."
    };
    let mut notes = vec![note.to_owned()];
    if let Some((id, why)) = observations.not_preprocessed.first() {
        let count = observations.not_preprocessed.len();
        notes.push(format!(
            "{count} spectra could not be preprocessed and are left out, the first being '{id}': {why}."
        ));
    }
    Section {
        key: "subject",
        title: "Bundle and spectra",
        explains: "What was tested on what.".into(),
        content: Ok(Content {
            tables: vec![Table::new("facts", &[("what", "what"), ("value", "value")], rows)],
            figures: Vec::new(),
            notes,
        }),
    }
}
