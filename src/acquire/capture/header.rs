//! The header: who wrote the file, and everything the driver was told, one `key value` a line.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use ocean_binary_protocol::{Checksum, LaserControl, Profile};
use ramand_core::spectrum::{Celsius, IntegrationTime, Wavelength};

use super::CaptureError;
use super::event::{printable, text_of};
use crate::acquire::settings::{
    AcquisitionSettings, BaudRate, DarkRefresh, FlowControl, LaserSwitching, SerialLine, SpectrometerModel,
};

/// The first line.
pub(super) const MAGIC: &str = "ramand-capture 1";

/// The longest pause or age that a setting can say: a day, as in the configuration.
const MICROS_MAX: u64 = 86_400_000_000;

/// The lines before the events.
pub(super) struct CaptureHeader {
    pub(super) written_by: String,
    pub(super) started: SystemTime,
    pub(super) settings: AcquisitionSettings,
}

/// The keys in their order.
#[rustfmt::skip]
const KEYS: [&str; 16] = [
    "written-by", "started", "port", "baud", "flow-control", "model", "serial-number", "laser-nm", "laser",
    "laser-warm-up-us", "integration-us", "scans", "dark-age-us", "dark-change-k", "cooler-c", "checksum",
];

impl CaptureHeader {
    pub(super) fn encode(written_by: &str, started: SystemTime, settings: &AcquisitionSettings) -> String {
        let started = Timestamp::try_from(started).unwrap_or_default();
        let port = settings.port.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let light_source;
        let values: [String; KEYS.len()] = [
            written_by.to_owned(),
            format!("{started:.6}"),
            printable(&port),
            match settings.baud {
                BaudRate::Fixed(baud) => baud.to_string(),
                BaudRate::Probe => "probe".to_owned(),
                BaudRate::Negotiate(baud) => format!("negotiate {baud}"),
            },
            match settings.flow_control {
                FlowControl::None => "none".to_owned(),
                FlowControl::RtsCts => "rts-cts".to_owned(),
            },
            match settings.model {
                SpectrometerModel::Detect => "detect".to_owned(),
                SpectrometerModel::Profile(profile) => profile.name.to_owned(),
            },
            settings.serial_number.as_deref().map_or("any".to_owned(), |serial| format!("is {}", printable(serial))),
            settings.laser.nm().to_string(),
            match settings.laser_switch {
                LaserSwitching::ByProfile => "by-profile",
                LaserSwitching::By(LaserControl::LampLine) => "lamp-line",
                LaserSwitching::By(LaserControl::LightSource { module, source }) => {
                    light_source = format!("light-source {module} {source}");
                    &light_source
                }
                LaserSwitching::Elsewhere => "elsewhere",
            }
            .to_owned(),
            settings.laser_warmup.as_micros().to_string(),
            settings.integration.micros().to_string(),
            settings.scans.to_string(),
            settings.dark_refresh.age_max.as_micros().to_string(),
            settings.dark_refresh.temperature_change_max_k.to_string(),
            settings.tec_setpoint.map_or("keep".to_owned(), |setpoint| setpoint.degrees().to_string()),
            match settings.checksum {
                Checksum::None => "none".to_owned(),
                Checksum::Md5 => "md5".to_owned(),
            },
        ];
        let lines = KEYS.iter().zip(values).map(|(key, value)| format!("{key} {value}\n"));
        format!("{MAGIC}\n{}\n", lines.collect::<String>())
    }

    /// Takes the lines up to and including the empty one.
    pub(super) fn parse<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Result<Self, CaptureError> {
        let mut values = [""; KEYS.len()];
        let mut last = 1;
        for (key, value) in KEYS.iter().zip(&mut values) {
            let (line, text) = lines.next().unwrap_or((last + 1, ""));
            last = line;
            let found = text.strip_prefix(key).and_then(|rest| rest.strip_prefix(' '));
            *value = found.ok_or_else(|| CaptureError::at(line, format!("'{key} ...' belongs here")))?;
        }
        // Line 1 is the first line of the file, so that of key number i is i + 2.
        Self::from_values(&values)
            .map_err(|(index, why)| CaptureError::at(index + 2, format!("'{}' {why}", KEYS[index])))
            .and_then(|header| match lines.next() {
                None | Some((_, "")) => Ok(header),
                Some((line, _)) => Err(CaptureError::at(line, "an empty line ends the header")),
            })
    }

