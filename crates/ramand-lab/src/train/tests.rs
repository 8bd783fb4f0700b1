//! From spectra to a bundle and back: small sets that train in seconds.

mod calibrated;
mod families;
mod faults;
mod independence;
mod suspects;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use ramand_core::outcome::Prediction;
use ramand_core::preprocess::{Normalise, Pipeline, PipelineStep, Workspace};
use ramand_core::spectrum::{RamanShift, ShiftAxis};
use ramand_model::Model;
use ramand_model::manifest::{BandRecord, ReferenceMap, Task};
use ramand_recording::{RecordedSpectrum, Recording};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;
use crate::missing::missing;

/// Between the network as trained and its ONNX export in another runtime, relative to the largest output.
const EXPORT_TOLERANCE: f64 = 1e-5;

/// Spectra of two bands whose ratio is `fraction`, on a slope, with noise; two replicates a sample.
pub(crate) fn generated(samples: usize) -> Recording {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let shifts: Vec<f64> = (0..120).map(|i| 1000.0 + 2.0 * f64::from(i)).collect();
    let axis = Arc::new(ShiftAxis::new(shifts.clone()).expect("increasing"));
    let band = |shift: f64, centre: f64| (-0.5 * ((shift - centre) / 12.0).powi(2)).exp();
    let mut spectra = Vec::new();
    for sample in 0..samples {
        let fraction = random.random_range(0.0..1.0);
        for replicate in 0..2 {
            let slope = random.random_range(-0.1..0.1);
            let value = |&shift: &f64| {
                let bands = band(shift, 1060.0) * (1.0 - fraction) + band(shift, 1160.0) * fraction;
                (100.0 * (bands + slope * (shift - 1100.0) / 100.0 + random.random_range(-0.01..0.01))) as f32
            };
            let intensities = shifts.iter().map(value).collect();
            let labels = [
                ("fraction", format!("{:.3}", 100.0 * fraction)),
                ("kind", if fraction < 0.5 { "left" } else { "right" }.to_owned()),
                ("sample", format!("s{sample}")),
            ];
            spectra.push(RecordedSpectrum {
                id: format!("s{sample}-{replicate}"),
                labels: labels.map(|(column, value)| (column.to_owned(), value)).into(),
                axis: axis.clone(),
                intensities,
                line: spectra.len() as u64 + 2,
            });
        }
    }
    Recording { path: "generated.csv".into(), files: Vec::new(), spectra }
}

fn preprocessings(first: f64, last: f64, points: usize) -> Vec<Preprocessing> {
    let axis = ShiftAxis::even(RamanShift::from_per_cm(first), RamanShift::from_per_cm(last), points);
    let steps = vec![PipelineStep::Dark, PipelineStep::Resample, PipelineStep::Normalise(Normalise::Snv)];
    let pipeline = Pipeline::new(Arc::new(axis.expect("increasing")), steps, Vec::new()).expect("valid");
    vec![Preprocessing { name: "snv".into(), pipeline }]
}

pub(crate) fn request(task: Task, target: &str) -> TrainingRequest {
    TrainingRequest {
        name: "test".into(),
        version: "1.0.0".into(),
        task,
        target: target.into(),
        unit: "%".into(),
        preprocessings: preprocessings(1000.0, 1236.0, 60),
        families: vec![Family::PlsAndNetwork],
        networks: 1,
        bands: vec![BandRecord { name: "right".into(), from: 1140.0, to: 1180.0 }],
        reference: Reference::All,
        reference_map: ReferenceMap::MeanSpectrum,
        split: Split { group: Some("sample".into()), block: None, rows: Rows::Unknown, folds: 3, repeats: 1 },
        permutations: 0,
        confidence: CONFIDENCE,
        steps: 40,
        seed: 5,
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
    }
}

pub(crate) fn trained(recording: &Recording, request: &TrainingRequest) -> Trained {
    train(recording, request, &Progress::default()).expect("trains")
}

/// Writes the bundle and opens it again, as inference does.
pub(super) fn opened(trained: &Trained) -> (tempfile::TempDir, PathBuf, Model) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bundle = folder.path().join("bundle");
    trained.write(&bundle).expect("written");
    let model = Model::open(&bundle).expect("inference accepts what training writes");
    (folder, bundle, model)
}

