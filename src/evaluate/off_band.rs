//! D8: how much of the explanation lies where no band has an assignment, where exactly, and when that is alarming.

use super::audit::{Occlusion, Probe};
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

/// From this part of what tells truths apart on, the loss of a piece, a few per cent of the axis, is material: a choice, named in
/// every report.
const MATERIAL: f64 = 0.1;
/// The same for the background, which has a little of everything: `docs/evaluate.md` says what clean models lose with it.
const MATERIAL_BACKGROUND: f64 = 0.25;
/// Pieces that people are shown.
const SHOWN_MAX: usize = 8;

/// Whether a piece of the axis that no band has raises the alarm (our criterion): the model reacts to it per cm⁻¹ at least as
/// much as to the named bands on average, and occluding it takes away at least a tenth of what tells truths apart. The first is the
/// map's word; the second, which does not depend on any map, confirms it.
pub fn is_alarming(piece: Loudness, bands: Loudness, occluded: f64) -> bool {
    piece.per_extent() >= bands.per_extent() && occluded >= MATERIAL
}

/// A share of effects, and the part of the axis that has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loudness {
    /// Of all effects, in 0..=1.
    pub share: f64,
    /// Of the axis, in 0..=1.
    pub extent: f64,
}

impl Loudness {
    /// share / extent, dimensionless: 1 is what the axis has on average; of no extent, 0.
    pub fn per_extent(self) -> f64 {
        if self.extent > 0.0 { self.share / self.extent } else { 0.0 }
    }
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
    /// Of each subject, h of every place, the mean over its questions; empty without truth.
    pub(super) effects: Vec<(String, Vec<f64>)>,
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
        let of = |explained: Explained| {
            let samples = samples(observations, explained);
            effects(&samples, &vec![1; samples.len()], explained).map(|effects| effect_shares(&effects))
        };
        let effects = observations.subjects().into_iter().filter_map(|(name, questions)| {
            let shares: Vec<Vec<f64>> = questions.into_iter().filter_map(of).collect();
            let mean = |place: usize| shares.iter().map(|shares| shares[place]).sum::<f64>() / shares.len() as f64;
            (!shares.is_empty()).then(|| (name, (0..places.len()).map(mean).collect()))
        });
        let gross = places[partition.bands()..].iter().sum();
        Ok(Self { gross, extent: partition.off_band_extent(), effects: effects.collect(), places })
    }

    /// The largest h of a place over all subjects, and the subject's index.
    fn strongest(&self, place: usize) -> Option<(usize, f64)> {
        let of = self.effects.iter().enumerate().map(|(subject, (_, shares))| (subject, shares[place]));
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

/// Every place that raises the alarm, and why.
fn alarms(
    observations: &Observations,
    found: &OffBand,
    audit: &Occlusion,
    receptive_field_cm: f64,
) -> Vec<(String, String)> {
    let partition = &observations.partition;
    let (bands, points) = (partition.bands(), partition.owner().len() as f64);
    let mut alarms = Vec::new();
    for ((name, probe), effects) in audit.probes.iter().zip(&audit.effects) {
        for ((of, shares), occluded) in found.effects.iter().zip(effects) {
            let Some(occluded) = *occluded else { continue };
            let goes = format!("{of}: {:.0} % of the effect goes with it", 100.0 * occluded);
            match probe {
                Probe::Background if occluded >= MATERIAL_BACKGROUND => alarms.push((name.clone(), goes)),
                Probe::Places(members) => {
                    let [piece] = members[..] else { continue };
                    if piece < bands || partition.is_wing(piece, receptive_field_cm) {
                        continue;
                    }
                    let in_bands = Loudness { share: shares[..bands].iter().sum(), extent: 1.0 - found.extent };
                    let extent = partition.places()[piece].points as f64 / points;
                    let there = Loudness { share: shares[piece], extent };
                    if is_alarming(there, in_bands, occluded) {
                        let (there, in_bands) = (there.per_extent(), in_bands.per_extent());
                        alarms.push((
                            name.clone(),
                            format!("{goes}; {there:.1} times the axis' mean effect, bands {in_bands:.1}"),
                        ));
                    }
                }
                Probe::Background => {}
            }
        }
    }
    alarms
}

/// A row per piece.
pub(super) fn section(
    observations: &Observations,
    found: &Result<OffBand, String>,
    occlusion: &Result<Occlusion, String>,
    receptive_field_cm: f64,
) -> Section {
    let content = found.as_ref().map_err(Clone::clone).map(|found| {
        let partition = &observations.partition;
        let points = partition.owner().len() as f64;
        let row = |place: usize| -> Vec<Cell> {
            let (piece, share) = (&partition.places()[place], found.places[place]);
            let strongest = found.strongest(place);
            let extent = piece.points as f64 / points;
            let loudness = |share| Loudness { share, extent }.per_extent();
            vec![
                piece.from_cm.into(),
                piece.to_cm.into(),
                share.into(),
                loudness(share).into(),
                strongest.map(|(_, share)| share).into(),
                strongest.map(|(_, share)| loudness(share)).into(),
                Cell::from(strongest.map(|(subject, _)| found.effects[subject].0.as_str())),
            ]
        };
        let columns = [
            ("from_cm", "from, cm-1"),
            ("to_cm", "to, cm-1"),
            ("gross_share", "gross share of D"),
            ("loudness", "by part of the axis"),
            ("effect_share", "share of effects"),
            ("effect_loudness", "by part of the axis"),
            ("subject", "of"),
        ];
        let order = found.pieces(partition.bands(), partition.pieces().len());
        let shown = order.iter().take(SHOWN_MAX).map(|&place| row(place)).collect();
        let all = order.iter().map(|&place| row(place)).collect();
        let mut notes = vec![format!(
            "Off-band mass: {:.1} % of the gross amount of D on {:.1} % of the axis. Shown are the {} pieces most reacted to, of {}.",
            100.0 * found.gross,
            100.0 * found.extent,
            order.len().min(SHOWN_MAX),
            order.len()
        )];
        let keys: Vec<String> = (0..partition.places().len()).map(|place| format!("place_{place}")).collect();
        let mut effect_columns = vec![("subject", "effects of")];
        effect_columns.extend(keys.iter().zip(partition.places()).map(|(key, place)| (key.as_str(), place.name.as_str())));
        let effect_rows = found.effects.iter().map(|(name, shares)| {
            [Cell::from(name.as_str())].into_iter().chain(shares.iter().map(|&share| share.into())).collect()
        });
        let effects = Table::new("effects", &effect_columns, effect_rows.collect()).data_only();
        let mut alarm_rows = Vec::new();
        match (occlusion, found.effects.is_empty()) {
            (Ok(occlusion), false) => {
                alarm_rows = alarms(observations, found, occlusion, receptive_field_cm);
                notes.push(match alarm_rows.len() {
                    0 => "No alarm: neither the background nor a piece between the bands is what tells truths apart.".into(),
                    _ => "ALARM: the model leans on places that no band has. Look there for what is not chemistry: an instrument's line, a background, a batch."
                        .into(),
                });
            }
            _ => notes.push("Without a truth nothing raises the alarm.".into()),
        }
        let alarm_rows = alarm_rows.into_iter().map(|(place, why)| vec![place.into(), why.into()]).collect();
        notes.extend(NON_CLAIMS.map(String::from));
        let alarms = Table::new("alarms", &[("place", "alarm at"), ("why", "of")], alarm_rows);
        let pieces = Table::new("pieces", &columns, shown);
        let all = Table::new("all_pieces", &columns, all).data_only();
        Content { tables: vec![alarms, pieces, all, effects], figures: Vec::new(), notes }
    });
    Section {
        key: "off_band",
        title: "Off-band mass and the alarm for shortcuts (D8)",
        explains: format!(
            "1 - the sum of the bands' gross shares: how much of the explanation lies where no band has an assignment, and on \
             which pieces of the axis, each about as wide as what one cell of the network sees. Effects are slopes on the truth, or \
             what keeps a class apart from the others (mean over pairs). A piece raises the alarm where effects per cm-1 reach \
             the mean of the named bands and occluding it takes at least {:.0} % of the effect away; pieces whose middle is within half \
             of what a cell sees from a band cannot be told from it and raise none. The background raises it where at least {:.0} % of \
             the effect goes with it.",
            100.0 * MATERIAL,
            100.0 * MATERIAL_BACKGROUND
        ),
        content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_effects_ignore_signs() {
        assert_eq!(effect_shares(&[3.0, -1.0]), [0.75, 0.25]);
        assert_eq!(effect_shares(&[0.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn an_alarm_needs_a_loud_place_and_a_loss() {
        let loudness = |share, extent| Loudness { share, extent };
        let bands = loudness(0.6, 0.4);
        let cases = [
            (loudness(0.3, 0.05), 0.4, true),
            (loudness(0.3, 0.05), 0.09, false),
            (loudness(0.03, 0.05), 0.4, false),
            (loudness(0.03, 0.0), 0.4, false),
            (loudness(0.3, 0.05), f64::NAN, false),
        ];
        for (piece, occluded, expected) in cases {
            assert_eq!(is_alarming(piece, bands, occluded), expected, "{piece:?}, {occluded}");
        }
    }
}
