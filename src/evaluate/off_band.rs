//! D8: how much of the explanation lies where no band has an assignment, where exactly, and when that is alarming.

use super::contribution::{self, NON_CLAIMS};
use super::document::{Cell, Content, Section, Table};
use super::effect::{effects, samples};
use super::observe::Observations;
use crate::outcome::Explained;

/// h_S = |E_S| / Σ|E| over places (our definition, in 0..=1, adding up to 1): the part of all effects, whatever their sign, that a
/// place has; all zero where there is no effect.
pub fn effect_shares(effects: &[f64]) -> Vec<f64> {
    let magnitudes: Vec<f64> = effects.iter().map(|effect| effect.abs()).collect();
    contribution::gross_shares(&magnitudes)
}

/// How much louder a part of the axis is than the axis on average: its share by its extent (dimensionless; 1 is average).
pub fn loudness(share: f64, extent: f64) -> Option<f64> {
    (extent > 0.0).then(|| share / extent)
}

/// Everything of D8.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OffBand {
    /// Mean gross share of D outside all bands.
    pub(super) gross: f64,
    /// Part of the axis outside all bands.
    pub(super) extent: f64,
    /// Mean gross share of every place.
    pub(super) places: Vec<f64>,
    /// Of each question, h of every place; empty without truth.
    pub(super) effects: Vec<(Explained, Vec<f64>)>,
}

impl OffBand {
    pub(super) fn of(observations: &Observations) -> Result<Self, String> {
        let partition = &observations.partition;
        if observations.rows.is_empty() {
            return Err("no spectrum could be prepared".into());
        }
        if partition.bands() == 0 {
            return Err("the bundle names no bands on its axis".into());
        }
        let count = observations.rows.len() as f64;
        let mut places = vec![0.0; partition.places().len()];
        for row in &observations.rows {
            let shares = contribution::gross_shares(&row.gross);
            places.iter_mut().zip(shares).for_each(|(mean, share)| *mean += share / count);
        }
        let effects = observations.questions().into_iter().filter_map(|explained| {
            let samples = samples(observations, explained);
            let effects = effects(&samples, &vec![1; samples.len()], explained)?;
            Some((explained, effect_shares(&effects)))
        });
        let gross = places[partition.bands()..].iter().sum();
        Ok(Self { gross, extent: partition.off_band_extent(), effects: effects.collect(), places })
    }

    /// The largest h of a place over all questions, and the question.
    pub(super) fn strongest(&self, place: usize) -> Option<(Explained, f64)> {
        let of = self.effects.iter().map(|(explained, shares)| (*explained, shares[place]));
        of.max_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// The pieces between the bands most reacted to; without truth, those with the largest gross share. Indices of places.
    pub(super) fn pieces(&self, bands: usize, count: usize) -> Vec<usize> {
        let weight = |place: usize| self.strongest(place).map_or(self.places[place], |(_, share)| share);
        let mut order: Vec<usize> = (bands..self.places.len()).collect();
        order.sort_by(|&one, &other| weight(other).total_cmp(&weight(one)).then(one.cmp(&other)));
        order.truncate(count);
        order
    }
}

/// A row per piece.
pub(super) fn section(observations: &Observations, found: &Result<OffBand, String>) -> Section {
    let content = found.as_ref().map_err(Clone::clone).map(|found| {
        let partition = &observations.partition;
        let points = partition.owner().len() as f64;
        let rows = found.pieces(partition.bands(), partition.pieces().len()).into_iter().map(|place| {
            let (piece, share) = (&partition.places()[place], found.places[place]);
            let strongest = found.strongest(place);
            let extent = piece.points as f64 / points;
            vec![
                piece.from_cm.into(),
                piece.to_cm.into(),
                share.into(),
                loudness(share, extent).into(),
                strongest.map(|(_, share)| share).into(),
                strongest.and_then(|(_, share)| loudness(share, extent)).into(),
                Cell::from(strongest.map(|(explained, _)| observations.named(explained))),
            ]
        });
        let columns = [
            ("from_cm", "from, cm-1"),
            ("to_cm", "to, cm-1"),
            ("gross_share", "gross share of D"),
            ("loudness", "by part of the axis"),
            ("effect_share", "share of effects"),
            ("effect_loudness", "by part of the axis"),
            ("question", "of"),
        ];
        let effects: Vec<f64> =
            found.effects.iter().map(|(_, shares)| shares[partition.bands()..].iter().sum()).collect();
        let mut notes = vec![format!(
            "Off-band mass: {:.1} % of the gross amount of D on {:.1} % of the axis.",
            100.0 * found.gross,
            100.0 * found.extent
        )];
        if !effects.is_empty() {
            let mean = effects.iter().sum::<f64>() / effects.len() as f64;
            notes.push(format!("Of the effects {:.1} % lie outside all bands.", 100.0 * mean));
        }
        notes.extend(NON_CLAIMS.map(String::from));
        Content { tables: vec![Table::new("pieces", &columns, rows.collect())], notes, ..Content::default() }
    });
    Section {
        key: "off_band",
        title: "Off-band mass (D8)",
        explains: "1 - the sum of the bands' gross shares: how much of the explanation lies where no band has an assignment, and \
                   on which pieces of the axis, each about as wide as what one cell of the network sees."
            .into(),
        content,
    }
}
