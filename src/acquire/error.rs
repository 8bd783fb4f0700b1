//! What can go wrong between the port and a spectrum, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use ocean_binary_protocol::{DeviceError, MessageType, ResponseError};
use ramand_core::failure::{Failure, Kind};
use ramand_core::spectrum::{AxisError, IntegrationTime, SpectrumError};

use super::capture::CaptureError;

/// Why there is no spectrum.
#[derive(Debug, thiserror::Error)]
pub enum AcquireError {
    /// Nothing is at the configured path: the spectrometer is unplugged, or without power.
    #[error(
        "there is no port {}: is the spectrometer plugged in and powered? 'ls /dev/serial/by-id' lists what is connected",
        port.display()
    )]
    PortMissing {
        /// The configured path of the port.
        port: PathBuf,
    },
    /// The operating system does not let this user open the port.
    #[error(
        "no permission to open {}: add the user to the group that owns it ('sudo usermod -aG dialout USER' on Debian), \
         then log in again",
        port.display()
    )]
    PortForbidden {
        /// The configured path of the port.
        port: PathBuf,
    },
    /// Another program has the port open and locked.
    #[error("{} is in use by another program ('fuser -v' names it)", port.display())]
    PortBusy {
        /// The configured path of the port.
        port: PathBuf,
    },
    /// What is at the configured path is a regular file or a folder.
    #[error("{} is not a serial port: configure one of /dev/serial/by-id", port.display())]
    NotAPort {
        /// The configured path of the port.
        port: PathBuf,
    },
    /// Opening failed for another reason than the ones above.
    #[error("failed to open {}", port.display())]
    PortOpen {
        /// The configured path of the port.
        port: PathBuf,
        /// What the operating system says about it.
        #[source]
        source: serialport::Error,
    },
    /// The port, or its driver, does not take the baud rate.
    #[error("failed to set {} to {baud} baud", port.display())]
    PortBaud {
        /// The configured path of the port.
        port: PathBuf,
        /// The rate that was asked for, bits per second.
        baud: u32,
        /// What the operating system says about it.
        #[source]
        source: serialport::Error,
    },
    /// The open port failed: unplugged, powered off, or the adapter is broken.
    #[error("lost {} while {doing} it", port.display())]
    Lost {
        /// The configured path of the port.
        port: PathBuf,
        /// What was being done with the port: `reading` or `writing`.
        doing: &'static str,
        /// What the operating system says about it.
        #[source]
        source: std::io::Error,
    },
    /// The line does not fall silent, so that no answer could be told from the rest: another device, or another rate.
    #[error("{} never falls silent: {bytes} bytes came within {} ms", port.display(), waited.as_millis())]
    Babble {
        /// The configured path of the port.
        port: PathBuf,
        /// How many bytes came and were thrown away.
        bytes: usize,
        /// For how long silence was waited for.
        waited: Duration,
    },
    /// Nothing intelligible came back at any of the rates that were tried.
    #[error(
        "nothing answers on {} at {tried} baud: check power, cable (crossed RX and TX?), flow control and the baud rate",
        port.display()
    )]
    NoAnswer {
        /// The configured path of the port.
        port: PathBuf,
        /// The rates that were tried, separated by commas.
        tried: String,
    },
    /// A request was sent as often as it may be, and no answer came in time.
    #[error("no answer to {message_type} within {} ms, {attempts} times", waited.as_millis())]
    TimedOut {
        /// The message type that was asked.
        message_type: MessageType,
        /// How long each attempt waited.
        waited: Duration,
        /// How many times it was asked.
        attempts: u32,
    },
    /// The device answered a request with a NACK.
    #[error("{message_type} was refused")]
    Refused {
        /// The message type that was refused.
        message_type: MessageType,
        /// The reason that the device gives.
        #[source]
        source: DeviceError,
    },
    /// An undamaged answer holds what cannot be an answer to the request.
    #[error("the device answers nonsense")]
    Response(#[from] ResponseError),
    /// Another instrument answers at the port than the configured one.
    #[error("{} leads to serial number {found}, configured is {expected}", port.display())]
    WrongSerialNumber {
        /// The configured path of the port.
        port: PathBuf,
        /// The configured serial number.
        expected: String,
        /// The serial number that the device gives.
        found: String,
    },
    /// The device has another number of pixels than its profile.
    #[error("the device has {pixels} pixels, profile {profile} has {expected}: configure the profile that fits")]
    WrongModel {
        /// The profile that is configured, or that fits best.
        profile: &'static str,
        /// How many pixels the profile has.
        expected: usize,
        /// How many pixels the device says it has.
        pixels: u32,
    },
    /// Neither its pixels nor its cooler tell which model the device is.
    #[error("the device does not say which model it is: configure the profile ({known})")]
    UnknownModel {
        /// The names of the profiles there are, separated by commas.
        known: String,
    },
    /// The coefficients in the device give wavelengths that do not increase, or no Raman shift with the configured laser.
    #[error("the wavelength coefficients stored in the device and the laser wavelength give no axis of Raman shifts")]
    Calibration(#[from] AxisError),
    /// An integration time that no device of this model takes.
    #[error("an integration time of {} us is outside {}..={} us of the {model}", asked.micros(), min.micros(), max.micros())]
    IntegrationTime {
        /// The integration time that is configured.
        asked: IntegrationTime,
        /// The shortest one that the model takes.
        min: IntegrationTime,
        /// The longest one that the model takes.
        max: IntegrationTime,
        /// The name of the model, as the vendor writes it.
        model: &'static str,
    },
    /// Zero scans are configured, of which there is no average.
    #[error("at least one scan makes a spectrum")]
    NoScans,
    /// The device does not know the configured way to switch the laser.
    #[error(
        "the device has no {control}: set `laser` of [spectrometer] to \"lamp-line\", or `profile` to the one that fits"
    )]
    NoLaser {
        /// What is missing: `light source` or `lamp line`.
        control: &'static str,
    },
    /// The laser does not switch on: an open interlock, the key switch, or a fault.
    #[error("the laser does not switch on: is the interlock closed?")]
    LaserNotOn {
        /// The reason, where the device gives one; some acknowledge and stay dark.
        #[source]
        source: Option<DeviceError>,
    },
    /// The device acknowledged that it switched the laser off, and says that it is on.
    #[error("THE LASER IS STILL ON although the device acknowledged 'off': switch it off at the key")]
    LaserStillOn,
    /// The device could not be asked whether the laser is off, or does not answer.
    #[error("the laser could not be confirmed off: switch it off at the key")]
    LaserUnconfirmed {
        /// Why it could not be asked.
        #[source]
        source: Box<AcquireError>,
    },
    /// The device keeps sending spectra that were exposed before the present settings.
    #[error("{discarded} spectra in a row were exposed for another time than the {} us asked for", asked.micros())]
    OldSpectra {
        /// How many spectra in a row were thrown away.
        discarded: u32,
        /// The integration time that is set, and that none of them had.
        asked: IntegrationTime,
    },
    /// Light and dark frame do not fit together: a mistake of this program.
    #[error("the frames make no spectrum")]
    Spectrum(#[from] SpectrumError),
    /// The conversation cannot be recorded, or a recorded one not played back.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A stop was requested, so that what was being done was given up.
    #[error("stopped on request")]
    Stopped,
}

