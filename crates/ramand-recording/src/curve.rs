//! One spectrum as a file of an instrument holds it: abscissae in the file's unit, ordinates, and what the unit is.

use ramand_core::spectrum::{AxisError, ShiftAxis, Wavelength};

/// Points of one spectrum, far above any detector: a count beyond it is a damaged file.
pub(super) const POINTS_MAX: usize = 1 << 20;
/// Bytes of one file of an instrument: a map of thousands of spectra.
pub(super) const FILE_BYTES_MAX: u64 = 64 << 20;

/// What the abscissa counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbscissaUnit {
    /// Raman shift or wavenumber, cm⁻¹.
    PerCm,
    /// Wavelength, nm.
    Nm,
}

/// How abscissae become the shifts a model counts in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Abscissa {
    /// Of files that do not say it themselves.
    pub unit: AbscissaUnit,
    /// What wavelengths are shifts from; without a laser they become wavenumbers, 10⁷/λ.
    pub laser: Option<Wavelength>,
}

impl Abscissa {
    /// Raman shifts in cm⁻¹, as most files have them.
    pub const PER_CM: Self = Self { unit: AbscissaUnit::PerCm, laser: None };

    /// One abscissa in cm⁻¹.
    pub(super) fn per_cm(self, unit: Option<AbscissaUnit>, value: f64) -> f64 {
        match (unit.unwrap_or(self.unit), self.laser) {
            (AbscissaUnit::PerCm, _) => value,
            (AbscissaUnit::Nm, None) => 1e7 / value,
            (AbscissaUnit::Nm, Some(laser)) => Wavelength::from_nm(value).shift(laser).per_cm(),
        }
    }
}

/// A spectrum in its file's unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// In the file's order, which may descend.
    pub abscissae: Vec<f64>,
    /// As many, finite.
    pub ordinates: Vec<f32>,
    /// Of the abscissae, if the file says it.
    pub unit: Option<AbscissaUnit>,
}

impl Curve {
    /// Axis and intensities in the order of increasing shift.
    ///
    /// # Errors
    /// When the abscissae neither increase nor decrease from point to point.
    pub(super) fn on_axis(self, abscissa: Abscissa) -> Result<(ShiftAxis, Vec<f32>), AxisError> {
        let mut shifts: Vec<f64> = self.abscissae.iter().map(|&value| abscissa.per_cm(self.unit, value)).collect();
        let mut intensities = self.ordinates;
        if descends(&shifts) {
            shifts.reverse();
            intensities.reverse();
        }
        Ok((ShiftAxis::new(shifts)?, intensities))
    }
}

/// Whether the ends say that shifts run downwards.
pub(super) fn descends(shifts: &[f64]) -> bool {
    shifts.first() > shifts.last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_increase_whatever_the_unit_and_direction() {
        let laser = Some(Wavelength::from_nm(785.0));
        let nm = |laser| Abscissa { unit: AbscissaUnit::Nm, laser };
        // 10⁷ (1/785 − 1/850) = 974.147 cm⁻¹
        let cases = [
            ([800.0, 802.0], None, Abscissa::PER_CM, [800.0, 802.0]),
            ([802.0, 800.0], Some(AbscissaUnit::PerCm), nm(laser), [800.0, 802.0]),
            ([850.0, 860.0], None, nm(laser), [974.147, 1110.947]),
            ([860.0, 850.0], Some(AbscissaUnit::Nm), nm(laser), [974.147, 1110.947]),
            ([1000.0, 2000.0], None, nm(None), [5000.0, 10000.0]),
        ];
        for (values, unit, abscissa, expected) in cases {
            let first = values[0];
            let curve = Curve { abscissae: values.to_vec(), ordinates: vec![1.0, 2.0], unit };
            let (axis, intensities) = curve.on_axis(abscissa).expect("two different values");
            for (found, expected) in axis.per_cm().iter().zip(expected) {
                assert!((found - expected).abs() < 1e-3, "{values:?}: {found}, not {expected}");
            }
            let turned = abscissa.per_cm(unit, first) > axis.first().per_cm();
            assert_eq!(intensities, if turned { [2.0, 1.0] } else { [1.0, 2.0] }, "{values:?}");
        }
        let curve = Curve { abscissae: vec![1.0, 3.0, 2.0], ordinates: vec![0.0; 3], unit: None };
        assert!(curve.on_axis(Abscissa::PER_CM).is_err());
    }
}
