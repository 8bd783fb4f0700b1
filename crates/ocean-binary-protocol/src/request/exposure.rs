//! How long, how often and when the detector is exposed.

use super::{Answer, Request, ResponseError, Value, queries, settings};
use crate::MessageType;
use crate::units::IntegrationTime;

queries! {
    /// The exposure of one scan.
    CurrentIntegrationTime: INTEGRATION_TIME -> IntegrationTime;
    /// The shortest exposure the device accepts.
    IntegrationTimeMin: INTEGRATION_TIME_MIN -> IntegrationTime;
    /// The longest exposure the device accepts.
    IntegrationTimeMax: INTEGRATION_TIME_MAX -> IntegrationTime;
    /// The trigger mode, see the profile's table.
    TriggerMode: TRIGGER_MODE -> u8;
    /// Scans averaged on board.
    ScansToAverage: SCANS_TO_AVERAGE -> u16;
}

settings! {
    /// Changes the exposure of one scan.
    SetIntegrationTime {
        /// Whole microseconds within the model's limits.
        integration: IntegrationTime
    }: SET_INTEGRATION_TIME;
    /// Changes the trigger mode.
    SetTriggerMode {
        /// See the profile's table.
        mode: u8
    }: SET_TRIGGER_MODE;
    /// Changes how many scans are averaged on board.
    SetScansToAverage {
        /// At least 1.
        scans: u16
    }: SET_SCANS_TO_AVERAGE;
    /// Changes the on-board smoothing.
    SetBoxcar {
        /// Pixels on each side that are averaged; 0 is none.
        half_width: u8
    }: SET_BOXCAR;
}

/// How many pixels a spectrum has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelCount;

impl Request for PixelCount {
    type Response = u32;
    const MESSAGE_TYPE: MessageType = MessageType::PIXEL_COUNT;
    const ANSWER: Answer = Answer::Data;

    /// Vendor sources disagree on u16 or u32: both are taken.
    fn parse(&self, data: &[u8]) -> Result<u32, ResponseError> {
        match data.len() {
            2 => u16::read(Self::MESSAGE_TYPE, data).map(u32::from),
            _ => u32::read(Self::MESSAGE_TYPE, data),
        }
    }
}