#[test]
fn a_quantity_is_learned_packed_and_explained() {
    let recording = generated(30);
    let trained = trained(&recording, &request(Task::Regression, "fraction"));
    let metrics = &trained.manifest.metrics;
    let (rmsecv, slope) = (metrics.rmsecv.expect("regression"), metrics.slope.expect("regression"));
    assert!(rmsecv < 3.0 && (slope - 1.0).abs() < 0.1, "RMSECV {rmsecv}, slope {slope}");

    let (_folder, _, model) = opened(&trained);
    let mut session = model.session().expect("buffers");
    let mut workspace = Workspace::default();
    let mut mean = vec![0.0_f64; model.pipeline().axis().len()];
    for (raw, truth) in recording.raw_spectra().zip(recording.number_column("fraction").expect("numbers")) {
        let preprocessed = model.pipeline().preprocess(&raw, &mut workspace).expect("covered");
        let judged = model.judge(&mut session, &preprocessed).expect("runs");
        let Prediction::Value { value, .. } = judged.prediction else { panic!("a regression predicts a value") };
        assert!((f64::from(value) - truth).abs() < 10.0, "{value} against {truth}");
        assert!(judged.attribution.completeness_error < 1e-5);
        // Σ D = y − y of the reference, whatever the sample.
        let sum: f32 = judged.attribution.difference.iter().sum();
        assert!((sum - (value - judged.attribution.reference_output)).abs() < 1e-2);
        assert!(model.gate().expect("a gate").assess(&preprocessed).q >= 0.0);
        mean.iter_mut().zip(preprocessed.values()).for_each(|(mean, &value)| {
            *mean += f64::from(value) / recording.spectra.len() as f64;
        });
    }
    let mean: Vec<f32> = mean.into_iter().map(|value| value as f32).collect();
    let at_mean = f64::from(model.scores(&mut session, &mean).expect("runs")[0]);
    assert!(
        (at_mean - trained.manifest.reference.output[0]).abs() < 1e-3,
        "the reference is the mean training spectrum"
    );
}

#[test]
fn kinds_are_learned_and_probabilities_calibrated() {
    let recording = generated(30);
    let trained = trained(&recording, &request(Task::Classification, "kind"));
    assert!(trained.manifest.metrics.accuracy.expect("classification") > 0.9);
    assert_eq!(trained.manifest.output.labels.as_deref(), Some(&["left".to_owned(), "right".to_owned()][..]));
    let folds = String::from_utf8(trained.files["folds.csv"].clone()).expect("text");
    assert!(
        folds.starts_with("id,group,repeat,fold,truth,prediction,pls,kernel_ridge,score left,score right\ns"),
        "{folds}"
    );
    assert_eq!(folds.lines().count(), 1 + recording.spectra.len());
    opened(&trained);
}

#[test]
fn the_same_seed_gives_the_same_bundle_on_any_number_of_threads() {
    let recording = generated(12);
    let identity = |change: &dyn Fn(&mut TrainingRequest)| {
        let mut request = request(Task::Regression, "fraction");
        change(&mut request);
        opened(&trained(&recording, &request)).2.identity().sha256.clone()
    };
    let first = identity(&|request| request.threads = 1);
    assert_eq!(first, identity(&|request| request.threads = 2));
    assert_ne!(first, identity(&|request| request.seed = 6));
    let all = |threads| {
        move |request: &mut TrainingRequest| {
            request.families = vec![Family::PlsAndNetwork, Family::Network];
            (request.networks, request.permutations, request.steps, request.threads) = (2, 1, 10, threads);
        }
    };
    assert_eq!(identity(&all(1)), identity(&all(3)));
}

/// Trains with every choice there is, on two threads.
fn chosen(recording: &Recording, task: Task, target: &str) -> Trained {
    let mut request = request(task, target);
    let two = request.preprocessings[0].in_two_channels().expect("60 points are enough");
    request.preprocessings.push(two);
    request.families = vec![Family::PlsAndNetwork, Family::Network];
    (request.networks, request.permutations, request.split.repeats, request.steps) = (3, 2, 2, 20);
    let progress = Progress::default();
    let trained = train(recording, &request, &progress).expect("trains");
    assert_eq!(progress.steps(), request.steps_altogether(), "the length of the progress bar");
    trained
}

