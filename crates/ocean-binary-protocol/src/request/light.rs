//! Light sources, the laser among them, and the lamp enable line.
//!
//! An acknowledgement says that the device took the command. Whether the light is on or off, only the query after it says: an open
//! interlock refuses "on" with [`NotReady`](crate::DeviceError::NotReady), or takes it and leaves the light off.

use super::value::Decode;
use super::{AnswerKind, Request, ResponseError, queries, settings};
use crate::message_type::MessageType;

queries! {
    /// Asks whether the lamp enable line at the accessory connector is high.
    LampLine: LAMP_LINE -> bool;
}

settings! {
    /// Drives the lamp enable line at the accessory connector.
    SetLampLine {
        /// `true` is high, which switches on what is wired to it.
        enabled: bool
    }: SET_LAMP_LINE;
    /// Switches a light source on or off.
    EnableLightSource {
        /// Index of the module, from 0.
        module: u8,
        /// Index of the light source within the module, from 0.
        source: u8,
        /// `true` is on.
        enabled: bool
    }: ENABLE_LIGHT_SOURCE;
}

/// Asks whether a light source is on: module and source go out as u8 each, the answer is u8. A device without that light source
/// refuses, which is also how to find out whether it has a laser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LightSourceEnabled {
    /// Index of the module, from 0.
    pub module: u8,
    /// Index of the light source within the module, from 0.
    pub source: u8,
}

impl Request for LightSourceEnabled {
    type Response = bool;
    const MESSAGE_TYPE: MessageType = MessageType::LIGHT_SOURCE_ENABLED;
    const ANSWER: AnswerKind = AnswerKind::Data;

    fn data(&self) -> Vec<u8> {
        vec![self.module, self.source]
    }

    fn parse(&self, data: &[u8]) -> Result<bool, ResponseError> {
        bool::decode(Self::MESSAGE_TYPE, data)
    }
}
