//! Ocean Binary Protocol v1: frames, a resynchronising framer, and one typed request per message.
//!
#![doc = include_str!("../README.md")]
//!
//! # Conventions
//!
//! Integers and IEEE 754 floats are little endian throughout. Times are whole microseconds, temperatures degrees Celsius,
//! wavelengths nanometres, detector readings counts of the analogue-to-digital converter.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod deadline;
mod frame;
mod framer;
mod message_type;
mod profile;
pub mod request;
mod units;

pub use frame::{
    Checksum, DeviceError, FRAME_LEN_MAX, FRAME_LEN_MIN, Flags, Frame, FrameError, IMMEDIATE_LEN_MAX, PAYLOAD_LEN_MAX,
    ProtocolVersion,
};
pub use framer::{Framer, FramerStatistics};
pub use message_type::MessageType;
pub use profile::{LaserControl, Profile, SpectrumSource};
pub use request::{AnswerKind, Request, ResponseError, Timing};
pub use units::{Celsius, Counts, IntegrationTime};

#[cfg(test)]
mod tests;
