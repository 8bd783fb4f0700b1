//! Reports on small models trained here: identities, planted shortcuts, and files that lack something.

use std::sync::Arc;

use ramand_core::npy::Table;
use ramand_core::preprocess::{Normalise, Pipeline, PipelineStep};
use ramand_core::spectrum::{RamanShift, ShiftAxis};
use ramand_model::manifest::{BandRecord, ReferenceMap, Task};
use ramand_recording::RecordedSpectrum;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde_json::Value;

use super::*;
use crate::train::{Family, Preprocessing, Provenance, Reference, Split, Trained, train};

/// Slopes are sums of f64, of maps that were rounded to f32.
const IDENTITY_ERROR_MAX: f64 = 1e-6;
/// Replicates differ by hundredths of y, whose rounding to f32 then is that much more of their variance.
const VARIANCE_ERROR_MAX: f64 = 1e-4;
/// Sums of a few hundred f32 maps.
const COMPLETENESS_ERROR_MAX: f64 = 1e-5;
/// Where the spike is planted, far from both bands.
const SPIKE_CM: f64 = 1220.0;

/// What is wrong with the training data.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Planted {
    Nothing,
    Spike,
    Tilt,
}

/// Two bands whose ratio follows `fraction`, on a slope that does not, with noise and two replicates a sample; planted artefacts
/// follow `fraction` for a quantity and `kind` for classes.
fn generated(task: Task, planted: Planted, samples: usize) -> Recording {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let shifts: Vec<f64> = (0..120).map(|i| 1000.0 + 2.0 * f64::from(i)).collect();
    let axis = Arc::new(ShiftAxis::new(shifts.clone()).expect("increasing"));
    let peak = |shift: f64, centre: f64, width: f64| (-0.5 * ((shift - centre) / width).powi(2)).exp();
    let mut spectra = Vec::new();
    for sample in 0..samples {
        let fraction: f64 = random.random_range(0.0..1.0);
        // Chemistry is a less sure sign than an artefact.
        let seen = fraction + random.random_range(-0.25..0.25);
        let kind = if fraction < 0.5 { "left" } else { "right" };
        let strength = match task {
            Task::Regression => fraction,
            Task::Classification => f64::from(u8::from(kind == "right")),
        };
        for replicate in 0..2 {
            let slope: f64 = random.random_range(-0.02..0.02);
            let intensities = shifts.iter().map(|&shift| {
                let u = (shift - 1119.0) / 119.0;
                let artefact = match planted {
                    Planted::Nothing => 0.0,
                    Planted::Spike => peak(shift, SPIKE_CM, 5.0),
                    Planted::Tilt => 0.5 * u,
                };
                let bands = 1.5 * peak(shift, 1119.0, 12.0)
                    + 0.6 * peak(shift, 1060.0, 12.0) * (1.0 - seen)
                    + 0.6 * peak(shift, 1160.0, 12.0) * seen;
                (100.0 * (bands + slope * u + strength * artefact + random.random_range(-0.01..0.01))) as f32
            });
            let labels = [
                ("fraction", format!("{:.3}", 100.0 * fraction)),
                ("kind", kind.to_owned()),
                ("sample", format!("s{sample}")),
            ];
            spectra.push(RecordedSpectrum {
                id: format!("s{sample}-{replicate}"),
                labels: labels.map(|(column, value)| (column.to_owned(), value)).into(),
                axis: axis.clone(),
                intensities: intensities.collect(),
                line: spectra.len() as u64 + 2,
            });
        }
    }
    Recording { path: "folder/generated.csv".into(), files: Vec::new(), spectra }
}

/// A model trained on `recording` in a second or two.
fn trained(recording: &Recording, task: Task) -> Trained {
    let axis = ShiftAxis::even(RamanShift::from_per_cm(1000.0), RamanShift::from_per_cm(1236.0), 60);
    let steps = vec![PipelineStep::Dark, PipelineStep::Resample, PipelineStep::Normalise(Normalise::Snv)];
    let pipeline = Pipeline::new(Arc::new(axis.expect("increasing")), steps, Vec::new()).expect("valid");
    let band = |name: &str, from, to| BandRecord { name: name.into(), from, to };
    let request = crate::train::TrainingRequest {
        name: "test".into(),
        version: "1.0.0".into(),
        task,
        target: match task {
            Task::Regression => "fraction".into(),
            Task::Classification => "kind".into(),
        },
        unit: "%".into(),
        preprocessings: vec![Preprocessing { name: "snv".into(), pipeline }],
        families: vec![Family::PlsAndNetwork],
        networks: 1,
        bands: vec![band("left", 1036.0, 1084.0), band("inner", 1095.0, 1135.0), band("right", 1136.0, 1184.0)],
        reference: Reference::All,
        reference_map: ReferenceMap::MeanSpectrum,
        split: Split {
            group: Some("sample".into()),
            block: None,
            rows: crate::train::Rows::Unknown,
            folds: 2,
            repeats: 1,
        },
        permutations: 0,
        steps: 40,
        seed: 5,
        confidence: 0.9,
        threads: 2,
        provenance: Provenance {
            claim: "a test".into(),
            card: None,
            licence: "MIT".into(),
            laser_nm: 785.0,
            data: "generated".into(),
            data_sha256: "0f".repeat(32),
            measured: false,
            left_out: Vec::new(),
        },
    };
    train(recording, &request, &Progress::default()).expect("trains")
}

