//! Spectra as plain data with units: what the instrument measured, and what a model may see.
//!
//! A [`RawSpectrum`] holds counts on the instrument's own axis; a [`PreprocessedSpectrum`] holds what the preprocessing of a
//! model made of them, on the model's axis. They are different types, and `preprocess` is the only way across.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A Raman shift in cm⁻¹.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct RamanShift(f64);

impl RamanShift {
    /// From a number of cm⁻¹.
    pub const fn from_per_cm(shift: f64) -> Self {
        Self(shift)
    }

    /// As a number of cm⁻¹.
    pub const fn per_cm(self) -> f64 {
        self.0
    }

    /// The wavelength at which light of `laser` is scattered with this shift: λ = 1 / (1/λ₀ − ν̃·10⁻⁷), nm and cm⁻¹.
    pub fn wavelength(self, laser: Wavelength) -> Wavelength {
        Wavelength(1.0 / (1.0 / laser.0 - self.0 * 1e-7))
    }
}

/// A wavelength in nm. Laser and detector must use the same convention (air or vacuum).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Wavelength(f64);

impl Wavelength {
    /// From a number of nm.
    pub const fn from_nm(wavelength: f64) -> Self {
        Self(wavelength)
    }

    /// As a number of nm.
    pub const fn nm(self) -> f64 {
        self.0
    }

    /// The Raman shift of light of this wavelength excited by `laser`: ν̃ = 10⁷ (1/λ₀ − 1/λ).
    pub fn shift(self, laser: Wavelength) -> RamanShift {
        RamanShift(1e7 * (1.0 / laser.0 - 1.0 / self.0))
    }
}

/// A detector reading in counts (analogue-to-digital units).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Counts(f32);

impl Counts {
    /// From a number of counts.
    pub const fn new(counts: f32) -> Self {
        Self(counts)
    }

    pub const fn value(self) -> f32 {
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

/// The exposure of one scan, whole microseconds as spectrometers take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IntegrationTime(u64);

impl IntegrationTime {
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    pub const fn micros(self) -> u64 {
        self.0
    }
}

/// Why a list of numbers is not an axis.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AxisError {
    /// Fewer than two points carry no interval.
    #[error("an axis needs at least 2 points, this one has {points}")]
    TooShort {
        /// How many there were.
        points: usize,
    },
    /// NaN or infinite.
    #[error("point {index} of the axis is not a finite number")]
    NotFinite {
        /// Position in the list, from 0.
        index: usize,
    },
    /// Equal or descending neighbours.
    #[error("the axis does not increase at point {index}: {before} cm-1 is followed by {after} cm-1")]
    NotIncreasing {
        /// Position of the later point, from 0.
        index: usize,
        /// Its predecessor, cm⁻¹.
        before: f64,
        /// The point itself, cm⁻¹.
        after: f64,
    },
}

/// Raman shifts in cm⁻¹: at least two, finite, strictly increasing.
#[derive(Debug, Clone, PartialEq)]
pub struct ShiftAxis {
    shifts: Box<[f64]>,
}

impl ShiftAxis {
    /// # Errors
    /// When the shifts are fewer than two, not finite or not strictly increasing.
    pub fn new(shifts: Vec<f64>) -> Result<Self, AxisError> {
        if shifts.len() < 2 {
            return Err(AxisError::TooShort { points: shifts.len() });
        }
        if let Some(index) = shifts.iter().position(|shift| !shift.is_finite()) {
            return Err(AxisError::NotFinite { index });
        }
        if let Some(index) = shifts.windows(2).position(|pair| pair[0] >= pair[1]) {
            let (before, after) = (shifts[index], shifts[index + 1]);
            return Err(AxisError::NotIncreasing { index: index + 1, before, after });
        }
        Ok(Self { shifts: shifts.into() })
    }