#[test]
fn every_choice_is_written_down_and_an_ensemble_is_one_complete_graph() {
    let recording = generated(15);
    let trained = chosen(&recording, Task::Regression, "fraction");
    let Trained { manifest, .. } = &trained;
    let candidates = &manifest.training.candidates;
    let names: Vec<&str> = candidates.iter().map(|candidate| candidate.name.as_str()).collect();
    let expected = ["snv, PLS and network", "snv, network alone", "snv in two channels, PLS and network"];
    assert_eq!((&names[..3], names.len()), (&expected[..], 4));
    assert_eq!(candidates.iter().map(|candidate| candidate.chosen).sum::<usize>(), 6, "3 folds, 2 repeats");
    let kept: Vec<_> = candidates.iter().filter(|candidate| candidate.kept).collect();
    let least = candidates.iter().filter_map(|candidate| candidate.error).fold(f64::INFINITY, f64::min);
    assert!(kept.len() == 1 && kept[0].error == Some(least), "{candidates:?}");
    assert_eq!(manifest.training.networks, Some(3));

    let (_folder, _, model) = opened(&trained);
    assert_eq!(model.manifest().input_channels(), if kept[0].name.contains("two channels") { 2 } else { 1 });
    let mut session = model.session().expect("buffers");
    let mut workspace = Workspace::default();
    for raw in recording.raw_spectra() {
        let preprocessed = model.pipeline().preprocess(&raw, &mut workspace).expect("covered");
        let judged = model.judge(&mut session, &preprocessed).expect("runs");
        assert!(judged.attribution.completeness_error < 1e-5, "{}", judged.attribution.completeness_error);
    }
}

#[test]
fn two_channels_are_chosen_where_a_background_is_stronger_than_the_bands() {
    let mut recording = generated(24);
    let mut random = ChaCha8Rng::seed_from_u64(12);
    for row in &mut recording.spectra {
        let [height, slope, curvature] = [(); 3].map(|()| random.random_range(-1.0..1.0_f32));
        let last = row.intensities.len() as f32 - 1.0;
        for (point, value) in row.intensities.iter_mut().enumerate() {
            let t = 2.0 * point as f32 / last - 1.0;
            *value += 2000.0 * (1.5 + 0.5 * height + 0.5 * slope * t + 0.5 * curvature * t * t);
        }
    }
    let mut request = request(Task::Regression, "fraction");
    let two = request.preprocessings[0].in_two_channels().expect("60 points are enough");
    request.preprocessings.push(two);
    (request.families, request.steps) = (vec![Family::Network], 100);
    let manifest = trained(&recording, &request).manifest;
    let [one, two] = &manifest.training.candidates[..] else { panic!("two candidates") };
    assert!(two.kept && two.chosen == 3 && two.error < one.error.map(|error| 0.5 * error), "{one:?}, {two:?}");
    assert_eq!(manifest.channels.len(), 2);
}

#[test]
fn a_network_alone_is_one_cut_and_complete() {
    let recording = generated(12);
    for (task, target) in [(Task::Regression, "fraction"), (Task::Classification, "kind")] {
        let mut request = request(task, target);
        (request.families, request.networks) = (vec![Family::Network], 2);
        let trained = trained(&recording, &request);
        assert_eq!(trained.manifest.training.components, None);
        let (_folder, _, model) = opened(&trained);
        assert_eq!(model.manifest().network.targets.len(), 1);
        let (mut session, mut workspace) = (model.session().expect("buffers"), Workspace::default());
        let raw = recording.raw_spectra().next().expect("a spectrum");
        let preprocessed = model.pipeline().preprocess(&raw, &mut workspace).expect("covered");
        let judged = model.judge(&mut session, &preprocessed).expect("runs");
        assert!(judged.attribution.completeness_error < 1e-5, "{}", judged.attribution.completeness_error);
    }
}

#[test]
fn spectra_on_axes_of_their_own_are_brought_onto_the_models() {
    let mut recording = generated(30);
    let every_other = |values: &[f64]| values.iter().copied().step_by(2).collect::<Vec<f64>>();
    for row in recording.spectra.iter_mut().step_by(3) {
        let coarse = every_other(row.axis.per_cm());
        row.axis = Arc::new(ShiftAxis::new(coarse).expect("increasing"));
        row.intensities = row.intensities.iter().copied().step_by(2).collect();
    }
    let trained = trained(&recording, &request(Task::Regression, "fraction"));
    assert!(trained.manifest.metrics.rmsecv.expect("regression") < 4.0, "{:?}", trained.manifest.metrics.rmsecv);
}

/// The columns of a table by header.
fn table(bytes: &[u8]) -> Vec<std::collections::BTreeMap<String, String>> {
    csv::Reader::from_reader(bytes).deserialize().map(|row| row.expect("a row")).collect()
}

