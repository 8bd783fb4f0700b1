//! A Raman spectrometer that is not there: its physics, and its answers on a pseudo-terminal.
//!
//! Everything here is computed from published band positions and assumed instrument figures (docs/simulator.md). Nothing
//! it produces was measured, except what a replay serves.

mod bands;
mod camera;
mod controls;
pub mod dataset;
mod defects;
mod detector;
pub mod faults;
mod fluorescence;
mod instrument;
mod interpolate;
mod line;
pub mod oils;
pub mod profile;
mod pty;
mod replay;
mod responder;
pub mod scenario;
mod simulator;
mod stage;
mod unit;

pub use line::Pacing;
pub use simulator::{ReplayNoise, SimError, Simulator, SimulatorSettings, StageSource};
pub use stage::{OnStage, Served};

#[cfg(test)]
mod tests;
