//! What counts as a sample: rows that look like replicates, and samples that are held out by block.

use super::*;
use crate::train::dataset::Dataset;
use crate::train::{partition, replicates};

/// Samples of `levels` different values, so many of each, with so many spectra: blends whose other bands differ from sample to sample,
/// and noise a fraction of that. Identifiers tell nothing.
pub(super) fn blends(levels: usize, samples: usize, spectra: usize) -> Recording {
    blends_of(levels, samples, spectra, [0.2; 3], 0.01)
}

/// The same, whose three other bands are up to so high, with so much noise.
fn blends_of(levels: usize, samples: usize, spectra: usize, own: [f64; 3], noise: f64) -> Recording {
    let mut recording = generated(1);
    let axis = recording.spectra[0].axis.clone();
    let mut random = ChaCha8Rng::seed_from_u64(21);
    let band = |shift: f64, centre: f64| (-0.5 * ((shift - centre) / 12.0).powi(2)).exp();
    recording.spectra.clear();
    let mut values: Vec<usize> = (0..levels * samples).map(|sample| sample % levels).collect();
    values.shuffle(&mut random);
    for (sample, level) in values.into_iter().enumerate() {
        let fraction = level as f64 / (levels - 1) as f64;
        let [first, second, third] = own.map(|most| most * random.random_range(0.0..1.0));
        for _ in 0..spectra {
            let slope = random.random_range(-0.01..0.01);
            let value = |&shift: &f64| {
                let target = band(shift, 1060.0) * (1.0 - fraction) + band(shift, 1160.0) * fraction;
                let own = first * band(shift, 1020.0) + second * band(shift, 1110.0) + third * band(shift, 1200.0);
                let noise = slope * (shift - 1100.0) / 100.0 + random.random_range(-noise..noise);
                (100.0 * (target + own + noise)) as f32
            };
            let intensities = axis.per_cm().iter().map(value).collect();
            let line = recording.spectra.len() as u64 + 2;
            let labels = [
                ("fraction", format!("{:.3}", 100.0 * fraction)),
                ("bottle", format!("b{sample}")),
                ("kind", if sample % 2 == 0 { "left" } else { "right" }.to_owned()),
            ];
            let labels = labels.map(|(column, value)| (column.to_owned(), value)).into();
            recording.spectra.push(RecordedSpectrum {
                id: format!("{line}"),
                labels,
                axis: axis.clone(),
                intensities,
                line,
            });
        }
    }
    recording
}

fn without_column(mut recording: Recording, column: &str) -> Recording {
    recording.spectra.iter_mut().for_each(|row| drop(row.labels.remove(column)));
    recording
}

fn shuffled(mut recording: Recording) -> Recording {
    recording.spectra.shuffle(&mut ChaCha8Rng::seed_from_u64(4));
    recording
}

/// What is said of rows that no column groups; `None` where they pass.
fn refused(recording: &Recording, request: &TrainingRequest) -> Option<String> {
    let mut request = request.clone();
    request.split.group = None;
    let truth = request.truth(recording).expect("labels");
    let (groups, _) = request.groups(recording, &truth).expect("samples");
    let data = Dataset::preprocess(recording, &request.preprocessings[0].pipeline, truth, groups).expect("covered");
    replicates::refuse(recording, &data, &request.target).err().map(|error| error.to_string())
}

