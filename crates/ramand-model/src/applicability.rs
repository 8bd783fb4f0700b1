//! `[gate]` and `[conformal]`: what says whether a model may speak about a spectrum, and how sure it is.
//!
//! Both keep the scores of held-out spectra with the number of their sample, so that every limit can be recomputed; loading a
//! bundle does so.

use ramand_core::decide::conformal::{Calibration, CalibrationError, HeldOutClass, SetLimits, set_limits};
use ramand_core::decide::{Classes, Gate, GateError, PrincipalComponents, SIGNIFICANCE};
use ramand_core::failure::{Failure, Kind};
use ramand_core::npy::Table;
use serde::{Deserialize, Serialize};

/// Between a limit in the manifest and the one its file gives: the digits of f32.
const ROUNDING: f64 = 1e-5;
/// Columns of a table of scores: the score and the sample.
const SCORE_COLUMNS: usize = 2;
/// The same of a classification, with the class.
const CLASS_COLUMNS: usize = 3;

/// `[gate]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateRecord {
    /// `.npy` file, [1 + components, channels · points], row 0 the mean.
    pub file: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    pub components: usize,
    /// Variance of each score in training.
    pub eigenvalues: Vec<f64>,
    /// Limit of Hotelling's T².
    pub t2_limit: f64,
    /// Limit of the residual Q.
    pub q_limit: f64,
    /// Where the limit of T² comes from; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t2_limit_from: Option<LimitRecord>,
    /// The same of Q.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q_limit_from: Option<LimitRecord>,
    /// The p-values' part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<ScoresRecord>,
    /// Where classes lie among their canonical variates; classification only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variates: Option<VariatesRecord>,
    /// What earlier versions wrote in the place of `variates`.
    #[serde(default, skip_serializing)]
    pub kinds: Option<FormerClassesRecord>,
}

/// `gate.t2_limit_from`, `gate.q_limit_from`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitRecord {
    /// A quantile of held-out samples.
    HeldOut,
    /// The F distribution, for so many samples and components.
    F,
    /// A chi-square distribution with the median and the quartiles of held-out samples.
    ChiSquare,
}

impl LimitRecord {
    /// For the card.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::HeldOut => "held-out samples",
            Self::F => "the F distribution",
            Self::ChiSquare => "a chi-square distribution fitted to held-out samples",
        }
    }
}

/// `[gate.scores]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoresRecord {
    /// `.npy` file, [spectra, 2]: how unusual a held-out spectrum was, and the number of its sample.
    pub file: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// Independent samples.
    pub samples: usize,
    /// Share of good spectra that a p-value may refuse where the line says nothing else; absent: [`SIGNIFICANCE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub significance: Option<f64>,
}

/// `[gate.variates]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariatesRecord {
    /// `.npy` file, [variates, channels · points]: from a preprocessed spectrum less the gate's mean to its variates.
    pub file: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// `.npy` file, [labels + labels · variates, variates]: the mean of each class, then the whitening of each.
    pub kinds: String,
    /// Its SHA-256, hexadecimal.
    pub kinds_sha256: String,
    pub count: usize,
    /// The squared distance that held-out samples of a class reach, in the order of the labels.
    pub limits: Vec<f64>,
}

/// `[gate.kinds]` of bundles that cannot be read any more: whatever is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FormerClassesRecord {}

/// `[conformal]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformalRecord {
    /// `.npy` file of out-of-fold scores: [spectra · repeats, 2] of |prediction − truth| and sample, or for classes
    /// [spectra · repeats, 3] of ln((1 − p) / p) of the true class, sample and class.
    pub file: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// Of intervals and sets.
    pub confidence: f64,
    /// Independent samples.
    pub samples: usize,
    /// Half the width of an interval, in the output's unit; regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_width: Option<f64>,
    /// The largest ln((1 − p) / p) that belongs to a set, in the order of the labels; classification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<f64>>,
    /// Whether each class has a limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_kind: Option<bool>,
    /// Whether the likeliest class belongs to every set: where the gate refuses what is none of the classes; classification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likeliest: Option<bool>,
    /// Why there is neither interval nor set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<String>,
}

