//! What lasting faults have made of the detector.

/// The detector's defects, none of which the device knows of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Defects {
    /// Pixels with a leak.
    pub(super) hot_pixels: Vec<usize>,
    /// The read noise, in times what it should be.
    pub(super) read_noise: f64,
    /// The amplifier: counts of one electron, in times what they should be.
    pub(super) gain: f64,
    /// The part of a full-scale reading that is missing, beyond what the device's own polynomial says; half of it at half
    /// scale and so on.
    pub(super) compression: f64,
}

impl Default for Defects {
    fn default() -> Self {
        Self { hot_pixels: Vec::new(), read_noise: 1.0, gain: 1.0, compression: 0.0 }
    }
}
