//! What holds for every spectrum: proportions, invariances, and refusals instead of nonsense.

use std::f64::consts::PI;
use std::sync::Arc;
use std::time::SystemTime;

use proptest::prelude::*;

use super::super::*;
use crate::spectrum::{
    Acquisition, Counts, Instrument, IntegrationTime, Laser, LineStatistics, Nonlinearity, Origin, RamanShift,
    RawSpectrum, ShiftAxis, Wavelength, WavelengthCalibration,
};

/// Of preprocessed values of order 1, through f32 counts.
const PREPARED: f32 = 2e-4;

/// cm⁻¹, of a straight line or the centre of a band after resampling.
const SHIFT: f64 = 1e-6;
const BAND_CENTRE: f64 = 0.02;

const SNV: PipelineStep = PipelineStep::Normalise(Normalise::Snv);

fn even(first: f64, last: f64, points: usize) -> Arc<ShiftAxis> {
    let [first, last] = [first, last].map(RamanShift::from_per_cm);
    Arc::new(ShiftAxis::even(first, last, points).expect("increasing"))
}

fn model_axis() -> Arc<ShiftAxis> {
    even(800.0, 1800.0, 251)
}

fn whittaker() -> Whittaker {
    Whittaker { lambda: 1e4, tolerance: 1e-3, iterations_max: 50 }
}

fn recorded(axis: Arc<ShiftAxis>, counts: impl Fn(f64) -> f64) -> RawSpectrum {
    let light = axis.per_cm().iter().map(|&shift| counts(shift) as f32).collect();
    RawSpectrum::new(axis, light, None, Origin::Recorded { id: "test".into() }).expect("finite")
}

fn bands(shift: f64) -> f64 {
    let band = |centre: f64, height: f64| height * (-0.5 * ((shift - centre) / 8.0).powi(2)).exp();
    band(1265.0, 800.0) + band(1440.0, 2000.0) + band(1656.0, 1300.0) + 20.0 * (shift / 7.0).sin()
}

fn preprocess(
    steps: Vec<PipelineStep>,
    channels: Vec<Vec<PipelineStep>>,
    raw: &RawSpectrum,
) -> Result<Vec<f32>, PreprocessError> {
    let pipeline = Pipeline::new(model_axis(), steps, channels).expect("valid");
    Ok(pipeline.preprocess(raw, &mut Workspace::default())?.values().to_vec())
}

#[test]
fn resampling_moves_no_line_and_no_band() {
    // A file on 1 cm-1, a detector of 1.9 cm-1, one coarser than the model, and one with the model's own axis.
    let axes = [even(799.0, 1801.0, 1003), even(790.3, 1810.0, 537), even(790.0, 1810.0, 97), model_axis()];
    for from in axes {
        let onto = model_axis();
        let mut resampled = Vec::new();
        let mut run = |counts: &dyn Fn(f64) -> f64| {
            let values: Vec<f64> = from.per_cm().iter().map(|&shift| counts(shift)).collect();
            resample::resample(&values, &from, &onto, &mut resampled).expect("covered");
            resampled.clone()
        };
        for (found, shift) in run(&|shift| shift).iter().zip(onto.per_cm()) {
            assert!((found - shift).abs() < SHIFT, "{found} at {shift}, from steps of {}", from.mean_step());
        }
        // A band that is wide for the coarsest axis, at several positions between the points.
        for offset in [0.0, 0.7, 1.3, 2.9] {
            let centre = 1440.0 + offset;
            let band = run(&|shift| (-0.5 * ((shift - centre) / 20.0).powi(2)).exp());
            let sum: f64 = band.iter().sum();
            let found = band.iter().zip(onto.per_cm()).map(|(value, shift)| value * shift).sum::<f64>() / sum;
            assert!((found - centre).abs() < BAND_CENTRE, "{found} for {centre}, from steps of {}", from.mean_step());
            let area = sum * onto.mean_step();
            assert!((area / (20.0 * (2.0 * PI).sqrt()) - 1.0).abs() < 2e-3, "area {area}");
        }
    }
}

