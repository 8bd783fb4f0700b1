//! One type per request: its message type, its data, how long its answer may take, and what the answer means.
//!
//! A query (its documentation begins "Asks") is answered with data; a command is answered with an acknowledgement. Layouts are
//! those of the Ventana Data Sheet, pages 12-16, and of SeaBreeze's exchanges.

pub mod calibration;
mod error;
pub mod exposure;
pub mod identity;
pub mod light;
pub mod rs232;
pub mod spectrum;
pub mod temperature;
mod value;

use std::time::Duration;

use crate::deadline::deadline;
use crate::frame::{Checksum, FRAME_LEN_MIN, Flags, Frame, IMMEDIATE_LEN_MAX, ProtocolVersion};
use crate::message_type::MessageType;
use crate::units::IntegrationTime;

pub use error::ResponseError;

/// What the device sends back when a request went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerKind {
    /// A frame with data and [`Flags::RESPONSE`]: the answer to a query.
    Data,
    /// A frame without data and with [`Flags::ACK`], because the request asks for one: the answer to a command.
    Acknowledgement,
}

/// What an answer has to wait for, as data; [`deadline`](Timing::deadline) turns it into a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The exposure of one scan.
    pub integration: IntegrationTime,
    /// Scans that the device averages before it answers; 0 where it need not expose.
    pub scans: u32,
    /// Bytes of data in the answer.
    pub data_len: usize,
}

impl Timing {
    /// No exposure to wait for, an answer in one short frame.
    pub const PROMPT: Self = Self { integration: IntegrationTime::from_micros(0), scans: 0, data_len: 0 };

    /// How long to wait for the answer from the moment the request is sent, at `baud` bits per second. The module
    /// [`deadline`](crate::deadline) holds the formula.
    pub fn deadline(self, baud: u32) -> Duration {
        let payload_len = if self.data_len > IMMEDIATE_LEN_MAX { self.data_len } else { 0 };
        deadline(self.integration, self.scans, 2 * FRAME_LEN_MIN + payload_len, baud)
    }
}

/// One typed request: a message of the protocol, as the host sends it and understands its answer.
///
/// A message that this crate does not know is one more implementation:
///
/// ```
/// use ocean_binary_protocol::{AnswerKind, MessageType, Request, ResponseError};
///
/// /// Asks for the revision of the board, u8.
/// struct HardwareRevision;
///
/// impl Request for HardwareRevision {
///     type Response = u8;
///     const MESSAGE_TYPE: MessageType = MessageType::new(0x0000_0080);
///     const ANSWER: AnswerKind = AnswerKind::Data;
///
///     fn parse(&self, data: &[u8]) -> Result<u8, ResponseError> {
///         let message_type = Self::MESSAGE_TYPE;
///         let [revision] = data else {
///             return Err(ResponseError::Length { message_type, expected: 1, found: data.len() });
///         };
///         Ok(*revision)
///     }
/// }
///
/// assert_eq!(HardwareRevision.parse(&[3]), Ok(3));
/// ```
pub trait Request {
    /// The meaning of the answer's data; `()` for a command.
    type Response;
    /// The number that names the request on the wire, and that its answer repeats.
    const MESSAGE_TYPE: MessageType;
    /// Whether it is a query, answered with data, or a command, answered with an acknowledgement.
    const ANSWER: AnswerKind;

    /// The data sent along, at most [`PAYLOAD_LEN_MAX`](crate::PAYLOAD_LEN_MAX) bytes; empty unless the request says otherwise.
    fn data(&self) -> Vec<u8> {
        Vec::new()
    }

    /// What the answer has to wait for; nothing unless the request says otherwise.
    fn timing(&self) -> Timing {
        Timing::PROMPT
    }

    /// The meaning of `data`, which is that of an undamaged answer to this request, without [`Flags::NACK`].
    ///
    /// # Errors
    /// When the data does not have the length or form that this request's answer has.
    fn parse(&self, data: &[u8]) -> Result<Self::Response, ResponseError>;

    /// The frame to send: version 0x1100, with `regarding` to recognise the answer by, and protected by `checksum`. A command asks
    /// for an acknowledgement, because without it a device says nothing at all, not even that it refuses.
    fn frame(&self, regarding: u32, checksum: Checksum) -> Frame {
        let flags = match Self::ANSWER {
            AnswerKind::Data => Flags::NONE,
            AnswerKind::Acknowledgement => Flags::ACK_REQUESTED,
        };
        let message_type = Self::MESSAGE_TYPE;
        Frame {
            version: ProtocolVersion::V1_1,
            flags,
            error_number: 0,
            message_type,
            regarding,
            checksum,
            data: self.data(),
        }
    }
}

/// Queries without data whose answer is one value.
macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident: $message_type:ident -> $response:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl $crate::request::Request for $name {
            type Response = $response;
            const MESSAGE_TYPE: $crate::MessageType = $crate::MessageType::$message_type;
            const ANSWER: $crate::AnswerKind = $crate::AnswerKind::Data;

            fn parse(&self, data: &[u8]) -> Result<$response, $crate::ResponseError> {
                $crate::request::value::Decode::decode(Self::MESSAGE_TYPE, data)
            }
        }
    )*};
}

/// Queries about one of several: the index goes out as u8, the answer is one value.
macro_rules! indexed_queries {
    ($($(#[$doc:meta])* $name:ident: $message_type:ident -> $response:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            /// Which coefficient, from 0: the power it belongs to.
            pub index: u8,
        }

        impl $crate::request::Request for $name {
            type Response = $response;
            const MESSAGE_TYPE: $crate::MessageType = $crate::MessageType::$message_type;
            const ANSWER: $crate::AnswerKind = $crate::AnswerKind::Data;

            fn data(&self) -> Vec<u8> {
                vec![self.index]
            }

            fn parse(&self, data: &[u8]) -> Result<$response, $crate::ResponseError> {
                $crate::request::value::Decode::decode(Self::MESSAGE_TYPE, data)
            }
        }
    )*};
}

/// Commands without data; the answer is an acknowledgement.
macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident: $message_type:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl $crate::request::Request for $name {
            type Response = ();
            const MESSAGE_TYPE: $crate::MessageType = $crate::MessageType::$message_type;
            const ANSWER: $crate::AnswerKind = $crate::AnswerKind::Acknowledgement;

            fn parse(&self, _data: &[u8]) -> Result<(), $crate::ResponseError> {
                Ok(())
            }
        }
    )*};
}

/// Commands with data: the fields go out in order, the answer is an acknowledgement.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $value:ty),+ $(,)? }: $message_type:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $value),+
        }

        impl $crate::request::Request for $name {
            type Response = ();
            const MESSAGE_TYPE: $crate::MessageType = $crate::MessageType::$message_type;
            const ANSWER: $crate::AnswerKind = $crate::AnswerKind::Acknowledgement;

            fn data(&self) -> Vec<u8> {
                let mut data = Vec::new();
                $($crate::request::value::Encode::encode(&self.$field, &mut data);)+
                data
            }

            fn parse(&self, _data: &[u8]) -> Result<(), $crate::ResponseError> {
                Ok(())
            }
        }
    )*};
}

use {commands, indexed_queries, queries, settings};
