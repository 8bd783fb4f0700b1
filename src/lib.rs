//! ramand: a Raman spectrometer goes in over a serial line, a decision with its explanation comes out over MQTT.
//!
//! The parts meet in `daemon` only (ARCHITECTURE.md draws them). What is computed is in the crates below `crates/`.

pub mod acquire;
pub mod journal;
pub mod publish;
pub mod supervise;
pub mod update;
pub mod web;

pub mod cli;
pub mod config;
pub mod daemon;
pub mod doctor;

// Complete bundles, as the tests of ramand-model make them.
#[cfg(test)]
#[path = "../crates/ramand-model/tests/bundles/bundles.rs"]
#[expect(dead_code, reason = "the tests of whole bundles need more")]
mod bundles;
#[cfg(test)]
#[path = "../tests/support/missing.rs"]
mod missing;
#[cfg(test)]
#[path = "../crates/onnx-gradient/tests/gradients/networks.rs"]
#[expect(dead_code, reason = "the tests of gradients need more")]
mod networks;
