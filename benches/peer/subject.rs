//! ramand's side of `benches/peer/run`: computes whole spectra on request, and measures its own parts.
//!
//! ```text
//! spectra OUT.csv                   simulated spectra with a dark frame, on 1024 pixels
//! serve SPECTRA.csv BUNDLE...       a number on stdin: seconds for each of that many spectra; `results`: the records
//! measure SPECTRA.csv BUNDLE...     parts, slopes, and forward against forward + 1D Grad-CAM, as JSON
//! gradient attach IN OUT LAYER SEED attaches a gradient to a network
//! gradient run                      COUNT FILE... on stdin: seconds of each file so many times, in turn
//! gradient profile FILE             the nodes where a file's time goes, as JSON
//! ```

mod gradient;
mod measure;

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::{Context, bail};
use ramand::publish::wire::{self, Clock, Stamp};
use ramand_core::decide::{InstrumentLimits, LaserProof, Rules, Ungated};
use ramand_core::outcome::Inspection;
use ramand_core::record::Seq;
use ramand_core::spectrum::{
    Acquisition, Counts, Instrument, IntegrationTime, Laser, LineStatistics, Origin, RawSpectrum, ShiftAxis,
    Wavelength, WavelengthCalibration,
};
use ramand_model::Model;
use ramand_model::inspect::Inspector;
use ramand_recording::Recording;
use ramand_sim::dataset::Recipe;

/// The pixels of a QE Pro that see light.
const PIXELS: usize = 1024;
/// Counts of the electronics without light.
const DARK_COUNTS: f32 = 1500.0;
const SEED: u64 = 1;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["spectra", out] => make_spectra(Path::new(out)),
        ["serve", spectra, bundles @ ..] => serve(&read_spectra(Path::new(spectra))?, &open(bundles)?),
        ["measure", spectra, bundles @ ..] => {
            measure::print(&read_spectra(Path::new(spectra))?, bundles, &open(bundles)?)
        }
        ["gradient", "attach", forward, attached, layer, seed] => gradient::attach_to(forward, attached, layer, seed),
        ["gradient", "run"] => gradient::serve(),
        ["gradient", "profile", file] => gradient::profile(file),
        _ => {
            eprintln!("run by benches/peer/run, which ./dev bench starts");
            Ok(())
        }
    }
}

/// The simulator's oils on the pixels of a detector, above a dark frame with a fixed pattern.
fn make_spectra(out: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let simulated = folder.path().join("simulated.csv");
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peer/spectra.toml");
    Recipe::load(&recipe.display().to_string())?.write(&simulated, SEED)?;
    let recording = Recording::read(&simulated)?;
    let calibration =
        WavelengthCalibration { coefficients: vec![798.0, 0.132, -2e-6], laser: Wavelength::from_nm(785.0) };
    let pixels = calibration.axis(0..PIXELS)?;
    let dark: Vec<f32> = (0..PIXELS).map(|pixel| DARK_COUNTS + (pixel * 7919 % 13) as f32 - 6.0).collect();

    let mut file = std::io::BufWriter::new(std::fs::File::create(out)?);
    let mut line = |name: &str, values: &mut dyn Iterator<Item = String>| {
        writeln!(file, "{name},{}", values.collect::<Vec<_>>().join(","))
    };
    line("id", &mut pixels.per_cm().iter().map(f64::to_string))?;
    line("dark", &mut dark.iter().map(f32::to_string))?;
    for row in &recording.spectra {
        let seen = on_axis(&row.axis, &row.intensities, &pixels);
        line(&row.id, &mut seen.iter().zip(&dark).map(|(seen, dark)| format!("{:.0}", seen + dark)))?;
    }
    Ok(())
}

