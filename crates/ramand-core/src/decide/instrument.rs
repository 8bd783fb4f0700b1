//! The instrument gate: whether what was measured is a spectrum at all. No model is needed for that.

use crate::median::upper_median;
use crate::outcome::Reason;
use crate::spectrum::{Laser, RawSpectrum};

/// What counts as the sample's signal: a percentile that a few hot pixels or a cosmic ray do not move.
const SIGNAL_PERCENTILE: f64 = 0.95;

/// Standard deviation of normal noise over the median of |2 yᵢ − yᵢ₋₁ − yᵢ₊₁|: 1.482602 / √6.
const NOISE_PER_SECOND_DIFFERENCE: f32 = 0.605_270_5;

/// What a measured spectrum must satisfy before any model may speak about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstrumentLimits {
    /// Pixels allowed at saturation.
    pub saturated_pixels_max: usize,
    /// Least [`signal_counts`].
    pub signal_counts_min: f32,
    /// Least [`signal_to_noise`].
    pub signal_to_noise_min: f32,
    /// What the device has to say about the laser.
    pub laser: LaserProof,
}

/// What counts as proof that the sample was illuminated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaserProof {
    /// The device says that it was on.
    Confirmed,
    /// The device does not say that it was off: for devices that cannot read their laser back.
    NotDenied,
}

/// Why a measured spectrum may not be interpreted; empty where nothing is wrong. A recorded spectrum has no
/// circumstances to judge, and passes.
pub fn instrument_reasons(spectrum: &RawSpectrum, limits: &InstrumentLimits) -> Vec<Reason> {
    let Some(acquisition) = spectrum.acquisition() else { return Vec::new() };
    let mut reasons = Vec::new();
    if let Some(number) = acquisition.device_exception {
        reasons.push(Reason::DeviceException { number });
    }
    let illuminated = match limits.laser {
        LaserProof::Confirmed => acquisition.laser == Laser::On,
        LaserProof::NotDenied => acquisition.laser != Laser::Off,
    };
    if !illuminated {
        reasons.push(Reason::LaserNotOn { laser: acquisition.laser });
    }
    if acquisition.saturated_pixels > limits.saturated_pixels_max {
        reasons.push(Reason::Saturated { pixels: acquisition.saturated_pixels });
    }
    let above_dark = above_dark(spectrum);
    let signal = signal(&above_dark);
    if signal < limits.signal_counts_min {
        reasons.push(Reason::TooDark { signal, minimum: limits.signal_counts_min });
    }
    let signal_to_noise = signal / noise(&above_dark);
    // Written so that 0 / 0, a spectrum without signal and noise, is too noisy as well.
    if signal_to_noise.is_nan() || signal_to_noise < limits.signal_to_noise_min {
        reasons.push(Reason::TooNoisy { signal_to_noise, minimum: limits.signal_to_noise_min });
    }
    reasons
}

/// The 95th percentile of light − dark, counts: fluorescence included, as it uses the detector's range just the same.
pub fn signal_counts(spectrum: &RawSpectrum) -> f32 {
    signal(&above_dark(spectrum))
}

/// [`signal_counts`] over the noise of one point, estimated from the spectrum itself as DER_SNR does (Stoehr et al. 2008,
/// ASP Conf. Ser. 394, 505): 1.482602 / √6 · median |2 yᵢ − yᵢ₋₁ − yᵢ₊₁| of light − dark, here of adjacent points. Bands several
/// points wide and any slope cancel in second differences; a few cosmic rays do not move a median. Infinite where the
/// noise is zero, NaN where the signal is zero too.
pub fn signal_to_noise(spectrum: &RawSpectrum) -> f32 {
    let above_dark = above_dark(spectrum);
    signal(&above_dark) / noise(&above_dark)
}

fn above_dark(spectrum: &RawSpectrum) -> Vec<f32> {
    match spectrum.dark() {
        Some(dark) => spectrum.light().iter().zip(dark).map(|(light, dark)| light - dark).collect(),
        None => spectrum.light().to_vec(),
    }
}

fn signal(above_dark: &[f32]) -> f32 {
    let rank = (SIGNAL_PERCENTILE * (above_dark.len() - 1) as f64).round() as usize;
    *above_dark.to_vec().select_nth_unstable_by(rank, f32::total_cmp).1
}

