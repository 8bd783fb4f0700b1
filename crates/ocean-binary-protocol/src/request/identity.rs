//! Who the device is.

use std::fmt;

use super::value::Decode;
use super::{AnswerKind, Request, ResponseError, queries};
use crate::message_type::MessageType;

queries! {
    /// Asks for the serial number, the unit's identity: printable ASCII, cut at a NUL, without blanks around it.
    SerialNumber: SERIAL_NUMBER -> String;
    /// Asks how many bytes a serial number can have. The cheapest question there is, so it serves to find the baud rate.
    SerialNumberLength: SERIAL_NUMBER_LENGTH -> u8;
}

/// A revision in binary-coded decimal: four decimal digits, two before the point and two behind it. Displayed as `1.23`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision(u16);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:02x}", self.0 >> 8, self.0 & 0xFF)
    }
}

/// Asks for the revision of the firmware: u16 in binary-coded decimal, 0x0123 is 1.23.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirmwareRevision;

impl Request for FirmwareRevision {
    type Response = Revision;
    const MESSAGE_TYPE: MessageType = MessageType::FIRMWARE_REVISION;
    const ANSWER: AnswerKind = AnswerKind::Data;

    fn parse(&self, data: &[u8]) -> Result<Revision, ResponseError> {
        u16::decode(Self::MESSAGE_TYPE, data).map(Revision)
    }
}
