//! How gate, intervals and sets fail where spectra are not like the training's: good spectra refused, foreign ones noticed.
//!
//! The same spectra are shown again after each change. Shares are means over samples, each with the mean over its spectra, and
//! a spectrum counts as refused where its verdict is invalid under the rules of a line without limits.

mod change;
mod drawn;
mod group;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

use ramand_core::decide::Output;
use ramand_model::Model;
use ramand_recording::Recording;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::document::{Cell, Content, Document, Section, Table};
use super::error::EvaluateError;
use super::request::{EvaluationRequest, SeenBefore};
use crate::train::Progress;

use self::change::SpectrumChange;
use self::group::Group;
use self::judge::{Judge, Seen, Shown, Truths};

/// Of the noise that fluorescence adds.
const SEED: u64 = 1;
/// An axis that is off by this is noticed by nobody who looks at a spectrum, cm⁻¹.
const AXIS_PER_CM: f64 = 3.0;
/// A laser that drifted, or another one of the same kind, nm.
const LASER_NM: f64 = 1.0;
/// Of the spectrum's median.
const FLUORESCENCE: [f64; 2] = [2.0, 5.0];

/// What the spectra are shown after.
fn changes(model: &Model) -> Vec<SpectrumChange> {
    let mut changes = vec![SpectrumChange::None, SpectrumChange::Axis(AXIS_PER_CM)];
    let laser_nm = model.manifest().laser_nm;
    if laser_nm > 0.0 {
        changes.extend([SpectrumChange::Laser { laser_nm, longer_nm: LASER_NM }, SpectrumChange::Heights1064]);
    }
    changes.extend(FLUORESCENCE.map(SpectrumChange::Fluorescence));
    changes
}

/// How many steps [`shift`] takes at most: the length of a progress bar.
pub fn steps(recording: &Recording, unknown: Option<&Recording>, model: &Model) -> u64 {
    let unknown = unknown.map_or(0, |unknown| unknown.spectra.len());
    (recording.spectra.len() * changes(model).len() + unknown) as u64
}

/// Shows `recording` again after each change, and `unknown`, spectra of something the model was never shown, as they are. Of a
/// classification, spectra of `recording` whose class is none of the model's are unknown too.
///
/// # Errors
/// Names the column or row that cannot be used; [`EvaluateError::Interrupted`] when `progress` was told to stop.
pub fn shift(
    recording: &Recording,
    unknown: Option<&Recording>,
    model: &Model,
    request: &EvaluationRequest,
    progress: &Progress,
) -> Result<Document, EvaluateError> {
    let identity = model.identity();
    let own = if request.seen_before(model) == SeenBefore::InTraining {
        "These are the spectra the bundle was trained on: its false alarms and errors here are not those of new samples."
    } else {
        "The file is not the one the bundle was trained on."
    };
    Ok(Document {
        title: format!("{} {} on {}", identity.name, identity.version, recording.path.display()),
        notes: vec![format!("The bundle says of itself: {}.", identity.claim), own.to_owned()],
        sections: vec![section(recording, unknown, model, request, progress)?],
    })
}

