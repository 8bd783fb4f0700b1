//! What leaves the box: wire records, what to send next, and MQTT.
