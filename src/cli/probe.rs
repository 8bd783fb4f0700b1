//! `ramand probe PORT`: what the spectrometer at a port says about itself. Nothing is switched, nothing is changed.

use std::path::PathBuf;

use clap::Args;
use ocean_binary_protocol::{LaserControl, Profile};
use ramand_core::spectrum::{Celsius, Wavelength};
use serde::Serialize;

use super::error::CommandError;
use crate::acquire::{AcquisitionSettings, BaudRate, FlowControl, SpectrometerModel, Survey, survey};
use crate::supervise::Stop;

/// Ask the spectrometer at a serial port who it is.
#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// The serial port, best one of /dev/serial/by-id
    port: PathBuf,
    /// Baud rate; without it, 9600, 115200, 230400, 57600, 38400 and 19200 are tried
    #[arg(long)]
    baud: Option<u32>,
    /// Model: qepro or sts; without it, the device is asked
    #[arg(long, value_parser = profile_by_name)]
    profile: Option<&'static Profile>,
    /// Measured wavelength of the laser in nm, for the axis of Raman shifts
    #[arg(long, default_value_t = 785.0)]
    laser_nm: f64,
    /// Use RTS/CTS flow control; the device must be set to it too
    #[arg(long)]
    rts_cts: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When nothing intelligible answers at the port.
pub(super) fn run(args: &ProbeArgs) -> Result<(), CommandError> {
    let settings = AcquisitionSettings {
        baud: args.baud.map_or(BaudRate::Probe, BaudRate::Fixed),
        model: args.profile.map_or(SpectrometerModel::Detect, SpectrometerModel::Profile),
        laser: Wavelength::from_nm(args.laser_nm),
        flow_control: if args.rts_cts { FlowControl::RtsCts } else { FlowControl::None },
        ..AcquisitionSettings::new(&args.port)
    };
    let survey = survey(&settings, &Stop::never())?;
    if args.json {
        let record = serde_json::to_string(&ProbeRecord::from(&survey)).expect("strings and finite numbers are JSON");
        println!("{record}");
    } else {
        print!("{}", table(&survey));
    }
    Ok(())
}

pub(super) fn profile_by_name(name: &str) -> Result<&'static Profile, String> {
    let known = Profile::ALL.map(|profile| profile.name).join(", ");
    Profile::by_name(name).ok_or_else(|| format!("there is no such profile; there are: {known}"))
}

/// The JSON object. A key is never renamed; new ones may come.
#[derive(Debug, Serialize)]
struct ProbeRecord {
    model: &'static str,
    profile: &'static str,
    serial: String,
    firmware: Option<String>,
    baud: u32,
    pixels: usize,
    /// First and last pixel that sees light, counted from 0.
    active_pixels: [usize; 2],
    /// First and last of each stretch of shielded pixels.
    dark_pixels: Vec<[usize; 2]>,
    wavelength_coefficients: Vec<f64>,
    laser_nm: f64,
    axis_cm: [f64; 2],
    axis_step_mean_cm: f64,
    integration_us: Option<u64>,
    integration_min_us: u64,
    integration_max_us: u64,
    laser: LaserRecord,
    detector_temperature_c: Option<f32>,
    tec_setpoint_c: Option<f32>,
    tec_stable: Option<bool>,
    temperatures_c: Vec<Option<f32>>,
}

#[derive(Debug, Serialize)]
struct LaserRecord {
    /// `light-source`, `lamp-line`, or null where it is switched elsewhere.
    control: Option<&'static str>,
    present: bool,
    on: Option<bool>,
}

fn control_name(control: LaserControl) -> &'static str {
    match control {
        LaserControl::LightSource { .. } => "light-source",
        LaserControl::LampLine => "lamp-line",
    }
}

fn first_and_last(pixels: &std::ops::Range<usize>) -> [usize; 2] {
    [pixels.start, pixels.end.saturating_sub(1)]
}

impl From<&Survey> for ProbeRecord {
    fn from(survey: &Survey) -> Self {
        Self {
            model: survey.model,
            profile: survey.profile,
            serial: survey.serial.clone(),
            firmware: survey.firmware.clone(),
            baud: survey.baud,
            pixels: survey.pixels,
            active_pixels: first_and_last(&survey.active_pixels),
            dark_pixels: survey.dark_pixels.iter().map(first_and_last).collect(),
            wavelength_coefficients: survey.calibration.coefficients.clone(),
            laser_nm: survey.calibration.laser.nm(),
            axis_cm: [survey.axis.first().per_cm(), survey.axis.last().per_cm()],
            axis_step_mean_cm: survey.axis.mean_step(),
            integration_us: survey.integration.map(|time| time.micros()),
            integration_min_us: survey.integration_min.micros(),
            integration_max_us: survey.integration_max.micros(),
            laser: LaserRecord {
                control: survey.laser_control.map(control_name),
                present: survey.laser_on.is_some(),
                on: survey.laser_on,
            },
            detector_temperature_c: survey.detector_temperature.map(Celsius::degrees),
            tec_setpoint_c: survey.tec_setpoint.map(Celsius::degrees),
            tec_stable: survey.tec_stable,
            temperatures_c: survey.temperatures.iter().map(|reading| reading.map(Celsius::degrees)).collect(),
        }
    }
}

