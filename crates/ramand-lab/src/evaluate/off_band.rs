//! D8: how much of the explanation lies where no band has an assignment, where exactly, and when that is alarming.

use ramand_core::outcome::Explained;

use super::contribution::{self, NON_CLAIMS};
use super::document::{Cell, Content, Section, Table};
use super::effect::{effects, samples};
use super::observe::Observations;
use super::partition::AxisPartition;
use super::shortcut::{MATERIAL, Shortcuts, is_alarming};

/// h_S = |E_S| / Σ|E| over places (our definition, in 0..=1, adding up to 1): the part of all effects, whatever their sign, that a
/// place has; all zero where there is no effect.
pub(super) fn effect_shares(effects: &[f64]) -> Vec<f64> {
    let magnitudes: Vec<f64> = effects.iter().map(|effect| effect.abs()).collect();
    contribution::gross_shares(&magnitudes)
}

/// Pieces that people are shown.
const SHOWN_MAX: usize = 8;

/// A share of effects, and the part of the axis that has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Loudness {
    /// Of all effects, in 0..=1.
    pub(super) share: f64,
    /// Of the axis, in 0..=1.
    pub(super) extent: f64,
}

impl Loudness {
    /// share / extent, dimensionless: 1 is what the axis has on average; of no extent, 0.
    pub(super) fn per_extent(self) -> f64 {
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
            return Err("no spectrum could be preprocessed".into());
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

    /// The same of those that are no band's flank.
    pub(super) fn suspects(&self, partition: &AxisPartition, count: usize) -> Vec<usize> {
        let mut order = self.pieces(partition.bands(), usize::MAX);
        order.retain(|&piece| !partition.is_flank(piece));
        order.truncate(count);
        order
    }
}

/// Every place that raises the alarm, and why.
fn alarms(found: &Shortcuts) -> Vec<Vec<Cell>> {
    let places = found.places.iter().zip(&found.shares);
    let alarming = places.flat_map(|(place, shares)| {
        let of = found.subjects.iter().zip(shares).filter_map(|(subject, share)| Some((subject, (*share)?)));
        of.filter(|(_, share)| is_alarming(*share, found.chance)).map(move |(subject, share)| {
            let why = format!("{subject}: {:.0} % of the effect goes with it", 100.0 * share);
            vec![place.as_str().into(), why.into()]
        })
    });
    alarming.collect()
}

/// A row per place that was taken away from the light.
fn taken(found: &Shortcuts) -> Table {
    let columns =
        [("place", "taken away from the light"), ("share", "largest part of the effect that goes"), ("subject", "of")];
    let row = |place: usize| {
        let largest = found.largest(place);
        vec![
            found.places[place].as_str().into(),
            largest.map(|(_, share)| share).into(),
            Cell::from(largest.map(|(subject, _)| subject)),
        ]
    };
    Table::new("taken", &columns, (0..found.places.len()).map(row).collect())
}

/// A row per piece.
pub(super) fn section(
    observations: &Observations,
    found: &Result<OffBand, String>,
    shortcuts: &Result<Shortcuts, String>,
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
        let (mut alarm_rows, mut taken_away) = (Vec::new(), None);
        match shortcuts {
            Ok(shortcuts) => {
                alarm_rows = alarms(shortcuts);
                taken_away = Some(taken(shortcuts));
                notes.push(format!(
                    "By chance one of these parts reaches {:.1} % in 5 of 100 reports.",
                    100.0 * shortcuts.chance.max(0.0)
                ));
                notes.push(match alarm_rows.len() {
                    0 => "No alarm: neither the background nor a piece between the bands is what tells truths apart.".into(),
                    _ => "ALARM: the model leans on places that no band has. Look there for what is not chemistry: an instrument's line, a background, a batch."
                        .into(),
                });
            }
            Err(because) => notes.push(format!("Nothing raises the alarm, because {because}.")),
        }
        notes.extend(NON_CLAIMS.map(String::from));
        let alarms = Table::new("alarms", &[("place", "alarm at"), ("why", "of")], alarm_rows);
        let pieces = Table::new("pieces", &columns, shown);
        let all = Table::new("all_pieces", &columns, all).data_only();
        let tables = [Some(alarms), taken_away, Some(pieces), Some(all), Some(effects)];
        Content { tables: tables.into_iter().flatten().collect(), figures: Vec::new(), notes }
    });
    Section {
        key: "off_band",
        title: "Off-band mass and the alarm for shortcuts (D8)",
        explains: format!(
            "1 - the sum of the bands' gross shares: how much of the explanation lies where no band has an assignment, and on \
             which pieces of the axis, each about as wide as what one cell of the network sees. Effects are slopes on the truth, or \
             what keeps a class apart from the others (mean over pairs). The alarm asks what goes of the effect when the background, or one of \
             the pieces most reacted to, is taken away from the light before preprocessing: it is raised from {:.0} % on, where that is \
             more than chance gives in 5 of 100 reports, by what went when permuted among the samples. Pieces that begin within half a band's \
             width from that band hold its flank and raise none.",
            100.0 * MATERIAL,
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
}