#[test]
fn figures_of_a_quantity_follow_from_the_predictions_in_the_bundle() {
    let trained = chosen(&generated(15), Task::Regression, "fraction");
    let metrics = &trained.manifest.metrics;
    let rows = table(&trained.files["folds.csv"]);
    let number = |row: &std::collections::BTreeMap<String, String>, column: &str| -> f64 {
        row[column].parse().unwrap_or_else(|_| panic!("'{}' in column {column}", row[column]))
    };
    let rmse = |rows: &mut dyn Iterator<Item = &std::collections::BTreeMap<String, String>>, column: &str| {
        let squares: Vec<f64> = rows.map(|row| (number(row, column) - number(row, "truth")).powi(2)).collect();
        (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
    };
    // With two repeats the median is the mean of both.
    let of = |column: &str| {
        let repeat = |which: &'static str| rmse(&mut rows.iter().filter(|row| row["repeat"] == which), column);
        0.5 * (repeat("0") + repeat("1"))
    };
    let check = |what: &str, found: Option<f64>, expected: f64| {
        assert!((found.expect(what) - expected).abs() < 1e-6 * expected, "{what}: {found:?}, not {expected}");
    };
    check("rmsecv", metrics.rmsecv, of("prediction"));
    check("rmsecv_pls", metrics.rmsecv_pls, of("pls"));
    check("rmsecv_kernel_ridge", metrics.rmsecv_kernel_ridge, of("kernel_ridge"));
    for (network, &found) in metrics.networks.iter().enumerate() {
        check("network", Some(found), of(&format!("network {network}")));
    }
    for row in &rows {
        let mean = (0..3).map(|network| number(row, &format!("network {network}"))).sum::<f64>() / 3.0;
        assert!((number(row, "prediction") - mean).abs() < 1e-4, "the model is the mean of its networks");
        let known = trained.manifest.training.candidates.iter().any(|candidate| candidate.name == row["candidate"]);
        assert!(known, "candidate '{}'", row["candidate"]);
    }
    let [low, high] = metrics.interval["rmsecv"];
    assert!(low < metrics.rmsecv.expect("there") && metrics.rmsecv.expect("there") < high, "{low} to {high}");

    let permuted = table(&trained.files["permuted.csv"]);
    let of_permutation =
        |which: &'static str| rmse(&mut permuted.iter().filter(|row| row["permutation"] == which), "prediction");
    let control = 0.5 * (of_permutation("0") + of_permutation("1"));
    check("rmsecv_permuted", metrics.rmsecv_permuted, control);
    assert!(control > 0.8 * metrics.rmsecv_mean.expect("there"), "nothing is learned from permuted labels: {control}");
    // A permutation deals the same labels out, replicates together.
    let sorted = |rows: &mut dyn Iterator<Item = &std::collections::BTreeMap<String, String>>| {
        let mut truths: Vec<String> = rows.map(|row| row["truth"].clone()).collect();
        truths.sort();
        truths
    };
    let permuted = sorted(&mut permuted.iter().filter(|row| row["permutation"] == "1"));
    assert_eq!(permuted, sorted(&mut rows.iter().filter(|row| row["repeat"] == "0")));
}

#[test]
fn figures_of_kinds_follow_from_the_predictions_in_the_bundle() {
    let trained = chosen(&generated(15), Task::Classification, "kind");
    let metrics = &trained.manifest.metrics;
    let rows = table(&trained.files["folds.csv"]);
    let right = |column: &str| {
        // Both repeats have as many rows, so the median of two is the share of all.
        rows.iter().filter(|row| row[column] == row["truth"]).count() as f64 / rows.len() as f64
    };
    assert!((metrics.accuracy.expect("there") - right("prediction")).abs() < 1e-12);
    assert!((metrics.accuracy_pls.expect("there") - right("pls")).abs() < 1e-12);
    assert!((metrics.accuracy_gain.expect("there") - right("prediction") + right("pls")).abs() < 1e-12);
    let counted = |truth: &str, prediction: &str| {
        rows.iter().filter(|row| row["truth"] == truth && row["prediction"] == prediction).count() as u64
    };
    let expected = ["left", "right"].map(|truth| ["left", "right"].map(|named| counted(truth, named)).to_vec());
    assert_eq!(metrics.confusion, expected);
    assert_eq!(metrics.recall.len(), 2);
    assert!(metrics.interval.contains_key("recall left") && metrics.rmsecv.is_none());
    assert!(metrics.accuracy_permuted.expect("there") < 0.9);
    opened(&trained);
}

#[test]
fn replicates_are_held_out_together() {
    let recording = generated(12);
    let trained = trained(&recording, &request(Task::Regression, "fraction"));
    let folds = String::from_utf8(trained.files["folds.csv"].clone()).expect("text");
    let mut reader = csv::Reader::from_reader(folds.as_bytes());
    let mut fold_of = std::collections::BTreeMap::new();
    for record in reader.records() {
        let record = record.expect("a record");
        let fold = fold_of.entry(record[1].to_owned()).or_insert_with(|| record[3].to_owned());
        assert_eq!(*fold, record[3], "sample {}", &record[1]);
    }
    assert_eq!(fold_of.len(), 12);
    assert_eq!(fold_of.values().collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn an_interrupted_training_leaves_nothing() {
    let progress = Progress::default();
    progress.interrupt();
    let failed = train(&generated(6), &request(Task::Regression, "fraction"), &progress);
    assert!(matches!(failed, Err(TrainError::Interrupted)), "{failed:?}");
}

#[test]
fn onnx_runtime_predicts_what_the_line_predicts() {
    let Ok(python) = std::env::var("RAMAND_TEST_PYTHON") else {
        missing(
            "program",
            "RAMAND_TEST_PYTHON names no Python with numpy, onnx and onnxruntime: `./dev setup` makes one",
        );
        return;
    };
    const SCRIPT: &str = "
import sys, numpy, onnx, onnxruntime
model, spectra = sys.argv[1:]
onnx.checker.check_model(onnx.load(model), full_check=True)
session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
for row in numpy.load(spectra):
    y, a0, g0, a1, g1 = session.run(['y', 'A0', 'dYdA0', 'A1', 'dYdA1'], {'spectrum': row.reshape(1, 1, -1)})
    print(*y[0], *((g0 * a0).sum((1, 2)) + (g1 * a1).sum((1, 2))))
";
    let recording = generated(12);
    let trained = trained(&recording, &request(Task::Classification, "kind"));
    let (folder, bundle, model) = opened(&trained);
    let mut workspace = Workspace::default();
    let spectra: Vec<Vec<f32>> = recording
        .raw_spectra()
        .map(|raw| model.pipeline().preprocess(&raw, &mut workspace).expect("covered").values().to_vec())
        .collect();
    let input = folder.path().join("spectra.npy");
    let table = ramand_core::npy::Table::new(spectra[0].len(), spectra.concat());
    std::fs::write(&input, table.to_bytes()).expect("written");
    let output = Command::new(python).args(["-c", SCRIPT]).arg(bundle.join("model.onnx")).arg(&input).output();
    let output = output.expect("RAMAND_TEST_PYTHON starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), spectra.len());
    let mut session = model.session().expect("buffers");
    for (line, spectrum) in text.lines().zip(&spectra) {
        let theirs: Vec<f64> = line.split(' ').map(|value| value.parse().expect("a number")).collect();
        let values = model.network().run(&mut session, spectrum).expect("runs");
        for (output, &ours) in values.y().expect("f32").iter().enumerate() {
            let ours = f64::from(ours);
            assert!((theirs[output] - ours).abs() < EXPORT_TOLERANCE, "{} against {ours}", theirs[output]);
            let complete = theirs[2 + output] + model.manifest().network.offset[output];
            assert!((complete - ours).abs() < EXPORT_TOLERANCE, "the maps add up to {complete}, y is {ours}");
        }
    }
}

#[test]
fn measured_emulsions_are_learned_and_permuted_labels_are_not() {
    let folder = std::env::var_os("RAMAND_SHARED_DATA")
        .map_or_else(|| crate::root::root().join("../shared/data"), PathBuf::from);
    let path: &Path = &folder.join("emulsions_raman.csv");
    if !path.exists() {
        missing("data", &format!("there is no {}: RAMAND_SHARED_DATA names its folder", path.display()));
        return;
    }
    let mut recording = Recording::read(path).expect("readable");
    let request = TrainingRequest {
        preprocessings: preprocessings(679.0, 1767.0, 137),
        split: Split { group: None, block: None, rows: Rows::Unknown, folds: 5, repeats: 1 },
        ..request(Task::Regression, "pufa_pct_of_fat")
    };
    let metrics = trained(&recording, &request).manifest.metrics;
    let (rmsecv, pls) = (metrics.rmsecv.expect("regression"), metrics.rmsecv_pls.expect("regression"));
    assert!(rmsecv < 3.0 && pls < 3.0, "RMSECV {rmsecv}, PLS {pls}; published PLS: 2.3");

    let truth = recording.number_column("pufa_pct_of_fat").expect("numbers");
    let mean = truth.iter().sum::<f64>() / truth.len() as f64;
    let of_the_mean = (truth.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / truth.len() as f64).sqrt();
    let mut shuffled = truth.clone();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(3));
    for (spectrum, other) in recording.spectra.iter_mut().zip(shuffled) {
        spectrum.labels.insert("pufa_pct_of_fat".into(), other.to_string());
    }
    let permuted = trained(&recording, &request).manifest.metrics.rmsecv.expect("regression");
    assert!(permuted > 0.85 * of_the_mean, "permuted labels: {permuted}, error of the mean {of_the_mean}");
}
