//! One instrument of a family: its serial number, its calibration, and the small errors nobody wrote into it.

use ramand_core::spectrum::{RamanShift, Wavelength, WavelengthCalibration};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::bands::{CH2_PER_CM, CONSTITUENTS, blurred_library};
use super::defects::Defects;
use super::fluorescence::{SHAPES, shapes};
use super::interpolate::linear;
use super::profile::{FamilyFigures, InstrumentFamily};

/// Standard deviation of the laser's wavelength against the nominal one that everybody computes with, nm.
const LASER_SPREAD_NM: f64 = 0.02;

/// Standard deviation of the calibration's own error, nm, and how far the calibrated range differs between units.
const AXIS_SPREAD_NM: f64 = 0.01;
const RANGE_SPREAD_NM: f64 = 0.2;

/// Relative standard deviations of resolution and throughput, and of the slope of the response per nm.
const RESOLUTION_SPREAD: f64 = 0.05;
const THROUGHPUT_SPREAD: f64 = 0.15;
const TILT_SPREAD_PER_NM: f64 = 0.000_3;

/// Curvature of the dispersion, nm per pixel² and pixel³: of the size vendors write into 785 nm instruments.
const CURVATURE: [f64; 2] = [-4.0e-6, -1.0e-10];

/// Detector response about the CH2 band: relative change per nm and per nm². Silicon loses sensitivity towards 1 µm.
const RESPONSE_PER_NM: f64 = -0.002_5;
const RESPONSE_PER_NM2: f64 = -5e-6;

/// The long-pass filter that keeps the laser line out: its edge and width, cm⁻¹.
const EDGE_PER_CM: f64 = 165.0;
const EDGE_WIDTH_PER_CM: f64 = 8.0;

/// Period of the fringes of a detector thinned to about 15 µm, nm.
const ETALON_PERIOD_NM: f64 = 7.0;

/// One instrument. The public part is what its memory says; the rest is what is true.
#[derive(Debug, Clone)]
pub(super) struct InstrumentUnit {
    /// The family's figures.
    pub(super) model: &'static FamilyFigures,
    pub(super) serial: String,
    /// Wavelength coefficients as stored: single precision.
    pub(super) wavelength_coefficients: [f32; 4],
    /// Nonlinearity coefficients as stored.
    pub(super) nonlinearity: [f32; 8],
    /// Counts per second and unit of each constituent (then each background shape) on each pixel.
    pub(super) response: [Vec<f64>; CONSTITUENTS + SHAPES],
    /// Offset of each pixel, counts.
    pub(super) offsets: Vec<f64>,
    /// What has gone wrong since.
    pub(super) defects: Defects,
}

impl InstrumentUnit {
    /// The instrument number `number` of a family; the same number is the same instrument.
    pub(super) fn new(profile: InstrumentFamily, number: u64) -> Self {
        let model = profile.model();
        let mut rng = ChaCha8Rng::seed_from_u64(number);
        let mut normal = |spread: f64| spread * Distribution::<f64>::sample(&StandardNormal, &mut rng);

        let wavelength_coefficients = coefficients(model, normal(RANGE_SPREAD_NM));
        let stored = WavelengthCalibration {
            coefficients: wavelength_coefficients.iter().copied().map(f64::from).collect(),
            laser: Wavelength::from_nm(model.laser_nm),
        };
        let laser = Wavelength::from_nm(model.laser_nm + normal(LASER_SPREAD_NM));
        let axis_error_nm = normal(AXIS_SPREAD_NM);
        let resolution_per_cm = model.resolution_per_cm * (1.0 + normal(RESOLUTION_SPREAD));
        let throughput = model.signal_per_s * normal(THROUGHPUT_SPREAD).exp();
        let tilt_per_nm = RESPONSE_PER_NM + normal(TILT_SPREAD_PER_NM);
        let etalon_phase = normal(std::f64::consts::TAU);
        let ch2_nm = RamanShift::from_per_cm(CH2_PER_CM).wavelength(laser).nm();

        let seen = blurred_library(resolution_per_cm);
        let mut response: [Vec<f64>; CONSTITUENTS + SHAPES] = std::array::from_fn(|_| vec![0.0; model.pixels]);
        for pixel in model.optical.clone() {
            let wavelength = Wavelength::from_nm(stored.wavelength(pixel as f64).nm() + axis_error_nm);
            let shift_per_cm = wavelength.shift(laser).per_cm();
            let from_ch2 = wavelength.nm() - ch2_nm;
            let fringe =
                model.etalon * (std::f64::consts::TAU * wavelength.nm() / ETALON_PERIOD_NM + etalon_phase).sin();
            let filter = 1.0 / (1.0 + ((EDGE_PER_CM - shift_per_cm) / EDGE_WIDTH_PER_CM).exp());
            let gain = throughput
                * filter
                * (1.0 + tilt_per_nm * from_ch2 + RESPONSE_PER_NM2 * from_ch2.powi(2)).max(0.0)
                * (1.0 + fringe)
                * (1.0 + normal(model.gain_pattern));
            for (values, spectrum) in response.iter_mut().zip(&seen) {
                values[pixel] = gain * linear(spectrum, shift_per_cm);
            }
            for (values, shape) in response[CONSTITUENTS..].iter_mut().zip(shapes(shift_per_cm)) {
                values[pixel] = gain * shape;
            }
        }
        let offsets = (0..model.pixels).map(|_| normal(model.offset_pattern)).collect();
        Self {
            model,
            serial: serial(model, number),
            wavelength_coefficients,
            nonlinearity: model.nonlinearity.map(|coefficient| coefficient as f32),
            response,
            offsets,
            defects: Defects::default(),
        }
    }

    /// Pixel to shift by the stored coefficients and the nominal laser wavelength: what a host computes.
    pub(super) fn calibration(&self) -> WavelengthCalibration {
        WavelengthCalibration {
            coefficients: self.wavelength_coefficients.iter().copied().map(f64::from).collect(),
            laser: Wavelength::from_nm(self.model.laser_nm),
        }
    }
}

/// The serial number of the unit of that number.
pub(super) fn serial(model: &FamilyFigures, number: u64) -> String {
    format!("{}{:05}", model.serial_prefix, number % 100_000)
}

/// Coefficients that put the family's range on its optical pixels, moved by `offset_nm`.
fn coefficients(model: &FamilyFigures, offset_nm: f64) -> [f32; 4] {
    let laser = Wavelength::from_nm(model.laser_nm);
    let [from, to] = model.shifts_per_cm.map(|shift| RamanShift::from_per_cm(shift).wavelength(laser).nm());
    let (first, last) = (model.optical.start as f64, (model.optical.end - 1) as f64);
    let curve = |pixel: f64| CURVATURE[0] * pixel.powi(2) + CURVATURE[1] * pixel.powi(3);
    let slope = (to - from - curve(last) + curve(first)) / (last - first);
    let intercept = from - slope * first - curve(first);
    [intercept + offset_nm, slope, CURVATURE[0], CURVATURE[1]].map(|coefficient| coefficient as f32)
}
