//! What can be wrong with an answer that arrived undamaged.

use crate::message_type::MessageType;

/// Why the data of an answer cannot be what was asked for, although its frame is undamaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The answer has too few or too many bytes of data: another model, or another firmware, than was believed.
    #[error("the answer to {message_type} has {found} bytes of data, expected {expected}")]
    Length {
        /// The message type of the request and of the answer.
        message_type: MessageType,
        /// Bytes of data the answer should have.
        expected: usize,
        /// Bytes of data it has.
        found: usize,
    },
    /// A text holds bytes that are not printable ASCII.
    #[error("the answer to {message_type} is not printable ASCII")]
    Text {
        /// The message type of the request and of the answer.
        message_type: MessageType,
    },
    /// A quantity is NaN or infinite.
    #[error("the answer to {message_type} is not a finite number")]
    NotFinite {
        /// The message type of the request and of the answer.
        message_type: MessageType,
    },
}
