//! Whether the axis of Raman shifts is right: the bands of a reference material against where ASTM E1840 has them.
//!
//! A band is found as the highest point near its tabulated position. A straight line through the lowest points of its two
//! flanks is taken off, and a parabola is fitted by least squares to the points around the top that exceed half its height,
//! as many on either side; its vertex is the position. Nothing is ever fitted to the axis itself: a wrong calibration is
//! for the operator to mend, and a check that moved the axis would hide it.

mod material;
mod peak;

use crate::spectrum::{RamanShift, ShiftAxis};

pub use material::ReferenceMaterial;
use peak::SEARCH_PER_CM;

/// A band this many times higher than the noise is a band.
const HEIGHT_TO_NOISE_MIN: f64 = 5.0;

/// One band of the table that lies on the axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BandCheck {
    /// Where ASTM E1840 has it.
    pub tabulated: RamanShift,
    /// Where it was found; `None` where no band rises above the noise.
    pub found: Option<RamanShift>,
}

impl BandCheck {
    /// Found less tabulated, cm⁻¹.
    pub fn residual_per_cm(&self) -> Option<f64> {
        self.found.map(|found| found.per_cm() - self.tabulated.per_cm())
    }
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisCheck {
    /// What should have lain on the stage.
    pub material: ReferenceMaterial,
    /// The bands on the axis, in order.
    pub lines: Vec<BandCheck>,
}

/// What a good axis keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AxisLimits {
    /// Root of the mean squared residual, cm⁻¹.
    pub rms_per_cm_max: f64,
    /// Bands that may be missing: weak ones, where the exposure is short.
    pub missing_max: usize,
}

impl AxisCheck {
    /// Looks for the bands of `material` in one row of counts above dark, on its axis. `counts` has as many values as the axis.
    pub fn of(axis: &ShiftAxis, counts: &[f32], material: ReferenceMaterial) -> Self {
        let noise = peak::noise(counts);
        let table = material.lines_per_cm();
        let on_axis = |shift: f64| {
            (axis.first().per_cm() + SEARCH_PER_CM..=axis.last().per_cm() - SEARCH_PER_CM).contains(&shift)
        };
        let line = |(index, &tabulated): (usize, &f64)| {
            let before = index.checked_sub(1).and_then(|before| table.get(before));
            let gaps = [before, table.get(index + 1)].into_iter().flatten().map(|other| (other - tabulated).abs());
            let room = gaps.fold(f64::INFINITY, f64::min) / 2.0;
            let found = peak::position(axis.per_cm(), counts, tabulated, room, HEIGHT_TO_NOISE_MIN * noise);
            BandCheck { tabulated: RamanShift::from_per_cm(tabulated), found: found.map(RamanShift::from_per_cm) }
        };
        let lines = table.iter().enumerate().filter(|(_, shift)| on_axis(**shift)).map(line).collect();
        Self { material, lines }
    }

    /// Root of the mean squared residual of the bands that were found, cm⁻¹; `None` where none was.
    pub fn rms_per_cm(&self) -> Option<f64> {
        let squares: Vec<f64> = self.lines.iter().filter_map(BandCheck::residual_per_cm).map(|r| r * r).collect();
        (!squares.is_empty()).then(|| (squares.iter().sum::<f64>() / squares.len() as f64).sqrt())
    }

    /// Bands on the axis that were not found.
    pub fn missing(&self) -> usize {
        self.lines.iter().filter(|line| line.found.is_none()).count()
    }