impl AcquireError {
    /// Why the laser was not switched off, so that it says so whatever the cause was.
    pub(crate) fn of_laser_off(self) -> Self {
        match self {
            Self::LaserStillOn => self,
            source => Self::LaserUnconfirmed { source: Box::new(source) },
        }
    }
}

impl Failure for AcquireError {
    fn kind(&self) -> Kind {
        match self {
            Self::PortForbidden { .. }
            | Self::NotAPort { .. }
            | Self::WrongSerialNumber { .. }
            | Self::WrongModel { .. }
            | Self::UnknownModel { .. }
            | Self::Calibration(_)
            | Self::IntegrationTime { .. }
            | Self::NoScans
            | Self::NoLaser { .. } => Kind::Operator,
            Self::Refused { source, .. } => match source {
                DeviceError::PayloadLength
                | DeviceError::PayloadInvalid
                | DeviceError::UnknownMessageType
                | DeviceError::NoSuchInformation => Kind::Operator,
                _ => Kind::Device,
            },
            Self::PortMissing { .. }
            | Self::PortBusy { .. }
            | Self::PortOpen { .. }
            | Self::PortBaud { .. }
            | Self::Lost { .. }
            | Self::Babble { .. }
            | Self::NoAnswer { .. }
            | Self::TimedOut { .. }
            | Self::Response(_)
            | Self::LaserNotOn { .. }
            | Self::LaserStillOn
            | Self::OldSpectra { .. } => Kind::Device,
            Self::LaserUnconfirmed { source } => source.kind(),
            Self::Capture(error) => error.kind(),
            Self::Stopped => Kind::Transient,
            Self::Spectrum(_) => Kind::Bug,
        }
    }
}
