//! Who the device is.

use std::fmt;

use super::{Answer, Request, ResponseError, Value, commands, queries};
use crate::MessageType;

queries! {
    /// The serial number, the instrument's identity.
    SerialNumber: SERIAL_NUMBER -> String;
    /// How long a serial number may be: the cheapest question, so it serves to find the baud rate.
    SerialNumberLength: SERIAL_NUMBER_LENGTH -> u8;
    /// The revision of the board.
    HardwareRevision: HARDWARE_REVISION -> u8;
}

commands! {
    /// Restarts the device.
    Reset: RESET;
}

/// A firmware revision in binary-coded decimal: 0x0123 is 1.23.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(pub u16);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:02x}", self.0 >> 8, self.0 & 0xFF)
    }
}

/// The revision of the firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirmwareRevision;

impl Request for FirmwareRevision {
    type Response = Revision;
    const MESSAGE_TYPE: MessageType = MessageType::FIRMWARE_REVISION;
    const ANSWER: Answer = Answer::Data;

    fn parse(&self, data: &[u8]) -> Result<Revision, ResponseError> {
        u16::read(Self::MESSAGE_TYPE, data).map(Revision)
    }
}