fn opened(trained: &Trained) -> Model {
    let folder = tempfile::tempdir().expect("a folder");
    trained.write(&folder.path().join("bundle")).expect("written");
    Model::open(&folder.path().join("bundle")).expect("a bundle")
}

fn model(recording: &Recording, task: Task) -> Model {
    opened(&trained(recording, task))
}

fn asked(label: Option<&str>) -> EvaluationRequest {
    EvaluationRequest { label: label.map(Into::into), group: None, data_sha256: "00".repeat(32) }
}

fn document(recording: &Recording, model: &Model, request: &EvaluationRequest) -> Document {
    evaluate(recording, model, request, &Progress::default()).expect("a report, whatever is missing")
}

/// A table of the report as JSON.
fn rows(report: &Value, section: &str, table: &str) -> Vec<Value> {
    let found = report["sections"][section]["tables"][table].as_array();
    found.unwrap_or_else(|| panic!("no table {section}/{table}: {}", report["sections"][section])).clone()
}

fn not_computed(report: &Value, section: &str) -> String {
    report["sections"][section]["not_computed"].as_str().unwrap_or_default().to_owned()
}

/// Where the alarm is raised.
fn alarms(report: &Value) -> Vec<String> {
    let places = rows(report, "off_band", "alarms");
    places.iter().map(|row| row["place"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn planted_shortcuts_raise_the_alarm_where_they_are_and_clean_models_do_not() {
    for (task, label) in [(Task::Regression, "fraction"), (Task::Classification, "kind")] {
        let report = |planted| {
            let recording = generated(task, planted, 30);
            let found = document(&recording, &model(&recording, task), &asked(Some(label)));
            render::json(&found)
        };
        let off_band = |report: &Value| -> f64 {
            let bands = rows(report, "contributions", "bands");
            bands.last().and_then(|row| row["gross_share"].as_f64()).expect("elsewhere comes last")
        };
        let gone = |report: &Value, place: &str| -> f64 {
            let taken = rows(report, "off_band", "taken");
            let row = taken.into_iter().find(|row| row["place"] == place);
            row.and_then(|row| row["share"].as_f64()).expect("every place has its share")
        };
        let clean = report(Planted::Nothing);
        assert_eq!(alarms(&clean), Vec::<String>::new(), "{label}: {}", clean["sections"]["off_band"]);

        let spiked = report(Planted::Spike);
        let places = alarms(&spiked);
        let holds_the_spike = |place: &String| {
            let (from, to) = place.trim_end_matches(" cm-1").split_once(" to ").unwrap_or(("nan", "nan"));
            let end = |text: &str| text.parse::<f64>().unwrap_or(f64::NAN);
            end(from) - 2.0 <= SPIKE_CM && SPIKE_CM <= end(to) + 2.0
        };
        let named = places.iter().find(|place| holds_the_spike(place));
        let named = named.unwrap_or_else(|| panic!("{label}: the spike is not named: {places:?}"));
        assert!(gone(&spiked, named) > 0.1, "{label}: the spike matters: {}", gone(&spiked, named));
        assert!(off_band(&spiked) > 1.2 * off_band(&clean), "{label}: {} {}", off_band(&spiked), off_band(&clean));

        let tilted = report(Planted::Tilt);
        let places = alarms(&tilted);
        assert!(places.iter().any(|place| place == "background"), "{label}: the tilt is not named: {places:?}");
        assert!(gone(&tilted, "background") > 2.0 * gone(&clean, "background").abs(), "{label}");
        assert!(off_band(&tilted) > off_band(&clean), "{label}: {} {}", off_band(&tilted), off_band(&clean));
    }
}

#[test]
fn identities_hold_and_formats_agree() {
    for (task, label) in [(Task::Regression, "fraction"), (Task::Classification, "kind")] {
        let recording = generated(task, Planted::Nothing, 20);
        let model = model(&recording, task);
        let found = document(&recording, &model, &asked(Some(label)));
        assert_eq!(document(&recording, &model, &asked(Some(label))), found, "the same every time");
        assert!(found.title.ends_with(" on generated.csv"), "{}", found.title);
        let report = render::json(&found);
        let identities = rows(&report, "identities", "identities");
        for row in &identities {
            let name = row["identity"].as_str().expect("a name");
            let limit = match &name[..2] {
                "D6" => IDENTITY_ERROR_MAX,
                "D7" => VARIANCE_ERROR_MAX,
                _ => COMPLETENESS_ERROR_MAX,
            };
            let only_classes = name.starts_with("D3") && task == Task::Regression;
            let only_values = name.starts_with("D6") && task == Task::Classification;
            match row["error"].as_f64() {
                Some(error) => assert!(error <= limit, "{name}: {error:e}"),
                None => assert!(only_classes || only_values, "{name} has no error"),
            }
        }
        // The parts of D7 are the variance; the shares of D4 add up to 1, elsewhere included.
        let sum = |section: &str, table: &str, column: &str| -> f64 {
            rows(&report, section, table).iter().map(|row| row[column].as_f64().expect("a number")).sum()
        };
        assert!((sum("precision", "parts", "share") - 1.0).abs() < VARIANCE_ERROR_MAX);
        assert!((sum("contributions", "bands", "gross_share") - 1.0).abs() < IDENTITY_ERROR_MAX);
        assert!((sum("contributions", "bands", "extent") - 1.0).abs() < IDENTITY_ERROR_MAX);
        // Maps that are right about the network go with occlusion.
        for row in rows(&report, "occlusion", "occlusion").iter().take(3) {
            assert!(row["correlation"].as_f64().is_some_and(|r| r > 0.9), "{row}");
        }
        formats(&found, &report);
        if task == Task::Classification {
            shares_are_those_of_the_confusion(&report);
        }
    }
}

#[test]
fn a_constant_in_the_shown_map_raises_the_occlusion_audit() {
    let recording = generated(Task::Regression, Planted::Nothing, 20);
    let trained = trained(&recording, Task::Regression);
    let notes = |planted: f32| {
        let mut trained = trained.clone();
        for target in &trained.manifest.network.targets {
            let file = trained.files.get_mut(&target.reference).expect("a reference map");
            let table = Table::read(file).expect("a table");
            // Added to one half of the axis and taken from the other: the sum is as before.
            let mut values = table.values().to_vec();
            let (half, count) = (values.len() / 2, values.len() as f32);
            let mean = values.iter().map(|value| value.abs()).sum::<f32>() / count;
            values[..half].iter_mut().for_each(|value| *value += planted * mean.max(1e-3));
            values[half..2 * half].iter_mut().for_each(|value| *value -= planted * mean.max(1e-3));
            *file = Table::new(table.columns(), values).to_bytes();
        }
        let report = render::json(&document(&recording, &opened(&trained), &asked(Some("fraction"))));
        report["sections"]["occlusion"]["notes"].to_string()
    };
    assert!(!notes(0.0).contains("ALARM"), "{}", notes(0.0));
    assert!(notes(20.0).contains("ALARM"), "{}", notes(20.0));
}

/// Accuracy and recall, which are counted by sample, against the table of what each class was named.
fn shares_are_those_of_the_confusion(report: &Value) {
    let confusion = rows(report, "merit", "confusion");
    let counts: Vec<Vec<f64>> = confusion
        .iter()
        .map(|row| (0..confusion.len()).map(|class| row[format!("named_{class}")].as_f64().expect("a count")).collect())
        .collect();
    let right = |class: usize| counts[class][class];
    let all: f64 = counts.iter().flatten().sum();
    let accuracy = (0..counts.len()).map(right).sum::<f64>() / all;
    let recalls = counts.iter().enumerate().map(|(class, row)| right(class) / row.iter().sum::<f64>());
    let figures: Vec<f64> = rows(report, "merit", "figures").iter().filter_map(|row| row["value"].as_f64()).collect();
    assert_eq!(figures, std::iter::once(accuracy).chain(recalls).collect::<Vec<_>>());
}

/// Every number of every table for people stands in Markdown, HTML and text as JSON has it, with fewer digits.
fn formats(document: &Document, report: &Value) {
    let (markdown, html, text) = (render::markdown(document), render::html(document), render::text(document));
    assert!(!html.contains("<script") && !html.contains("src="), "nothing from elsewhere");
    let mut compared = 0;
    for section in &document.sections {
        let Ok(content) = &section.content else {
            assert!(markdown.contains("Not computed because") && text.contains("not computed because"));
            continue;
        };
        for table in content.tables.iter().filter(|table| table.is_for_people()) {
            let rows = rows(report, section.key, table.key);
            assert_eq!(rows.len(), table.rows.len());
            for (row, cells) in rows.iter().zip(&table.rows) {
                for column in &table.columns {
                    let Some(value) = row[&column.key].as_f64() else { continue };
                    let shown = if row[&column.key].is_u64() { format!("{value}") } else { render::number(value) };
                    assert!(markdown.contains(&format!("| {shown} |")), "{}: {shown}", table.key);
                    assert!(html.contains(&format!(">{shown}</td>")), "{}: {shown}", table.key);
                    assert!(text.contains(&shown), "{}: {shown}", table.key);
                    compared += 1;
                }
                assert_eq!(cells.len(), table.columns.len());
            }
        }
    }
    assert!(compared > 50, "{compared} numbers");
}

#[test]
fn what_is_missing_is_said_and_nothing_is_nan() {
    let recording = generated(Task::Regression, Planted::Nothing, 20);
    let regression = model(&recording, Task::Regression);
    let kinds = model(&generated(Task::Classification, Planted::Nothing, 20), Task::Classification);
    let check = |model: &Model, label: Option<&str>, change: &dyn Fn(&mut Recording), section: &str, expected: &str| {
        let mut recording = recording.clone();
        change(&mut recording);
        let found = document(&recording, model, &asked(label));
        let report = render::json(&found);
        let why = not_computed(&report, section);
        assert!(why.contains(expected), "{section}: '{why}' does not say '{expected}'");
        let everything = [render::text(&found), render::html(&found), render::markdown(&found)].concat();
        assert!(!everything.contains("NaN") && !everything.contains("inf "), "{section}, {expected}");
    };
    let same = |_: &mut Recording| {};
    check(&regression, None, &same, "linearity", "no column with the truth was named");
    check(&regression, None, &same, "merit", "no column with the truth was named");
    check(&regression, Some("oil"), &same, "linearity", "no label column 'oil'");
    check(&regression, Some("kind"), &same, "linearity", "is not a finite number");
    check(&regression, Some("fraction"), &same, "purity", "purity is for classes");
    check(&kinds, Some("kind"), &same, "linearity", "the model gives a class");
    check(&kinds, Some("sample"), &same, "purity", "holds no class the model knows (left, right)");
    let left_only = |recording: &mut Recording| {
        recording.spectra.iter_mut().for_each(|row| drop(row.labels.insert("kind".into(), "left".into())));
    };
    check(&kinds, Some("kind"), &left_only, "purity", "there are samples of one class only");
    check(&kinds, Some("kind"), &left_only, "quadrant", "there are samples of one class only");
    let every_other = |recording: &mut Recording| {
        let mut index = 0;
        recording.spectra.retain(|_| (index % 2 == 0, index += 1).0);
    };
    check(&regression, Some("fraction"), &every_other, "precision", "no sample has two spectra");
    let one = |recording: &mut Recording| recording.spectra.truncate(1);
    check(&regression, Some("fraction"), &one, "linearity", "the truth is the same for all spectra");
    check(&kinds, Some("kind"), &one, "precision", "no sample has two spectra");
    let mixed = |recording: &mut Recording| {
        recording.spectra.iter_mut().for_each(|row| drop(row.labels.insert("sample".into(), "all".into())));
    };
    check(&regression, Some("fraction"), &mixed, "linearity", "spectra of one sample have different truths");
    let narrow = |recording: &mut Recording| {
        for row in &mut recording.spectra {
            row.axis = Arc::new(ShiftAxis::new(row.axis.per_cm()[20..].to_vec()).expect("increasing"));
            row.intensities.drain(..20);
        }
    };
    for section in ["merit", "maps", "contributions", "off_band", "occlusion", "identities"] {
        check(&regression, Some("fraction"), &narrow, section, "");
        let mut recording = recording.clone();
        narrow(&mut recording);
        let report = render::json(&document(&recording, &regression, &asked(Some("fraction"))));
        assert!(!not_computed(&report, section).is_empty(), "{section} of no spectrum");
        assert!(report["sections"]["subject"]["notes"].to_string().contains("40 spectra could not be preprocessed"));
    }
}

#[test]
fn a_wrong_column_of_samples_is_an_error_and_so_is_an_interruption() {
    let recording = generated(Task::Regression, Planted::Nothing, 6);
    let model = model(&recording, Task::Regression);
    let request = EvaluationRequest { group: Some("bottle".into()), ..asked(Some("fraction")) };
    let error = evaluate(&recording, &model, &request, &Progress::default()).expect_err("no such column");
    assert!(error.to_string().contains("no label column 'bottle'"), "{error}");
    let progress = Progress::default();
    progress.interrupt();
    let error = evaluate(&recording, &model, &asked(None), &progress).expect_err("interrupted");
    assert!(matches!(error, EvaluateError::Interrupted), "{error}");
}
