//! What goes wrong between training and line, done to recorded spectra: an axis that is off, another laser, fluorescence.

use std::sync::Arc;

use ramand_core::decide::{signal_counts, signal_to_noise};
use ramand_core::median::upper_median;
use ramand_core::preprocess::{Baseline, LAMBDA_RANGE, Pipeline, PipelineStep, Whittaker, Workspace};
use ramand_core::spectrum::RawSpectrum;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Heights of bands with a laser of 1064 nm over those with 785 nm, by shift (cm⁻¹), where the band at 1440 cm⁻¹ is 1 with both:
/// means over triolein, trilinolein and trilinolenin, measured on digitised reference spectra. Linear between, level outside.
const RATIO_1064_TO_785: [(f64, f64); 5] =
    [(1267.0, 0.870), (1302.0, 0.826), (1440.0, 1.0), (1656.0, 0.860), (1745.0, 1.077)];
/// Stiffness of the baseline above which bands stand, where points lie [`BASELINE_STEP_PER_CM`] apart: that of the bundled models.
const BASELINE_LAMBDA: f64 = 1e4;
/// cm⁻¹; the stiffness that does the same grows with the fourth power of the points per cm⁻¹.
const BASELINE_STEP_PER_CM: f64 = 4.0;
/// How fast the added fluorescence falls, cm⁻¹: over a fingerprint region to about a half.
const FLUORESCENCE_DECAY: f64 = 1500.0;

/// Something that was not so in training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum SpectrumChange {
    /// The spectra as they are.
    None,
    /// Every band this much higher on the axis, cm⁻¹.
    Axis(f64),
    /// The laser is this much longer than the axis was computed with, nm.
    Laser {
        /// What the axis was computed with, nm.
        laser_nm: f64,
        /// How much longer it is, nm.
        longer_nm: f64,
    },
    /// Band heights of a laser of 1064 nm, from those of 785 nm; the background stays as it is.
    Heights1064,
    /// A background of so many times the spectrum's median, with its share of noise.
    Fluorescence(f64),
}

impl SpectrumChange {
    /// In words.
    pub(super) fn in_words(self) -> String {
        match self {
            Self::None => "as they are".into(),
            Self::Axis(per_cm) => format!("axis {per_cm:+} cm-1"),
            Self::Laser { longer_nm, .. } => {
                format!("laser {longer_nm:+} nm, axis not told ({:+.1} cm-1)", self.offset_per_cm())
            }
            Self::Heights1064 => "band heights of 1064 nm".into(),
            Self::Fluorescence(times) => format!("fluorescence, {times} times the median added"),
        }
    }

    /// How far every band appears from where it was, cm⁻¹: 10⁷ (1/λ₀ − 1/λ) for a laser λ that is taken for λ₀, to higher shifts
    /// where λ is longer.
    pub(super) fn offset_per_cm(self) -> f64 {
        match self {
            Self::Axis(per_cm) => per_cm,
            Self::Laser { laser_nm, longer_nm } => 1e7 / laser_nm - 1e7 / (laser_nm + longer_nm),
            Self::None | Self::Heights1064 | Self::Fluorescence(_) => 0.0,
        }
    }

    /// The spectrum's intensities on its own axis, changed. Where an offset axis ends, its last value goes on.
    pub(super) fn of(self, spectrum: &RawSpectrum, random: &mut ChaCha8Rng) -> Vec<f32> {
        let (shifts, light) = (spectrum.axis().per_cm(), spectrum.light());
        match self {
            Self::None => light.to_vec(),
            Self::Axis(_) | Self::Laser { .. } => {
                let offset = self.offset_per_cm();
                let points: Vec<(f64, f64)> = shifts.iter().copied().zip(light.iter().map(|&v| f64::from(v))).collect();
                shifts.iter().map(|shift| interpolated(&points, shift - offset) as f32).collect()
            }
            Self::Heights1064 => {
                let gained = |(shift, band): (&f64, f64)| (interpolated(&RATIO_1064_TO_785, *shift) - 1.0) * band;
                let gained = shifts.iter().zip(bands(spectrum)).map(gained);
                light.iter().zip(gained).map(|(&value, gained)| value + gained as f32).collect()
            }
            Self::Fluorescence(times) => {
                let median = f64::from(upper_median(&mut light.to_vec(), f32::total_cmp).unwrap_or(0.0));
                let noise = f64::from(noise(spectrum));
                let first = shifts.first().copied().unwrap_or_default();
                let added = |(shift, &value): (&f64, &f32)| {
                    let background = times * median.abs() * (-(shift - first) / FLUORESCENCE_DECAY).exp();
                    // Shot noise: so many times the counts have so many times the variance.
                    let deviation = noise * (background / median.abs().max(f64::MIN_POSITIVE)).sqrt();
                    let normal: f64 = StandardNormal.sample(random);
                    (f64::from(value) + background + deviation * normal) as f32
                };
                shifts.iter().zip(light).map(added).collect()
            }
        }
    }
}

