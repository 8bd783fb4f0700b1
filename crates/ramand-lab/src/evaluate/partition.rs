//! The axis cut into places: the bundle's bands, and short pieces of everything between them.

use ramand_core::outcome::Band;
use ramand_core::spectrum::ShiftAxis;

/// Pieces between the bands: more are wider, so that a figure a piece stays affordable on any axis.
const PIECES_MAX: usize = 256;

/// A stretch of the axis that is looked at as one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AxisPlace {
    /// The band's assignment; of a piece, its range.
    pub(super) name: String,
    /// First point, cm⁻¹.
    pub(super) from_cm: f64,
    /// Last point, cm⁻¹.
    pub(super) to_cm: f64,
    /// Points of the axis in it.
    pub(super) points: usize,
}

/// Every point of the axis belongs to exactly one place, so that sums over places are sums over the axis. Bands come first, in
/// the order of the table; a point in two bands counts for the first of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AxisPartition {
    places: Vec<AxisPlace>,
    bands: usize,
    /// The place of each point.
    owner: Vec<usize>,
}

/// What lies outside all bands together is called.
pub(super) const ELSEWHERE: &str = "elsewhere";

impl AxisPartition {
    /// Between the bands, pieces are at most `width` points wide, about what one cell of the network sees. Bands without
    /// a point on the axis are left out.
    pub(super) fn new(axis: &ShiftAxis, bands: impl IntoIterator<Item = Band>, width: usize) -> Self {
        let mut owner: Vec<Option<usize>> = vec![None; axis.len()];
        let mut names = Vec::new();
        for band in bands {
            let mut any = false;
            for point in axis.range(band.from, band.to).filter(|&point| owner[point].is_none()).collect::<Vec<_>>() {
                (owner[point], any) = (Some(names.len()), true);
            }
            if any {
                names.push(band.name);
            }
        }
        let bands = names.len();
        let mut owner: Vec<usize> = owner.into_iter().map(|band| band.unwrap_or(usize::MAX)).collect();
        let width = width.max(axis.len().div_ceil(PIECES_MAX / 2)).max(1);
        let mut pieces = bands;
        for run in owner.chunk_by_mut(|one, next| one == next).filter(|run| run[0] == usize::MAX) {
            let count = run.len().div_ceil(width);
            let length = run.len();
            run.iter_mut().enumerate().for_each(|(index, owner)| *owner = pieces + index * count / length);
            pieces += count;
        }
        let place = |index: usize| {
            let members = || owner.iter().zip(axis.per_cm()).filter(|(owner, _)| **owner == index).map(|(_, cm)| *cm);
            let from_cm = members().fold(f64::INFINITY, f64::min);
            let to_cm = members().fold(f64::NEG_INFINITY, f64::max);
            let name = names.get(index).cloned().unwrap_or_else(|| format!("{from_cm:.0} to {to_cm:.0} cm-1"));
            AxisPlace { name, from_cm, to_cm, points: members().count() }
        };
        let places = (0..pieces).map(place).collect();
        Self { places, bands, owner }
    }

    /// All of them, bands first.
    pub(super) fn places(&self) -> &[AxisPlace] {
        &self.places
    }

    pub(super) fn bands(&self) -> usize {
        self.bands
    }

    /// The places that no band has: everything after the bands.
    pub(super) fn pieces(&self) -> &[AxisPlace] {
        &self.places[self.bands..]
    }

    /// The place of each point.
    pub(super) fn owner(&self) -> &[usize] {
        &self.owner
    }

    /// Part of the axis outside all bands, in 0..=1.
    pub(super) fn off_band_extent(&self) -> f64 {
        self.pieces().iter().map(|piece| piece.points).sum::<usize>() as f64 / self.owner.len() as f64
    }

    /// Whether a piece begins within half a band's width from that band: tables end a band where it has about half its height, so that what
    /// stands there is its flank.
    pub(super) fn is_flank(&self, piece: usize) -> bool {
        let of = &self.places[piece];
        let apart = |band: &AxisPlace| (band.from_cm - of.to_cm).max(of.from_cm - band.to_cm);
        self.places[..self.bands].iter().any(|band| apart(band) <= 0.5 * (band.to_cm - band.from_cm))
    }

    /// Names of the bands, and of the rest.
    pub(super) fn names(&self) -> Vec<&str> {
        self.places[..self.bands].iter().map(|band| band.name.as_str()).chain([ELSEWHERE]).collect()
    }

    /// Σ over each place of a value per point.
    pub(super) fn sums(&self, values: impl IntoIterator<Item = f32>) -> Vec<f64> {
        let mut sums = vec![0.0; self.places.len()];
        self.owner.iter().zip(values).for_each(|(&owner, value)| sums[owner] += f64::from(value));
        sums
    }

    /// A value per place as one per band, and one for all the rest.
    pub(super) fn coarse(&self, by_place: &[f64]) -> Vec<f64> {
        let (bands, pieces) = by_place.split_at(self.bands);
        bands.iter().copied().chain([pieces.iter().sum()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ramand_core::spectrum::RamanShift;

    #[test]
    fn every_point_has_one_place() {
        let shift = RamanShift::from_per_cm;
        let axis = ShiftAxis::even(shift(100.0), shift(190.0), 10).expect("even");
        let band = |name: &str, from, to| Band { name: name.into(), from: shift(from), to: shift(to) };
        let bands = [band("low", 110.0, 125.0), band("nowhere", 300.0, 400.0), band("over", 120.0, 140.0)];
        let partition = AxisPartition::new(&axis, bands, 3);
        assert_eq!(partition.owner(), [2, 0, 0, 1, 1, 3, 3, 3, 4, 4]);
        assert_eq!(partition.names(), ["low", "over", ELSEWHERE]);
        assert_eq!(partition.pieces()[1].name, "150 to 170 cm-1");
        assert_eq!(partition.pieces()[1].points, 3);
        assert_eq!(partition.off_band_extent(), 0.6);
        // A band from 110 to 140, then pieces of 100, of 150 and 160, of 170 and 180, of 190.
        let wide = AxisPartition::new(&axis, [band("wide", 110.0, 140.0)], 2);
        assert_eq!((1..5).map(|piece| wide.is_flank(piece)).collect::<Vec<_>>(), [true, true, false, false]);
        let sums = partition.sums((0..10).map(|point| point as f32));
        assert_eq!(sums, [3.0, 7.0, 0.0, 18.0, 17.0]);
        assert_eq!(partition.coarse(&sums), [3.0, 7.0, 35.0]);
    }

    #[test]
    fn an_axis_without_bands_is_elsewhere() {
        let axis = ShiftAxis::even(RamanShift::from_per_cm(0.0), RamanShift::from_per_cm(1.0), 4).expect("even");
        let partition = AxisPartition::new(&axis, [], 99);
        assert_eq!((partition.names(), partition.off_band_extent()), (vec![ELSEWHERE], 1.0));
    }
}
