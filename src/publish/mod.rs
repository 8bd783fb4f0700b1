//! What leaves the box: wire records, what to send next, and MQTT.

#[cfg(feature = "broker")]
pub mod broker;
mod connection;
mod error;
mod mqtt;
pub mod topics;
pub mod wire;

pub use connection::{BrokerAddress, ClientCertificate, Credentials, PAYLOAD_BYTES_MAX, Security, reach};
pub use error::PublishError;
pub use mqtt::{Delivery, Link, Outbox, OutboxError, Publisher, PublisherSettings};
pub use topics::{Latest, TopicError, Topics};
