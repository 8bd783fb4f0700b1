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
    /// No such file.
    #[error(
        "there is no port {}: is the spectrometer plugged in and powered? 'ls /dev/serial/by-id' lists what is connected",
        port.display()
    )]
    PortMissing {
        /// As configured.
        port: PathBuf,
    },
    /// The operating system refuses.
    #[error(
        "no permission to open {}: add the user to the group that owns it ('sudo usermod -aG dialout USER' on Debian), \
         then log in again",
        port.display()
    )]
    PortForbidden {
        /// As configured.
        port: PathBuf,
    },
    /// Locked.
    #[error("{} is in use by another program ('fuser -v' names it)", port.display())]
    PortBusy {
        /// As configured.
        port: PathBuf,
    },
    /// A regular file or folder.
    #[error("{} is not a serial port: configure one of /dev/serial/by-id", port.display())]
    NotAPort {
        /// As configured.
        port: PathBuf,
    },
    /// Anything else while opening.
    #[error("failed to open {}", port.display())]
    PortOpen {
        /// As configured.
        port: PathBuf,
        /// What the operating system says.
        #[source]
        source: serialport::Error,
    },
    /// The port does not take the rate.
    #[error("failed to set {} to {baud} baud", port.display())]
    PortBaud {
        /// As configured.
        port: PathBuf,
        /// Asked for.
        baud: u32,
        /// What the operating system says.
        #[source]
        source: serialport::Error,
    },
    /// Unplugged, powered off, or the adapter failed.
    #[error("lost {} while {doing} it", port.display())]
    Lost {
        /// As configured.
        port: PathBuf,
        /// `reading` or `writing`.
        doing: &'static str,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Input without a pause.
    #[error("{} never falls silent: {bytes} bytes came within {} ms", port.display(), waited.as_millis())]
    Babble {
        /// As configured.
        port: PathBuf,
        /// Thrown away.
        bytes: usize,
        /// For how long.
        waited: Duration,
    },
    /// No answer at any rate.
    #[error(
        "nothing answers on {} at {tried} baud: check power, cable (crossed RX and TX?), flow control and the baud rate",
        port.display()
    )]
    NoAnswer {
        /// As configured.
        port: PathBuf,
        /// The rates, separated by commas.
        tried: String,
    },
    /// No answer in time, several times.
    #[error("no answer to {message_type} within {} ms, {attempts} times", waited.as_millis())]
    TimedOut {
        /// Asked.
        message_type: MessageType,
        /// Each time.
        waited: Duration,
        /// How often.
        attempts: u32,
    },
    /// A NACK.
    #[error("{message_type} was refused")]
    Refused {
        /// Asked.
        message_type: MessageType,
        /// Why.
        #[source]
        source: DeviceError,
    },
    /// An answer that cannot be.
    #[error("the device answers nonsense")]
    Response(#[from] ResponseError),
    /// Another instrument than the configured one.
    #[error("{} leads to serial number {found}, configured is {expected}", port.display())]
    WrongSerialNumber {
        /// As configured.
        port: PathBuf,
        /// Configured.
        expected: String,
        /// Read from the device.
        found: String,
    },
    /// No profile has so many pixels.
    #[error("the device has {pixels} pixels, profile {profile} has {expected}: configure the profile that fits")]
    WrongModel {
        /// Configured, or the best guess.
        profile: &'static str,
        /// Of the profile.
        expected: usize,
        /// Read from the device.
        pixels: u32,
    },
    /// The device does not say what it is.
    #[error("the device does not say which model it is: configure the profile ({known})")]
    UnknownModel {
        /// The profiles there are.
        known: String,
    },
    /// Coefficients that give no axis.
    #[error("the wavelength coefficients stored in the device and the laser wavelength give no axis of Raman shifts")]
    Calibration(#[from] AxisError),
    /// A setting no device of this model takes.
    #[error("an integration time of {} us is outside {}..={} us of the {model}", asked.micros(), min.micros(), max.micros())]
    IntegrationTime {
        /// Configured.
        asked: IntegrationTime,
        /// Of the model.
        min: IntegrationTime,
        /// Of the model.
        max: IntegrationTime,
        /// Its name.
        model: &'static str,
    },
    /// Zero scans.
    #[error("at least one scan makes a spectrum")]
    NoScans,
    /// The configured way to switch the laser does not exist.
    #[error(
        "the device has no {control}: set `laser` of [spectrometer] to \"lamp-line\", or `profile` to the one that fits"
    )]
    NoLaser {
        /// Configured.
        control: &'static str,
    },
    /// Interlock, key switch, or a fault.
    #[error("the laser does not switch on: is the interlock closed?")]
    LaserNotOn {
        /// Where the device says why.
        #[source]
        source: Option<DeviceError>,
    },
    /// Switched off, reads back as on.
    #[error("THE LASER IS STILL ON although the device acknowledged 'off': switch it off at the key")]
    LaserStillOn,
    /// Nobody knows whether it is on.
    #[error("the laser could not be confirmed off: switch it off at the key")]
    LaserUnconfirmed {
        /// Why the device could not be asked.
        #[source]
        source: Box<AcquireError>,
    },
    /// Old spectra only.
    #[error("{discarded} spectra in a row were exposed for another time than the {} us asked for", asked.micros())]
    OldSpectra {
        /// How many were thrown away.
        discarded: u32,
        /// The exposure that was set.
        asked: IntegrationTime,
    },
    /// Frames that do not fit together.
    #[error("the frames make no spectrum")]
    Spectrum(#[from] SpectrumError),
    /// The conversation cannot be recorded, or a recorded one not played back.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Somebody asked to stop.
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
