//! One type per request: its message type, its data, how long its answer may take, and what the answer means.

pub mod calibration;
pub mod exposure;
pub mod identity;
pub mod light;
pub mod rs232;
pub mod spectrum;
pub mod temperature;
mod value;

use std::time::Duration;

use super::deadline::deadline;
use super::frame::{Checksum, FRAME_LEN_MIN, Flags, Frame, IMMEDIATE_LEN_MAX, Version};
use super::message_type::MessageType;
use crate::units::IntegrationTime;

pub use value::Value;

/// Why an answer's data cannot be what was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ResponseError {
    /// Too few or too many bytes.
    #[error("the answer to {message_type} has {found} bytes of data, expected {expected}")]
    Length {
        /// What was asked.
        message_type: MessageType,
        /// Bytes the answer should have.
        expected: usize,
        /// Bytes it has.
        found: usize,
    },
    /// Text that is not printable ASCII.
    #[error("the answer to {message_type} is not printable ASCII")]
    Text {
        /// What was asked.
        message_type: MessageType,
    },
    /// A float that is NaN or infinite.
    #[error("the answer to {message_type} is not a finite number")]
    NotFinite {
        /// What was asked.
        message_type: MessageType,
    },
}

/// What the device sends back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A frame with data: the answer to a query.
    Data,
    /// A frame with the ACK flag, because the request asks for one: the answer to a command.
    Acknowledgement,
}

/// What an answer has to wait for: the data from which [`Timing::deadline`] computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The exposure of one scan.
    pub integration: IntegrationTime,
    /// Scans the device averages before it answers.
    pub scans: u32,
    /// Bytes of data in the answer.
    pub data_len: usize,
}

impl Timing {
    /// No exposure to wait for, an answer in one short frame.
    pub const PROMPT: Self = Self { integration: IntegrationTime::from_micros(0), scans: 0, data_len: 0 };

    /// How long the answer may take at this baud rate, request included.
    pub fn deadline(self, baud: u32) -> Duration {
        let payload_len = if self.data_len > IMMEDIATE_LEN_MAX { self.data_len } else { 0 };
        deadline(self.integration, self.scans, 2 * FRAME_LEN_MIN + payload_len, baud)
    }
}

/// One typed request.
pub trait Request {
    /// What the answer means.
    type Response;
    /// The number that names the request on the wire.
    const MESSAGE_TYPE: MessageType;
    /// Whether it is a query or a command.
    const ANSWER: Answer;

    /// The data sent along.
    fn data(&self) -> Vec<u8> {
        Vec::new()
    }

    /// What the answer has to wait for.
    fn timing(&self) -> Timing {
        Timing::PROMPT
    }

    /// The meaning of the answer's data.
    ///
    /// # Errors
    /// When the data does not have the length or form this request's answer has.
    fn parse(&self, data: &[u8]) -> Result<Self::Response, ResponseError>;

    /// The frame to send.
    fn frame(&self, regarding: u32, checksum: Checksum) -> Frame {
        let flags = match Self::ANSWER {
            Answer::Data => Flags::NONE,
            Answer::Acknowledgement => Flags::ACK_REQUESTED,
        };
        let message_type = Self::MESSAGE_TYPE;
        Frame { version: Version::V1_1, flags, error_number: 0, message_type, regarding, checksum, data: self.data() }
    }
}

/// Queries without data whose answer is one [`Value`].
macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident: $message_type:ident -> $response:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl $crate::request::Request for $name {
            type Response = $response;
            const MESSAGE_TYPE: $crate::MessageType = $crate::MessageType::$message_type;
            const ANSWER: $crate::Answer = $crate::Answer::Data;

            fn parse(&self, data: &[u8]) -> Result<$response, $crate::ResponseError> {
                $crate::request::Value::read(Self::MESSAGE_TYPE, data)
            }
        }
    )*};
}

/// Queries about one of several: the index goes out as u8, the answer is one [`Value`].
macro_rules! indexed_queries {
    ($($(#[$doc:meta])* $name:ident: $message_type:ident -> $response:ty;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            /// Which one, from 0.
            pub index: u8,
        }

        impl $crate::request::Request for $name {
            type Response = $response;
            const MESSAGE_TYPE: $crate::MessageType = $crate::MessageType::$message_type;
            const ANSWER: $crate::Answer = $crate::Answer::Data;

            fn data(&self) -> Vec<u8> {
                vec![self.index]
            }

            fn parse(&self, data: &[u8]) -> Result<$response, $crate::ResponseError> {
                $crate::request::Value::read(Self::MESSAGE_TYPE, data)
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
            const ANSWER: $crate::Answer = $crate::Answer::Acknowledgement;

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
            const ANSWER: $crate::Answer = $crate::Answer::Acknowledgement;

            fn data(&self) -> Vec<u8> {
                let mut data = Vec::new();
                $($crate::request::Value::write(&self.$field, &mut data);)+
                data
            }

            fn parse(&self, _data: &[u8]) -> Result<(), $crate::ResponseError> {
                Ok(())
            }
        }
    )*};
}

use {commands, indexed_queries, queries, settings};
