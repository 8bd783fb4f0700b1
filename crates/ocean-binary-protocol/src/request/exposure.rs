//! How long, how often and on what signal the detector is exposed.

use super::value::Decode;
use super::{AnswerKind, Request, ResponseError, queries, settings};
use crate::message_type::MessageType;
use crate::units::IntegrationTime;

queries! {
    /// Asks for the exposure of one scan as the device has set it, which may be rounded to a step of its own.
    CurrentIntegrationTime: INTEGRATION_TIME -> IntegrationTime;
    /// Asks for the shortest exposure of one scan that the device accepts.
    IntegrationTimeMin: INTEGRATION_TIME_MIN -> IntegrationTime;
    /// Asks for the longest exposure of one scan that the device accepts.
    IntegrationTimeMax: INTEGRATION_TIME_MAX -> IntegrationTime;
}

settings! {
    /// Changes the exposure of one scan. A spectrum that was exposed before may still come first.
    SetIntegrationTime {
        /// Whole microseconds within the model's limits. What u32 cannot hold goes out as the largest u32.
        integration: IntegrationTime
    }: SET_INTEGRATION_TIME;
    /// Changes what starts an exposure.
    SetTriggerMode {
        /// 0 is the model's normal mode, without an external signal. The other numbers differ between models: QE Pro 1 level,
        /// 2 synchronised, 3 edge; STS 1 external rising edge, 2 internal, synchronised to the strobe.
        mode: u8
    }: SET_TRIGGER_MODE;
    /// Changes how many scans the device averages into one spectrum. Not every model does.
    SetScansToAverage {
        /// At least 1, which is no averaging.
        scans: u16
    }: SET_SCANS_TO_AVERAGE;
    /// Changes how far the device smooths a spectrum along its pixels.
    SetBoxcar {
        /// Pixels on each side of a pixel that are averaged with it; 0 is no smoothing.
        half_width: u8
    }: SET_BOXCAR;
}

/// Asks how many pixels a spectrum has.
///
/// The data sheet says u16, a comment in SeaBreeze says that devices send u32: two or four bytes are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelCount;

impl Request for PixelCount {
    type Response = u32;
    const MESSAGE_TYPE: MessageType = MessageType::PIXEL_COUNT;
    const ANSWER: AnswerKind = AnswerKind::Data;

    fn parse(&self, data: &[u8]) -> Result<u32, ResponseError> {
        match data.len() {
            2 => u16::decode(Self::MESSAGE_TYPE, data).map(u32::from),
            _ => u32::decode(Self::MESSAGE_TYPE, data),
        }
    }
}