/// What stands above the baseline (arPLS), on the spectrum's own axis; nothing of a spectrum that no pipeline takes either.
fn bands(spectrum: &RawSpectrum) -> Vec<f64> {
    let axis = spectrum.axis();
    let shifts = axis.per_cm();
    let extent = shifts.last().zip(shifts.first()).map_or(0.0, |(last, first)| last - first);
    let step_per_cm = extent / (shifts.len() as f64 - 1.0);
    let lambda = BASELINE_LAMBDA * (BASELINE_STEP_PER_CM / step_per_cm).powi(4);
    let lambda = lambda.clamp(*LAMBDA_RANGE.start(), *LAMBDA_RANGE.end());
    let arpls = Whittaker { lambda, tolerance: 1e-3, iterations_max: 50 };
    Pipeline::new(
        Arc::clone(axis),
        vec![PipelineStep::Resample, PipelineStep::Baseline(Baseline::Arpls(arpls))],
        Vec::new(),
    )
    .ok()
    .and_then(|pipeline| pipeline.before_normalise(spectrum, &mut Workspace::default()).ok())
    .unwrap_or_else(|| vec![0.0; shifts.len()])
}

/// The line through the neighbours, level outside; `points` ascend and are not empty.
pub(super) fn interpolated(points: &[(f64, f64)], at: f64) -> f64 {
    let after = points.partition_point(|&(x, _)| x < at);
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (Some(&(x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * (at - x0) / (x1 - x0),
        (Some(&(_, y)), None) | (None, Some(&(_, y))) => y,
        (None, None) => f64::NAN,
    }
}

/// Standard deviation of one point, as the instrument gate estimates it; zero of a spectrum without signal.
fn noise(spectrum: &RawSpectrum) -> f32 {
    let noise = signal_counts(spectrum) / signal_to_noise(spectrum);
    if noise.is_finite() { noise } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::SeedableRng;

    use super::*;
    use ramand_core::spectrum::{Origin, ShiftAxis};

    fn spectrum(values: impl Fn(f64) -> f64) -> RawSpectrum {
        let axis = ShiftAxis::new((800..1800).map(f64::from).collect()).expect("increasing");
        let light = axis.per_cm().iter().map(|&shift| values(shift) as f32).collect();
        RawSpectrum::new(Arc::new(axis), light, None, Origin::Recorded { id: "x".into() }).expect("finite")
    }

    fn changed(change: SpectrumChange, spectrum: &RawSpectrum) -> Vec<f32> {
        change.of(spectrum, &mut ChaCha8Rng::seed_from_u64(1))
    }

    #[test]
    fn bands_move_and_ends_go_on() {
        let ramp = spectrum(|shift| shift);
        let moved = changed(SpectrumChange::Axis(3.0), &ramp);
        assert_eq!((moved[0], moved[3], moved[4], moved[500]), (800.0, 800.0, 801.0, 1297.0));
        let moved = changed(SpectrumChange::Axis(-0.5), &ramp);
        assert_eq!((moved[0], moved[998], moved[999]), (800.5, 1798.5, 1799.0));
        // 10^7 (1/785 - 1/786)
        let laser = SpectrumChange::Laser { laser_nm: 785.0, longer_nm: 1.0 };
        assert!((laser.offset_per_cm() - 16.207).abs() < 1e-3, "{}", laser.offset_per_cm());
    }

    #[test]
    fn bands_change_by_the_table_and_the_background_does_not() {
        let centres = [1000.0, 1267.0, 1440.0, 1745.0];
        let band = |shift: f64, centre: f64| 500.0 * (-((shift - centre) / 8.0_f64).powi(2)).exp();
        let background = |shift: f64| 2000.0 - shift;
        let oil = spectrum(|shift| background(shift) + centres.iter().map(|&centre| band(shift, centre)).sum::<f64>());
        let changed = changed(SpectrumChange::Heights1064, &oil);
        let at = |shift: usize| f64::from(changed[shift - 800]) - background(shift as f64);
        for (shift, expected) in [(1000, 435.0), (1267, 435.0), (1440, 500.0), (1745, 538.5)] {
            assert!((at(shift) - expected).abs() < 10.0, "{shift}: {}, not {expected}", at(shift));
        }
        for shift in [850, 1150, 1350, 1600] {
            assert!(at(shift).abs() < 10.0, "{shift}: {} of background added", at(shift));
        }
    }

    #[test]
    fn fluorescence_comes_with_its_noise() {
        let quiet = changed(SpectrumChange::Fluorescence(2.0), &spectrum(|_| 100.0));
        assert!((quiet[0] - 300.0).abs() < 1e-3, "twice the median on top: {}", quiet[0]);
        assert!((f64::from(quiet[750]) - (100.0 + 200.0 * (-0.5_f64).exp())).abs() < 1e-3);
        let wave = |shift: f64| 100.0 + if shift as i64 % 2 == 0 { 1.0 } else { -1.0 };
        let (before, after) = (spectrum(wave), changed(SpectrumChange::Fluorescence(5.0), &spectrum(wave)));
        let after = spectrum(|shift| f64::from(after[shift as usize - 800]));
        let (before, after) = (noise(&before), noise(&after));
        assert!(after > 1.3 * before && after < 3.0 * before, "{before} to {after}");
    }
}
