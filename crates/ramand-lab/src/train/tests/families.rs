//! Every family as a bundle, and the choice among them.

use super::*;
use ramand_model::verify::verify;

#[test]
fn every_family_is_a_bundle_that_explains_itself_completely() {
    let recording = generated(15);
    for (task, target) in [(Task::Regression, "fraction"), (Task::Classification, "kind")] {
        for family in Family::ALL {
            let mut request = request(task, target);
            (request.families, request.steps) = (vec![family], 10);
            let trained = trained(&recording, &request);
            let (_folder, bundle, model) = opened(&trained);
            let what = format!("{target}, {}", family.in_words());
            for check in verify(&bundle) {
                assert!(check.outcome.is_ok(), "{what}, {}: {:?}", check.name, check.outcome);
            }
            let (mut session, mut workspace) = (model.session().expect("buffers"), Workspace::default());
            for raw in recording.raw_spectra() {
                let preprocessed = model.pipeline().preprocess(&raw, &mut workspace).expect("covered");
                let attribution = model.judge(&mut session, &preprocessed).expect("runs").attribution;
                assert!(attribution.completeness_error < 1e-4, "{what}: {}", attribution.completeness_error);
                let sum: f32 = attribution.difference.iter().sum();
                let expected = attribution.output - attribution.reference_output;
                assert!((sum - expected).abs() < 1e-3 * expected.abs().max(1.0), "{what}: {sum} instead of {expected}");
            }
        }
    }
}

#[test]
fn what_is_linear_is_left_to_pls() {
    // Without noise to speak of and without a normalisation, the spectra are linear in the fraction.
    let mut request = request(Task::Regression, "fraction");
    let steps = vec![PipelineStep::Resample];
    let axis = request.preprocessings[0].pipeline.axis().clone();
    request.preprocessings = vec![Preprocessing {
        name: "as read".into(),
        pipeline: Pipeline::new(axis, steps, Vec::new()).expect("valid"),
    }];
    request.families = Family::ALL.to_vec();
    let manifest = trained(&generated(30), &request).manifest;
    let kept = manifest.training.candidates.iter().find(|candidate| candidate.kept).expect("one is kept");
    assert_eq!(kept.name, "as read, PLS");
    let metrics = &manifest.metrics;
    let (model, pls) = (metrics.rmsecv.expect("a quantity"), metrics.rmsecv_pls.expect("compared"));
    assert!(model <= 1.02 * pls, "{model} against {pls}: {:?}", manifest.training.candidates);
    let alone = manifest.training.candidates.iter().find(|candidate| candidate.name.contains("network alone"));
    assert!(alone.is_some_and(|alone| alone.spectra < Some(60)), "given up early: {alone:?}");
}

#[test]
fn what_is_curved_is_not() {
    let mut recording = generated(40);
    for row in &mut recording.spectra {
        let fraction: f64 = row.labels["fraction"].parse().expect("a number");
        row.labels.insert("curved".into(), format!("{}", 50.0 + 50.0 * (0.08 * fraction).sin()));
    }
    let mut request = request(Task::Regression, "curved");
    (request.families, request.steps) = (Family::ALL.to_vec(), 100);
    let manifest = trained(&recording, &request).manifest;
    let metrics = &manifest.metrics;
    let (model, pls) = (metrics.rmsecv.expect("a quantity"), metrics.rmsecv_pls.expect("compared"));
    let kernel = metrics.rmsecv_kernel_ridge.expect("compared");
    assert!(kernel < 0.8 * pls && model <= 1.02 * kernel, "{model}, PLS {pls}, kernel ridge {kernel}");
}

/// A weak band that is the target under a strong one that is not, without any noise: PLS is exact, and turns noise a hundredth as
/// high as the spectrum into several times the target's spread.
#[test]
fn a_network_beside_exact_pls_has_nothing_to_learn_however_its_spectra_are_disturbed() {
    let mut recording = generated(30);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let band = |shift: f64, centre: f64| (-0.5 * ((shift - centre) / 12.0).powi(2)).exp();
    for row in &mut recording.spectra {
        let fraction: f64 = row.labels["fraction"].parse().expect("a number");
        let strong = random.random_range(50.0..150.0);
        let value = |shift: &f64| (strong * band(*shift, 1080.0) + 0.01 * fraction * band(*shift, 1130.0)) as f32;
        row.intensities = row.axis.per_cm().iter().map(value).collect();
    }
    let request = request(Task::Regression, "fraction");
    let axis = request.preprocessings[0].pipeline.axis().clone();
    let pipeline = Pipeline::new(axis, vec![PipelineStep::Resample], Vec::new()).expect("valid");
    let truth = request.truth(&recording).expect("numbers");
    let (groups, _) = request.groups(&recording, &truth).expect("samples");
    let data = dataset::Dataset::preprocess(&recording, &pipeline, truth, groups).expect("covered");
    let members: Vec<usize> = (0..data.len()).collect();
    let disturbed = augment::Augmentation { slope: 0.0, curvature: 0.0, noise: 0.01, shift_points: 0.0 };
    let recipe =
        fit::Recipe { steps: 200, augmentation: disturbed, ..request.recipe(Family::PlsAndNetwork, &data, &members) };
    let progress = Progress::default();
    let lesson = fit::Lesson {
        data: &data,
        members: &members,
        family: Family::PlsAndNetwork,
        components: 2,
        recipe,
        progress: &progress,
    };
    let fit = fit::Fit::new(&lesson, &mut [ChaCha8Rng::seed_from_u64(1)]).expect("fits");
    let spread = f64::from(fit.standard.target_scale);
    for &spectrum in &members {
        let preprocessed = data.preprocessed(spectrum);
        let (pls, both) = (fit.without_networks(preprocessed)[0], fit.predict_each(preprocessed)[0][0]);
        let truth = data.truth.target(spectrum, 0);
        assert!((f64::from(pls) - truth).abs() < 0.01 * spread, "PLS is exact: {pls} for {truth}");
        assert!((f64::from(both) - truth).abs() < 0.1 * spread, "{both} for {truth}");
    }
}