    /// `points` equidistant shifts from `first` to `last`, both included.
    ///
    /// # Errors
    /// As [`ShiftAxis::new`].
    pub fn even(first: RamanShift, last: RamanShift, points: usize) -> Result<Self, AxisError> {
        let step = (last.0 - first.0) / (points.max(2) - 1) as f64;
        Self::new((0..points).map(|i| first.0 + step * i as f64).collect())
    }

    /// The shifts in cm⁻¹.
    pub fn per_cm(&self) -> &[f64] {
        &self.shifts
    }

    #[expect(clippy::len_without_is_empty, reason = "an axis has at least two points")]
    pub fn len(&self) -> usize {
        self.shifts.len()
    }

    /// The smallest shift.
    pub fn first(&self) -> RamanShift {
        RamanShift(self.shifts[0])
    }

    /// The largest shift.
    pub fn last(&self) -> RamanShift {
        RamanShift(self.shifts[self.shifts.len() - 1])
    }

    /// The mean distance between neighbours, cm⁻¹.
    pub fn mean_step(&self) -> f64 {
        (self.last().0 - self.first().0) / (self.len() - 1) as f64
    }

    /// Whether `other` lies within this axis, ends included, so that it can be reached without extrapolation.
    pub fn covers(&self, other: &ShiftAxis) -> bool {
        self.first() <= other.first() && other.last() <= self.last()
    }

    /// The indices of the points in `from..=to`; empty where there are none.
    pub fn range(&self, from: RamanShift, to: RamanShift) -> Range<usize> {
        let start = self.shifts.partition_point(|&shift| shift < from.0);
        let end = self.shifts.partition_point(|&shift| shift <= to.0);
        start..end.max(start)
    }
}

/// From detector pixel to Raman shift: λ(p) = Σ cᵢ pⁱ in nm, p from 0, then ν̃ = 10⁷ (1/λ₀ − 1/λ).
#[derive(Debug, Clone, PartialEq)]
pub struct WavelengthCalibration {
    /// cᵢ in nm per pixelⁱ, ascending powers.
    pub coefficients: Vec<f64>,
    /// The measured laser wavelength: 0.1 nm at 785 nm moves every band by 1.6 cm⁻¹.
    pub laser: Wavelength,
}

impl WavelengthCalibration {
    /// The wavelength a pixel sees (Horner's scheme).
    pub fn wavelength(&self, pixel: f64) -> Wavelength {
        Wavelength(self.coefficients.iter().rev().fold(0.0, |sum, c| sum * pixel + c))
    }

    /// The axis of the pixels in `active`.
    ///
    /// # Errors
    /// When the coefficients do not give increasing shifts: a spectrometer that was never calibrated, say.
    pub fn axis(&self, active: Range<usize>) -> Result<ShiftAxis, AxisError> {
        ShiftAxis::new(active.map(|pixel| self.wavelength(pixel as f64).shift(self.laser).0).collect())
    }
}

/// Detector response: true = measured / Σ nᵢ measuredⁱ, on counts above dark.
#[derive(Debug, Clone, PartialEq)]
pub struct Nonlinearity {
    /// nᵢ, ascending powers.
    pub coefficients: Vec<f64>,
}

impl Nonlinearity {
    /// The corrected counts. A polynomial outside 0.5..=2 is no detector's: the reading stays as it was.
    pub fn correct(&self, above_dark: f32) -> f32 {
        let response = self.coefficients.iter().rev().fold(0.0, |sum, n| sum * f64::from(above_dark) + n);
        if (0.5..=2.0).contains(&response) { (f64::from(above_dark) / response) as f32 } else { above_dark }
    }
}

/// Who measured: read from the device once, at identification.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    /// The model's name, as in `QE Pro`.
    pub model: String,
    /// The serial number: the instrument's identity.
    pub serial: String,
    /// Firmware revision, as the device gives it.
    pub firmware: Option<String>,
    /// Number of detector pixels the device sends.
    pub pixels: usize,
    /// The pixels that see light.
    pub active: Range<usize>,
    /// Pixel to shift.
    pub calibration: WavelengthCalibration,
    /// `None` where the device has none or sends nonsense.
    pub nonlinearity: Option<Nonlinearity>,
    /// The reading at which a pixel saturates.
    pub saturation: Counts,
}