#[test]
fn a_spectrum_on_the_model_axis_is_not_changed_by_resampling() {
    let raw = recorded(model_axis(), bands);
    assert_eq!(preprocess(vec![PipelineStep::Resample], vec![], &raw).expect("covered"), raw.light());
}

#[test]
fn nothing_is_extrapolated() {
    for (first, last) in [(800.5, 1900.0), (700.0, 1799.5)] {
        let error = preprocess(vec![PipelineStep::Resample], vec![], &recorded(even(first, last, 500), bands))
            .expect_err("short");
        assert_eq!(error, PreprocessError::AxisNotCovered { measured: (first, last), needed: (800.0, 1800.0) });
    }
}

#[test]
fn a_flat_spectrum_is_an_error_and_never_a_number() {
    let methods = [Normalise::Snv, Normalise::Area, Normalise::Max].map(PipelineStep::Normalise);
    let baselines = [
        vec![],
        vec![PipelineStep::Baseline(Baseline::Arpls(whittaker()))],
        vec![PipelineStep::Baseline(Baseline::Airpls(whittaker()))],
        vec![PipelineStep::Baseline(Baseline::Polynomial { order: 6 })],
        vec![PipelineStep::Smooth(Smooth { window: 7, order: 2, derivative: 1 })],
    ];
    for level in [0.0, 1.0, 1234.567, 65_535.0] {
        let flat = recorded(even(700.0, 1900.0, 700), |_| level);
        for method in methods {
            for baseline in &baselines {
                let steps = [vec![PipelineStep::Resample], baseline.clone(), vec![method]].concat();
                let found = preprocess(steps, vec![], &flat);
                assert!(
                    matches!(found, Err(PreprocessError::Flat { .. })),
                    "{level} {baseline:?} {method:?}: {found:?}"
                );
                let channel = [baseline.clone(), vec![method]].concat();
                let found = preprocess(vec![PipelineStep::Resample], vec![channel], &flat);
                assert!(
                    matches!(found, Err(PreprocessError::Flat { .. })),
                    "{level} {baseline:?} {method:?}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn both_halves_together_are_the_whole() {
    let steps = vec![
        PipelineStep::Despike(Despike { threshold: 7.0, window: 3 }),
        PipelineStep::Resample,
        PipelineStep::Baseline(Baseline::Arpls(whittaker())),
        PipelineStep::Smooth(Smooth { window: 7, order: 2, derivative: 0 }),
        SNV,
    ];
    let slope = vec![PipelineStep::Smooth(Smooth { window: 7, order: 2, derivative: 1 }), SNV];
    let raw = recorded(even(790.0, 1810.0, 540), |shift| bands(shift) + 3.0 * shift);
    for channels in [vec![], vec![vec![], slope]] {
        let pipeline = Pipeline::new(model_axis(), steps.clone(), channels).expect("valid");
        let mut workspace = Workspace::default();
        let whole = pipeline.preprocess(&raw, &mut workspace).expect("bands");
        let row = pipeline.before_normalise(&raw, &mut workspace).expect("bands");
        let mut values = vec![0.0; pipeline.channels() * 251];
        pipeline.finish(&row, &mut workspace, &mut values).expect("bands");
        assert_eq!(whole.values(), values);
        assert_eq!(whole.channels(), pipeline.channels());
        let spread = |values: &[f64]| {
            values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
                - values.iter().copied().fold(f64::INFINITY, f64::min)
        };
        assert!(spread(&row) > 1000.0, "the row between the halves is in counts");
    }
}

#[test]
fn the_dark_frame_and_the_nonlinearity_are_taken_off() {
    let axis = even(790.0, 1810.0, 540);
    let instrument = Instrument {
        model: "QE Pro".into(),
        serial: "QEP00001".into(),
        firmware: None,
        pixels: 540,
        active: 0..540,
        calibration: WavelengthCalibration { coefficients: vec![], laser: Wavelength::from_nm(785.0) },
        nonlinearity: Some(Nonlinearity { coefficients: vec![1.0, 1e-5] }),
        saturation: Counts::new(200_000.0),
    };
    let acquisition = Acquisition {
        instrument: Arc::new(instrument),
        taken: SystemTime::UNIX_EPOCH,
        integration: IntegrationTime::from_micros(1000),
        scans: 1,
        laser: Laser::On,
        saturated_pixels: 0,
        dark_noise: None,
        detector_temperature: None,
        took: std::time::Duration::ZERO,
        device_exception: None,
        line: LineStatistics::default(),
    };
    let dark: Vec<f32> = (0..540).map(|pixel| 1500.0 + (pixel % 7) as f32).collect();
    // What the detector reads is m with m / (1 + 1e-5 m) = the true signal: m = s / (1 - 1e-5 s).
    let signal = |shift: f64| 40.0 * (shift - 700.0);
    let reads = axis.per_cm().iter().map(|&shift| signal(shift) / (1.0 - 1e-5 * signal(shift)));
    let light = reads.zip(&dark).map(|(read, &dark)| read as f32 + dark).collect();
    let raw = RawSpectrum::new(axis, light, Some(dark), Origin::Measured(acquisition)).expect("finite");
    let found = preprocess(vec![PipelineStep::Dark, PipelineStep::Resample], vec![], &raw).expect("covered");
    for (found, &shift) in found.iter().zip(model_axis().per_cm()) {
        assert!((f64::from(*found) / signal(shift) - 1.0).abs() < 1e-5, "{found} at {shift}");
    }
}

#[test]
fn settings_and_orders_without_sense_are_refused() {
    let despike = PipelineStep::Despike(Despike { threshold: 7.0, window: 3 });
    let smooth = |window, order, derivative| PipelineStep::Smooth(Smooth { window, order, derivative });
    let arpls = |lambda| PipelineStep::Baseline(Baseline::Arpls(Whittaker { lambda, ..whittaker() }));
    let polynomial = |order| PipelineStep::Baseline(Baseline::Polynomial { order });
    type Case = (Vec<PipelineStep>, Vec<Vec<PipelineStep>>, &'static str);
    let cases: [Case; 16] = [
        (vec![], vec![], "exactly one step must be 'resample', there are 0"),
        (vec![PipelineStep::Resample, PipelineStep::Resample], vec![], "there are 2"),
        (vec![despike, PipelineStep::Dark, PipelineStep::Resample], vec![], "step 'dark' must be the first step"),
        (vec![PipelineStep::Resample, despike], vec![], "step 'despike' must come before 'resample'"),
        (vec![SNV, PipelineStep::Resample], vec![], "step 'normalise' must come after 'resample'"),
        (vec![polynomial(6), PipelineStep::Resample], vec![], "must come after 'resample': it needs an even axis"),
        (vec![PipelineStep::Resample], vec![vec![despike]], "step 'despike' belongs among the shared steps"),
        (vec![PipelineStep::Resample, smooth(8, 2, 0)], vec![], "window = 8 has no centre"),
        (vec![PipelineStep::Resample, smooth(7, 7, 0)], vec![], "order = 7 is outside 0..=6"),
        (vec![PipelineStep::Resample], vec![vec![smooth(7, 2, 3)]], "derivative = 3 is outside 0..=2"),
        (vec![PipelineStep::Resample, smooth(usize::MAX, 2, 0)], vec![], "is outside 3..=129"),
        (vec![PipelineStep::Resample, arpls(0.0)], vec![], "lambda = 0 is outside 1..=10000000000"),
        (vec![PipelineStep::Resample, arpls(f64::NAN)], vec![], "lambda = NaN is outside"),
        (vec![PipelineStep::Resample, polynomial(13)], vec![], "order = 13 is outside 0..=12"),
        (vec![PipelineStep::Resample; STEPS_MAX + 1], vec![], "33 steps in one list, at most 32"),
        (vec![PipelineStep::Resample], vec![vec![]; CHANNELS_MAX + 1], "9 channels, at most 8"),
    ];
    for (steps, channels, expected) in cases {
        let message = Pipeline::new(model_axis(), steps, channels).expect_err(expected).to_string();
        assert!(message.contains(expected), "{message:?} instead of {expected:?}");
    }
    let short = Pipeline::new(even(1.0, 5.0, 5), vec![PipelineStep::Resample, smooth(7, 2, 0)], vec![]);
    assert_eq!(short.err(), Some(PipelineError::AxisTooShort { step: "smooth", needed: 7, points: 5 }));
    let few =
        preprocess(vec![smooth(129, 2, 0), PipelineStep::Resample], vec![], &recorded(even(700.0, 1900.0, 100), bands));
    assert_eq!(few, Err(PreprocessError::TooFewPoints { step: "smooth", needed: 129, points: 100 }));
}

fn close(left: &[f32], right: &[f32]) {
    for (index, (left, right)) in left.iter().zip(right).enumerate() {
        assert!((left - right).abs() <= PREPARED, "point {index}: {left} and {right}");
    }
}

proptest! {
    #[test]
    fn snv_does_not_see_gain_or_offset(gain in 0.1f64..50.0, offset in -1000.0f64..1000.0) {
        let axis = even(790.0, 1810.0, 540);
        let steps = vec![PipelineStep::Resample, SNV];
        let plain = preprocess(steps.clone(), vec![], &recorded(axis.clone(), bands)).expect("bands");
        let scaled = recorded(axis, |shift| gain * bands(shift) + offset);
        close(&plain, &preprocess(steps, vec![], &scaled).expect("bands"));
    }

    #[test]
    fn a_baseline_follows_offset_and_slope(offset in -500.0f64..5000.0, slope in -1.0f64..1.0, polynomial: bool) {
        let settings = whittaker();
        let method = if polynomial { Baseline::Polynomial { order: 3 } } else { Baseline::Arpls(settings) };
        let steps = vec![PipelineStep::Resample, PipelineStep::Baseline(method), PipelineStep::Normalise(Normalise::Max)];
        let axis = even(790.0, 1810.0, 540);
        let plain = preprocess(steps.clone(), vec![], &recorded(axis.clone(), bands)).expect("bands");
        let tilted = recorded(axis, |shift| bands(shift) + offset + slope * shift);
        close(&plain, &preprocess(steps, vec![], &tilted).expect("bands"));
    }

    #[test]
    fn a_spike_anywhere_leaves_the_rest_alone(pixel in 2usize..530, width in 1usize..=3, height in 3000.0f64..1e5) {
        let axis = even(790.0, 1810.0, 540);
        let clean = recorded(axis.clone(), bands);
        let mut values: Vec<f64> = clean.light().iter().map(|&value| f64::from(value)).collect();
        values[pixel..pixel + width].iter_mut().for_each(|value| *value += height);
        let settings = Despike { threshold: 7.0, window: 3 };
        despike::remove_spikes(&mut values, &settings, &mut Default::default());
        for (index, (value, &clean)) in values.iter().zip(clean.light()).enumerate() {
            // On the steepest flank the mean of three neighbours to each side may miss by a step of the band.
            let near = (pixel - 1..=pixel + width).contains(&index);
            let tolerance = if near { 600.0 } else { 0.0 };
            prop_assert!((value - f64::from(clean)).abs() <= tolerance, "point {index}: {value} for {clean}");
        }
    }

    /// Whatever finite counts come, what comes out is finite or an error.
    #[test]
    fn hostile_counts_never_make_nan(counts in prop::collection::vec(any::<f32>().prop_filter("finite", |x| x.is_finite()), 64)) {
        let axis = even(790.0, 1810.0, 64);
        let raw = RawSpectrum::new(axis, counts, None, Origin::Recorded { id: "hostile".into() }).expect("finite");
        for baseline in [Baseline::Arpls(whittaker()), Baseline::Airpls(whittaker()), Baseline::Polynomial { order: 4 }] {
            let despike = PipelineStep::Despike(Despike { threshold: 7.0, window: 3 });
            let steps = vec![despike, PipelineStep::Resample, PipelineStep::Baseline(baseline), SNV];
            if let Ok(values) = preprocess(steps, vec![], &raw) {
                prop_assert!(values.iter().all(|value| value.is_finite()));
            }
        }
    }
}
