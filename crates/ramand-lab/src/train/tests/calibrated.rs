//! What training measures about intervals, sets and the gate, and what a bundle makes of it.

use ramand_core::outcome::Prediction;
use ramand_core::preprocess::Workspace;
use ramand_core::spectrum::RawSpectrum;
use ramand_model::manifest::Task;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::super::*;
use super::{generated, opened, request, trained};

/// Standard errors of a share of samples that coverage may be below the nominal one.
const STANDARD_ERRORS: f64 = 4.0;

#[test]
fn intervals_cover_what_they_say_and_the_bundle_applies_them() {
    let recording = generated(60);
    let trained = trained(&recording, &request(Task::Regression, "fraction"));
    let (metrics, conformal) = (&trained.manifest.metrics, trained.manifest.conformal.as_ref().expect("scores"));
    let coverage = metrics.coverage.expect("measured");
    let least = CONFIDENCE - STANDARD_ERRORS * (CONFIDENCE * (1.0 - CONFIDENCE) / 60.0).sqrt();
    assert!(coverage > least, "{coverage}");
    let half_width = conformal.half_width.expect("sixty samples");
    let width = metrics.interval_width.expect("measured");
    assert!((width / (2.0 * half_width) - 1.0).abs() < 0.3, "mean width {width}, half width {half_width}");
    assert!(metrics.interval["coverage"][0] <= coverage);
    assert!(metrics.refused.is_some_and(|refused| refused <= 0.05), "{:?}", metrics.refused);
    assert_eq!((conformal.samples, conformal.without.as_ref()), (60, None));

    let (_folder, _, model) = opened(&trained);
    assert!(model.lacks().is_empty(), "{:?}", model.lacks());
    let mut session = model.session().expect("buffers");
    let raw = recording.raw_spectra().next().expect("spectra");
    let preprocessed = model.pipeline().preprocess(&raw, &mut Workspace::default()).expect("covered");
    let judged = model.judge(&mut session, &preprocessed).expect("runs");
    let Prediction::Value { value, interval: Some(interval), .. } = judged.prediction else { panic!("an interval") };
    assert_eq!(interval.upper, value + half_width as f32);
    let p_value = model.gate().expect("a gate").assess(&preprocessed).p_value.expect("scores");
    assert!(p_value > 0.01, "a training spectrum is like the training's: {p_value}");
}

#[test]
fn what_is_unlike_the_training_set_has_the_smallest_p_value() {
    let recording = generated(120);
    let trained = trained(&recording, &request(Task::Classification, "kind"));
    let gate = trained.manifest.gate.as_ref().expect("a gate");
    assert!(gate.variates.is_some(), "120 samples settle where two classes lie");
    let (_folder, _, model) = opened(&trained);
    let mut raw: Vec<_> = recording.spectra.clone();
    let strange = &mut raw[0];
    let shifts = strange.axis.per_cm().to_vec();
    for (value, shift) in strange.intensities.iter_mut().zip(shifts) {
        *value += (60.0 * (-0.5 * ((shift - 1110.0) / 8.0).powi(2)).exp()) as f32;
    }
    let strange = ramand_recording::Recording { spectra: raw, ..recording };
    let raw = strange.raw_spectra().next().expect("spectra");
    let preprocessed = model.pipeline().preprocess(&raw, &mut Workspace::default()).expect("covered");
    let p_value = model.gate().expect("a gate").assess(&preprocessed).p_value.expect("scores");
    assert!((p_value - 1.0 / 121.0).abs() < 1e-6, "{p_value}");
}

#[test]
fn sets_hold_the_true_kind_as_often_as_they_say() {
    let recording = generated(60);
    let trained = trained(&recording, &request(Task::Classification, "kind"));
    let (metrics, conformal) = (&trained.manifest.metrics, trained.manifest.conformal.as_ref().expect("scores"));
    let least = CONFIDENCE - STANDARD_ERRORS * (CONFIDENCE * (1.0 - CONFIDENCE) / 60.0).sqrt();
    assert!(metrics.coverage.expect("measured") > least, "{metrics:?}");
    assert_eq!((conformal.limits.as_ref().map(Vec::len), conformal.by_kind), (Some(2), Some(true)));
    let shares = metrics.set_single.expect("measured") + metrics.set_empty.expect("measured");
    let several = 1.0 - shares;
    let size = metrics.set_size.expect("measured");
    assert!((size - (metrics.set_single.expect("measured") + 2.0 * several)).abs() < 1e-9, "two kinds: {metrics:?}");
}