    /// The number of the key that is wrong, and what it must be.
    fn from_values(values: &[&str; KEYS.len()]) -> Result<Self, (usize, String)> {
        let [written_by, started, port, baud, flow, model, serial, laser_nm, laser, warm_up, integration, rest @ ..] =
            *values;
        let [scans, dark_age, dark_change, cooler, checksum] = rest;
        let micros = |index: usize, text: &str| {
            let micros = text.parse().ok().filter(|&micros: &u64| micros <= MICROS_MAX);
            micros.map(Duration::from_micros).ok_or((index, "must be microseconds, a day at most".to_owned()))
        };
        let kelvin = |text: &str| text.parse().ok().filter(|value: &f32| (-300.0..=300.0).contains(value));
        let started: Timestamp = started.parse().map_err(|_| must(1, "a time in UTC")())?;
        let settings = AcquisitionSettings {
            line: SerialLine::Port,
            port: text_of(port).map_err(|why| (2, why))?.into(),
            baud: match baud.strip_prefix("negotiate ") {
                Some(baud) => baud.parse().ok().map(BaudRate::Negotiate),
                None if baud == "probe" => Some(BaudRate::Probe),
                None => baud.parse().ok().map(BaudRate::Fixed),
            }
            .ok_or_else(must(3, "'probe', a rate, or 'negotiate' and a rate"))?,
            flow_control: match flow {
                "none" => FlowControl::None,
                "rts-cts" => FlowControl::RtsCts,
                _ => return Err(must(4, "'none' or 'rts-cts'")()),
            },
            model: match model {
                "detect" => SpectrometerModel::Detect,
                name => {
                    SpectrometerModel::Profile(Profile::by_name(name).ok_or_else(must(5, "'detect' or a profile"))?)
                }
            },
            serial_number: match serial.strip_prefix("is ") {
                Some(serial) => Some(text_of(serial).map_err(|why| (6, why))?),
                None if serial == "any" => None,
                None => return Err(must(6, "'any', or 'is' and a serial number")()),
            },
            laser: laser_nm
                .parse()
                .ok()
                .filter(|nm| (100.0..=10_000.0).contains(nm))
                .map(Wavelength::from_nm)
                .ok_or_else(must(7, "a wavelength in nm"))?,
            laser_switch: laser_switch(laser).ok_or_else(must(8, "a way to switch the laser"))?,
            laser_warmup: micros(9, warm_up)?,
            integration: IntegrationTime::from_micros(integration.parse().map_err(|_| must(10, "microseconds")())?),
            scans: scans.parse().map_err(|_| must(11, "a number of scans")())?,
            dark_refresh: DarkRefresh {
                age_max: micros(12, dark_age)?,
                temperature_change_max_k: kelvin(dark_change).ok_or_else(must(13, "kelvin"))?,
            },
            tec_setpoint: match cooler {
                "keep" => None,
                degrees => Some(Celsius::new(kelvin(degrees).ok_or_else(must(14, "'keep' or degrees"))?)),
            },
            period: Duration::ZERO,
            checksum: match checksum {
                "none" => Checksum::None,
                "md5" => Checksum::Md5,
                _ => return Err(must(15, "'none' or 'md5'")()),
            },
        };
        let written_by = text_of(written_by).map_err(|why| (0, why))?;
        Ok(Self { written_by, started: started.into(), settings })
    }
}

fn must(index: usize, what: &'static str) -> impl FnOnce() -> (usize, String) {
    move || (index, format!("must be {what}"))
}

fn laser_switch(text: &str) -> Option<LaserSwitching> {
    let mut words = text.split(' ');
    let switch = match (words.next()?, words.next(), words.next()) {
        ("by-profile", None, _) => LaserSwitching::ByProfile,
        ("lamp-line", None, _) => LaserSwitching::By(LaserControl::LampLine),
        ("elsewhere", None, _) => LaserSwitching::Elsewhere,
        ("light-source", Some(module), Some(source)) => {
            LaserSwitching::By(LaserControl::LightSource { module: module.parse().ok()?, source: source.parse().ok()? })
        }
        _ => return None,
    };
    Some(switch).filter(|_| words.next().is_none())
}
