//! A spectrum without its background, or without what stands on a short stretch, taken away in the light as it was measured.
//!
//! What an instrument or a batch adds, it adds to the light. In a preprocessed spectrum the same place also holds what normalisation makes
//! of the bands: under SNV a band that grows pushes everything else down, and a place with no light of its own goes with the truth.

use std::ops::RangeInclusive;
use std::sync::Arc;

use nalgebra::{DMatrix, DVector};
use ramand_core::outcome::Band;
use ramand_core::spectrum::{RawSpectrum, ShiftAxis};

/// Of the background: offset, tilt and curvature. A higher order would follow a line on a short axis.
const ORDER: usize = 2;
/// Singular values of the fit below this part of the largest are nothing: the mean spectrum may itself be a polynomial.
const RANK_TOLERANCE: f64 = 1e-9;

/// x ≈ c m + p₀ + p₁ u + p₂ u² by least squares over some points of the axis, m being a mean spectrum: the model of extended multiplicative
/// signal correction (Martens and Stark, J. Pharm. Biomed. Anal. 9 (1991) 625). The scale c keeps what every spectrum has, bands included,
/// out of the polynomial.
struct BackgroundFit {
    /// 1, u, u² and m, \[points\]\[4\].
    columns: DMatrix<f64>,
    /// Of the rows that are fitted.
    inverse: DMatrix<f64>,
    fitted: Vec<usize>,
}

impl BackgroundFit {
    /// `None` where fewer points are fitted than there are columns.
    fn new(mean: &[f64], u: &[f64], fitted: &[usize]) -> Option<Self> {
        let scale = mean.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        let columns = DMatrix::from_fn(mean.len(), ORDER + 2, |point, column| {
            if column > ORDER { mean[point] / scale } else { u[point].powi(column as i32) }
        });
        if fitted.len() < columns.ncols() {
            return None;
        }
        let rows = columns.select_rows(fitted);
        let tolerance = RANK_TOLERANCE * rows.norm();
        let inverse = rows.pseudo_inverse(tolerance).ok()?;
        Some(Self { columns, inverse, fitted: fitted.to_vec() })
    }

    /// The polynomial, and the whole fit, at every point.
    fn of(&self, light: &[f32]) -> (DVector<f64>, DVector<f64>) {
        let seen = DVector::from_iterator(self.fitted.len(), self.fitted.iter().map(|&point| f64::from(light[point])));
        let coefficients = &self.inverse * seen;
        let powers = self.columns.ncols() - 1;
        let slow = self.columns.columns(0, powers) * coefficients.rows(0, powers);
        (slow, &self.columns * coefficients)
    }
}

/// What can be taken away from spectra of one axis.
pub(super) struct RecordedLight {
    axis: Arc<ShiftAxis>,
    background: BackgroundFit,
    /// Of each stretch: the points in it, and a fit to all others.
    stretches: Vec<(Vec<usize>, BackgroundFit)>,
}

impl RecordedLight {
    /// `spectra` give the mean; fits look at the points of the model's `axis` outside all `bands`. Stretches are ranges in cm⁻¹.
    pub(super) fn new(
        spectra: &[RawSpectrum],
        axis: &ShiftAxis,
        bands: &[Band],
        stretches: &[RangeInclusive<f64>],
    ) -> Result<Self, String> {
        let own = spectra.first().ok_or("no spectrum could be preprocessed")?.axis().clone();
        if spectra.iter().any(|spectrum| spectrum.axis() != &own) {
            return Err("the spectra do not share one axis".into());
        }
        let mut mean = vec![0.0; own.len()];
        for spectrum in spectra {
            mean.iter_mut().zip(spectrum.light()).for_each(|(mean, &value)| *mean += f64::from(value));
        }
        let (first, last) = (axis.first().per_cm(), axis.last().per_cm());
        // Beyond the model's axis the polynomial stays what it was at its end.
        let u: Vec<f64> =
            own.per_cm().iter().map(|cm| (2.0 * (cm - first) / (last - first) - 1.0).clamp(-1.0, 1.0)).collect();
        let outside = |cm: f64| {
            (first..=last).contains(&cm)
                && !bands.iter().any(|band| (band.from.per_cm()..=band.to.per_cm()).contains(&cm))
        };
        let points = |wanted: &dyn Fn(f64) -> bool| -> Vec<usize> {
            (0..own.len()).filter(|&point| wanted(own.per_cm()[point])).collect()
        };
        let fit = |fitted: &[usize]| {
            BackgroundFit::new(&mean, &u, fitted).ok_or("too little of the axis is outside all bands")
        };
        let stretches = stretches.iter().map(|stretch| {
            let others = points(&|cm| outside(cm) && !stretch.contains(&cm));
            Ok((points(&|cm| stretch.contains(&cm)), fit(&others)?))
        });
        let stretches = stretches.collect::<Result<_, String>>()?;
        Ok(Self { background: fit(&points(&outside))?, stretches, axis: own })
    }

    /// Without offset, tilt and curvature beside the mean spectrum.
    pub(super) fn without_background(&self, spectrum: &RawSpectrum) -> RawSpectrum {
        let (slow, _) = self.background.of(spectrum.light());
        let rest = spectrum.light().iter().zip(&slow).map(|(&value, slow)| narrowed(f64::from(value) - slow));
        self.replaced(spectrum, rest.collect())
    }