/// Whether the sample was illuminated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Laser {
    /// On, read back from the device.
    On,
    /// Off, read back from the device.
    Off,
    /// The device cannot say.
    Unknown,
}

/// What the serial line went through to bring one spectrum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineStatistics {
    /// Requests sent again.
    pub retries: u32,
    /// Answers to older requests, dropped.
    pub stale_frames: u32,
    /// Frames with a wrong checksum, footer or header.
    pub damaged_frames: u32,
}

/// The circumstances of one measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Acquisition {
    /// By whom.
    pub instrument: Arc<Instrument>,
    /// End of the exposure, wall clock.
    pub taken: SystemTime,
    /// From the request to the last byte: warm-up, exposures, transfer, and a dark frame where one was due.
    pub took: Duration,
    /// Exposure of one scan.
    pub integration: IntegrationTime,
    /// Scans averaged.
    pub scans: u32,
    /// Whether the sample was illuminated during the light frame.
    pub laser: Laser,
    /// Active pixels at or above [`Instrument::saturation`] in the light frame.
    pub saturated_pixels: usize,
    /// Pixel-to-pixel noise of the dark frame, counts: a robust standard deviation.
    pub dark_noise: Option<Counts>,
    /// The detector's temperature.
    pub detector_temperature: Option<Celsius>,
    /// The device's error number, when it marked the frame as possibly spoilt.
    pub device_exception: Option<u16>,
    /// The serial line's troubles on the way.
    pub line: LineStatistics,
}

/// Where a spectrum comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// From an instrument, now.
    Measured(Acquisition),
    /// From a file.
    Recorded {
        /// The row's identifier.
        id: String,
    },
}

/// Why counts do not make a spectrum.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpectrumError {
    /// A frame and its axis differ in length.
    #[error("the {frame} frame has {values} values, the axis {points}")]
    Length {
        /// `light` or `dark`.
        frame: &'static str,
        /// Values in the frame.
        values: usize,
        /// Points of the axis.
        points: usize,
    },
    /// NaN or infinite counts.
    #[error("value {index} of the {frame} frame is not a finite number")]
    NotFinite {
        /// `light` or `dark`.
        frame: &'static str,
        /// Position, from 0.
        index: usize,
    },
}

/// Counts on the instrument's axis, as measured: nothing subtracted, nothing smoothed.
#[derive(Debug, Clone, PartialEq)]
pub struct RawSpectrum {
    axis: Arc<ShiftAxis>,
    light: Vec<f32>,
    dark: Option<Vec<f32>>,
    origin: Origin,
}

impl RawSpectrum {
    /// `light` (and `dark`, taken with the laser off and the same exposure) in counts, one value per axis point.
    ///
    /// # Errors
    /// When a frame's length differs from the axis, or a value is not finite.
    pub fn new(
        axis: Arc<ShiftAxis>,
        light: Vec<f32>,
        dark: Option<Vec<f32>>,
        origin: Origin,
    ) -> Result<Self, SpectrumError> {
        let frames = [("light", Some(&light)), ("dark", dark.as_ref())];
        for (frame, values) in frames.into_iter().filter_map(|(name, values)| Some((name, values?))) {
            if values.len() != axis.len() {
                return Err(SpectrumError::Length { frame, values: values.len(), points: axis.len() });
            }
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(SpectrumError::NotFinite { frame, index });
            }
        }
        Ok(Self { axis, light, dark, origin })
    }

    /// The instrument's axis.
    pub fn axis(&self) -> &Arc<ShiftAxis> {
        &self.axis
    }

    /// Counts with the laser on, or whatever unit a recording has.
    pub fn light(&self) -> &[f32] {
        &self.light
    }

    /// Counts with the laser off, same exposure.
    pub fn dark(&self) -> Option<&[f32]> {
        self.dark.as_deref()
    }

    /// Where the spectrum comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The circumstances, for a measured spectrum.
    pub fn acquisition(&self) -> Option<&Acquisition> {
        match &self.origin {
            Origin::Measured(acquisition) => Some(acquisition),
            Origin::Recorded { .. } => None,
        }
    }
}

