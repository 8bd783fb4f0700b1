//! The dark frame: what the detector counts without the laser, how long that holds, and how noisy it is.

use std::time::Instant;

use ramand_core::median::upper_median;
use ramand_core::spectrum::{Celsius, Counts, IntegrationTime};

use super::settings::DarkRefresh;

/// A standard deviation is this many times the median absolute deviation of normally distributed values.
const SIGMA_PER_MAD: f32 = 1.4826;

/// A frame taken with the laser off, and what it was taken with.
#[derive(Debug, Clone)]
pub(super) struct DarkFrame {
    /// Counts of the active pixels.
    pub(super) counts: Vec<f32>,
    /// Exposure of one scan.
    pub(super) integration: IntegrationTime,
    /// Scans averaged.
    pub(super) scans: u16,
    /// The detector's, where it can be read.
    pub(super) temperature: Option<Celsius>,
    /// End of the exposure.
    pub(super) taken: Instant,
    /// The device's error number, where it marked the frame as possibly spoilt.
    pub(super) exception: Option<u16>,
}

impl DarkFrame {
    /// Whether this frame belongs to a light frame with these settings, now, at this temperature. One that the
    /// device marked as spoilt serves once at most.
    pub(super) fn holds(
        &self,
        integration: IntegrationTime,
        scans: u16,
        temperature: Option<Celsius>,
        now: Instant,
        refresh: DarkRefresh,
    ) -> bool {
        let warmer =
            self.temperature.zip(temperature).map_or(0.0, |(then, now)| (now.degrees() - then.degrees()).abs());
        self.exception.is_none()
            && self.integration == integration
            && self.scans == scans
            && warmer <= refresh.temperature_change_max_k
            && now.saturating_duration_since(self.taken) < refresh.age_max
    }

    /// The pixel-to-pixel noise: 1.4826 · median |xᵢ₊₁ − xᵢ| / √2, which neither a slope nor hot pixels disturb. Zero
    /// for fewer than two pixels.
    pub(super) fn noise(&self) -> Counts {
        let mut steps: Vec<f32> = self.counts.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
        let median = upper_median(&mut steps, f32::total_cmp).unwrap_or(0.0);
        Counts::new(SIGMA_PER_MAD * median / std::f32::consts::SQRT_2)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;
    use rand_distr::{Distribution, Normal};

    use super::*;

    fn frame(counts: Vec<f32>) -> DarkFrame {
        let (integration, temperature) = (IntegrationTime::from_micros(1_000), Some(Celsius::new(-10.0)));
        DarkFrame { counts, integration, scans: 2, temperature, taken: Instant::now(), exception: None }
    }

    #[test]
    fn the_noise_is_that_of_the_pixels_not_of_the_slope_or_of_hot_ones() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let normal = Normal::new(0.0_f32, 3.0).expect("a positive deviation");
        let mut counts: Vec<f32> = (0..1024).map(|i| 1_500.0 + 0.1 * i as f32 + normal.sample(&mut random)).collect();
        counts[500] = 20_000.0;
        // 1024 differences know their median to about 4 %.
        assert!((frame(counts).noise().value() - 3.0).abs() < 0.3);
        assert_eq!(frame(vec![5.0]).noise(), Counts::new(0.0));
    }

    #[test]
    fn a_dark_frame_holds_for_its_settings_temperature_and_time() {
        let dark = frame(vec![1.0; 4]);
        let refresh = DarkRefresh { age_max: Duration::from_secs(60), temperature_change_max_k: 0.5 };
        let holds = |(micros, scans, degrees, age_s): (u64, u16, Option<f32>, u64)| {
            let now = dark.taken + Duration::from_secs(age_s);
            dark.holds(IntegrationTime::from_micros(micros), scans, degrees.map(Celsius::new), now, refresh)
        };
        for case in [(1_000, 2, Some(-10.4), 59), (1_000, 2, None, 59)] {
            assert!(holds(case), "{case:?}");
        }
        let others = [
            (1_001, 2, Some(-10.0), 0),
            (1_000, 3, Some(-10.0), 0),
            (1_000, 2, Some(-9.4), 0),
            (1_000, 2, Some(-10.0), 60),
        ];
        for case in others {
            assert!(!holds(case), "{case:?}");
        }
        let spoilt = DarkFrame { exception: Some(13), ..dark.clone() };
        assert!(!spoilt.holds(dark.integration, dark.scans, None, dark.taken, refresh));
    }
}
