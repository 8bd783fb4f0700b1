//! One unit of the family as a host uses it: spectra on a common grid, in corrected counts.

use ramand_core::spectrum::{Nonlinearity, ShiftAxis};
use rand::{Rng, RngExt};

use super::detector::{Exposure, Illumination, Noise, Readout};
use super::interpolate::cubic;
use super::oils::Specimen;
use super::profile::InstrumentFamily;
use super::unit::InstrumentUnit;

/// An operator shortens the exposure when the brightest pixel passes this part of full scale.
const FULL_SCALE_MAX: f64 = 0.8;

/// A unit with the axis a host would compute for it.
pub(super) struct DatasetInstrument {
    pub(super) unit: InstrumentUnit,
    axis: ShiftAxis,
    nonlinearity: Nonlinearity,
}

impl DatasetInstrument {
    pub(super) fn new(profile: InstrumentFamily, number: u64) -> Self {
        let unit = InstrumentUnit::new(profile, number);
        let axis = unit.calibration().axis(unit.model.optical.clone()).expect("the simulated dispersion is monotonic");
        let nonlinearity = Nonlinearity { coefficients: unit.nonlinearity.iter().copied().map(f64::from).collect() };
        Self { unit, axis, nonlinearity }
    }

    /// Light minus dark counts on the grid.
    pub(super) fn measure(
        &self,
        sample: &Specimen,
        exposure_ms: [f64; 2],
        grid: &[f64],
        rng: &mut impl Rng,
    ) -> Vec<f32> {
        let [shortest, longest] = exposure_ms;
        let drawn_s = shortest * (longest / shortest).powf(rng.random()) / 1_000.0;
        let model = self.unit.model;
        let room = FULL_SCALE_MAX * f64::from(model.counts_max) - model.baseline;
        let light = Exposure {
            integration_s: drawn_s.min(room / self.unit.brightest_counts_per_s(sample)),
            scans: 1,
            detector_c: model.temperature_c,
            cosmic_rays_per_s: model.cosmic_rays_per_s,
            readout: Readout::Corrected,
            noise: Noise::Physical,
        };
        let light_frame = self.unit.expose(Illumination::Specimen { sample, power: 1.0 }, &light, rng);
        // Of the same exposure, as on the line: its noise is part of every spectrum.
        let dark_frame = self.unit.expose(Illumination::None, &light, rng);
        let counts: Vec<f32> = model
            .optical
            .clone()
            .map(|pixel| self.nonlinearity.correct(light_frame[pixel] as f32 - dark_frame[pixel] as f32))
            .collect();
        grid.iter().map(|&shift| cubic(self.axis.per_cm(), &counts, shift) as f32).collect()
    }
}
