//! What differs between models, as constant tables.

use std::ops::Range;

use crate::units::{Counts, IntegrationTime};

/// How the laser is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaserControl {
    /// As a light source of the instrument: messages 0x00810031 and, to read it back, 0x00810021.
    LightSource {
        /// Module index, from 0.
        module: u8,
        /// Light source index within the module, from 0.
        source: u8,
    },
    /// By the lamp enable line at the accessory connector: messages 0x00110410 and, to read it back, 0x00110400.
    LampLine,
}

/// How a spectrum is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpectrumSource {
    /// 0x00101000: expose now, answer with u16 pixels.
    OnDemand,
    /// Acquire into the buffer (0x00100902), then fetch the oldest (0x00100928): 32 bytes of metadata and u32 pixels.
    Buffered,
}

/// One way to start an exposure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trigger {
    /// The number on the wire.
    pub mode: u8,
    /// What the data sheet calls it.
    pub name: &'static str,
}

/// One model of spectrometer.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// As in the configuration: `qepro`.
    pub name: &'static str,
    /// As its maker writes it: `QE Pro`.
    pub model: &'static str,
    /// Pixels in a spectrum.
    pub pixels: usize,
    /// 2 (u16) or 4 (u32).
    pub bytes_per_pixel: usize,
    /// Bytes before the first pixel.
    pub metadata_len: usize,
    /// How a spectrum is asked for.
    pub spectrum: SpectrumSource,
    /// Shortest exposure.
    pub integration_min: IntegrationTime,
    /// Longest exposure.
    pub integration_max: IntegrationTime,
    /// The reading at which a pixel saturates.
    pub saturation: Counts,
    /// Pixels that see light.
    pub active: Range<usize>,
    /// Pixels of the detector that are shielded from light. Vendor sources disagree which of a QE Pro's outer pixels are
    /// dark and which are dummies; these are the data sheet's.
    pub dark: &'static [Range<usize>],
    /// The rate after power-up, unless another was saved.
    pub baud_default: u32,
    /// The rates the port accepts, ascending.
    pub baud_rates: &'static [u32],
    /// The ways to start an exposure.
    pub triggers: &'static [Trigger],
    /// How the laser is switched where nothing else is configured.
    pub laser: LaserControl,
    /// Whether the detector is cooled, and so has a stable temperature worth waiting for.
    pub cooled: bool,
    /// Which of the readings of message 0x00400002 is the detector's, from 0.
    pub detector_sensor: usize,
}

impl Profile {
    /// QE Pro and QE Pro-Raman: 1044 pixels of an 18-bit converter, buffered, cooled.
    pub const QEPRO: Self = Self {
        name: "qepro",
        model: "QE Pro",
        pixels: 1044,
        bytes_per_pixel: 4,
        metadata_len: 32,
        spectrum: SpectrumSource::Buffered,
        integration_min: IntegrationTime::from_micros(8_000),
        integration_max: IntegrationTime::from_micros(1_600_000_000),
        saturation: Counts::new(200_000),
        active: 10..1034,
        dark: &[4..10, 1034..1040],
        baud_default: 9_600,
        baud_rates: &[9_600, 19_200, 38_400, 57_600, 115_200, 230_400],
        triggers: &[
            Trigger { mode: 0, name: "normal" },
            Trigger { mode: 1, name: "level" },
            Trigger { mode: 2, name: "synchronised" },
            Trigger { mode: 3, name: "edge" },
        ],
        laser: LaserControl::LightSource { module: 0, source: 0 },
        cooled: true,
        detector_sensor: 3,
    };

    /// STS: 1024 pixels of a 14-bit converter, on demand, uncooled.
    pub const STS: Self = Self {
        name: "sts",
        model: "STS",
        pixels: 1024,
        bytes_per_pixel: 2,
        metadata_len: 0,
        spectrum: SpectrumSource::OnDemand,
        integration_min: IntegrationTime::from_micros(10),
        integration_max: IntegrationTime::from_micros(85_000_000),
        saturation: Counts::new(16_383),
        active: 0..1024,
        dark: &[],
        baud_default: 9_600,
        baud_rates: &[9_600, 19_200, 38_400, 57_600, 115_200],
        triggers: &[
            Trigger { mode: 0, name: "on demand" },
            Trigger { mode: 1, name: "external rising edge" },
            Trigger { mode: 2, name: "internal, synchronised to the strobe" },
        ],
        laser: LaserControl::LampLine,
        cooled: false,
        detector_sensor: 0,
    };

    /// All there are.
    pub const ALL: [&'static Self; 2] = [&Self::QEPRO, &Self::STS];

    /// The profile of that name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// Bytes of data a spectrum has: metadata and pixels.
    pub const fn spectrum_len(&self) -> usize {
        self.metadata_len + self.pixels * self.bytes_per_pixel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_agree_with_themselves_and_with_the_data_sheets() {
        assert_eq!(Profile::QEPRO.spectrum_len(), 4208);
        assert_eq!(Profile::STS.spectrum_len(), 2048);
        for profile in Profile::ALL {
            assert_eq!(Profile::by_name(profile.name), Some(profile));
            assert!(profile.active.end <= profile.pixels);
            assert!(
                profile.dark.iter().all(|dark| dark.end <= profile.active.start || dark.start >= profile.active.end)
            );
            assert!(profile.integration_min < profile.integration_max);
            assert!(profile.baud_rates.is_sorted() && profile.baud_rates.contains(&profile.baud_default));
        }
    }
}
