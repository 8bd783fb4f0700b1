//! Planted faults are named after training, and clean sets are not.

use super::*;
use ramand_model::manifest::SuspectRecord;

const RESIDUAL: &str = "studentised residual";

fn linear(task: Task, target: &str) -> TrainingRequest {
    TrainingRequest { families: vec![Family::Pls], ..request(task, target) }
}

fn named(recording: &Recording, request: &TrainingRequest) -> Vec<SuspectRecord> {
    trained(recording, request).manifest.training.suspects
}

fn ids(suspects: &[SuspectRecord], statistic: &str) -> Vec<String> {
    let by = suspects.iter().filter(|suspect| suspect.beyond.contains_key(statistic));
    by.flat_map(|suspect| suspect.ids.clone()).collect()
}

fn relabel(recording: &mut Recording, sample: &str, column: &str, value: &str) {
    let rows = recording.spectra.iter_mut().filter(|row| row.labels["sample"] == sample);
    rows.for_each(|row| drop(row.labels.insert(column.into(), value.into())));
}

#[test]
fn a_mistyped_value_is_named_although_it_spoils_the_fit() {
    let clean = generated(40);
    assert_eq!(named(&clean, &linear(Task::Regression, "fraction")), [], "nothing is wrong");
    let fractions = clean.number_column("fraction").expect("numbers");
    let row = (0..80).step_by(2).find(|&row| (50.0..70.0).contains(&fractions[row])).expect("one of forty");
    let sample = clean.spectra[row].labels["sample"].clone();
    // A point left out, two of them, and a point too far left.
    for factor in [10.0, 100.0, 0.1] {
        let mut recording = clean.clone();
        let truth: f64 = recording.spectra[row].labels["fraction"].parse().expect("a number");
        let typed = format!("{}", truth * factor);
        relabel(&mut recording, &sample, "fraction", &typed);
        let suspects = named(&recording, &linear(Task::Regression, "fraction"));
        let (first, second) = (format!("{sample}-0"), format!("{sample}-1"));
        assert_eq!(ids(&suspects, RESIDUAL), [first.clone(), second.clone()], "{factor}: {suspects:?}");
        let found = suspects.iter().find(|suspect| suspect.ids[0] == first).expect("it was named");
        let line = clean.spectra[row].line;
        assert_eq!((&found.lines[..], &found.label), (&[line, line + 1][..], &typed));
        let words = found.in_words();
        let place = format!("line {line}, id '{first}'; line {}, id '{second}': label {typed}, predicted ", line + 1);
        assert!(words.starts_with(&place) && words.contains("studentised residual "), "{words}");
        assert!(words.contains("(limit 3."), "{words}");
    }
    // One spectrum of a sample only.
    let mut recording = clean;
    recording.spectra[row + 1].labels.insert("fraction".into(), "612".into());
    let suspects = named(&recording, &linear(Task::Regression, "fraction"));
    assert_eq!(ids(&suspects, RESIDUAL), [format!("{sample}-1")], "{suspects:?}");
}

#[test]
fn a_sample_that_decides_the_fit_alone_is_named_by_its_leverage() {
    let mut recording = generated(40);
    for row in recording.spectra.iter_mut().filter(|row| row.labels["sample"] == "s5") {
        // A third band that no other sample has, and a value that goes with it.
        let shifts = row.axis.per_cm().to_vec();
        let band = |shift: f64| 60.0 * (-0.5 * ((shift - 1110.0) / 8.0).powi(2)).exp();
        row.intensities.iter_mut().zip(shifts).for_each(|(value, shift)| *value += band(shift) as f32);
    }
    relabel(&mut recording, "s5", "fraction", "400");
    let suspects = named(&recording, &linear(Task::Regression, "fraction"));
    assert_eq!(ids(&suspects, "leverage"), ["s5-0", "s5-1"], "{suspects:?}");
    assert_eq!(ids(&suspects, "Cook's distance"), ["s5-0", "s5-1"], "{suspects:?}");
}

