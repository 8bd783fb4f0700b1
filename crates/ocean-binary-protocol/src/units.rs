//! The quantities that travel in messages, each with the unit the instrument uses.

use std::time::Duration;

/// A detector reading in counts, the units of the analogue-to-digital converter. Zero is the converter's zero, not darkness: an
/// unlit pixel reads the electronic baseline and its dark current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counts(u32);

impl Counts {
    /// A reading of this many counts.
    pub const fn new(counts: u32) -> Self {
        Self(counts)
    }

    /// The number of counts.
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// A temperature in degrees Celsius, as devices report it: single precision. On the wire f32.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Celsius(f32);

impl Celsius {
    /// A temperature of this many degrees Celsius.
    pub const fn new(degrees: f32) -> Self {
        Self(degrees)
    }

    /// The number of degrees Celsius.
    pub const fn degrees(self) -> f32 {
        self.0
    }
}

/// The exposure of one scan, in whole microseconds as the instrument takes it. On the wire u32, so that nothing above
/// 4,294,967,295 µs (71 minutes) can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IntegrationTime(u64);

impl IntegrationTime {
    /// An exposure of this many microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The number of microseconds.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The same as a duration of the standard library.
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0)
    }
}
