//! What differs between the models, as constant tables.
//!
//! Source: the QE Pro and STS data sheets by way of SeaBreeze's sample code (`demo-qepro-api.c`, `demo-sts-api.c`), which Ocean's
//! engineers wrote after them, and pyseabreeze's tables.

use std::ops::Range;

use crate::request::spectrum::{buffered_len, on_demand_len};
use crate::units::{Counts, IntegrationTime};

/// How the laser is switched: what the host has to send. Which one applies depends on the wiring as much as on the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaserControl {
    /// As a light source of the instrument:
    /// [`EnableLightSource`](crate::request::light::EnableLightSource) switches it,
    /// [`LightSourceEnabled`](crate::request::light::LightSourceEnabled) reads it back.
    LightSource {
        /// Module index, from 0.
        module: u8,
        /// Light source index within the module, from 0.
        source: u8,
    },
    /// By the lamp enable line at the accessory connector: [`SetLampLine`](crate::request::light::SetLampLine) drives it,
    /// [`LampLine`](crate::request::light::LampLine) reads it back.
    LampLine,
}

/// How a spectrum is asked for, which also says how its pixels travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpectrumSource {
    /// One request exposes and is answered with u16 pixels: [`CorrectedSpectrum`](crate::request::spectrum::CorrectedSpectrum).
    /// An exposure cannot be ended early.
    OnDemand,
    /// [`StartAcquisition`](crate::request::spectrum::StartAcquisition) exposes into a buffer, and
    /// [`BufferedSpectrum`](crate::request::spectrum::BufferedSpectrum) fetches the oldest spectrum there: metadata and u32 pixels.
    /// [`AbortAcquisition`](crate::request::spectrum::AbortAcquisition) ends an exposure early.
    Buffered,
}

/// One model of spectrometer, as its data sheet describes it. A unit may differ: where the device can be asked, ask it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// The short name for configuration files and [`by_name`](Self::by_name): `qepro`.
    pub name: &'static str,
    /// The name as the vendor writes it: `QE Pro`.
    pub model: &'static str,
    /// Pixels in a spectrum, those without light included.
    pub pixels: usize,
    /// How a spectrum is asked for, and in which form it comes.
    pub spectrum: SpectrumSource,
    /// The shortest exposure of one scan that the model takes.
    pub integration_min: IntegrationTime,
    /// The longest exposure of one scan that the model takes.
    pub integration_max: IntegrationTime,
    /// The reading at which a pixel counts as saturated. Of the QE Pro, sources say 200,000 (SeaBreeze, taken here) and 262,143
    /// (pyseabreeze, the largest number of its 18-bit converter).
    pub saturation: Counts,
    /// The pixels that see light, as indices into a spectrum from 0.
    pub active: Range<usize>,
    /// Pixels of the detector that are shielded from light, as indices into a spectrum from 0. Sources disagree which of a QE
    /// Pro's outer pixels are dark and which are dummies: these are those of `demo-qepro-api.c`, pyseabreeze takes the others.
    pub dark: &'static [Range<usize>],
    /// How the laser is switched where nothing else is configured.
    pub laser: LaserControl,
    /// Whether the detector has a thermoelectric cooler, and so a set point and a stable temperature worth waiting for.
    pub cooled: bool,
    /// Which of the readings of [`Temperatures`](crate::request::temperature::Temperatures) is the detector's, from 0.
    pub detector_sensor: usize,
}

impl Profile {
    /// QE Pro and QE Pro-Raman: 1044 pixels of an 18-bit converter, buffered, cooled.
    pub const QEPRO: Self = Self {
        name: "qepro",
        model: "QE Pro",
        pixels: 1044,
        spectrum: SpectrumSource::Buffered,
        integration_min: IntegrationTime::from_micros(8_000),
        integration_max: IntegrationTime::from_micros(1_600_000_000),
        saturation: Counts::new(200_000),
        active: 10..1034,
        dark: &[4..10, 1034..1040],
        laser: LaserControl::LightSource { module: 0, source: 0 },
        cooled: true,
        detector_sensor: 3,
    };

    /// STS: 1024 pixels of a 14-bit converter, on demand, uncooled.
    pub const STS: Self = Self {
        name: "sts",
        model: "STS",
        pixels: 1024,
        spectrum: SpectrumSource::OnDemand,
        integration_min: IntegrationTime::from_micros(10),
        integration_max: IntegrationTime::from_micros(85_000_000),
        saturation: Counts::new(16_383),
        active: 0..1024,
        dark: &[],
        laser: LaserControl::LampLine,
        cooled: false,
        detector_sensor: 0,
    };

    /// Every profile of this crate.
    pub const ALL: [&'static Self; 2] = [&Self::QEPRO, &Self::STS];

    /// The profile whose [`name`](Self::name) is this, to the letter; `None` where there is none.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// Bytes of data in the answer that holds a spectrum: metadata and pixels.
    pub const fn spectrum_len(&self) -> usize {
        match self.spectrum {
            SpectrumSource::OnDemand => on_demand_len(self.pixels),
            SpectrumSource::Buffered => buffered_len(self.pixels),
        }
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
        }
    }
}
