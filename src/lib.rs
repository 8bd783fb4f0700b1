//! ramand: a Raman spectrometer goes in over a serial line, a decision with its explanation comes out over MQTT.
//!
//! Modules are layers (ARCHITECTURE.md draws them, `tests/tidy.rs` enforces them): plain data first, pure computation
//! next, then the parts that touch a device, a file or a network. They meet in `inspect` and `daemon`.

// Layer 0: plain data with units.
pub mod failure;
pub mod outcome;
pub mod record;
pub mod spectrum;

// Layer 1: pure computation. No IO, no clock, no threads.
pub mod axis_check;
pub mod decide;
pub mod gradient;
pub mod obp;
pub mod preprocess;

// Layer 2: the outside world, one part each.
pub mod acquire;
pub mod evaluate;
pub mod infer;
pub mod journal;
pub mod publish;
pub mod recording;
pub mod sim;
pub mod supervise;
pub mod train;
pub mod update;
pub mod web;

// Layer 3: where the parts meet.
pub mod cli;
pub mod config;
pub mod daemon;
pub mod delivery;
pub mod doctor;
pub mod inspect;

#[cfg(test)]
#[path = "../tests/support/root.rs"]
mod root;
