//! From light to counts: exposure, dark current, shot and read noise, cosmic rays, nonlinearity, the converter's ceiling.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, LogNormal, Poisson, StandardNormal};

use super::bands::CONSTITUENTS;
use super::fluorescence::Fluorescence;
use super::oils::Specimen;
use super::unit::InstrumentUnit;

/// The dark current doubles with every this many kelvin.
const DARK_DOUBLES_AFTER_K: f64 = 7.0;

/// The electronic baseline follows the temperature, counts per kelvin.
const BASELINE_PER_K: f64 = 2.0;

/// Electrons a cosmic ray leaves: median, and standard deviation of the logarithm. Muons at grazing incidence leave more.
const COSMIC_ELECTRONS_MEDIAN: f64 = 4_000.0;
const COSMIC_LOG_SPREAD: f64 = 1.0;

/// How the charge of a cosmic ray divides among the pixel hit and its neighbours.
const COSMIC_PROFILE: [f64; 3] = [0.12, 0.76, 0.12];

/// Counts per second that a hot pixel adds to its dark current.
const HOT_PER_S: f64 = 20_000.0;

/// What falls on the detector.
#[derive(Debug, Clone, Copy)]
pub(super) enum Illumination<'a> {
    /// The laser is off, or nothing is on the stage.
    None,
    /// A sample under the laser at this fraction of full power.
    Specimen {
        /// What is on the stage.
        sample: &'a Specimen,
        /// 0..=1.
        power: f64,
    },
    /// Counts above dark for each optical pixel, whatever the exposure: a recorded spectrum.
    Recorded(&'a [f64]),
}

/// Whether a frame is noisy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noise {
    /// Shot noise, read noise, cosmic rays.
    Physical,
    /// None of them: the expected counts, rounded.
    None,
}

/// What the on-board electronics did to the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readout {
    /// As converted.
    Raw,
    /// The pixel-to-pixel offset pattern and the baseline's temperature drift removed.
    Corrected,
}

/// The circumstances of one frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exposure {
    /// Of one scan, s.
    pub(super) integration_s: f64,
    /// Scans averaged on board, at least 1.
    pub(super) scans: u32,
    /// Detector temperature, °C.
    pub(super) detector_c: f64,
    /// Cosmic rays per second on the whole detector.
    pub(super) cosmic_rays_per_s: f64,
    /// Raw or corrected.
    pub(super) readout: Readout,
    /// With or without.
    pub(super) noise: Noise,
}

impl InstrumentUnit {
    /// One frame, all pixels, in counts as the converter gives them.
    pub(super) fn expose(&self, light: Illumination<'_>, exposure: &Exposure, rng: &mut impl Rng) -> Vec<u32> {
        let model = self.model;
        let warmer_k = exposure.detector_c - model.temperature_c;
        let dark_counts = model.dark_per_s * (warmer_k / DARK_DOUBLES_AFTER_K).exp2() * exposure.integration_s;
        let light_counts = self.light_counts(light, exposure, rng);
        let cosmic_counts = self.cosmic_rays(exposure, rng);
        let scans = f64::from(exposure.scans.max(1));
        let baseline = match exposure.readout {
            Readout::Raw => model.baseline + BASELINE_PER_K * warmer_k,
            Readout::Corrected => model.baseline,
        };
        (0..model.pixels)
            .map(|pixel| {
                let alive = model.optical.contains(&pixel) || model.masked.iter().any(|range| range.contains(&pixel));
                let mut charge = if alive { dark_counts } else { 0.0 } + light_counts[pixel];
                if self.defects.hot_pixels.contains(&pixel) {
                    charge += HOT_PER_S * exposure.integration_s;
                }
                let mut electronics = baseline;
                if exposure.readout == Readout::Raw {
                    electronics += self.offsets[pixel];
                }
                if exposure.noise == Noise::Physical {
                    // A Poisson count of many electrons is normal with variance = mean; averaging divides both noises.
                    let shot = (charge.max(0.0) / model.electrons_per_count / scans).sqrt();
                    charge += shot * Distribution::<f64>::sample(&StandardNormal, rng) + cosmic_counts[pixel];
                    let read: f64 = StandardNormal.sample(rng);
                    electronics += self.defects.read_noise * model.read_noise / scans.sqrt() * read;
                }
                let reading = self.converted(self.defects.gain * charge);
                let missing = self.defects.compression * reading / f64::from(model.counts_max);
                let counts = electronics + reading * (1.0 - missing);
                counts.round().clamp(0.0, f64::from(model.counts_max)) as u32
            })
            .collect()
    }

