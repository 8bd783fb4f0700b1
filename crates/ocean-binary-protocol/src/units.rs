//! The quantities that travel in messages, each with the unit the instrument uses.

use std::time::Duration;

/// A detector reading in counts (analogue-to-digital units).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counts(u32);

impl Counts {
    /// From a number of counts.
    pub const fn new(counts: u32) -> Self {
        Self(counts)
    }

    /// As a number of counts.
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// A temperature in °C.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Celsius(f32);

impl Celsius {
    /// From a number of °C.
    pub const fn new(degrees: f32) -> Self {
        Self(degrees)
    }

    /// As a number of °C.
    pub const fn degrees(self) -> f32 {
        self.0
    }
}

/// The exposure of one scan, in whole microseconds as the instrument takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IntegrationTime(u64);

impl IntegrationTime {
    /// From microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// As microseconds.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0)
    }
}
