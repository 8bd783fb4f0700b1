//! How many cosmic rays the despiking finds, and what else it touches, on frames whose truth is known.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::super::despike::remove_spikes;
use super::super::step::Despike;

const SETTINGS: Despike = Despike { threshold: 7.0, window: 3 };
const PIXELS: usize = 1024;
const FRAMES: u64 = 100;
const RAYS_PER_FRAME: usize = 4;

/// Share of the rays that must go: two that overlap within the window may hide each other.
const REMOVED: f64 = 0.95;
/// Share of the sound points that may change: those beside a ray, and tails of the noise.
const TOUCHED: f64 = 2e-3;

/// Counts of one frame: narrow and wide bands on fluorescence.
fn truth(pixel: f64) -> f64 {
    let band = |centre: f64, sigma: f64, height: f64| height * (-0.5 * ((pixel - centre) / sigma).powi(2)).exp();
    4000.0 - 1.5 * pixel + band(260.0, 3.0, 3000.0) + band(400.0, 5.0, 20_000.0) + band(700.0, 4.0, 9000.0)
}

#[test]
fn cosmic_rays_go_and_noise_and_bands_stay() {
    let mut random = ChaCha8Rng::seed_from_u64(2018);
    let (mut rays, mut removed, mut touched) = (0usize, 0usize, 0usize);
    for _ in 0..FRAMES {
        let clean: Vec<f64> = (0..PIXELS)
            .map(|pixel| {
                let (counts, normal): (f64, f64) = (truth(pixel as f64), StandardNormal.sample(&mut random));
                // Two electrons a count, and 10 counts of read noise.
                counts + normal * (counts / 2.0 + 100.0).sqrt()
            })
            .collect();
        let mut ray_at = [0.0; PIXELS];
        for _ in 0..RAYS_PER_FRAME {
            let hit = random.random_range(2..PIXELS - 2);
            let charge = random.random_range(1500.0..20_000.0);
            for (pixel, share) in (hit - 1..=hit + 1).zip([0.12, 0.76, 0.12]) {
                ray_at[pixel] += share * charge;
            }
        }
        let mut values: Vec<f64> = clean.iter().zip(&ray_at).map(|(clean, ray)| clean + ray).collect();
        remove_spikes(&mut values, &SETTINGS, &mut Default::default());
        for pixel in 0..PIXELS {
            if ray_at[pixel] > 1000.0 {
                rays += 1;
                // What is left is the curvature of a band within the window, not the ray.
                removed += usize::from((values[pixel] - truth(pixel as f64)).abs() < 0.5 * ray_at[pixel]);
            } else if ray_at[pixel] == 0.0 {
                touched += usize::from(values[pixel] != clean[pixel]);
            }
        }
    }
    let share = removed as f64 / rays as f64;
    assert!(share >= REMOVED, "{removed} of {rays} rays are gone");
    let share = touched as f64 / (FRAMES as usize * PIXELS) as f64;
    assert!(share <= TOUCHED, "{touched} sound points of {FRAMES} frames were changed");
}