    /// In each stretch for itself: with the scaled mean spectrum on the spectrum's own background, as the rest of the axis has them.
    pub(super) fn without_stretches(&self, spectrum: &RawSpectrum) -> impl Iterator<Item = RawSpectrum> {
        self.stretches.iter().map(|(inside, fit)| {
            let (_, expected) = fit.of(spectrum.light());
            let mut light = spectrum.light().to_vec();
            inside.iter().for_each(|&point| light[point] = narrowed(expected[point]));
            self.replaced(spectrum, light)
        })
    }

    fn replaced(&self, spectrum: &RawSpectrum, light: Vec<f32>) -> RawSpectrum {
        let dark = spectrum.dark().map(<[f32]>::to_vec);
        RawSpectrum::new(self.axis.clone(), light, dark, spectrum.origin().clone())
            .expect("a fit of finite numbers is finite, and as long")
    }
}

/// Counts near the end of what f32 holds stay there.
fn narrowed(value: f64) -> f32 {
    value.clamp(f32::MIN.into(), f32::MAX.into()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramand_core::spectrum::{Origin, RamanShift};

    const TOLERANCE: f32 = 1e-3;

    /// `height` times one band of 10 cm⁻¹ at 1100 cm⁻¹, whatever else is said, on 1000 to 1200 cm⁻¹.
    fn spectrum(height: f64, else_: impl Fn(f64) -> f64) -> RawSpectrum {
        let axis = ShiftAxis::even(RamanShift::from_per_cm(1000.0), RamanShift::from_per_cm(1200.0), 101);
        let axis = Arc::new(axis.expect("increasing"));
        let at = |&cm: &f64| (height * (-0.5 * ((cm - 1100.0) / 10.0).powi(2)).exp() + else_(cm)) as f32;
        let light = axis.per_cm().iter().map(at).collect();
        RawSpectrum::new(axis, light, None, Origin::Recorded { id: "test".into() }).expect("finite")
    }

    fn light(spectra: &[RawSpectrum]) -> RecordedLight {
        let shift = RamanShift::from_per_cm;
        let band = Band { name: "band".into(), from: shift(1080.0), to: shift(1120.0) };
        RecordedLight::new(spectra, spectra[0].axis(), &[band], &[1040.0..=1050.0]).expect("one axis")
    }

    fn check(found: &RawSpectrum, expected: &RawSpectrum) {
        for ((found, expected), cm) in found.light().iter().zip(expected.light()).zip(found.axis().per_cm()) {
            assert!((found - expected).abs() < TOLERANCE, "{cm}: {found}, not {expected}");
        }
    }

    #[test]
    fn the_background_goes_and_the_band_stays() {
        let tilt = |cm: f64| 3.0 + 0.02 * (cm - 1100.0) + 1e-4 * (cm - 1100.0).powi(2);
        let light = light(&[spectrum(100.0, |_| 0.0)]);
        check(&light.without_background(&spectrum(80.0, tilt)), &spectrum(80.0, |_| 0.0));
        // A line outside the band that every spectrum has is no background.
        let line = |cm: f64| 20.0 * (-0.5 * ((cm - 1160.0) / 5.0).powi(2)).exp();
        let with_line = self::light(&[spectrum(100.0, line)]);
        check(&with_line.without_background(&spectrum(100.0, |cm| line(cm) + tilt(cm))), &spectrum(100.0, line));
    }

    #[test]
    fn a_stretch_gets_what_the_rest_of_the_axis_says() {
        let tilt = |cm: f64| 50.0 + 0.1 * (cm - 1100.0);
        let light = light(&[spectrum(100.0, |_| 0.0)]);
        let step = |cm: f64| tilt(cm) + if (1040.0..=1050.0).contains(&cm) { 30.0 } else { 0.0 };
        let found: Vec<RawSpectrum> = light.without_stretches(&spectrum(80.0, step)).collect();
        check(&found[0], &spectrum(80.0, tilt));
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn the_largest_counts_there_are_stay_numbers() {
        let huge = |sign: f64| spectrum(1.0, move |cm| if cm > 1190.0 { sign * f64::from(f32::MAX) } else { 0.0 });
        let light = light(&[huge(1.0), huge(-1.0)]);
        let found = light.without_background(&huge(1.0));
        assert!(
            found
                .light()
                .iter()
                .chain(light.without_stretches(&huge(-1.0)).next().expect("one").light())
                .all(|v| v.is_finite())
        );
    }

    #[test]
    fn what_cannot_be_fitted_is_said() {
        let one = spectrum(1.0, |_| 0.0);
        let shift = RamanShift::from_per_cm;
        let everything = Band { name: "all".into(), from: shift(0.0), to: shift(5000.0) };
        let error = RecordedLight::new(std::slice::from_ref(&one), one.axis(), &[everything], &[]).err();
        assert!(error.is_some_and(|error| error.contains("outside all bands")));
        let axis = Arc::new(ShiftAxis::even(shift(1000.0), shift(1300.0), 101).expect("even"));
        let other = RawSpectrum::new(axis, vec![1.0; 101], None, Origin::Recorded { id: "other".into() });
        let error = RecordedLight::new(&[one.clone(), other.expect("finite")], one.axis(), &[], &[]).err();
        assert!(error.is_some_and(|error| error.contains("share one axis")));
        assert!(RecordedLight::new(&[], one.axis(), &[], &[]).is_err());
    }
}