#[test]
fn rows_that_look_like_replicates_are_refused_with_the_column_that_fits() {
    let check = |recording: &Recording, request: &TrainingRequest, expected: &[&str]| {
        let said = refused(recording, request).unwrap_or_else(|| panic!("passed instead of {expected:?}"));
        expected.iter().for_each(|expected| assert!(said.contains(expected), "{expected} in: {said}"));
    };
    let quantity = request(Task::Regression, "fraction");
    let kinds = request(Task::Classification, "kind");
    let triples = blends(42, 1, 3);
    check(
        &triples,
        &quantity,
        &[
            "126 spectra have others with the same 'bottle'",
            "(--group): 'bottle' would fit",
            "(--independent)",
            "line 2, id '2', and line 3, id '3'",
        ],
    );
    check(&triples, &kinds, &["with the same 'bottle'", "(--group): 'bottle' would fit"]);
    let unnamed = shuffled(without_column(triples, "bottle"));
    check(&unnamed, &quantity, &["with the same 'fraction'", "Name a column that tells samples apart"]);
    let mut by_id = without_column(blends(30, 1, 2), "bottle");
    by_id.spectra.iter_mut().enumerate().for_each(|(row, one)| one.id = format!("oil {}_r{}.spc", row / 2, row % 2));
    check(&by_id, &kinds, &["whose id begins alike", "as 'oil 0' in 'oil 0_r0.spc'"]);
    check(&blends(5, 8, 3), &quantity, &["with the same 'bottle'"]);
    // Much noise, and one direction in which samples differ.
    let one_direction = blends_of(42, 1, 3, [0.4, 0.0, 0.0], 0.1);
    check(&one_direction, &quantity, &["with the same 'bottle'"]);
    check(&without_column(one_direction, "bottle"), &quantity, &["with the same 'fraction'"]);
    // Several samples of one value, and nothing but the order of the rows.
    check(&without_column(blends(14, 3, 2), "bottle"), &kinds, &["in each 2 lines in a row"]);
}

#[test]
fn independent_rows_pass_however_few_different_values_they_have() {
    for (levels, samples) in [(3, 20), (5, 12), (14, 4), (42, 3)] {
        for task in [request(Task::Regression, "fraction"), request(Task::Classification, "kind")] {
            let said = refused(&blends(levels, samples, 1), &task);
            assert_eq!(said, None, "{levels} values, {samples} samples each, {}", task.target);
            let said = refused(&blends_of(levels, samples, 1, [0.4, 0.0, 0.0], 0.1), &task);
            assert_eq!(said, None, "the same with much noise");
        }
    }
}

#[test]
fn a_drift_makes_no_replicates_of_rows_in_a_row() {
    let mut recording = without_column(blends(42, 3, 1), "bottle");
    let rows = recording.spectra.len() as f32;
    for (row, spectrum) in recording.spectra.iter_mut().enumerate() {
        let kind = if row < 63 { "left" } else { "right" };
        spectrum.labels.insert("kind".into(), kind.into());
        let along = row as f32 / rows;
        let drift = |point: usize| {
            80.0 * along * (point as f32 / 20.0).sin() + 80.0 * along * along * (point as f32 / 9.0).cos()
        };
        spectrum.intensities.iter_mut().enumerate().for_each(|(point, value)| *value += drift(point));
    }
    assert_eq!(refused(&recording, &request(Task::Classification, "kind")), None);
}

#[test]
fn what_is_said_to_be_independent_is_trained_on() {
    let recording = blends(20, 1, 2);
    let mut request = request(Task::Regression, "fraction");
    (request.split.group, request.families) = (None, vec![Family::Pls]);
    let error = train(&recording, &request, &Progress::default()).expect_err("two spectra of each");
    assert!(matches!(error, TrainError::LikelyReplicates(_)), "{error}");
    request.split.rows = Rows::Independent;
    assert_eq!(trained(&recording, &request).manifest.training.samples, 40);
}

