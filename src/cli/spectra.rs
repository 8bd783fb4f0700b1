//! Measured spectra as lines: for whoever looks at the instrument and not at the oil.

use serde::Serialize;

use crate::acquire::capture::digest;
use crate::spectrum::{Acquisition, Laser, RawSpectrum};

/// One line of `--json`. A key is never renamed; new ones may come. No time stands in it, so that a conversation and its
/// replay print the same.
#[derive(Debug, Serialize)]
struct Record<'a> {
    number: usize,
    serial: &'a str,
    integration_us: u64,
    scans: u32,
    laser: &'static str,
    saturated_pixels: usize,
    dark_noise_counts: Option<f32>,
    detector_temperature_c: Option<f32>,
    exception: Option<u16>,
    retries: u32,
    stale_frames: u32,
    damaged_frames: u32,
    axis_cm: &'a [f64],
    light: &'a [f32],
    dark: Option<&'a [f32]>,
    sha256: String,
}

const fn laser_name(laser: Laser) -> &'static str {
    match laser {
        Laser::On => "on",
        Laser::Off => "off",
        Laser::Unknown => "unknown",
    }
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything as one JSON object. `number` counts from 1.
pub(super) fn json(number: usize, spectrum: &RawSpectrum, acquisition: &Acquisition) -> String {
    let record = Record {
        number,
        serial: &acquisition.instrument.serial,
        integration_us: acquisition.integration.micros(),
        scans: acquisition.scans,
        laser: laser_name(acquisition.laser),
        saturated_pixels: acquisition.saturated_pixels,
        dark_noise_counts: acquisition.dark_noise.map(|noise| noise.value()),
        detector_temperature_c: acquisition.detector_temperature.map(|temperature| temperature.degrees()),
        exception: acquisition.device_exception,
        retries: acquisition.line.retries,
        stale_frames: acquisition.line.stale_frames,
        damaged_frames: acquisition.line.damaged_frames,
        axis_cm: spectrum.axis().per_cm(),
        light: spectrum.light(),
        dark: spectrum.dark(),
        sha256: hex(digest(spectrum)),
    };
    serde_json::to_string(&record).expect("text keys and finite numbers are JSON")
}

/// What an operator asks about one spectrum, in one line.
pub(super) fn line(number: usize, spectrum: &RawSpectrum, acquisition: &Acquisition) -> String {
    let Acquisition { instrument, integration, scans, laser, saturated_pixels, line, .. } = acquisition;
    let highest = spectrum.light().iter().copied().fold(0.0, f32::max);
    let mut digits = hex(digest(spectrum));
    digits.truncate(12);
    format!(
        "{number:<4} {}  {} ms x {scans}  laser {}  highest {highest:.0} counts  saturated {saturated_pixels}  \
         retries {} stale {} damaged {}  sha256 {digits}",
        instrument.serial,
        integration.micros() as f64 / 1e3,
        laser_name(*laser),
        line.retries,
        line.stale_frames,
        line.damaged_frames,
    )
}