fn noise(above_dark: &[f32]) -> f32 {
    let mut differences: Vec<f32> =
        above_dark.windows(3).map(|points| (2.0 * points[1] - points[0] - points[2]).abs()).collect();
    upper_median(&mut differences, f32::total_cmp).map_or(0.0, |median| NOISE_PER_SECOND_DIFFERENCE * median)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;
    use rand_distr::{Distribution, Normal};

    use super::*;
    use crate::spectrum::{
        Acquisition, Counts, Instrument, IntegrationTime, LineStatistics, Origin, RamanShift, ShiftAxis, Wavelength,
        WavelengthCalibration,
    };

    const PIXELS: usize = 1024;

    /// Relative, of a median over 1022 correlated second differences.
    const ESTIMATE: f32 = 0.1;

    const LIMITS: InstrumentLimits = InstrumentLimits {
        saturated_pixels_max: 0,
        signal_counts_min: 200.0,
        signal_to_noise_min: 10.0,
        laser: LaserProof::Confirmed,
    };

    fn acquisition() -> Acquisition {
        let instrument = Instrument {
            model: "QE Pro".into(),
            serial: "QEP00001".into(),
            firmware: None,
            pixels: PIXELS,
            active: 0..PIXELS,
            calibration: WavelengthCalibration { coefficients: vec![], laser: Wavelength::from_nm(785.0) },
            nonlinearity: None,
            saturation: Counts::new(200_000.0),
        };
        Acquisition {
            instrument: Arc::new(instrument),
            taken: SystemTime::UNIX_EPOCH,
            integration: IntegrationTime::from_micros(1000),
            scans: 1,
            laser: Laser::On,
            saturated_pixels: 0,
            dark_noise: None,
            detector_temperature: None,
            took: std::time::Duration::ZERO,
            device_exception: None,
            line: LineStatistics::default(),
        }
    }

    /// Fluorescence and one band of the given height on a dark level of 1500, with the given noise.
    fn spectrum(height: f32, noise: f32, origin: Origin) -> RawSpectrum {
        let axis = ShiftAxis::even(RamanShift::from_per_cm(200.0), RamanShift::from_per_cm(2200.0), PIXELS);
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let normal = Normal::new(0.0f32, noise).expect("a standard deviation");
        let light = (0..PIXELS)
            .map(|pixel| {
                let band = (-0.5 * ((pixel as f32 - 500.0) / 4.0).powi(2)).exp();
                1500.0 + height * (0.5 + band + pixel as f32 / 2048.0) + normal.sample(&mut random)
            })
            .collect();
        RawSpectrum::new(Arc::new(axis.expect("even")), light, Some(vec![1500.0; PIXELS]), origin).expect("finite")
    }

    #[test]
    fn noise_is_estimated_beneath_slope_and_band() {
        for (height, noise) in [(1000.0, 10.0), (20_000.0, 50.0), (500.0, 5.0)] {
            let found = signal_to_noise(&spectrum(height, noise, Origin::Measured(acquisition())));
            // The 95th percentile lies at 95 % of the slope of the fluorescence.
            let expected = height * (0.5 + 0.95 * 0.5) / noise;
            assert!((found / expected - 1.0).abs() < 2.0 * ESTIMATE, "{found} instead of about {expected}");
        }
    }

    #[test]
    fn each_fault_of_a_measurement_has_its_reason() {
        type Change = fn(&mut Acquisition);
        let cases: [(Change, f32, f32, &[&str]); 8] = [
            (|_| {}, 1000.0, 10.0, &[]),
            (|a| a.saturated_pixels = 1, 1000.0, 10.0, &["saturated"]),
            (|a| a.device_exception = Some(9), 1000.0, 10.0, &["device-exception"]),
            (|a| a.laser = Laser::Off, 1000.0, 10.0, &["laser-not-on"]),
            (|a| a.laser = Laser::Unknown, 1000.0, 10.0, &["laser-not-on"]),
            (|_| {}, 100.0, 2.0, &["too-dark"]),
            (|_| {}, 1000.0, 150.0, &["too-noisy"]),
            (|_| {}, 0.0, 0.0, &["too-dark", "too-noisy"]),
        ];
        for (change, height, noise, expected) in cases {
            let mut acquisition = acquisition();
            change(&mut acquisition);
            let reasons = instrument_reasons(&spectrum(height, noise, Origin::Measured(acquisition)), &LIMITS);
            let codes: Vec<&str> = reasons.iter().map(Reason::code).collect();
            assert_eq!(codes, expected, "{reasons:?}");
        }
        let unproven = Acquisition { laser: Laser::Unknown, ..acquisition() };
        let lenient = InstrumentLimits { laser: LaserProof::NotDenied, ..LIMITS };
        assert_eq!(instrument_reasons(&spectrum(1000.0, 10.0, Origin::Measured(unproven)), &lenient), []);
    }

    #[test]
    fn a_recorded_spectrum_passes() {
        let recorded = spectrum(0.0, 0.0, Origin::Recorded { id: "a".into() });
        assert_eq!(instrument_reasons(&recorded, &LIMITS), []);
    }
}