#[test]
fn measured_sets_are_told_apart() {
    let folder = std::env::var_os("RAMAND_SHARED_DATA")
        .map_or_else(|| crate::root::root().join("../shared/data"), PathBuf::from);
    let read = |file: &str| {
        let path = folder.join(file);
        if !path.exists() {
            missing("data", &format!("there is no {}: RAMAND_SHARED_DATA names its folder", path.display()));
            return None;
        }
        Some(Recording::read(&path).expect("readable"))
    };
    let request = |task, target: &str, [first, last]: [f64; 2]| TrainingRequest {
        preprocessings: preprocessings(first, last, 250),
        ..request(task, target)
    };
    if let Some(emulsions) = read("emulsions_raman.csv") {
        let request = request(Task::Regression, "pufa_pct_of_fat", [679.0, 1767.0]);
        assert_eq!(refused(&emulsions, &request), None, "69 independent emulsions");
        // Each three times, with a noise of a tenth of what tells samples apart.
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let mut triples = emulsions.clone();
        triples.spectra = emulsions.spectra.iter().flat_map(|row| vec![row.clone(); 3]).collect();
        for (place, row) in triples.spectra.iter_mut().enumerate() {
            row.id = format!("row {place}");
            row.labels.retain(|column, _| column == "pufa_pct_of_fat");
            row.line = place as u64 + 2;
            row.intensities.iter_mut().for_each(|value| *value += random.random_range(-0.05..0.05));
        }
        let said = refused(&shuffled(triples), &request).expect("207 spectra of 69 samples");
        assert!(said.contains("with the same 'pufa_pct_of_fat'"), "{said}");
    }
    for file in ["corn_nir_m5.csv", "corn_nir_mp5.csv", "corn_nir_mp6.csv"] {
        let Some(corn) = read(file) else { continue };
        for target in ["moisture", "oil", "protein", "starch"] {
            assert_eq!(refused(&corn, &request(Task::Regression, target, [1100.0, 2498.0])), None, "{file}, {target}");
        }
    }
    if let Some(olive) = read("olive_ftir.csv") {
        let request = request(Task::Classification, "country", [800.0, 1896.0]);
        let said = refused(&olive, &request).expect("two spectra of each oil");
        assert!(said.contains("'sample' would fit"), "{said}");
        let said = refused(&without_column(olive.clone(), "sample"), &request).expect("ids say so, too");
        assert!(said.contains("as 'oo01' in 'oo01_r1'"), "{said}");
        let mut first = olive;
        first.spectra.retain(|row| row.id.ends_with("r1"));
        assert_eq!(refused(&first, &request), None, "one spectrum of each oil");
    }
    if let Some(lipids) = read("lipids_pigments_raman.csv") {
        let mut lipids = lipids;
        // Classes of two and more.
        let counts = |of: &str| lipids.spectra.iter().filter(|row| row.labels["type"] == of).count();
        let rare: Vec<String> =
            lipids.spectra.iter().map(|row| row.labels["type"].clone()).filter(|of| counts(of) < 2).collect();
        lipids.spectra.retain(|row| !rare.contains(&row.labels["type"]));
        assert_eq!(refused(&lipids, &request(Task::Classification, "type", [450.0, 1800.0])), None, "different lipids");
    }
}

/// Six animals with four samples each.
fn animals() -> Recording {
    let mut recording = generated(24);
    for (row, spectrum) in recording.spectra.iter_mut().enumerate() {
        spectrum.labels.insert("animal".into(), format!("a{}", row / 8));
        let half = if row / 2 % 2 == 0 { "even" } else { "odd" };
        spectrum.labels.insert("half".into(), half.into());
    }
    recording
}

fn by_animal(task: Task, target: &str, folds: usize) -> TrainingRequest {
    let mut request = request(task, target);
    (request.split.block, request.split.folds) = (Some("animal".into()), folds);
    request.families = vec![Family::Pls];
    request
}