fn on_axis(from: &ShiftAxis, values: &[f32], onto: &ShiftAxis) -> Vec<f32> {
    let shifts = from.per_cm();
    let at = |&shift: &f64| {
        let right = shifts.partition_point(|&known| known < shift).clamp(1, shifts.len() - 1);
        let fraction = (shift - shifts[right - 1]) / (shifts[right] - shifts[right - 1]);
        values[right - 1] + fraction as f32 * (values[right] - values[right - 1])
    };
    onto.per_cm().iter().map(at).collect()
}

/// The spectra of a file whose first row is the dark frame, as an instrument would give them.
fn read_spectra(path: &Path) -> anyhow::Result<Vec<Arc<RawSpectrum>>> {
    let recording = Recording::read(path)?;
    let (dark, lights) = recording.spectra.split_first().context("a file without rows")?;
    lights.iter().map(|row| measured(row.axis.clone(), &row.intensities, &dark.intensities)).collect()
}

fn measured(axis: Arc<ShiftAxis>, light: &[f32], dark: &[f32]) -> anyhow::Result<Arc<RawSpectrum>> {
    let instrument = Instrument {
        model: "QE Pro".into(),
        serial: "QEP00001".into(),
        firmware: None,
        pixels: light.len(),
        active: 0..light.len(),
        calibration: WavelengthCalibration {
            coefficients: vec![798.0, 0.132, -2e-6],
            laser: Wavelength::from_nm(785.0),
        },
        nonlinearity: None,
        saturation: Counts::new(200_000.0),
    };
    let acquisition = Acquisition {
        instrument: Arc::new(instrument),
        taken: SystemTime::now(),
        integration: IntegrationTime::from_micros(200_000),
        scans: 1,
        laser: Laser::On,
        saturated_pixels: 0,
        dark_noise: Some(Counts::new(3.0)),
        detector_temperature: None,
        took: std::time::Duration::ZERO,
        device_exception: None,
        line: LineStatistics::default(),
    };
    let raw = RawSpectrum::new(axis, light.to_vec(), Some(dark.to_vec()), Origin::Measured(acquisition))?;
    Ok(Arc::new(raw))
}

fn open(bundles: &[&str]) -> anyhow::Result<Vec<Arc<Model>>> {
    if bundles.is_empty() {
        bail!("no bundle is named");
    }
    bundles.iter().map(|folder| Ok(Arc::new(Model::open(&PathBuf::from(folder))?))).collect()
}

fn inspector(models: &[Arc<Model>]) -> anyhow::Result<Inspector> {
    let limits = InstrumentLimits {
        saturated_pixels_max: 0,
        signal_counts_min: 200.0,
        signal_to_noise_min: 10.0,
        laser: LaserProof::Confirmed,
    };
    let rules = Rules { ungated: Ungated::Remarked, ..Rules::default() };
    Ok(Inspector::new(models.iter().map(|model| (model.clone(), rules.clone())).collect(), limits)?)
}

/// The three payloads of one inspection.
fn encode(number: u64, inspection: &Inspection) -> [Vec<u8>; 3] {
    let stamp = Stamp { seq: Seq::new(number), time: SystemTime::now(), clock: Clock::Synchronised };
    [wire::result(&stamp, inspection), wire::cam(&stamp, inspection), wire::spectrum(&stamp, &inspection.spectrum)]
}

fn serve(spectra: &[Arc<RawSpectrum>], models: &[Arc<Model>]) -> anyhow::Result<()> {
    let mut inspector = inspector(models)?;
    let mut one =
        |number: usize| encode(number as u64 + 1, &inspector.inspect(spectra[number % spectra.len()].clone()));
    one(0);
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line.trim() == "results" {
            for number in 0..spectra.len() {
                println!("{}", String::from_utf8_lossy(&one(number)[0]));
            }
            println!("done");
            continue;
        }
        let seconds: Vec<f64> = (0..line.trim().parse()?)
            .map(|number| {
                let start = Instant::now();
                std::hint::black_box(one(number));
                start.elapsed().as_secs_f64()
            })
            .collect();
        println!("{}", serde_json::to_string(&seconds)?);
    }
    Ok(())
}
