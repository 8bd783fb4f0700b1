//! How often intervals and sets held the truth, how wide they were, and how many good spectra the gate refused.
//!
//! All are means over samples, each with the mean over its spectra and repeats.

use ramand_core::decide::conformal::Calibration;
use ramand_model::manifest::MetricsRecord;

use super::bootstrap::Draws;
use super::conformal::Fared;
use super::dataset::{Dataset, Truth};
use super::gate::{GateFit, HeldOutScore};
use super::out_of_fold::OutOfFold;

/// What figures of coverage and refusal are computed from.
pub(super) struct Coverage<'a> {
    pub(super) data: &'a Dataset<'a>,
    /// The predictions.
    pub(super) rows: &'a [OutOfFold],
    /// How each of them fared; empty where that is not known.
    pub(super) fared: &'a [Fared],
    /// Whose held-out spectra are refused or not.
    pub(super) gate: Option<&'a GateFit>,
}

impl Coverage<'_> {
    /// Adds the figures with their intervals; nothing of what could not be measured.
    pub(super) fn add_to(&self, metrics: &mut MetricsRecord, draws: &Draws) {
        let Self { data, rows, fared, gate } = *self;
        let samples = data.unit_count();
        let mut add = |key: &str, values: &mut dyn Iterator<Item = (usize, f64)>| -> Option<f64> {
            let means = means(samples, values);
            let figure = |counts: &[u32]| {
                let counted =
                    means.iter().zip(counts).filter_map(|(mean, &count)| Some((mean.as_ref()?, f64::from(count))));
                let (sum, weight) =
                    counted.fold((0.0, 0.0), |(sum, weight), (mean, count)| (sum + count * mean, weight + count));
                sum / weight
            };
            let value = figure(&vec![1; samples]);
            if let Some(interval) = draws.interval(figure) {
                metrics.interval.insert(key.to_owned(), interval);
            }
            value.is_finite().then_some(value)
        };
        let refused = add("refused", &mut gate.map_or_else(Vec::new, refused).into_iter());
        let of = |what: fn(&Fared) -> f64| {
            let fared = fared.iter().zip(rows);
            fared.map(move |(fared, row)| (data.units[row.spectrum], what(fared)))
        };
        let coverage = add("coverage", &mut of(|fared| f64::from(u8::from(fared.covered))));
        let (mut width, mut size, mut single, mut empty) = (None, None, None, None);
        match &data.truth {
            Truth::Values(_) => width = add("interval_width", &mut of(|fared| fared.size)),
            Truth::Classes { .. } => {
                size = add("set_size", &mut of(|fared| fared.size));
                single = add("set_single", &mut of(|fared| f64::from(u8::from(fared.size == 1.0))));
                empty = add("set_empty", &mut of(|fared| f64::from(u8::from(fared.size == 0.0))));
            }
        }
        (metrics.refused, metrics.coverage, metrics.interval_width) = (refused, coverage, width);
        (metrics.set_size, metrics.set_single, metrics.set_empty) = (size, single, empty);
    }
}

/// Mean of each sample's values; `None` of a sample without any.
fn means(samples: usize, values: &mut dyn Iterator<Item = (usize, f64)>) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0_usize); samples];
    for (sample, value) in values {
        sums[sample].0 += value;
        sums[sample].1 += 1;
    }
    sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect()
}

/// Of each held-out spectrum its sample, and 1 where T² or Q is above its limit, or where its p-value against the scores of the other
/// folds is not above the significance.
fn refused(gate: &GateFit) -> Vec<(usize, f64)> {
    let significance = gate.significance;
    let gate: &[HeldOutScore] = &gate.held_out;
    let folds = gate.iter().map(|held_out| held_out.fold + 1).max().unwrap_or(0);
    let mut found = Vec::new();
    for fold in 0..folds {
        let others = gate.iter().filter(|held_out| held_out.fold != fold);
        let Ok(calibration) = Calibration::new(others.map(|held_out| (held_out.score, held_out.sample))) else {
            continue;
        };
        for held_out in gate.iter().filter(|held_out| held_out.fold == fold) {
            let refused = held_out.beyond || calibration.p_value(held_out.score) <= significance;
            found.push((held_out.sample, f64::from(u8::from(refused))));
        }
    }
    found
}
