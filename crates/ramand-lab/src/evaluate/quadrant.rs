//! The quadrant plot: how much a band is used against how different the band is.

use ramand_core::outcome::Explained;

use super::chart;
use super::contribution::mean_gross_shares;
use super::document::{Cell, Content, Section, Table};
use super::linearity::Linearity;
use super::observe::Observations;
use super::purity::by_band;
use super::truth::RecordedTruth;

/// From this purity or R² on, a band is different: its AUC is at least 0.75.
const DIFFERENT: f64 = 0.5;

/// What use and difference together say of a band (our definition).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quadrant {
    /// Used and different.
    Sound,
    /// Used, but not different.
    Suspicious,
    /// Different, but not used.
    Redundant,
    /// Neither.
    Unused,
}

/// Used is what has at least its equal part of the gross amount, 1 / `places`; different is what has a purity or R² of at least
/// [`DIFFERENT`].
pub(super) fn quadrant(gross_share: f64, difference: f64, places: usize) -> Quadrant {
    match (gross_share * places as f64 >= 1.0, difference >= DIFFERENT) {
        (true, true) => Quadrant::Sound,
        (true, false) => Quadrant::Suspicious,
        (false, true) => Quadrant::Redundant,
        (false, false) => Quadrant::Unused,
    }
}

impl Quadrant {
    fn word(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Suspicious => "suspicious",
            Self::Redundant => "redundant",
            Self::Unused => "unused",
        }
    }
}

/// A row per band.
pub(super) fn section(observations: &Observations, linearity: &Result<Linearity, String>) -> Section {
    let different = || -> Result<(&str, Vec<Option<f64>>), String> {
        match &observations.truth {
            Err(because) => Err(because.clone()),
            Ok(RecordedTruth::Values(_)) => {
                let found = linearity.as_ref().map_err(Clone::clone)?;
                Ok(("R2", found.bands.iter().map(|(line, _)| line.r2).collect()))
            }
            Ok(RecordedTruth::Classes(_)) => Ok(("mean purity", mean_purities(observations)?)),
        }
    };
    let content = different().map(|(what, different)| {
        let names = observations.partition.names();
        let gross = mean_gross_shares(observations);
        let each = || names.iter().copied().zip(&gross).zip(&different);
        let rows = each().map(|((name, &share), &different)| {
            let said = different.map(|different| quadrant(share, different, names.len()).word());
            vec![name.into(), share.into(), different.into(), Cell::from(said)]
        });
        let columns =
            [("band", "band"), ("gross_share", "gross share"), ("difference", what), ("quadrant", "quadrant")];
        let table = Table::new("quadrant", &columns, rows.collect());
        let points: Vec<_> = each().filter_map(|((name, &x), &y)| Some((name, x, y?))).collect();
        let figures = vec![chart::quadrant(&points, (1.0 / names.len() as f64, DIFFERENT), what)];
        Content { tables: vec![table], figures, notes: Vec::new() }
    });
    Section {
        key: "quadrant",
        title: "Use against difference",
        explains: format!(
            "Used: at least an equal part of the gross amount of D. Different: R2, or purity averaged over pairs of classes, of at \
             least {DIFFERENT}. Used and different is sound; used and not different is suspicious; different and not used is \
             redundant."
        ),
        content,
    }
}

fn mean_purities(observations: &Observations) -> Result<Vec<Option<f64>>, String> {
    let pairs = observations.questions().into_iter().filter_map(|explained| match explained {
        Explained::Contrast { class, against } => Some(by_band(observations, class, against)),
        Explained::Value => None,
    });
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() {
        return Err("there are samples of one class only".into());
    }
    let mean = |band: usize| {
        let known: Vec<f64> = pairs.iter().filter_map(|purities| purities[band]).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    Ok((0..observations.partition.names().len()).map(mean).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_quadrants() {
        let cases = [
            (0.25, 0.5, Quadrant::Sound),
            (0.3, -0.2, Quadrant::Suspicious),
            (0.24, 0.9, Quadrant::Redundant),
            (0.0, 0.49, Quadrant::Unused),
        ];
        for (share, difference, expected) in cases {
            assert_eq!(quadrant(share, difference, 4), expected);
        }
    }
}
