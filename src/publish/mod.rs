//! What leaves the box: wire records, what to send next, and MQTT.

pub mod forwarder;
pub mod topics;
pub mod wire;