    /// The noiseless counts of a second's exposure to `sample` at full power, without dark: for choosing an exposure.
    pub(super) fn brightest_counts_per_s(&self, sample: &Specimen) -> f64 {
        self.model.optical.clone().map(|pixel| self.rate(sample, &sample.fluorescence, pixel)).fold(0.0, f64::max)
    }

    fn light_counts(&self, light: Illumination<'_>, exposure: &Exposure, rng: &mut impl Rng) -> Vec<f64> {
        let mut counts = vec![0.0; self.model.pixels];
        match light {
            Illumination::None => {}
            Illumination::Specimen { sample, power } => {
                let fluorescence = match exposure.noise {
                    Noise::Physical => sample.fluorescence.in_one_exposure(rng),
                    Noise::None => sample.fluorescence,
                };
                for pixel in self.model.optical.clone() {
                    counts[pixel] = power * exposure.integration_s * self.rate(sample, &fluorescence, pixel);
                }
            }
            Illumination::Recorded(recorded) => {
                for (pixel, value) in self.model.optical.clone().zip(recorded) {
                    counts[pixel] = *value;
                }
            }
        }
        counts
    }

    /// Counts per second on one pixel.
    fn rate(&self, sample: &Specimen, fluorescence: &Fluorescence, pixel: usize) -> f64 {
        let amounts = sample.constituents.iter().chain(&fluorescence.amplitudes);
        debug_assert_eq!(self.response.len(), CONSTITUENTS + fluorescence.amplitudes.len());
        self.response.iter().zip(amounts).map(|(response, amount)| amount * response[pixel]).sum()
    }

    /// Counts that cosmic rays add to the mean of the scans, by pixel.
    fn cosmic_rays(&self, exposure: &Exposure, rng: &mut impl Rng) -> Vec<f64> {
        let mut counts = vec![0.0; self.model.pixels];
        let scans = f64::from(exposure.scans.max(1));
        let expected = exposure.cosmic_rays_per_s * exposure.integration_s * scans;
        let Ok(number) = Poisson::new(expected) else { return counts };
        let electrons =
            LogNormal::new(COSMIC_ELECTRONS_MEDIAN.ln(), COSMIC_LOG_SPREAD).expect("the spread is a positive constant");
        // A shower brighter than one ray per pixel is a saturated frame already.
        let number = (number.sample(rng) as usize).min(self.model.pixels);
        for _ in 0..number {
            let hit = rng.random_range(0..self.model.pixels);
            let charge = electrons.sample(rng) / self.model.electrons_per_count / scans;
            for (neighbour, share) in COSMIC_PROFILE.iter().enumerate() {
                if let Some(value) = (hit + neighbour).checked_sub(1).and_then(|pixel| counts.get_mut(pixel)) {
                    *value += share * charge;
                }
            }
        }
        counts
    }

