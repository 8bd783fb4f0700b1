//! What is common to all instruments of one model: geometry, limits, noise, and how far one unit differs from the next.
//!
//! Pixel layout, limits and line rates are the vendor's (SeaBreeze sample code and sheets, docs/simulator.md). Noise,
//! throughput and unit-to-unit spread are assumptions of a plausible 785 nm instrument and are listed as such there.

use std::ops::Range;

/// The families of instruments that can be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InstrumentFamily {
    /// Ocean Insight QE Pro-Raman: cooled, 18 bit, 1044 pixels of u32 behind 32 bytes of metadata.
    #[default]
    QePro,
    /// Ocean Insight STS: not cooled, 14 bit, 1024 pixels of u16.
    Sts,
}

impl InstrumentFamily {
    /// Every profile, in the order the command line lists them.
    pub const ALL: [Self; 2] = [Self::QePro, Self::Sts];

    /// The name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QePro => "qepro",
            Self::Sts => "sts",
        }
    }

    /// The profile of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Its figures.
    pub(super) const fn model(self) -> &'static FamilyFigures {
        match self {
            Self::QePro => &QE_PRO,
            Self::Sts => &STS,
        }
    }
}

/// The figures of one family of instruments. Rates are per second of exposure.
#[derive(Debug)]
pub(super) struct FamilyFigures {
    /// Start of every serial number.
    pub(super) serial_prefix: &'static str,
    /// Pixels in a spectrum as sent.
    pub(super) pixels: usize,
    /// Pixels behind the grating.
    pub(super) optical: Range<usize>,
    /// Real pixels under a mask: dark current, no light.
    pub(super) masked: [Range<usize>; 2],
    /// Largest count the converter gives.
    pub(super) counts_max: u32,
    /// Shortest and longest exposure, µs.
    pub(super) integration_us: [u32; 2],
    /// Exposure after power-up, µs.
    pub(super) integration_default_us: u32,
    /// Largest trigger mode.
    pub(super) trigger_mode_max: u8,
    /// Line rates the device accepts; the first is the one after a reset to defaults.
    pub(super) bauds: &'static [u32],
    /// Nominal laser wavelength, nm.
    pub(super) laser_nm: f64,
    /// Raman shifts at the first and the last optical pixel, cm⁻¹, nominal.
    pub(super) shifts_per_cm: [f64; 2],
    /// Width (FWHM) of the optical resolution, cm⁻¹.
    pub(super) resolution_per_cm: f64,
    /// Counts per second of the CH2 band at 1440 cm⁻¹ of an oil, at full laser power.
    pub(super) signal_per_s: f64,
    /// Photoelectrons per count.
    pub(super) electrons_per_count: f64,
    /// Standard deviation of the read noise, counts.
    pub(super) read_noise: f64,
    /// Electronic baseline, counts.
    pub(super) baseline: f64,
    /// Standard deviation of the pixel-to-pixel offset, counts; the on-board correction removes it.
    pub(super) offset_pattern: f64,
    /// Standard deviation of the pixel-to-pixel gain.
    pub(super) gain_pattern: f64,
    /// Relative amplitude of the fringes of a thinned detector.
    pub(super) etalon: f64,
    /// Dark current at the temperature below, counts per second; doubles every 7 K.
    pub(super) dark_per_s: f64,
    /// Detector temperature the dark current refers to, °C: the cooler's setpoint, or the room.
    pub(super) temperature_c: f64,
    /// Whether there is a thermoelectric cooler.
    pub(super) cooled: bool,
    /// Cosmic rays per second on the whole detector.
    pub(super) cosmic_rays_per_s: f64,
    /// true = measured / Σ nᵢ measuredⁱ on counts above baseline.
    pub(super) nonlinearity: [f64; 8],
}

/// QE Pro-Raman. SeaBreeze `demo-qepro-api.c` gives the pixel layout 4 dummy, 6 dark, 1024 optical, 6 dark, 4 dummy.
static QE_PRO: FamilyFigures = FamilyFigures {
    serial_prefix: "QEP",
    pixels: 1044,
    optical: 10..1034,
    masked: [4..10, 1034..1040],
    counts_max: 200_000,
    integration_us: [8_000, 1_600_000_000],
    integration_default_us: 100_000,
    trigger_mode_max: 3,
    bauds: &[9_600, 19_200, 38_400, 57_600, 115_200, 230_400],
    laser_nm: 785.0,
    shifts_per_cm: [150.0, 2100.0],
    resolution_per_cm: 7.0,
    signal_per_s: 100_000.0,
    electrons_per_count: 1.5,
    read_noise: 2.5,
    baseline: 1_500.0,
    offset_pattern: 4.0,
    gain_pattern: 0.003,
    etalon: 0.003,
    dark_per_s: 20.0,
    temperature_c: -10.0,
    cooled: true,
    cosmic_rays_per_s: 0.05,
    nonlinearity: [0.995, 1.5e-7, -6e-13, 0.0, 0.0, 0.0, 0.0, 0.0],
};

/// STS with a coarse 785 nm Raman set-up; every pixel sees light.
static STS: FamilyFigures = FamilyFigures {
    serial_prefix: "S",
    pixels: 1024,
    optical: 0..1024,
    masked: [0..0, 0..0],
    counts_max: 16_383,
    integration_us: [10, 85_000_000],
    integration_default_us: 100_000,
    trigger_mode_max: 2,
    bauds: &[9_600, 19_200, 38_400, 57_600, 115_200],
    laser_nm: 785.0,
    shifts_per_cm: [150.0, 2100.0],
    resolution_per_cm: 14.0,
    signal_per_s: 8_000.0,
    electrons_per_count: 50.0,
    read_noise: 3.5,
    baseline: 1_500.0,
    offset_pattern: 6.0,
    gain_pattern: 0.005,
    etalon: 0.0,
    dark_per_s: 60.0,
    temperature_c: 25.0,
    cooled: false,
    cosmic_rays_per_s: 0.01,
    nonlinearity: [0.99, 2e-6, -8e-11, 0.0, 0.0, 0.0, 0.0, 0.0],
};
