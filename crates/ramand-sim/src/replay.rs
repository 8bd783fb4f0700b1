//! Recorded spectra through the simulated instrument: row by row, from the recording's axis back to pixels.
//!
//! Values are scaled to counts by one positive factor for the whole file, so that its largest value (less its smallest,
//! where some are negative, as after SNV) lies at 60 % of full scale. Where values are negative all are also raised by the same
//! amount. Both are invisible after SNV; after a baseline correction and any normalisation the factor is invisible too. Beyond the recording's
//! axis the first and last values are held.

use std::sync::Arc;

use ramand_core::spectrum::ShiftAxis;
use ramand_recording::Recording;

use super::interpolate::cubic;
use super::unit::InstrumentUnit;

/// Where the largest value of the file lies between baseline and full scale.
const FULL_SCALE_PART: f64 = 0.6;

/// A recording being served.
#[derive(Debug)]
pub(super) struct ReplayPlayer {
    recording: Arc<Recording>,
    /// Light frames each row is served for.
    repeat: u64,
    offset: f64,
    factor: f64,
    /// The shift of each optical pixel, as a host computes it.
    axis: ShiftAxis,
}

impl ReplayPlayer {
    pub(super) fn new(recording: Arc<Recording>, repeat: u32, unit: &InstrumentUnit) -> Self {
        let values = || recording.spectra.iter().flat_map(|row| row.intensities.iter().copied().map(f64::from));
        let least = values().fold(0.0, f64::min);
        let largest = values().fold(0.0, f64::max) - least;
        let room = FULL_SCALE_PART * (f64::from(unit.model.counts_max) - unit.model.baseline);
        let factor = if largest > 0.0 { room / largest } else { 0.0 };
        let axis = unit.calibration().axis(unit.model.optical.clone()).expect("the simulated dispersion is monotonic");
        Self { recording, repeat: u64::from(repeat.max(1)), offset: -least, factor, axis }
    }

    /// The row that light frame number `light_frame` (from 0) shows: its index, its identifier, its counts by optical pixel.
    pub(super) fn row(&self, light_frame: u64) -> (usize, &str, Vec<f64>) {
        let index = ((light_frame / self.repeat) % self.recording.spectra.len() as u64) as usize;
        let row = &self.recording.spectra[index];
        let counts = self.axis.per_cm().iter().map(|&shift| {
            let value = cubic(row.axis.per_cm(), &row.intensities, shift);
            self.factor * (value + self.offset)
        });
        (index, &row.id, counts.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::InstrumentFamily;

    #[test]
    fn rows_come_one_after_another_scaled_by_one_factor_for_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("two.csv");
        std::fs::write(&path, "id,400,900,1400\na,-1,0,1\nb,-1,1,3\n").expect("written");
        let recording = Arc::new(Recording::read(&path).expect("valid"));
        let unit = InstrumentUnit::new(InstrumentFamily::QePro, 1);
        let player = ReplayPlayer::new(recording, 2, &unit);
        let ids: Vec<String> = (0..5).map(|frame| player.row(frame).1.to_owned()).collect();
        assert_eq!(ids, ["a", "a", "b", "b", "a"]);
        let (a, b) = (player.row(0).2, player.row(2).2);
        let room = FULL_SCALE_PART * (f64::from(unit.model.counts_max) - unit.model.baseline);
        assert!(a[0].abs() < 1e-9 && (b[1023] - room).abs() < 1e-6 && (a[1023] - room / 2.0).abs() < 1e-6);
    }
}
