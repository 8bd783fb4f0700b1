//! What each step of the preprocessing costs on one spectrum of 1024 pixels, on a model's axis of 251 points, and how the
//! cost grows with the pixels.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ramand_core::preprocess::{Baseline, Despike, Normalise, Pipeline, PipelineStep, Smooth, Whittaker, Workspace};
use ramand_core::spectrum::{Origin, RamanShift, RawSpectrum, ShiftAxis};

const WHITTAKER: Whittaker = Whittaker { lambda: 1e4, tolerance: 1e-3, iterations_max: 50 };
const DESPIKE: PipelineStep = PipelineStep::Despike(Despike { threshold: 7.0, window: 3 });
const ARPLS: PipelineStep = PipelineStep::Baseline(Baseline::Arpls(WHITTAKER));
const AIRPLS: PipelineStep = PipelineStep::Baseline(Baseline::Airpls(WHITTAKER));
const POLYNOMIAL: PipelineStep = PipelineStep::Baseline(Baseline::Polynomial { order: 6 });
const SMOOTH: PipelineStep = PipelineStep::Smooth(Smooth { window: 7, order: 2, derivative: 0 });
const SNV: PipelineStep = PipelineStep::Normalise(Normalise::Snv);

fn steps(criterion: &mut Criterion) {
    let spectrum = spectrum(1024);
    let cases = [
        ("resample", vec![PipelineStep::Resample]),
        ("despike, resample", vec![DESPIKE, PipelineStep::Resample]),
        ("resample, arpls", vec![PipelineStep::Resample, ARPLS]),
        ("resample, airpls", vec![PipelineStep::Resample, AIRPLS]),
        ("resample, polynomial", vec![PipelineStep::Resample, POLYNOMIAL]),
        ("resample, smooth", vec![PipelineStep::Resample, SMOOTH]),
        ("resample, snv", vec![PipelineStep::Resample, SNV]),
        ("all", vec![PipelineStep::Dark, DESPIKE, PipelineStep::Resample, ARPLS, SMOOTH, SNV]),
    ];
    let mut group = criterion.benchmark_group("preprocess");
    for (name, steps) in cases {
        let pipeline = pipeline(steps);
        let mut workspace = Workspace::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| pipeline.preprocess(black_box(&spectrum), &mut workspace).expect("a spectrum with bands"));
        });
    }
}

/// The baseline on the detector's pixels, where its cost depends on their number.
fn pixels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pixels");
    for pixels in [512, 1024, 2048, 4096] {
        let spectrum = spectrum(pixels);
        let pipeline = pipeline(vec![DESPIKE, ARPLS, SMOOTH, PipelineStep::Resample, SNV]);
        let mut workspace = Workspace::default();
        group.bench_with_input(BenchmarkId::from_parameter(pixels), &spectrum, |bencher, spectrum| {
            bencher.iter(|| pipeline.preprocess(black_box(spectrum), &mut workspace).expect("a spectrum with bands"));
        });
    }
}

fn pipeline(steps: Vec<PipelineStep>) -> Pipeline {
    let [first, last] = [800.0, 1800.0].map(RamanShift::from_per_cm);
    let axis = ShiftAxis::even(first, last, 251).expect("increasing");
    Pipeline::new(Arc::new(axis), steps, vec![]).expect("a valid pipeline")
}

/// Bands of an oil on fluorescence with a fixed pattern for noise, from 700 to 1900 cm-1.
fn spectrum(pixels: usize) -> RawSpectrum {
    let [first, last] = [700.0, 1900.0].map(RamanShift::from_per_cm);
    let axis = Arc::new(ShiftAxis::even(first, last, pixels).expect("increasing"));
    let bands = [(1080.0, 18.0, 700.0), (1267.0, 9.0, 900.0), (1302.0, 8.0, 1100.0), (1440.0, 10.0, 2600.0)];
    let mut noise = 1u32;
    let light = axis.per_cm().iter().map(|shift| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let band =
            |(centre, sigma, height): (f64, f64, f64)| height * (-0.5 * ((shift - centre) / sigma).powi(2)).exp();
        let fluorescence = 5200.0 - 2.0 * (shift - 700.0) + 8e-4 * (shift - 700.0).powi(2);
        (bands.map(band).iter().sum::<f64>() + fluorescence + f64::from(noise >> 16) / 2000.0) as f32
    });
    let (light, origin) = (light.collect(), Origin::Recorded { id: "bench".into() });
    RawSpectrum::new(axis, light, None, origin).expect("finite")
}

criterion_group!(benches, steps, pixels);
criterion_main!(benches);