/// Why a gate or conformal scores cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApplicabilityError {
    /// Numbers that are no gate.
    #[error("its gate is unusable")]
    Gate(#[source] GateError),
    /// Scores that calibrate nothing.
    #[error("the scores in {file} are unusable")]
    Scores {
        file: String,
        #[source]
        source: CalibrationError,
    },
    /// A table of another size, or with numbers that are no sample or class.
    #[error("{file} has {found}, expected {expected}")]
    Table {
        file: String,
        /// What it has.
        found: String,
        /// What it should have.
        expected: String,
    },
    /// The manifest and its files disagree.
    #[error("the manifest says {field} = {said}, {file} gives {found}")]
    Disagreement {
        file: String,
        /// Which key.
        field: &'static str,
        /// In the manifest.
        said: String,
        /// From the file.
        found: String,
    },
}

impl Failure for ApplicabilityError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

/// The arrays of a gate.
#[derive(Debug, Clone, PartialEq)]
pub struct GateTables {
    /// Mean and loadings, [1 + components, channels · points].
    pub principal: Table,
    /// Held-out scores, [spectra, 2].
    pub scores: Option<Table>,
    /// Canonical variates, [variates, channels · points], and centres and whitenings, [labels + labels · variates, variates].
    pub variates: Option<[Table; 2]>,
}

/// How sure a prediction is.
#[derive(Debug, Clone, PartialEq)]
pub struct Confidence {
    /// Nominal coverage, in 0..1.
    pub confidence: f64,
    /// What gives it.
    pub spread: ConfidenceSpread,
}

/// What gives a prediction its interval or set.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfidenceSpread {
    /// Half the width of an interval.
    HalfWidth(f64),
    /// The largest ln((1 − p) / p) of each class.
    Limits(Vec<f64>),
}

impl GateRecord {
    /// The gate, ready to assess.
    ///
    /// # Errors
    /// When the arrays are no gate or no held-out scores.
    pub fn gate(&self, tables: &GateTables) -> Result<Gate, ApplicabilityError> {
        let (mean, loadings) = tables.principal.values().split_at(tables.principal.columns());
        let principal = PrincipalComponents {
            mean: mean.to_vec(),
            loadings: loadings.to_vec(),
            eigenvalues: self.eigenvalues.clone(),
            t2_limit: self.t2_limit,
            q_limit: self.q_limit,
        };
        let gate = Gate::new(principal).map_err(ApplicabilityError::Gate)?;
        let Some((record, table)) = self.scores.as_ref().zip(tables.scores.as_ref()) else { return Ok(gate) };
        let held_out = columns::<SCORE_COLUMNS>(&record.file, table)?
            .map(|[score, sample]| Ok((score, index(&record.file, sample)?)))
            .collect::<Result<Vec<_>, _>>()?;
        let calibration = calibration(&record.file, held_out)?;
        agree(&record.file, "gate.scores.samples", record.samples as f64, calibration.samples() as f64)?;
        let classes = self.variates.as_ref().zip(tables.variates.as_ref()).map(|(record, [variates, kinds])| {
            let (centres, whitening) =
                kinds.values().split_at((record.limits.len() * record.count).min(kinds.values().len()));
            Classes {
                variates: variates.values().to_vec(),
                centres: centres.to_vec(),
                whitening: whitening.to_vec(),
                limits: record.limits.clone(),
            }
        });
        let significance = record.significance.map_or(SIGNIFICANCE, |share| share as f32);
        gate.calibrated(classes, calibration, significance).map_err(ApplicabilityError::Gate)
    }
}