/// What a model sees: one or more channels on the model's axis. Only `preprocess` makes these.
#[derive(Debug, Clone, PartialEq)]
pub struct PreprocessedSpectrum {
    axis: Arc<ShiftAxis>,
    channels: usize,
    values: Vec<f32>,
}

impl PreprocessedSpectrum {
    /// `values` is `[channels][axis.len()]`, row-major.
    pub fn assemble(axis: Arc<ShiftAxis>, channels: usize, values: Vec<f32>) -> Self {
        assert_eq!(values.len(), channels * axis.len(), "preprocessing keeps channels and axis in step");
        Self { axis, channels, values }
    }

    /// The model's axis.
    pub fn axis(&self) -> &Arc<ShiftAxis> {
        &self.axis
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// `[channels][points]`, row-major, without unit.
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_increases_strictly() {
        assert_eq!(ShiftAxis::new(vec![1.0]), Err(AxisError::TooShort { points: 1 }));
        assert_eq!(ShiftAxis::new(vec![1.0, f64::NAN]), Err(AxisError::NotFinite { index: 1 }));
        let flat = ShiftAxis::new(vec![1.0, 2.0, 2.0]);
        assert_eq!(flat, Err(AxisError::NotIncreasing { index: 2, before: 2.0, after: 2.0 }));
    }

    #[test]
    fn wavelength_and_shift_are_inverse() {
        let laser = Wavelength::from_nm(785.0);
        for shift in [0.0, 520.7, 1656.0, 3013.0] {
            let there = RamanShift::from_per_cm(shift).wavelength(laser);
            assert!((there.shift(laser).per_cm() - shift).abs() < 1e-9);
        }
        // 1656 cm-1 from 785 nm: 1 / (1/785 - 1656e-7) = 902.29 nm, by hand.
        assert!((RamanShift::from_per_cm(1656.0).wavelength(laser).nm() - 902.29).abs() < 0.01);
    }

    #[test]
    fn a_range_of_shifts_is_inclusive_and_may_be_empty() {
        let axis = ShiftAxis::even(RamanShift(800.0), RamanShift(1000.0), 51).expect("increasing");
        assert_eq!(axis.range(RamanShift(804.0), RamanShift(812.0)), 1..4);
        assert!(axis.range(RamanShift(801.0), RamanShift(802.0)).is_empty());
    }

    #[test]
    fn a_nonsense_nonlinearity_changes_nothing() {
        assert_eq!(Nonlinearity { coefficients: vec![0.0; 8] }.correct(1000.0), 1000.0);
        assert_eq!(Nonlinearity { coefficients: vec![1.0, 1e-4] }.correct(1000.0), (1000.0 / 1.1) as f32);
    }

    #[test]
    fn a_spectrum_refuses_what_is_not_finite_or_does_not_fit() {
        let axis = Arc::new(ShiftAxis::new(vec![1.0, 2.0]).expect("increasing"));
        let origin = || Origin::Recorded { id: "a".into() };
        let short = RawSpectrum::new(axis.clone(), vec![1.0], None, origin());
        assert_eq!(short, Err(SpectrumError::Length { frame: "light", values: 1, points: 2 }));
        let hole = RawSpectrum::new(axis, vec![1.0, 2.0], Some(vec![0.0, f32::NAN]), origin());
        assert_eq!(hole, Err(SpectrumError::NotFinite { frame: "dark", index: 1 }));
    }
}