#[test]
fn too_few_samples_make_no_interval_and_the_manifest_says_why() {
    let recording = generated(8);
    let request = request(Task::Regression, "fraction");
    let trained = trained(&recording, &request);
    let conformal = trained.manifest.conformal.as_ref().expect("scores");
    assert_eq!(conformal.half_width, None);
    let why = conformal.without.as_deref().expect("a reason");
    assert_eq!(why, "8 independent samples, 90 % confidence needs at least 9");
    assert_eq!(trained.manifest.metrics.coverage, None, "nothing was measured");
    let (_folder, _, model) = opened(&trained);
    assert_eq!(model.lacks(), ["prediction interval"]);
}

#[test]
fn a_gate_of_few_samples_is_not_open() {
    // Sixteen animals, three spectra of each: what differs between two animals lies in more directions than can be known from them, and
    // one is unlike all others.
    let mut recording = generated(16);
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for sample in 0..16 {
        let odd = if sample == 7 { 5.0 } else { 1.0 };
        let heights: Vec<f32> = (0..20).map(|_| odd * random.random_range(-10.0..10.0)).collect();
        for row in &mut recording.spectra[2 * sample..][..2] {
            row.intensities.iter_mut().enumerate().for_each(|(point, value)| *value += heights[point / 6]);
        }
    }
    let mut request = request(Task::Regression, "fraction");
    request.families = vec![Family::Pls];
    let trained = trained(&recording, &request);
    let gate = trained.manifest.gate.as_ref().expect("a gate");
    assert!(gate.components <= 3, "{} components of 16 samples", gate.components);
    // F gives 20 for three components of 16 samples, and one in twenty held-out samples is none of them.
    assert!(gate.t2_limit < 100.0, "{}", gate.t2_limit);
    let (_folder, _, model) = opened(&trained);
    let mut workspace = Workspace::default();
    for raw in recording.raw_spectra() {
        let light: Vec<f32> =
            raw.light().iter().enumerate().map(|(i, value)| value + if i / 10 == 2 { 200.0 } else { 0.0 }).collect();
        let foreign = RawSpectrum::new(raw.axis().clone(), light, None, raw.origin().clone()).expect("finite");
        let preprocessed = model.pipeline().preprocess(&foreign, &mut workspace).expect("preprocessed");
        let found = model.gate().expect("a gate").assess(&preprocessed);
        assert!(found.t2 > found.t2_limit || found.q > found.q_limit, "{found:?}");
    }
}

#[test]
fn a_value_beyond_the_calibrated_range_is_called_extrapolated() {
    let recording = generated(30);
    let mut request = request(Task::Regression, "fraction");
    request.families = vec![Family::Pls];
    let trained = trained(&recording, &request);
    let values = recording.number_column("fraction").expect("numbers");
    let [low, high] = trained.manifest.training.range.expect("of a quantity");
    let rmsecv = trained.manifest.metrics.rmsecv.expect("of a quantity");
    assert!(values.iter().all(|value| (low..=high).contains(value)) && values.contains(&low) && values.contains(&high));
    let (_folder, _, model) = opened(&trained);
    let said = |value: f64| {
        let prediction = Prediction::Value { value: value as f32, unit: "%".into(), interval: None };
        model.extrapolated(&prediction).map(|reason| reason.to_string())
    };
    assert_eq!((said(low - 0.9 * rmsecv), said(high + 0.9 * rmsecv)), (None, None));
    let text = said(high + 1.1 * rmsecv + 1.0).expect("a remark");
    assert!(text.starts_with("extrapolated: ") && text.contains("outside the calibrated range of"), "{text}");
    assert!(said(low - 1.1 * rmsecv - 1.0).is_some() && said(f64::NAN).is_some());
}