impl ConformalRecord {
    /// What a prediction gets beside it, after it was found to be what the scores in `table` give; `None` where there were too
    /// few samples. `labels` is `None` of a regression.
    ///
    /// # Errors
    /// When the scores are none, or give something else.
    pub fn confidence(&self, table: &Table, labels: Option<usize>) -> Result<Option<Confidence>, ApplicabilityError> {
        let (found, samples) = match labels {
            None => {
                let held_out = columns::<SCORE_COLUMNS>(&self.file, table)?
                    .map(|[score, sample]| Ok((score, index(&self.file, sample)?)))
                    .collect::<Result<Vec<_>, _>>()?;
                let calibration = calibration(&self.file, held_out)?;
                (calibration.quantile(self.confidence).map(ConfidenceSpread::HalfWidth), calibration.samples())
            }
            Some(labels) => {
                let held_out = columns::<CLASS_COLUMNS>(&self.file, table)?
                    .map(|[odds_against, sample, class]| {
                        let (sample, class) = (index(&self.file, sample)?, index(&self.file, class)?);
                        Ok(HeldOutClass { odds_against, sample, class })
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                let samples = calibration(&self.file, held_out.iter().map(|row| (row.odds_against, row.sample)))?;
                let found = set_limits(&held_out, labels, self.confidence);
                let found = found.map_err(|source| ApplicabilityError::Scores { file: self.file.clone(), source })?;
                (found.map(|SetLimits { limits, .. }| ConfidenceSpread::Limits(limits)), samples.samples())
            }
        };
        agree(&self.file, "conformal.samples", self.samples as f64, samples as f64)?;
        let said = self.half_width.into_iter().chain(self.limits.iter().flatten().copied()).collect::<Vec<_>>();
        let given = match &found {
            None => Vec::new(),
            Some(ConfidenceSpread::HalfWidth(half_width)) => vec![*half_width],
            Some(ConfidenceSpread::Limits(limits)) => limits.clone(),
        };
        let field = if labels.is_some() { "conformal.limits" } else { "conformal.half_width" };
        agree(&self.file, field, said.len() as f64, given.len() as f64)?;
        for (&said, &given) in said.iter().zip(&given) {
            agree(&self.file, field, said, given)?;
        }
        Ok(found.map(|spread| Confidence { confidence: self.confidence, spread }))
    }
}

/// The rows of a table of so many columns.
fn columns<'a, const COLUMNS: usize>(
    file: &str,
    table: &'a Table,
) -> Result<impl Iterator<Item = [f64; COLUMNS]> + use<'a, COLUMNS>, ApplicabilityError> {
    if table.columns() != COLUMNS {
        let (found, expected) = (format!("{} columns", table.columns()), COLUMNS.to_string());
        return Err(ApplicabilityError::Table { file: file.to_owned(), found, expected });
    }
    let rows = table.values().as_chunks::<COLUMNS>().0;
    Ok(rows.iter().map(|row| row.map(f64::from)))
}

/// A number of a sample or class.
fn index(file: &str, value: f64) -> Result<usize, ApplicabilityError> {
    // f32 counts exactly this far.
    const INDEX_MAX: f64 = 16_777_216.0;
    if value.fract() == 0.0 && (0.0..INDEX_MAX).contains(&value) {
        return Ok(value as usize);
    }
    let (found, expected) = (format!("the number {value}"), "a sample or kind, counted from 0".to_owned());
    Err(ApplicabilityError::Table { file: file.to_owned(), found, expected })
}

fn calibration(
    file: &str,
    held_out: impl IntoIterator<Item = (f64, usize)>,
) -> Result<Calibration, ApplicabilityError> {
    Calibration::new(held_out).map_err(|source| ApplicabilityError::Scores { file: file.to_owned(), source })
}

fn agree(file: &str, field: &'static str, said: f64, found: f64) -> Result<(), ApplicabilityError> {
    if (said - found).abs() <= ROUNDING * found.abs().max(f64::from(f32::MIN_POSITIVE)) {
        return Ok(());
    }
    let (said, found) = (said.to_string(), found.to_string());
    Err(ApplicabilityError::Disagreement { file: file.to_owned(), field, said, found })
}
