//! What the operator decides about one spectrometer.

use std::path::PathBuf;
use std::time::Duration;

use ocean_binary_protocol::{Checksum, LaserControl, Profile};
use ramand_core::spectrum::{Celsius, IntegrationTime, Wavelength};

use super::capture::{CapturePlayer, Recorder};

/// What is at the other end of the link.
#[derive(Debug, Clone, PartialEq)]
pub enum SerialLine {
    /// The serial port of the settings.
    Port,
    /// The port, and everything that is said on it is written down.
    Recorded(Recorder),
    /// Nothing but a recording of it.
    Played(CapturePlayer),
}

/// At which rate to talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaudRate {
    /// At this rate, bits per second.
    Fixed(u32),
    /// At the first of the usual rates at which the device answers.
    Probe,
    /// Whichever answers first, then this one: asked of the device, verified, and saved there.
    Negotiate(u32),
}

/// Which model to expect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SpectrometerModel {
    /// This one; the pixel count is checked where the device tells it.
    Profile(&'static Profile),
    /// Whichever the device says it is, by its pixels or by its cooler.
    Detect,
}

/// How to switch the laser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaserSwitching {
    /// As the model's profile says.
    ByProfile,
    /// In this way, whatever the profile says.
    By(LaserControl),
    /// Not at all: the laser is switched elsewhere, so there are no dark frames and its state is unknown.
    Elsewhere,
}

impl LaserSwitching {
    /// What that means for a model; `None` where nothing is to be switched.
    pub fn control(self, profile: &Profile) -> Option<LaserControl> {
        match self {
            Self::ByProfile => Some(profile.laser),
            Self::By(control) => Some(control),
            Self::Elsewhere => None,
        }
    }
}

/// Flow control of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowControl {
    /// None; the usual case.
    None,
    /// RTS/CTS; the device must be set to the same.
    RtsCts,
}

/// When a dark frame is too old.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DarkRefresh {
    /// It is too old after this time.
    pub age_max: Duration,
    /// It is too old after the detector's temperature changed by this much, K.
    pub temperature_change_max_k: f32,
}

/// Everything the driver and the station need to know.
#[derive(Debug, Clone, PartialEq)]
pub struct AcquisitionSettings {
    /// The port itself, as a rule.
    pub line: SerialLine,
    /// Best one of `/dev/serial/by-id`, which stays the same when devices are plugged in another order.
    pub port: PathBuf,
    /// Bits per second on the line.
    pub baud: BaudRate,
    /// Flow control of the port; the device must be set to the same.
    pub flow_control: FlowControl,
    /// The model to expect at the port.
    pub model: SpectrometerModel,
    /// The serial number that must answer; `None` takes any.
    pub serial_number: Option<String>,
    /// The measured wavelength of the laser, nm: 0.1 nm at 785 nm moves every band by 1.6 cm⁻¹.
    pub laser: Wavelength,
    /// How the laser is switched.
    pub laser_switch: LaserSwitching,
    /// From switching the laser on to the first exposure that counts. The laser stays on between measurements only where
    /// the pause is shorter than this.
    pub laser_warmup: Duration,
    /// Exposure of one scan, whole microseconds.
    pub integration: IntegrationTime,
    /// Scans averaged into one frame, at least 1.
    pub scans: u16,
    /// When to take a new dark frame.
    pub dark_refresh: DarkRefresh,
    /// The cooler's target; `None` leaves it as it is.
    pub tec_setpoint: Option<Celsius>,
    /// From the start of one measurement to the start of the next; zero is back to back.
    pub period: Duration,
    /// Whether requests carry an MD5 checksum. Answers are checked whenever they carry one.
    pub checksum: Checksum,
}

impl AcquisitionSettings {
    /// Usual settings for a spectrometer at `port`: whatever answers, 785 nm, 100 ms, MD5.
    pub fn new(port: impl Into<PathBuf>) -> Self {
        Self {
            line: SerialLine::Port,
            port: port.into(),
            baud: BaudRate::Probe,
            flow_control: FlowControl::None,
            model: SpectrometerModel::Detect,
            serial_number: None,
            laser: Wavelength::from_nm(785.0),
            laser_switch: LaserSwitching::ByProfile,
            laser_warmup: Duration::from_secs(1),
            integration: IntegrationTime::from_micros(100_000),
            scans: 1,
            dark_refresh: DarkRefresh { age_max: Duration::from_secs(600), temperature_change_max_k: 0.5 },
            tec_setpoint: None,
            period: Duration::ZERO,
            checksum: Checksum::Md5,
        }
    }
}