fn section(
    recording: &Recording,
    unknown: Option<&Recording>,
    model: &Model,
    request: &EvaluationRequest,
    progress: &Progress,
) -> Result<Section, EvaluateError> {
    let labels = match model.output() {
        Output::Class(labels) => Some(labels),
        Output::Value => None,
    };
    let truths = match (&request.label, labels) {
        (None, _) => Truths::None,
        (Some(column), None) => Truths::Values(recording.number_column(column)?),
        (Some(column), Some(_)) => Truths::Classes(recording.label_column(column)?),
    };
    let samples = recording.samples(request.group_column(recording, model))?;
    let foreign = |row: usize| match (&truths, labels) {
        (Truths::Classes(found), Some(known)) => !known.iter().any(|label| label == found[row]),
        _ => false,
    };
    let mut judge = Judge::new(model)?;
    let mut groups = Vec::new();
    for change in changes(model) {
        let mut random = ChaCha8Rng::seed_from_u64(SEED);
        let mut seen = Vec::new();
        for (row, raw) in recording.raw_spectra().enumerate().filter(|(row, _)| !foreign(*row)) {
            progress.step()?;
            seen.push((samples[row], judge.see(&raw, change, Shown::Known(&truths, row), &mut random)?));
        }
        groups.push(Group { words: change.in_words(), seen });
    }
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut strangers: BTreeMap<String, Vec<(usize, Seen)>> = BTreeMap::new();
    for (row, raw) in recording.raw_spectra().enumerate().filter(|(row, _)| foreign(*row)) {
        let Truths::Classes(found) = &truths else { continue };
        progress.step()?;
        let seen = judge.see(&raw, SpectrumChange::None, Shown::Unknown, &mut random)?;
        strangers.entry(format!("not in the training: {}", found[row])).or_default().push((samples[row], seen));
    }
    if let Some(unknown) = unknown {
        let samples = unknown.samples(request.group_column(unknown, model))?;
        for (row, raw) in unknown.raw_spectra().enumerate() {
            progress.step()?;
            let seen = judge.see(&raw, SpectrumChange::None, Shown::Unknown, &mut random)?;
            let label = request.label.as_ref().and_then(|column| unknown.spectra[row].labels.get(column));
            let words = match (labels, label) {
                (Some(_), Some(label)) => format!("not in the training: {label}"),
                _ => "not in the training".to_owned(),
            };
            strangers.entry(words).or_default().push((samples[row], seen));
        }
    }
    let changed = groups.len();
    groups.extend(strangers.into_iter().map(|(words, seen)| Group { words, seen }));
    Ok(written(&groups, changed, model))
}

/// The first `changed` of the groups are the same spectra again; what comes after them the model does not know.
fn written(groups: &[Group], changed: usize, model: &Model) -> Section {
    let rows: Vec<Vec<Cell>> = groups.iter().map(|group| table_row(group.words.clone(), &group.seen)).collect();
    let size = match model.output() {
        Output::Class(_) => "classes in a set",
        Output::Value => "width of an interval",
    };
    let columns = [
        ("change", "change"),
        ("spectra", "spectra"),
        ("samples", "samples"),
        ("refused", "refused"),
        ("gate", "by T2 or Q"),
        ("p_value", "by p-value"),
        ("set", "by set"),
        ("coverage", "coverage"),
        ("size", size),
        ("wrong", "wrong and not refused"),
    ];
    let confidence = model.manifest().conformal.as_ref().map(|conformal| conformal.confidence);
    let nominal = confidence.map_or_else(String::new, |share| format!(" Nominal coverage: {share}."));
    let lacks = model.lacks();
    let notes = (!lacks.is_empty()).then(|| format!("The bundle has no {}.", lacks.join(" and no ")));
    Section {
        key: "shift",
        title: "Spectra that are not like the training's",
        explains: format!(
            "Shares of spectra, means over samples. Refused in the first row are false alarms, in every other the changes that \
             were noticed. Coverage counts refused spectra too; wrong and not refused is what a line would believe.{nominal}"
        ),
        content: Ok(Content {
            figures: drawn::figures(&rows, groups, changed, confidence),
            tables: vec![Table::new("shift", &columns, rows), drawn::plane_table(groups, changed)],
            notes: notes.into_iter().collect(),
        }),
    }
}

fn table_row(what: String, seen: &[(usize, Seen)]) -> Vec<Cell> {
    let share =
        |holds: fn(&Seen) -> Option<f64>| mean_over_samples(seen.iter().map(|(sample, seen)| (*sample, holds(seen))));
    let samples: BTreeSet<usize> = seen.iter().map(|(sample, _)| *sample).collect();
    vec![
        what.into(),
        seen.len().into(),
        samples.len().into(),
        share(|seen| Some(f64::from(u8::from(seen.refused)))).into(),
        share(|seen| Some(f64::from(u8::from(seen.by_gate)))).into(),
        share(|seen| Some(f64::from(u8::from(seen.by_p_value)))).into(),
        share(|seen| Some(f64::from(u8::from(seen.by_set)))).into(),
        share(|seen| Some(f64::from(u8::from(seen.covered?)))).into(),
        share(|seen| seen.size).into(),
        share(|seen| Some(f64::from(u8::from(seen.wrong)))).into(),
    ]
}

