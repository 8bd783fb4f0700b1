//! Measured spectra as lines: for whoever looks at the instrument and not at the oil.

use std::sync::Arc;

use clap::Args;
use ramand_core::axis_check::{AxisCheck, AxisLimits, ReferenceMaterial};
use ramand_core::failure::Kind;
use ramand_core::hex::hex;
use ramand_core::median::upper_median;
use ramand_core::spectrum::{Acquisition, RawSpectrum, ShiftAxis};
use serde::Serialize;
use serde_json::json;

use super::error::CommandError;
use crate::acquire::capture::digest;
use crate::publish::wire::laser_state;

/// One line of `--json`. A key is never renamed; new ones may come. No time stands in it, so that a conversation and its
/// replay print the same.
#[derive(Debug, Serialize)]
struct SpectrumRecord<'a> {
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

/// How what was measured is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For the operator.
    Text,
    /// For programs: one object a line.
    Json,
}

impl Form {
    /// As the switch `--json` says.
    pub(super) fn of_switch(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Everything as one JSON object. `number` counts from 1.
pub(super) fn json(number: usize, spectrum: &RawSpectrum, acquisition: &Acquisition) -> String {
    let record = SpectrumRecord {
        number,
        serial: &acquisition.instrument.serial,
        integration_us: acquisition.integration.micros(),
        scans: acquisition.scans,
        laser: laser_state(acquisition.laser),
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
        sha256: hex(&digest(spectrum)),
    };
    serde_json::to_string(&record).expect("text keys and finite numbers are JSON")
}

/// What an operator asks about one spectrum, in one line.
pub(super) fn line(number: usize, spectrum: &RawSpectrum, acquisition: &Acquisition) -> String {
    let Acquisition { instrument, integration, scans, laser, saturated_pixels, line, .. } = acquisition;
    let highest = spectrum.light().iter().copied().fold(0.0, f32::max);
    let mut digits = hex(&digest(spectrum));
    digits.truncate(12);
    format!(
        "{number:<4} {}  {} ms x {scans}  laser {}  highest {highest:.0} counts  saturated {saturated_pixels}  \
         retries {} stale {} damaged {}  sha256 {digits}",
        instrument.serial,
        integration.micros() as f64 / 1e3,
        laser_state(*laser),
        line.retries,
        line.stale_frames,
        line.damaged_frames,
    )
}

/// The axis against a reference material.
#[derive(Debug, Args)]
pub(super) struct AxisArgs {
    /// Check the axis: polystyrene, acetaminophen or cyclohexane lies on the stage. Prints each band's residual; nothing is
    /// fitted
    #[arg(long, value_name = "MATERIAL", value_parser = material)]
    axis_check: Option<ReferenceMaterial>,
    /// The root mean square of the residuals may be this, in cm-1
    #[arg(long, value_name = "CM-1", default_value_t = 1.5, requires = "axis_check")]
    axis_rms_max: f64,
}

fn material(name: &str) -> Result<ReferenceMaterial, String> {
    let known = ReferenceMaterial::ALL.map(ReferenceMaterial::name).join(", ");
    ReferenceMaterial::named(name).ok_or_else(|| format!("there is no such material; there are: {known}"))
}

/// Light frames on one axis, for its check.
#[derive(Debug, Default)]
pub(super) struct Frames {
    axis: Option<Arc<ShiftAxis>>,
    /// Counts above dark, straightened by the device's polynomial.
    counts: Vec<Vec<f32>>,
}

impl Frames {
    /// Takes a light frame in; one without a dark frame, or on another axis than the first, says nothing here.
    pub(super) fn add(&mut self, spectrum: &RawSpectrum) {
        let axis = self.axis.get_or_insert_with(|| spectrum.axis().clone());
        let Some(dark) = spectrum.dark().filter(|_| axis == spectrum.axis()) else { return };
        let polynomial = spectrum.acquisition().and_then(|acquisition| acquisition.instrument.nonlinearity.as_ref());
        let straight = |above: f32| polynomial.map_or(above, |polynomial| polynomial.correct(above));
        self.counts.push(spectrum.light().iter().zip(dark).map(|(light, dark)| straight(light - dark)).collect());
    }

    /// Prints the check of the median over all frames, where one was asked for.
    ///
    /// # Errors
    /// When the axis does not keep the limit.
    pub(super) fn check(&self, args: &AxisArgs, form: Form) -> Result<(), CommandError> {
        let Some(material) = args.axis_check else { return Ok(()) };
        let Some(axis) = self.axis.as_ref().filter(|_| !self.counts.is_empty()) else {
            return Err(CommandError::operator("the axis cannot be checked: no light frame came with a dark one"));
        };
        let median = |pixel: usize| {
            let mut values: Vec<f32> = self.counts.iter().filter_map(|frame| frame.get(pixel).copied()).collect();
            upper_median(&mut values, f32::total_cmp).expect("every frame has the axis's pixels, and there is one")
        };
        let counts: Vec<f32> = (0..axis.len()).map(median).collect();
        let check = AxisCheck::of(axis, &counts, material);
        match form {
            Form::Text => println!("{}", axis_table(&check)),
            Form::Json => println!("{}", axis_json(&check)),
        }
        if check.passes(AxisLimits { rms_per_cm_max: args.axis_rms_max, missing_max: check.lines.len() / 2 }) {
            return Ok(());
        }
        let limit = args.axis_rms_max;
        let message = format!(
            "the axis does not keep {limit} cm-1, or most bands are missing: laser_nm, the device's coefficients, or another sample"
        );
        Err(CommandError::told(Kind::Operator, message))
    }
}

fn axis_json(check: &AxisCheck) -> String {
    let line = |line: &ramand_core::axis_check::BandCheck| json!({ "tabulated_cm": line.tabulated.per_cm(), "found_cm": line.found.map(|found| found.per_cm()) });
    let lines: Vec<_> = check.lines.iter().map(line).collect();
    json!({ "axis_check": check.material.name(), "rms_cm": check.rms_per_cm(), "lines": lines }).to_string()
}

fn axis_table(check: &AxisCheck) -> String {
    let line = |line: &ramand_core::axis_check::BandCheck| match (line.found, line.residual_per_cm()) {
        (Some(found), Some(off)) => {
            format!("{:>8.1} cm-1  found {:>8.2}  {off:+.2}", line.tabulated.per_cm(), found.per_cm())
        }
        _ => format!("{:>8.1} cm-1  not found", line.tabulated.per_cm()),
    };
    let mut lines: Vec<String> = check.lines.iter().map(line).collect();
    let rms = check.rms_per_cm().map_or("-".to_owned(), |rms| format!("{rms:.2}"));
    lines.push(format!("axis          {}: RMS {rms} cm-1, {} bands missing", check.material.name(), check.missing()));
    lines.join("\n")
}