    /// The converter's reading m of a true count t: the m with m / Σ nᵢ mⁱ = t, by fixed-point iteration.
    fn converted(&self, charge: f64) -> f64 {
        let response = |measured: f64| {
            self.nonlinearity.iter().rev().fold(0.0, |sum, coefficient| sum * measured + f64::from(*coefficient))
        };
        // The response differs from 1 by a per cent, so each round gains about two digits; beyond the converter's
        // ceiling the reading is clipped anyway and the polynomial means nothing.
        let ceiling = f64::from(self.model.counts_max);
        let mut measured = charge.clamp(-ceiling, ceiling);
        for _ in 0..4 {
            measured = charge * response(measured.clamp(-ceiling, ceiling));
        }
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::super::oils::Oil;
    use super::super::profile::InstrumentFamily;
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    const UNIT: u64 = 5;

    fn exposure(profile: InstrumentFamily, integration_s: f64) -> Exposure {
        Exposure {
            integration_s,
            scans: 1,
            detector_c: profile.model().temperature_c,
            cosmic_rays_per_s: 0.0,
            readout: Readout::Corrected,
            noise: Noise::Physical,
        }
    }

    /// One bottle of that oil.
    fn bottle(oil: &str, seed: u64) -> Specimen {
        Specimen::draw(Oil::named(oil).expect("in the table"), &mut ChaCha8Rng::seed_from_u64(seed))
    }

    fn spread(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
    }

    #[test]
    fn the_same_seed_gives_the_same_frame_and_another_gives_another() {
        let sample = bottle("olive", 1);
        for profile in InstrumentFamily::ALL {
            let frame = |seed| {
                let light = Illumination::Specimen { sample: &sample, power: 1.0 };
                let rng = &mut ChaCha8Rng::seed_from_u64(seed);
                InstrumentUnit::new(profile, UNIT).expose(light, &exposure(profile, 0.1), rng)
            };
            assert_eq!(frame(1), frame(1));
            assert_ne!(frame(1), frame(2));
        }
    }

    #[test]
    fn without_light_there_is_nothing_but_baseline_dark_current_and_read_noise() {
        for profile in InstrumentFamily::ALL {
            let (unit, model) = (InstrumentUnit::new(profile, UNIT), profile.model());
            let mut frame = unit.expose(Illumination::None, &exposure(profile, 1.0), &mut ChaCha8Rng::seed_from_u64(1));
            frame.sort_unstable();
            let median = f64::from(frame[frame.len() / 2]);
            assert!((median - model.baseline - model.dark_per_s).abs() < 2.0, "{profile:?}: {median}");
            assert!(f64::from(frame[frame.len() - 1] - frame[0]) < 14.0 * model.read_noise.max(4.0), "{profile:?}");
        }
    }

    #[test]
    fn only_optical_pixels_see_the_sample() {
        let unit = InstrumentUnit::new(InstrumentFamily::QePro, UNIT);
        let (sample, quiet) =
            (bottle("olive", 1), Exposure { noise: Noise::None, ..exposure(InstrumentFamily::QePro, 0.2) });
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let light = unit.expose(Illumination::Specimen { sample: &sample, power: 1.0 }, &quiet, &mut rng);
        let dark = unit.expose(Illumination::None, &quiet, &mut rng);
        for pixel in 0..unit.model.pixels {
            // The first pixels lie in the edge of the long-pass filter, but not in complete darkness.
            assert_eq!(unit.model.optical.contains(&pixel), light[pixel] > dark[pixel], "pixel {pixel}");
        }
    }

    #[test]
    fn the_converter_clips_at_its_maximum() {
        let sample = bottle("olive", 1);
        for profile in InstrumentFamily::ALL {
            let unit = InstrumentUnit::new(profile, UNIT);
            let light = Illumination::Specimen { sample: &sample, power: 1.0 };
            let frame = unit.expose(light, &exposure(profile, 60.0), &mut ChaCha8Rng::seed_from_u64(1));
            let clipped = frame.iter().filter(|&&counts| counts == unit.model.counts_max).count();
            assert!(
                clipped > 500 && frame.iter().all(|&counts| counts <= unit.model.counts_max),
                "{profile:?} {clipped}"
            );
        }
    }

    #[test]
    fn shot_noise_grows_with_the_root_of_the_light_and_falls_with_the_root_of_the_scans() {
        /// Of a standard deviation estimated from 1024 pixels: 2 %; times three.
        const NOISE_TOLERANCE: f64 = 0.07;
        let unit = InstrumentUnit::new(InstrumentFamily::QePro, UNIT);
        let noise = |counts: f64, scans| {
            let recorded = vec![counts; 1024];
            let exposure = Exposure { scans, ..exposure(InstrumentFamily::QePro, 0.001) };
            let frame = unit.expose(Illumination::Recorded(&recorded), &exposure, &mut ChaCha8Rng::seed_from_u64(9));
            let lit: Vec<f64> = frame[unit.model.optical.clone()].iter().map(|&counts| f64::from(counts)).collect();
            spread(&lit)
        };
        let check =
            |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < NOISE_TOLERANCE, "{found} {expected}");
        for counts in [10_000.0, 40_000.0, 90_000.0] {
            let variance: f64 = counts / unit.model.electrons_per_count + unit.model.read_noise.powi(2);
            check(noise(counts, 1), variance.sqrt());
            check(noise(counts, 16), variance.sqrt() / 4.0);
        }
    }