#[test]
fn blocks_are_held_out_together_and_replicates_stay_replicates() {
    let recording = animals();
    let blocked = trained(&recording, &by_animal(Task::Regression, "fraction", 6));
    let animal_of =
        |id: &str| recording.spectra.iter().find(|row| row.id == id).map(|row| row.labels["animal"].clone());
    let mut animals_of_fold = std::collections::BTreeMap::<String, std::collections::BTreeSet<String>>::new();
    for row in table(&blocked.files["folds.csv"]) {
        animals_of_fold.entry(row["fold"].clone()).or_default().extend(animal_of(&row["id"]));
    }
    let sizes: Vec<usize> = animals_of_fold.values().map(std::collections::BTreeSet::len).collect();
    assert_eq!(sizes, [1; 6], "{animals_of_fold:?}");

    let Trained { manifest, .. } = &blocked;
    let training = &manifest.training;
    assert_eq!((training.samples, training.spectra, training.block.as_deref()), (24, 48, Some("animal")));
    assert_eq!(training.split, "leave one block of column 'animal' out, 6 blocks, 1 repeat");
    // Replicates differ by slope and noise, whoever is held out; animals as replicates would differ by all of the fraction.
    let by_sample = trained(
        &recording,
        &TrainingRequest {
            split: request(Task::Regression, "fraction").split,
            ..by_animal(Task::Regression, "fraction", 3)
        },
    );
    let (own, other) = (manifest.metrics.replicate_sd, by_sample.manifest.metrics.replicate_sd);
    let (own, other) = (own.expect("replicates"), other.expect("replicates"));
    assert!((own / other - 1.0).abs() < 0.3, "{own} against {other}");
    // What is exchangeable are six animals: too few for an interval of 90 %.
    let conformal = manifest.conformal.as_ref().expect("scores");
    assert_eq!((conformal.samples, conformal.half_width), (6, None));
    assert_eq!(conformal.without.as_deref(), Some("6 blocks, 90 % confidence needs at least 9"));
    let scores = manifest.gate.as_ref().and_then(|gate| gate.scores.as_ref()).expect("a gate");
    assert_eq!(scores.samples, 6);
    opened(&blocked);
    let fewer = trained(&recording, &by_animal(Task::Regression, "fraction", 3)).manifest.training.split;
    assert_eq!(fewer, "3 folds by block, 6 blocks of column 'animal', 1 repeat");
}

#[test]
fn choices_inside_a_fold_hold_blocks_out_together_too() {
    let recording = animals();
    let request = by_animal(Task::Regression, "fraction", 6);
    let truth = request.truth(&recording).expect("numbers");
    let (groups, names) = request.groups(&recording, &truth).expect("samples");
    let units = request.units(&recording, &truth, &groups, &names).expect("blocks");
    let data = Dataset::preprocess(&recording, &request.preprocessings[0].pipeline, truth, groups).expect("covered");
    let data = data.held_out_by(units.clone());
    let members: Vec<usize> = (0..40).collect();
    for part in partition::partition(&data, &members, 10, &mut ChaCha8Rng::seed_from_u64(1)) {
        let shown = |unit: &usize| part.training.iter().any(|&spectrum| units[spectrum] == *unit);
        assert!(!part.held_out.iter().map(|&spectrum| &units[spectrum]).any(shown));
    }
}

#[test]
fn blocks_that_cannot_be_held_out_are_refused() {
    let check = |change: &dyn Fn(&mut Recording, &mut TrainingRequest), expected: &str| {
        let (mut recording, mut request) = (animals(), by_animal(Task::Classification, "kind", 6));
        change(&mut recording, &mut request);
        let error = train(&recording, &request, &Progress::default()).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(
        &|recording, _| drop(recording.spectra[1].labels.insert("animal".into(), "other".into())),
        "line 3: sample 's0' is in block 'other' here and in block 'a0' in an earlier line",
    );
    check(&|_, request| request.split.folds = 7, "6 blocks cannot be split into 7 folds");
    check(&|_, request| request.split.block = Some("cow".into()), "no label column 'cow'");
    check(
        &|recording, request| {
            for row in &mut recording.spectra {
                let kind = if row.labels["animal"] == "a0" { "lone" } else { row.labels["half"].as_str() }.to_owned();
                row.labels.insert("kind".into(), kind);
            }
            request.split.folds = 3;
        },
        "class 'lone' has 1 block(s), every class needs at least 2",
    );
}