fn table(survey: &Survey) -> String {
    let celsius = |temperature: Option<Celsius>| {
        temperature.map_or("-".to_owned(), |temperature| format!("{:.1} °C", temperature.degrees()))
    };
    let stretch = |pixels: &std::ops::Range<usize>| {
        let [first, last] = first_and_last(pixels);
        format!("{first}..{last}")
    };
    let dark = survey.dark_pixels.iter().map(stretch).collect::<Vec<_>>().join(", ");
    let active = stretch(&survey.active_pixels);
    let laser = match (survey.laser_control, survey.laser_on) {
        (Some(control), Some(true)) => format!("ON ({})", control_name(control)),
        (Some(control), Some(false)) => format!("off ({})", control_name(control)),
        (Some(control), None) => format!("none (the device knows no {})", control_name(control)),
        (None, _) => "switched elsewhere".to_owned(),
    };
    let cooler = match survey.tec_stable {
        Some(true) => format!("set to {}, stable", celsius(survey.tec_setpoint)),
        Some(false) => format!("set to {}, not stable yet", celsius(survey.tec_setpoint)),
        None => "none".to_owned(),
    };
    let milliseconds = |micros: u64| format!("{} ms", micros as f64 / 1e3);
    let integration = survey.integration.map_or("-".to_owned(), |time| milliseconds(time.micros()));
    let rows = [
        ("model", format!("{} (profile {})", survey.model, survey.profile)),
        ("serial number", survey.serial.clone()),
        ("firmware", survey.firmware.clone().unwrap_or("-".to_owned())),
        ("line", format!("{} baud, 8N1", survey.baud)),
        (
            "pixels",
            format!("{}, active {active}, dark {}", survey.pixels, if dark.is_empty() { "none" } else { &dark }),
        ),
        (
            "axis",
            format!(
                "{:.1} to {:.1} cm-1 with a laser of {} nm, {:.2} cm-1 a pixel",
                survey.axis.first().per_cm(),
                survey.axis.last().per_cm(),
                survey.calibration.laser.nm(),
                survey.axis.mean_step(),
            ),
        ),
        (
            "integration",
            format!(
                "{integration}, possible {} to {}",
                milliseconds(survey.integration_min.micros()),
                milliseconds(survey.integration_max.micros()),
            ),
        ),
        ("laser", laser),
        ("detector", celsius(survey.detector_temperature)),
        ("cooler", cooler),
        ("sensors", survey.temperatures.iter().map(|&reading| celsius(reading)).collect::<Vec<_>>().join(", ")),
    ];
    rows.into_iter().map(|(name, value)| format!("{name:<14} {value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramand_core::spectrum::{IntegrationTime, WavelengthCalibration};

    fn survey() -> Survey {
        let laser = Wavelength::from_nm(785.0);
        let calibration = WavelengthCalibration { coefficients: vec![790.0, 0.15], laser };
        let profile = &Profile::QEPRO;
        Survey {
            profile: profile.name,
            model: profile.model,
            serial: "QEP01234".into(),
            firmware: Some("1.23".into()),
            baud: 115_200,
            pixels: profile.pixels,
            active_pixels: profile.active.clone(),
            dark_pixels: profile.dark,
            axis: calibration.axis(profile.active.clone()).expect("increasing"),
            calibration,
            integration: Some(IntegrationTime::from_micros(100_000)),
            integration_min: IntegrationTime::from_micros(8_000),
            integration_max: IntegrationTime::from_micros(1_600_000_000),
            laser_control: Some(profile.laser),
            laser_on: Some(false),
            detector_temperature: Some(Celsius::new(-10.0)),
            tec_setpoint: Some(Celsius::new(-10.0)),
            tec_stable: Some(true),
            temperatures: vec![Some(Celsius::new(31.5)), None],
        }
    }

    #[test]
    fn the_table_says_what_an_operator_asks() {
        let expected = "\
model          QE Pro (profile qepro)
serial number  QEP01234
firmware       1.23
line           115200 baud, 8N1
pixels         1044, active 10..1033, dark 4..9, 1034..1039
axis           104.6 to 2156.3 cm-1 with a laser of 785 nm, 2.01 cm-1 a pixel
integration    100 ms, possible 8 ms to 1600000 ms
laser          off (light-source)
detector       -10.0 °C
cooler         set to -10.0 °C, stable
sensors        31.5 °C, -
";
        assert_eq!(table(&survey()), expected);
        let on = Survey { laser_on: Some(true), ..survey() };
        assert!(table(&on).contains("laser          ON"));
    }

    #[test]
    fn the_json_keys_stay() {
        let json = serde_json::to_value(ProbeRecord::from(&survey())).expect("JSON");
        let object = json.as_object().expect("an object");
        let keys: Vec<&str> = object.keys().map(String::as_str).collect();
        let mut expected = [
            "model",
            "profile",
            "serial",
            "firmware",
            "baud",
            "pixels",
            "active_pixels",
            "dark_pixels",
            "wavelength_coefficients",
            "laser_nm",
            "axis_cm",
            "axis_step_mean_cm",
            "integration_us",
            "integration_min_us",
            "integration_max_us",
            "laser",
            "detector_temperature_c",
            "tec_setpoint_c",
            "tec_stable",
            "temperatures_c",
        ];
        expected.sort_unstable();
        let mut found = keys.clone();
        found.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(object["active_pixels"], serde_json::json!([10, 1033]));
        assert_eq!(object["laser"], serde_json::json!({"control": "light-source", "present": true, "on": false}));
    }
}
