//! How gate, intervals and sets fail where spectra are not like the training's: good spectra refused, foreign ones noticed.
//!
//! The same spectra are shown again after each change. Shares are means over samples, each with the mean over its spectra, and
//! a spectrum counts as refused where its verdict is invalid under the rules of a line without limits.

mod change;
mod contaminant;
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
use self::group::{Group, mean_over_samples};
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

/// Spectra of other things than the model was made for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Foreign<'a> {
    /// Of something the model was never shown.
    pub unknown: Option<&'a Recording>,
    /// Of what may get into the product.
    pub contaminants: Option<&'a Recording>,
}

/// How many steps [`shift`] takes at most: the length of a progress bar.
pub fn steps(recording: &Recording, foreign: Foreign<'_>, model: &Model) -> u64 {
    let unknown = foreign.unknown.map_or(0, |unknown| unknown.spectra.len());
    let contaminants = foreign.contaminants.map_or(0, |contaminants| contaminant::steps(recording, contaminants));
    (recording.spectra.len() * changes(model).len() + unknown) as u64 + contaminants
}

/// Shows `recording` again after each change, and what is unknown as it is; and adds contaminants to every spectrum. Of a
/// classification, spectra of `recording` whose class is none of the model's are unknown too.
///
/// # Errors
/// Names the column or row that cannot be used; [`EvaluateError::Interrupted`] when `progress` was told to stop.
pub fn shift(
    recording: &Recording,
    foreign: Foreign<'_>,
    model: &Model,
    request: &EvaluationRequest,
    progress: &Progress,
) -> Result<Document, EvaluateError> {
    let mut sections = vec![section(recording, foreign.unknown, model, request, progress)?];
    if let Some(contaminants) = foreign.contaminants {
        let samples = recording.samples(request.group_column(recording, model))?;
        sections.push(contaminant::section(recording, contaminants, &samples, model, progress)?);
    }
    let identity = model.identity();
    let own = if request.seen_before(model) == SeenBefore::InTraining {
        "These are the spectra the bundle was trained on: its false alarms and errors here are not those of new samples."
    } else {
        "The file is not the one the bundle was trained on."
    };
    Ok(Document {
        title: format!("{} {} on {}", identity.name, identity.version, recording.path.display()),
        notes: vec![format!("The bundle says of itself: {}.", identity.claim), own.to_owned()],
        sections,
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
            seen.push((samples[row], judge.see(&raw, change.of(&raw, &mut random), Shown::Known(&truths, row))?));
        }
        groups.push(Group { words: change.in_words(), seen });
    }
    let mut strangers: BTreeMap<String, Vec<(usize, Seen)>> = BTreeMap::new();
    for (row, raw) in recording.raw_spectra().enumerate().filter(|(row, _)| foreign(*row)) {
        let Truths::Classes(found) = &truths else { continue };
        progress.step()?;
        let seen = judge.see(&raw, raw.light().to_vec(), Shown::Unknown)?;
        strangers.entry(format!("not in the training: {}", found[row])).or_default().push((samples[row], seen));
    }
    if let Some(unknown) = unknown {
        let samples = unknown.samples(request.group_column(unknown, model))?;
        for (row, raw) in unknown.raw_spectra().enumerate() {
            progress.step()?;
            let seen = judge.see(&raw, raw.light().to_vec(), Shown::Unknown)?;
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
        let unknown = Foreign { unknown: Some(&foreign), ..Foreign::default() };
        let document = shift(&mixed, unknown, &model, &asked(Some("kind")), &progress).expect("computed");
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
    fn a_contaminant_is_noticed_from_some_amount_on_and_the_product_itself_is_not() {
        let recording = generated(40);
        let trained = trained(&recording, &request(Task::Classification, "kind"));
        let folder = tempfile::tempdir().expect("a folder");
        trained.write(&folder.path().join("bundle")).expect("written");
        let model = Model::open(&folder.path().join("bundle")).expect("a bundle");
        let mut contaminants = recording.clone();
        contaminants.spectra.truncate(2);
        let points = contaminants.spectra[0].intensities.len() as f64;
        let mean = |point: usize| {
            let sum: f64 = recording.spectra.iter().map(|row| f64::from(row.intensities[point])).sum();
            sum / recording.spectra.len() as f64
        };
        for point in 0..points as usize {
            contaminants.spectra[0].intensities[point] = mean(point) as f32;
            let foreign = (-0.5 * ((point as f64 / points - 0.3) / 0.01).powi(2)).exp();
            contaminants.spectra[1].intensities[point] = foreign as f32;
        }
        contaminants.spectra[0].id = "the product".into();
        contaminants.spectra[1].id = "a band".into();
        let foreign = Foreign { contaminants: Some(&contaminants), ..Foreign::default() };
        let progress = Progress::default();
        let document = shift(&recording, foreign, &model, &asked(Some("kind")), &progress).expect("computed");
        assert_eq!(progress.steps(), steps(&recording, foreign, &model));
        let content = document.sections[1].content.as_ref().expect("computed");
        let [product, band] = content.notes.as_slice() else { panic!("two contaminants") };
        assert!(product.contains("the product: not noticed"), "{product}");
        assert!(band.contains("a band: noticed from"), "{band}");
        let refused = |row: usize| match &content.tables[0].rows[row][2] {
            Cell::Number(share) => *share,
            other => panic!("{other:?}"),
        };
        assert!(refused(9) < 0.3, "half a percent of the band: {}", refused(9));
        assert_eq!(refused(17), 1.0, "twice the spectrum");
    }
}