    #[test]
    fn a_warmer_detector_has_more_dark_current() {
        let unit = InstrumentUnit::new(InstrumentFamily::QePro, UNIT);
        let mean_dark = |detector_c| {
            let warm = Exposure { detector_c, noise: Noise::None, ..exposure(InstrumentFamily::QePro, 10.0) };
            let frame = unit.expose(Illumination::None, &warm, &mut ChaCha8Rng::seed_from_u64(1));
            f64::from(frame[500]) - unit.model.baseline
        };
        let ratio = mean_dark(-3.0) / mean_dark(-10.0);
        assert!((ratio - 2.0).abs() < 0.05, "{ratio}");
    }

    #[test]
    fn cosmic_rays_come_at_their_rate() {
        let unit = InstrumentUnit::new(InstrumentFamily::QePro, UNIT);
        let rays = Exposure { cosmic_rays_per_s: 2.0, ..exposure(InstrumentFamily::QePro, 50.0) };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let counts = unit.cosmic_rays(&rays, &mut rng);
        // A ray is a pixel above both neighbours; of 100 on 1044 pixels some hide beside a brighter one.
        let rays = counts.windows(3).filter(|around| around[1] > around[0].max(around[2])).count();
        assert!((60..120).contains(&rays), "{rays} of about 100 rays");
    }

    #[test]
    fn nonlinearity_is_undone_by_the_polynomial_in_the_device() {
        for profile in InstrumentFamily::ALL {
            let unit = InstrumentUnit::new(profile, UNIT);
            let coefficients = unit.nonlinearity.iter().copied().map(f64::from).collect();
            let polynomial = ramand_core::spectrum::Nonlinearity { coefficients };
            let darkest = 0.01 * f64::from(unit.model.counts_max);
            assert!((unit.converted(darkest) / darkest - 1.0).abs() > 1e-3, "{profile:?}: there is something to undo");
            for part in [0.01, 0.2, 0.5, 0.8] {
                let charge = part * f64::from(unit.model.counts_max);
                let measured = unit.converted(charge);
                assert!((f64::from(polynomial.correct(measured as f32)) / charge - 1.0).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_double_bond_band_orders_oils_as_their_iodine_values_do() {
        let unit = InstrumentUnit::new(InstrumentFamily::QePro, UNIT);
        let axis = unit.calibration().axis(unit.model.optical.clone()).expect("increasing");
        let quiet = Exposure { noise: Noise::None, ..exposure(InstrumentFamily::QePro, 0.1) };
        // Net height of a band above the line between two quiet places beside it.
        let net = |frame: &[u32], from: f64, peak: f64, to: f64| {
            let at = |shift: f64| {
                let pixel = axis.per_cm().partition_point(|&value| value < shift);
                f64::from(frame[unit.model.optical.start + pixel])
            };
            at(peak) - (at(from) + at(to)) / 2.0
        };
        let mut oils: Vec<(f64, f64, &str)> = Oil::all()
            .iter()
            .map(|oil| {
                let bottles: Vec<Specimen> = (0..20).map(|seed| bottle(oil.name, seed)).collect();
                let parts: Vec<(&Specimen, f64)> = bottles.iter().map(|bottle| (bottle, 1.0)).collect();
                let typical = Specimen::blend(&parts);
                let light = Illumination::Specimen { sample: &typical, power: 1.0 };
                let frame = unit.expose(light, &quiet, &mut ChaCha8Rng::seed_from_u64(1));
                let ratio = net(&frame, 1600.0, 1656.0, 1700.0) / net(&frame, 1380.0, 1440.0, 1500.0);
                (typical.iodine_value(), ratio, oil.name)
            })
            .collect();
        oils.sort_by(|a, b| a.0.total_cmp(&b.0));
        for pair in oils.windows(2) {
            // Oils within 8 units of iodine value differ by how the bonds are distributed, not by how many they are.
            assert!(pair[0].1 < pair[1].1 || pair[1].0 - pair[0].0 < 8.0, "{oils:?}");
        }
        let ratio = |name: &str| oils.iter().find(|oil| oil.2 == name).expect("in the table").1;
        assert!(ratio("palm") < 0.6 * ratio("olive").max(ratio("peanut")) && ratio("olive") < 0.6 * ratio("sunflower"));
    }
}