/// The mean over samples of the mean over a sample's spectra; `None` where no spectrum has a value.
fn mean_over_samples(values: impl Iterator<Item = (usize, Option<f64>)>) -> Option<f64> {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (sample, value) in values {
        let Some(value) = value else { continue };
        let (sum, count) = sums.entry(sample).or_default();
        (*sum, *count) = (*sum + value, *count + 1.0);
    }
    let means: Vec<f64> = sums.values().map(|(sum, count)| sum / count).collect();
    (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::tests::{generated, request, trained};
    use ramand_model::manifest::Task;

    fn asked(label: Option<&str>) -> EvaluationRequest {
        EvaluationRequest {
            label: label.map(str::to_owned),
            group: Some("sample".into()),
            data_sha256: "ab".repeat(32),
        }
    }

    /// The table as numbers, by change and column.
    fn table(document: &Document) -> BTreeMap<String, BTreeMap<String, Option<f64>>> {
        let table = &document.sections[0].content.as_ref().expect("computed").tables[0];
        let number = |cell: &Cell| match cell {
            Cell::Number(value) => Some(*value),
            Cell::Count(count) => Some(*count as f64),
            _ => None,
        };
        let row = |row: &Vec<Cell>| {
            let Cell::Text(change) = &row[0] else { panic!("a name") };
            let cells = table.columns.iter().zip(row).skip(1).map(|(column, cell)| (column.key.clone(), number(cell)));
            (change.clone(), cells.collect())
        };
        table.rows.iter().map(row).collect()
    }

    fn with_a_foreign_band(recording: &Recording) -> Recording {
        let mut foreign = recording.clone();
        for row in &mut foreign.spectra {
            for (value, shift) in row.intensities.iter_mut().zip(row.axis.per_cm()) {
                *value += (60.0 * (-0.5 * ((shift - 1110.0) / 8.0).powi(2)).exp()) as f32;
            }
        }
        foreign
    }

    #[test]
    fn good_spectra_pass_and_foreign_ones_are_noticed() {
        let recording = generated(100);
        let trained = trained(&recording, &request(Task::Classification, "kind"));
        let folder = tempfile::tempdir().expect("a folder");
        trained.write(&folder.path().join("bundle")).expect("written");
        let model = Model::open(&folder.path().join("bundle")).expect("a bundle");
        let mut foreign = with_a_foreign_band(&recording);
        for row in &mut foreign.spectra {
            row.labels.insert("kind".into(), "middle".into());
        }
        let mut mixed = recording.clone();
        mixed.spectra.extend(foreign.spectra.iter().take(20).cloned());
        let progress = Progress::default();
        let document = shift(&mixed, Some(&foreign), &model, &asked(Some("kind")), &progress).expect("computed");
        assert_eq!(progress.steps(), (200 * 6 + 20 + 200) as u64);
        let table = table(&document);
        let as_they_are = &table["as they are"];
        assert_eq!((as_they_are["spectra"], as_they_are["samples"]), (Some(200.0), Some(100.0)));
        assert!(as_they_are["refused"].is_some_and(|share| share < 0.2), "{as_they_are:?}");
        assert!(as_they_are["coverage"].is_some_and(|share| share > 0.8), "{as_they_are:?}");
        let unknown = &table["not in the training: middle"];
        assert_eq!((unknown["spectra"], unknown["coverage"]), (Some(220.0), None));
        assert_eq!((unknown["refused"], unknown["gate"], unknown["wrong"]), (Some(1.0), Some(1.0), Some(0.0)));
        // Bands 16 cm-1 from their place are another spectrum.
        let laser = table.iter().find(|(change, _)| change.starts_with("laser +1 nm")).expect("a row").1;
        assert!(laser["refused"].is_some_and(|share| share > 0.9), "{laser:?}");
    }

    #[test]
    fn a_sample_counts_once() {
        let values = [(0, Some(1.0)), (0, Some(0.0)), (0, Some(0.5)), (7, Some(1.0)), (9, None)];
        assert_eq!(mean_over_samples(values.into_iter()), Some(0.75));
        assert_eq!(mean_over_samples([(1, None)].into_iter()), None);
    }
}
