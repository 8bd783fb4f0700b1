//! A Raman spectrometer that is not there: its physics, and its answers on a pseudo-terminal.
//!
//! Everything here is computed from published band positions and assumed instrument figures (docs/simulator.md). Nothing
//! it produces was measured, except what a replay serves.

mod bands;
pub mod dataset;
mod detector;
mod fluorescence;
pub mod oils;
pub mod profile;
pub mod unit;
