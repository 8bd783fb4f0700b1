//! Two models before the same spectra: what would change on this line.

use std::time::Duration;

use ramand_core::median::upper_median;
use ramand_core::outcome::{Decision, Finding, Prediction};
use serde::Serialize;

/// Changed verdicts that are listed; the others are only counted.
pub const CHANGES_MAX: usize = 10;

/// What one model said to all spectra.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Side {
    /// Spectra it accepted, rejected, and could not judge, in this order.
    pub decisions: [u64; 3],
    /// Spectra its applicability gate refused.
    pub gate_refusals: u64,
    /// Preprocessing and judging, each spectrum.
    took: Vec<Duration>,
}

/// A spectrum the two disagree about.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedVerdict {
    /// Number of its record.
    pub seq: u64,
    /// What the old model says.
    pub old: String,
    /// What the new one says.
    pub new: String,
}

/// The old model beside the new one; without an old one, the new one alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// How many spectra both were shown.
    pub spectra: u64,
    /// The one that runs; `None` where nothing runs yet.
    pub old: Option<Side>,
    /// The one that is to run.
    pub new: Side,
    /// Spectra with another verdict, or another class.
    pub changed: u64,
    /// The first of them.
    pub changes: Vec<ChangedVerdict>,
    /// new − old, of every spectrum to which both gave a value.
    differences: Vec<f64>,
}

impl Side {
    fn see(&mut self, finding: &Finding, took: Duration) {
        let index = match finding.verdict.decision {
            Decision::Accept => 0,
            Decision::Reject => 1,
            Decision::Invalid => 2,
        };
        self.decisions[index] += 1;
        let applicability = finding.conclusion.as_ref().and_then(|conclusion| conclusion.applicability);
        self.gate_refusals += u64::from(applicability.is_some_and(|gate| !gate.applies()));
        self.took.push(took);
    }

    /// The median time for one spectrum, of an even number the upper of the two in the middle.
    pub fn median(&self) -> Option<Duration> {
        upper_median(&mut self.took.clone(), Ord::cmp)
    }
}

impl Comparison {
    /// Notes what both say to the spectrum of record `seq`, and how long each took.
    pub fn see(&mut self, seq: u64, old: Option<(&Finding, Duration)>, new: (&Finding, Duration)) {
        self.spectra += 1;
        self.new.see(new.0, new.1);
        let Some((old, took)) = old else { return };
        self.old.get_or_insert_default().see(old, took);
        let new = new.0;
        if let (Some(old), Some(new)) = (value(old), value(new)) {
            self.differences.push(f64::from(new) - f64::from(old));
        }
        if old.verdict.decision != new.verdict.decision || class(old) != class(new) {
            self.changed += 1;
            if self.changes.len() < CHANGES_MAX {
                self.changes.push(ChangedVerdict { seq, old: summary(old), new: summary(new) });
            }
        }
    }

    /// Mean and largest magnitude of new − old, in the unit of the value, where both gave values.
    pub fn difference(&self) -> Option<(f64, f64)> {
        let count = self.differences.len();
        let largest = self.differences.iter().map(|difference| difference.abs()).fold(0.0, f64::max);
        (count > 0).then(|| (self.differences.iter().sum::<f64>() / count as f64, largest))
    }
}

fn value(finding: &Finding) -> Option<f32> {
    match finding.conclusion.as_ref()?.prediction {
        Prediction::Value { value, .. } => Some(value),
        Prediction::Class { .. } => None,
    }
}

fn class(finding: &Finding) -> Option<&str> {
    match &finding.conclusion.as_ref()?.prediction {
        Prediction::Class { labels, best, .. } => labels.get(*best).map(String::as_str),
        Prediction::Value { .. } => None,
    }
}

/// `olive, accept` or `7.2 %, reject`.
fn summary(finding: &Finding) -> String {
    let decision = finding.verdict.decision.name();
    let said = match finding.conclusion.as_ref().map(|conclusion| &conclusion.prediction) {
        Some(Prediction::Value { value, unit, .. }) => format!("{value:.2} {unit}"),
        Some(Prediction::Class { .. }) => class(finding).unwrap_or_default().to_owned(),
        None => "nothing".into(),
    };
    format!("{said}, {decision}")
}

/// A [`Comparison`] in `--json` and in the trail.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparisonRecord {
    spectra: u64,
    changed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_difference: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    largest_difference: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<SideRecord>,
    new: SideRecord,
}

/// A [`Side`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SideRecord {
    accept: u64,
    reject: u64,
    invalid: u64,
    gate_refusals: u64,
    median_us: Option<u64>,
}

impl From<&Comparison> for ComparisonRecord {
    fn from(comparison: &Comparison) -> Self {
        let (mean_difference, largest_difference) = comparison.difference().unzip();
        Self {
            spectra: comparison.spectra,
            changed: comparison.changed,
            mean_difference,
            largest_difference,
            old: comparison.old.as_ref().map(SideRecord::from),
            new: SideRecord::from(&comparison.new),
        }
    }
}

impl From<&Side> for SideRecord {
    fn from(side: &Side) -> Self {
        let [accept, reject, invalid] = side.decisions;
        let median_us = side.median().and_then(|median| u64::try_from(median.as_micros()).ok());
        Self { accept, reject, invalid, gate_refusals: side.gate_refusals, median_us }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::bundles::{draft, limits, spectrum};
    use ramand_core::decide::{Limit, Rules};
    use ramand_model::Model;
    use ramand_model::inspect::Inspector;

    #[test]
    fn the_comparison_counts_what_would_change() {
        let folder = tempfile::tempdir().expect("a folder");
        draft(1).write(&folder.path().join("random"));
        let model = Arc::new(Model::open(&folder.path().join("random")).expect("a bundle"));
        let judged = |limits_of_model: Vec<Limit>, first: f64| {
            let rules = Rules { limits: limits_of_model, ..Rules::default() };
            let mut inspector = Inspector::new(vec![(model.clone(), rules)], limits()).expect("it fits");
            inspector.inspect(spectrum(first, 1100.0, 970.0)).findings.remove(0)
        };
        let (accepted, rejected) = (judged(vec![], 700.0), judged(vec![Limit::Above(-1e9)], 700.0));
        let invalid = judged(vec![], 900.0);
        let took = Duration::from_micros;
        let mut comparison = Comparison::default();
        comparison.see(1, Some((&accepted, took(10))), (&accepted, took(20)));
        comparison.see(2, Some((&accepted, took(30))), (&rejected, took(40)));
        comparison.see(3, Some((&rejected, took(20))), (&invalid, took(60)));
        let old = comparison.old.as_ref().expect("there is one");
        assert_eq!((comparison.spectra, comparison.changed), (3, 2));
        assert_eq!((old.decisions, comparison.new.decisions), ([2, 1, 0], [1, 1, 1]));
        assert_eq!((old.median(), comparison.new.median()), (Some(took(20)), Some(took(40))));
        assert_eq!(comparison.difference(), Some((0.0, 0.0)));
        assert_eq!(comparison.changes.iter().map(|change| change.seq).collect::<Vec<_>>(), [2, 3]);
        assert!(comparison.changes[1].new.contains("nothing, invalid"), "{:?}", comparison.changes);
    }
}
