//! How sure a prediction is: intervals and sets from out-of-fold predictions, and how often they held the truth.
//!
//! The score of a quantity is |prediction − truth|, that of a class [`odds_against`] the true one. Every prediction is of a model
//! that saw no replicate of the sample, and a sample counts once, with all its replicates and repeats; where samples are held out by
//! block, a block counts once, as blocks are what is exchangeable then. The model of the bundle
//! was fitted to all samples: the intervals are those of the jackknife over folds, whose coverage is measured instead of
//! promised: the spectra of each fold are counted against scores of the other folds alone.

use ramand_core::decide::conformal::{
    Calibration, HeldOutClass, SetLimits, conforming, conforming_or_likeliest, odds_against, samples_needed, set_limits,
};
use ramand_core::npy::Table;
use ramand_model::manifest::ConformalRecord;

use super::dataset::{Dataset, Truth};
use super::figures::best;
use super::out_of_fold::OutOfFold;

/// The scores' file in every bundle.
pub(super) const CONFORMAL_FILE: &str = "conformal.npy";

/// Out-of-fold scores, and what they give.
pub(super) struct Conformal {
    /// The record, without the hash.
    pub(super) record: ConformalRecord,
    /// Content of [`CONFORMAL_FILE`].
    pub(super) file: Vec<u8>,
    /// How each held-out spectrum fared with the scores of the other folds, in the order of the predictions; `None` where
    /// those were too few.
    pub(super) fared: Option<Vec<Fared>>,
}

/// What an interval or set made of other folds said about a held-out spectrum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fared {
    /// Whether it held the truth.
    pub(super) covered: bool,
    /// Width of the interval, or size of the set.
    pub(super) size: f64,
}

/// A prediction as a score, rounded as the file keeps it.
struct Scored {
    score: f64,
    sample: usize,
    class: usize,
    part: (usize, usize),
}

impl Conformal {
    /// From the out-of-fold predictions of `data`.
    pub(super) fn new(data: &Dataset<'_>, rows: &[OutOfFold], asked: &Asked) -> Self {
        let &Asked { temperature, confidence, knows_classes } = asked;
        let scored: Vec<Scored> = rows.iter().map(|row| Scored::new(data, row, temperature)).collect();
        let rule = ConformalRule::new(data, scored.iter(), confidence);
        let fared = fared(data, rows, &scored, asked);
        let samples = data.unit_count();
        let without = rule.is_none().then(|| {
            let needed = samples_needed(confidence);
            let what = data.units_in_words();
            format!("{samples} {what}, {} % confidence needs at least {needed}", 100.0 * confidence)
        });
        let columns = if data.truth.outputs() == 1 { 2 } else { 3 };
        let values = scored
            .iter()
            .flat_map(|row| [row.score as f32, row.sample as f32, row.class as f32].into_iter().take(columns));
        let file = Table::new(columns, values.collect()).to_bytes();
        let (half_width, limits) = match rule {
            None => (None, None),
            Some(ConformalRule::HalfWidth(half_width)) => (Some(half_width), None),
            Some(ConformalRule::Set(limits)) => (None, Some(limits)),
        };
        let record = ConformalRecord {
            file: CONFORMAL_FILE.into(),
            sha256: String::new(),
            confidence,
            samples,
            half_width,
            likeliest: limits.as_ref().filter(|_| knows_classes).map(|_| true),
            by_kind: limits.as_ref().map(|limits| limits.by_kind),
            limits: limits.map(|limits| limits.limits),
            without,
        };
        Self { record, file, fared }
    }
}

impl Scored {
    fn new(data: &Dataset<'_>, row: &OutOfFold, temperature: f64) -> Self {
        let (score, class) = match &data.truth {
            Truth::Values(values) => ((f64::from(row.prediction[0]) - values[row.spectrum]).abs(), 0),
            Truth::Classes { indices, .. } => {
                let class = indices[row.spectrum];
                (odds_against(&row.prediction, temperature, class), class)
            }
        };
        let score = f64::from(score as f32);
        Self { score, sample: data.units[row.spectrum], class, part: (row.repeat, row.fold) }
    }
}

/// What makes intervals or sets.
enum ConformalRule {
    HalfWidth(f64),
    Set(SetLimits),
}

impl ConformalRule {
    fn new<'a>(data: &Dataset<'_>, scored: impl Iterator<Item = &'a Scored>, confidence: f64) -> Option<Self> {
        match &data.truth {
            Truth::Values(_) => {
                let calibration = Calibration::new(scored.map(|row| (row.score, row.sample))).ok()?;
                calibration.quantile(confidence).map(Self::HalfWidth)
            }
            Truth::Classes { labels, .. } => {
                let held_out =
                    scored.map(|row| HeldOutClass { odds_against: row.score, sample: row.sample, class: row.class });
                let held_out: Vec<HeldOutClass> = held_out.collect();
                set_limits(&held_out, labels.len(), confidence).ok()?.map(Self::Set)
            }
        }
    }
}

/// What intervals and sets are made of, beside the scores.
pub(super) struct Asked {
    /// Of a classification; 1 of a quantity.
    pub(super) temperature: f64,
    /// Nominal coverage, in 0..1.
    pub(super) confidence: f64,
    /// Whether the gate knows the classes: then it refuses what is none of them, and the likeliest class belongs to every set.
    pub(super) knows_classes: bool,
}

/// Each fold of each repeat against the scores of the other folds of that repeat.
fn fared(data: &Dataset<'_>, rows: &[OutOfFold], scored: &[Scored], asked: &Asked) -> Option<Vec<Fared>> {
    let &Asked { temperature, confidence, knows_classes } = asked;
    let mut parts: Vec<(usize, usize)> = scored.iter().map(|row| row.part).collect();
    parts.sort_unstable();
    parts.dedup();
    let mut rules = Vec::new();
    for &(repeat, fold) in &parts {
        let others = scored.iter().filter(|row| row.part.0 == repeat && row.part.1 != fold);
        rules.push(ConformalRule::new(data, others, confidence)?);
    }
    let of = |(row, scored): (&OutOfFold, &Scored)| {
        let place = parts.binary_search(&scored.part).expect("every part has its rule");
        match &rules[place] {
            ConformalRule::HalfWidth(half_width) => {
                Fared { covered: scored.score <= *half_width, size: 2.0 * half_width }
            }
            ConformalRule::Set(SetLimits { limits, .. }) => {
                let members = match knows_classes {
                    true => conforming_or_likeliest(&row.prediction, temperature, limits, best(&row.prediction)),
                    false => conforming(&row.prediction, temperature, limits),
                };
                Fared { covered: members.contains(&scored.class), size: members.len() as f64 }
            }
        }
    };
    Some(rows.iter().zip(scored).map(of).collect())
}
