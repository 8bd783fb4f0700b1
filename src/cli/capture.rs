//! `ramand capture`: a few spectra, and a text file with everything that was said on the line meanwhile.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ocean_binary_protocol::Profile;
use ramand_core::failure;
use ramand_core::spectrum::{IntegrationTime, RawSpectrum, Wavelength};

use super::error::CommandError;
use super::spectra::{self, AxisArgs, Form, Frames};
use crate::acquire::capture::recorded;
use crate::acquire::{AcquireError, AcquisitionSettings, BaudRate, Driver, Spectrometer, SpectrometerModel};
use crate::config::Config;
use crate::daemon;
use crate::supervise::{Stop, stop_on_signals};

/// Measure, and record the conversation on the serial line: the file belongs to every report of a fault.
///
/// The laser is switched on for each spectrum and off at the end; with --dark it is never switched on. Ctrl-C ends it,
/// laser off. `ramand replay --capture` plays the file back; docs/capture.md describes it.
#[derive(Debug, Args)]
pub(super) struct CaptureArgs {
    /// The file to write; one of that name is kept as NAME.old
    #[arg(value_name = "OUT.txt")]
    out: PathBuf,
    /// The serial port, best one of /dev/serial/by-id
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    port: Option<PathBuf>,
    /// Port and settings of the daemon
    #[arg(long, value_name = "FILE", conflicts_with_all = ["baud", "profile", "laser_nm", "integration_ms", "scans", "laser_warm_up_ms"])]
    config: Option<PathBuf>,
    /// How many spectra
    #[arg(long, default_value_t = 3)]
    count: usize,
    /// Leave the laser off
    #[arg(long, conflicts_with = "axis_check")]
    dark: bool,
    #[command(flatten)]
    axis: AxisArgs,
    /// Baud rate; without it, the usual ones are tried
    #[arg(long)]
    baud: Option<u32>,
    /// Model: qepro or sts; without it, the device is asked
    #[arg(long, value_parser = super::probe::profile_by_name)]
    profile: Option<&'static Profile>,
    /// Measured wavelength of the laser in nm
    #[arg(long, default_value_t = 785.0)]
    laser_nm: f64,
    /// Exposure of one scan in ms
    #[arg(long, default_value_t = 100)]
    integration_ms: u64,
    /// Scans averaged into one spectrum
    #[arg(long, default_value_t = 1)]
    scans: u16,
    /// From switching the laser on to the first exposure that counts, in ms
    #[arg(long, default_value_t = 2000)]
    laser_warm_up_ms: u64,
    /// Print one JSON object a line, with axis and counts
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be written, or the instrument fails: the file then says how.
pub(super) fn run(args: &CaptureArgs) -> Result<(), CommandError> {
    let settings = recorded(settings(args)?, &args.out).map_err(AcquireError::from)?;
    let stop = stop_on_signals()?;
    let mut frames = Frames::default();
    let outcome = measure(args, settings, &stop.token(), &mut frames);
    eprintln!("recorded in {}", args.out.display());
    match outcome {
        Err(AcquireError::Stopped) => Ok(()),
        outcome => {
            outcome?;
            frames.check(&args.axis, Form::of_switch(args.json))
        }
    }
}

fn settings(args: &CaptureArgs) -> Result<AcquisitionSettings, CommandError> {
    if let Some(path) = &args.config {
        return Ok(daemon::instrument(&Config::read(path)?)?);
    }
    Ok(AcquisitionSettings {
        baud: args.baud.map_or(BaudRate::Probe, BaudRate::Fixed),
        model: args.profile.map_or(SpectrometerModel::Detect, SpectrometerModel::Profile),
        laser: Wavelength::from_nm(args.laser_nm),
        laser_warmup: Duration::from_millis(args.laser_warm_up_ms),
        integration: IntegrationTime::from_micros(args.integration_ms.saturating_mul(1_000)),
        scans: args.scans,
        ..AcquisitionSettings::new(args.port.clone().unwrap_or_default())
    })
}

fn measure(
    args: &CaptureArgs,
    settings: AcquisitionSettings,
    stop: &Stop,
    frames: &mut Frames,
) -> Result<(), AcquireError> {
    let mut driver = Driver::open(settings, stop)?;
    let form = Form::of_switch(args.json);
    let mut measure = |number| {
        let spectrum = if args.dark { driver.measure_dark()? } else { driver.measure()? };
        println!("{}", shown(number, &spectrum, form));
        frames.add(&spectrum);
        Ok(())
    };
    let outcome = (1..=args.count).try_for_each(&mut measure);
    let Err(unconfirmed) = driver.laser_off() else { return outcome };
    // Whatever came of the spectra, a laser that may be on matters more.
    if let Err(error) = outcome {
        eprintln!("error: {}", failure::chain(&error));
    }
    Err(unconfirmed.of_laser_off())
}

/// One spectrum as a line.
pub(super) fn shown(number: usize, spectrum: &RawSpectrum, form: Form) -> String {
    match (spectrum.acquisition(), form) {
        (Some(acquisition), Form::Json) => spectra::json(number, spectrum, acquisition),
        (Some(acquisition), Form::Text) => spectra::line(number, spectrum, acquisition),
        (None, _) => format!("{number} was not measured"),
    }
}