#[test]
fn a_spectrum_unlike_its_replicates_is_named() {
    for spectra in [2, 3] {
        let clean = independence::blends(40, 1, spectra);
        let mut task = linear(Task::Regression, "fraction");
        task.split.group = Some("bottle".into());
        assert_eq!(ids(&named(&clean, &task), "distance from replicates"), [""; 0], "nothing is wrong");
        // Another bottle's spectrum, but for its scale, under the name of this one.
        let mut confused = clean.clone();
        let fractions = clean.number_column("fraction").expect("numbers");
        let apart = |row: &usize| (fractions[*row] - fractions[4 * spectra]).abs();
        let other = (0..fractions.len()).max_by(|a, b| apart(a).total_cmp(&apart(b))).expect("rows");
        confused.spectra[4 * spectra].intensities =
            clean.spectra[other].intensities.iter().map(|value| 1.001 * value).collect();
        // Of two, nobody knows which.
        let count = if spectra == 2 { 2 } else { 1 };
        let expected: Vec<String> = confused.spectra[4 * spectra..][..count].iter().map(|row| row.id.clone()).collect();
        let kinds = TrainingRequest { task: Task::Classification, target: "kind".into(), ..task.clone() };
        for task in [task, kinds] {
            let suspects = named(&confused, &task);
            assert_eq!(ids(&suspects, "distance from replicates"), expected, "{suspects:?}");
        }
    }
}

#[test]
fn exchanged_classes_are_named() {
    let mut recording = generated(90);
    recording.spectra.retain(|row| {
        let fraction: f64 = row.labels["fraction"].parse().expect("a number");
        !(30.0..70.0).contains(&fraction)
    });
    let request = linear(Task::Classification, "kind");
    assert_eq!(named(&recording, &request), [], "nothing is wrong");
    let (sample, kind) = (recording.spectra[10].labels["sample"].clone(), recording.spectra[10].labels["kind"].clone());
    let other = if kind == "left" { "right" } else { "left" };
    relabel(&mut recording, &sample, "kind", other);
    let suspects = named(&recording, &request);
    assert_eq!(ids(&suspects, "margin of the label's class"), [format!("{sample}-0"), format!("{sample}-1")]);
    assert_eq!((suspects[0].label.as_str(), suspects[0].prediction.as_deref()), (other, Some(kind.as_str())));
}

#[test]
fn what_was_left_out_is_in_the_manifest() {
    let recording = generated(12).without(&["s3-0".into(), "s3-1".into()]).expect("they are there");
    let mut request = linear(Task::Regression, "fraction");
    request.provenance.left_out = vec!["s3-0".into(), "s3-1".into()];
    let (_folder, bundle, model) = opened(&trained(&recording, &request));
    let training = &model.manifest().training;
    assert_eq!((&training.left_out[..], training.samples), (&["s3-0".to_owned(), "s3-1".to_owned()][..], 11));
    let text = std::fs::read_to_string(bundle.join("manifest.toml")).expect("written");
    assert!(text.contains("left_out = [\"s3-0\", \"s3-1\"]"), "{text}");
}

#[test]
fn a_mistyped_value_among_measured_emulsions_is_named() {
    let folder = std::env::var_os("RAMAND_SHARED_DATA")
        .map_or_else(|| crate::root::root().join("../shared/data"), PathBuf::from);
    let path = folder.join("emulsions_raman.csv");
    if !path.exists() {
        missing("data", &format!("there is no {}: RAMAND_SHARED_DATA names its folder", path.display()));
        return;
    }
    let recording = Recording::read(&path).expect("readable");
    let mut request = linear(Task::Regression, "pufa_pct_of_fat");
    request.preprocessings = preprocessings(679.0, 1767.0, 137);
    (request.split.group, request.split.folds) = (None, 5);
    let clean = named(&recording, &request);
    assert!(clean.len() <= 3, "a few of 69: {clean:?}");
    let column = recording.number_column("pufa_pct_of_fat").expect("numbers");
    for row in [6, 24, 40, 66] {
        for factor in [10.0, 0.1] {
            let mut recording = recording.clone();
            let typed = column[row] * factor;
            recording.spectra[row].labels.insert("pufa_pct_of_fat".into(), typed.to_string());
            let suspects = named(&recording, &request);
            let id = &recording.spectra[row].id;
            assert!(ids(&suspects, RESIDUAL).contains(id), "{id}, {typed}: {suspects:?}");
            assert!(suspects.len() <= 4, "{id}, {typed}: {suspects:?}");
        }
    }
}
