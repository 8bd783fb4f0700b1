//! The parts of the whole computation, how its cost grows, and what the maps add to the network.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use onnx_gradient::proto;
use ramand_core::preprocess::Workspace;
use ramand_core::spectrum::{RamanShift, RawSpectrum, ShiftAxis};
use ramand_model::{Model, Network};
use serde_json::json;

use super::{encode, inspector, measured, on_axis};

/// Alternations of forward and forward + maps.
const ALTERNATIONS: usize = 4000;
/// Spectra for each median of a part or slope.
const SPECTRA: usize = 600;
/// Spectra after which the cost is measured again: has it grown with uptime?
const UPTIME_SPECTRA: usize = 20_000;

/// Prints everything as one JSON object.
pub(super) fn print(spectra: &[Arc<RawSpectrum>], folders: &[&str], models: &[Arc<Model>]) -> anyhow::Result<()> {
    let mut networks = Vec::new();
    for (folder, model) in folders.iter().zip(models) {
        let (forward, cam) = forward_and_cam(folder, model, &spectra[0])?;
        let name = &model.identity().name;
        networks.push(json!({ "name": name, "forward_us": forward, "cam_us": cam }));
    }
    let report = json!({
        "models": networks,
        "parts_us": parts(spectra, models)?,
        "slopes_us": slopes(spectra, models)?,
    });
    println!("{report}");
    Ok(())
}

/// Medians in µs of the network alone, and of the network with maps, bands and prediction, call by call in turn.
fn forward_and_cam(folder: &str, model: &Model, spectrum: &RawSpectrum) -> anyhow::Result<(f64, f64)> {
    let manifest = model.manifest();
    let file = std::fs::read(std::path::Path::new(folder).join(&manifest.network.file))?;
    let shape = (model.pipeline().channels(), model.pipeline().axis().len());
    let alone = Network::load(&proto::decode(&file)?, shape, &manifest.network.output, &[])?;
    let preprocessed = model.pipeline().preprocess(spectrum, &mut Workspace::default())?;
    let (mut alone_session, mut session) = (alone.session()?, model.session()?);
    let (mut forward, mut cam) = (Vec::new(), Vec::new());
    for _ in 0..ALTERNATIONS {
        let start = Instant::now();
        black_box(alone.run(&mut alone_session, preprocessed.values())?.y()?);
        forward.push(start.elapsed());
        let start = Instant::now();
        black_box(model.judge(&mut session, &preprocessed)?);
        cam.push(start.elapsed());
    }
    Ok((median_us(forward)?, median_us(cam)?))
}

/// Name and median in µs.
type Rows = Vec<(String, f64)>;

fn parts(spectra: &[Arc<RawSpectrum>], models: &[Arc<Model>]) -> anyhow::Result<Rows> {
    let mut inspector = inspector(models)?;
    let [mut preprocess, mut infer, mut decide, mut encoding] = [const { Vec::new() }; 4];
    for (number, spectrum) in spectra.iter().cycle().take(SPECTRA).enumerate() {
        let inspection = inspector.inspect(spectrum.clone());
        preprocess.push(inspection.timings.preprocess);
        infer.push(inspection.timings.infer);
        decide.push(inspection.timings.decide);
        let start = Instant::now();
        black_box(encode(number as u64 + 1, &inspection));
        encoding.push(start.elapsed());
    }
    Ok(vec![
        ("prepare, all bundles".into(), median_us(preprocess)?),
        ("network and maps, all bundles".into(), median_us(infer)?),
        ("instrument gate, applicability, verdicts".into(), median_us(decide)?),
        ("encode result, cam and spectrum".into(), median_us(encoding)?),
    ])
}

fn slopes(spectra: &[Arc<RawSpectrum>], models: &[Arc<Model>]) -> anyhow::Result<Rows> {
    let mut rows = Rows::new();
    for pixels in [512, 1024, 2048, 4096] {
        let seen = spectra.iter().map(|spectrum| on_pixels(spectrum, pixels)).collect::<Result<Vec<_>, _>>()?;
        rows.push((format!("{pixels} pixels, {} bundles", models.len()), whole(&seen, models, SPECTRA)?));
    }
    for bundles in [1, 2, 4, 8] {
        let models: Vec<_> = models.iter().cycle().take(bundles).cloned().collect();
        rows.push((format!("1024 pixels, {bundles} bundles"), whole(spectra, &models, SPECTRA)?));
    }
    let mut inspector = inspector(models)?;
    let mut times = Vec::with_capacity(UPTIME_SPECTRA);
    for (number, spectrum) in spectra.iter().cycle().take(UPTIME_SPECTRA).enumerate() {
        let start = Instant::now();
        black_box(encode(number as u64 + 1, &inspector.inspect(spectrum.clone())));
        times.push(start.elapsed());
    }
    let last = times.split_off(UPTIME_SPECTRA - UPTIME_SPECTRA / 10);
    times.truncate(UPTIME_SPECTRA / 10);
    rows.push((format!("the first {} of {UPTIME_SPECTRA} spectra", times.len()), median_us(times)?));
    rows.push((format!("the last {} of {UPTIME_SPECTRA} spectra", last.len()), median_us(last)?));
    Ok(rows)
}

fn whole(spectra: &[Arc<RawSpectrum>], models: &[Arc<Model>], count: usize) -> anyhow::Result<f64> {
    let mut inspector = inspector(models)?;
    let mut times = Vec::with_capacity(count);
    for (number, spectrum) in spectra.iter().cycle().take(count).enumerate() {
        let start = Instant::now();
        black_box(encode(number as u64 + 1, &inspector.inspect(spectrum.clone())));
        times.push(start.elapsed());
    }
    median_us(times)
}

/// The same spectrum as a detector with so many pixels would see it.
fn on_pixels(spectrum: &RawSpectrum, pixels: usize) -> anyhow::Result<Arc<RawSpectrum>> {
    let (first, last) = (spectrum.axis().first().per_cm(), spectrum.axis().last().per_cm());
    let axis = Arc::new(ShiftAxis::even(RamanShift::from_per_cm(first), RamanShift::from_per_cm(last), pixels)?);
    let frame = |values: &[f32]| on_axis(spectrum.axis(), values, &axis);
    let dark = frame(spectrum.dark().context("the bench's spectra have a dark frame")?);
    let light = frame(spectrum.light());
    measured(axis, &light, &dark)
}

fn median_us(mut times: Vec<Duration>) -> anyhow::Result<f64> {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).context("nothing was measured")?;
    Ok(middle.as_secs_f64() * 1e6)
}