    /// Whether the axis keeps the limits. A check that found nothing does not.
    pub fn passes(&self, limits: AxisLimits) -> bool {
        self.rms_per_cm().is_some_and(|rms| rms <= limits.rms_per_cm_max) && self.missing() <= limits.missing_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a parabola through the upper half of a pseudo-Voigt band sampled three to five times, cm⁻¹.
    const POSITION_TOLERANCE: f64 = 0.15;

    /// An axis of `step` cm⁻¹ whose bands are `off` from the table, `width` wide (FWHM), on a sloping curved background.
    fn spectrum(material: ReferenceMaterial, step: f64, off: f64, width: f64, phase: f64) -> (ShiftAxis, Vec<f32>) {
        let shifts: Vec<f64> = (0..).map(|i| 150.0 + phase + step * f64::from(i)).take_while(|s| *s < 2100.0).collect();
        let band = |shift: f64, centre: f64| {
            let u2 = ((shift - centre) / width).powi(2);
            0.3 / (1.0 + 4.0 * u2) + 0.7 * (-4.0 * std::f64::consts::LN_2 * u2).exp()
        };
        let counts = shifts.iter().map(|&shift| {
            let bands: f64 = material.lines_per_cm().iter().map(|line| band(shift, line + off)).sum();
            (20_000.0 * (-shift / 900.0).exp() + 2_000.0 * bands) as f32
        });
        let counts = counts.collect();
        (ShiftAxis::new(shifts).expect("increasing"), counts)
    }

    #[test]
    fn bands_are_found_where_they_are_wherever_the_pixels_lie() {
        for material in ReferenceMaterial::ALL {
            for (off, phase) in [(0.0, 0.0), (0.4, 0.3), (-1.3, 0.9), (3.0, 1.4), (-3.0, 1.9)] {
                let (axis, counts) = spectrum(material, 1.9, off, 8.0, phase);
                let check = AxisCheck::of(&axis, &counts, material);
                assert_eq!(check.missing(), 0, "{material:?} {off}");
                for line in &check.lines {
                    let residual = line.residual_per_cm().expect("found");
                    assert!((residual - off).abs() < POSITION_TOLERANCE, "{material:?} {off} {phase}: {line:?}");
                }
                assert!((check.rms_per_cm().expect("found") - off.abs()).abs() < POSITION_TOLERANCE);
            }
        }
    }

    #[test]
    fn an_axis_that_is_off_does_not_pass_and_neither_does_an_empty_stage() {
        let limits = AxisLimits { rms_per_cm_max: 1.0, missing_max: 0 };
        let check = |off| {
            let (axis, counts) = spectrum(ReferenceMaterial::Polystyrene, 1.9, off, 8.0, 0.0);
            AxisCheck::of(&axis, &counts, ReferenceMaterial::Polystyrene).passes(limits)
        };
        assert!(check(0.5) && !check(1.4) && !check(-1.4));
        let (axis, counts) = spectrum(ReferenceMaterial::Polystyrene, 1.9, 0.0, 8.0, 0.0);
        let flat = AxisCheck::of(&axis, &vec![7.0; counts.len()], ReferenceMaterial::Polystyrene);
        assert_eq!((flat.missing(), flat.rms_per_cm(), flat.passes(limits)), (8, None, false));
    }

    #[test]
    fn noise_alone_is_no_band() {
        // A sawtooth without period: as many ups and downs as noise, and the same in every run.
        let (axis, counts) = spectrum(ReferenceMaterial::Polystyrene, 1.9, 0.0, 8.0, 0.0);
        let noise: Vec<f32> = (0..counts.len()).map(|i| ((i * i * 31 + i * 17) % 101) as f32).collect();
        let check = AxisCheck::of(&axis, &noise, ReferenceMaterial::Polystyrene);
        assert!(check.missing() >= 7, "{check:?}");
    }

    #[test]
    fn lines_beyond_the_axis_are_not_asked_for() {
        let (axis, counts) = spectrum(ReferenceMaterial::Polystyrene, 1.9, 0.0, 8.0, 0.0);
        let check = AxisCheck::of(&axis, &counts, ReferenceMaterial::Polystyrene);
        assert_eq!(check.lines.len(), 8, "2852.4 cm-1 and above are not on an axis to 2100");
    }
}
