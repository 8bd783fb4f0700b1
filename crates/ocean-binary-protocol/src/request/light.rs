//! Light sources, the laser among them, and the lamp enable line.

use super::{Answer, Request, ResponseError, Value, queries, settings};
use crate::MessageType;

queries! {
    /// Whether the lamp enable line is driven.
    LampLine: LAMP_LINE -> bool;
}

settings! {
    /// Drives the lamp enable line.
    SetLampLine {
        /// High or low.
        enabled: bool
    }: SET_LAMP_LINE;
    /// Switches a light source.
    EnableLightSource {
        /// Module index, from 0.
        module: u8,
        /// Light source index within the module, from 0.
        source: u8,
        /// On or off.
        enabled: bool
    }: ENABLE_LIGHT_SOURCE;
}

/// Whether a light source is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LightSourceEnabled {
    /// Module index, from 0.
    pub module: u8,
    /// Light source index within the module, from 0.
    pub source: u8,
}

impl Request for LightSourceEnabled {
    type Response = bool;
    const MESSAGE_TYPE: MessageType = MessageType::LIGHT_SOURCE_ENABLED;
    const ANSWER: Answer = Answer::Data;

    fn data(&self) -> Vec<u8> {
        vec![self.module, self.source]
    }

    fn parse(&self, data: &[u8]) -> Result<bool, ResponseError> {
        bool::read(Self::MESSAGE_TYPE, data)
    }
}
