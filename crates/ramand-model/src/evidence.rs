//! `[card]`, `[adopted]`, `[[training.candidate]]` and `[metrics]`: what a model is for, where it comes from, how it was chosen, and how
//! well it did on spectra it had not seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `[card]`: what the maker wants and does not want the model used for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardRecord {
    /// What it is for, in a sentence or two.
    pub intended: String,
    /// What it must not be used for, and why: a sentence or two each.
    pub not_for: Vec<String>,
}

/// `[[training.candidate]]`: one of the things a model was chosen among, by cross-validation inside each training fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateRecord {
    /// In words.
    pub name: String,
    /// In how many folds of the cross-validation it was chosen.
    pub chosen: usize,
    /// Root mean square error on held-out samples when the kept model was chosen: in the output's unit; of classes, of scores.
    /// None where it could not be fitted, as a kernel of too many spectra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    /// Spectra that error was found on: fewer than the others' where a network was given up early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spectra: Option<usize>,
    /// Whether it is the kept model.
    pub kept: bool,
}

/// `[adopted]`: a network that was trained elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptedRecord {
    /// Name of the ONNX file as it came.
    pub file: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// The program that wrote it, as it says itself.
    pub producer: String,
    /// The value that is explained, as the file names it; of a probability, the score before it.
    pub explained: String,
    /// The layer that is explained, as the file names it, and how it was chosen.
    pub layer: String,
    /// What was found out about its quality, and on what.
    pub evaluation: String,
    /// What the gate was made of, or why there is none.
    pub gate: String,
}

/// `[metrics]`: out of fold, the median over repeats; `_pls` is nested PLS on the same folds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsRecord {
    /// Root mean square error of a network trained elsewhere on the given spectra, which it may have seen, in the output's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmse_given: Option<f64>,
    /// Share of the given spectra that a network trained elsewhere named rightly; it may have seen them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_given: Option<f64>,
    /// Root mean square error of cross-validation, in the output's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmsecv: Option<f64>,
    /// The same for PLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmsecv_pls: Option<f64>,
    /// The same for nested kernel ridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmsecv_kernel_ridge: Option<f64>,
    /// Of the model to that of PLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmsecv_ratio: Option<f64>,
    /// With labels permuted among the samples: the median over permutations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmsecv_permuted: Option<f64>,
    /// Of always saying the mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmsecv_mean: Option<f64>,
    /// Coefficient of determination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r2: Option<f64>,
    /// Mean of prediction − truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<f64>,
    /// Of prediction on truth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slope: Option<f64>,
    /// Standard deviation between the spectra of one sample, pooled over samples, in the output's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicate_sd: Option<f64>,
    /// Standard deviation between spectra of samples whose true value is 0, each from another sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blank_sd: Option<f64>,
    /// 3.3 · `blank_sd` / `slope`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detection_limit: Option<f64>,
    /// Share of spectra named rightly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The same for PLS-DA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_pls: Option<f64>,
    /// The same for nested kernel ridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_kernel_ridge: Option<f64>,
    /// Accuracy less PLS-DA's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_gain: Option<f64>,
    /// With labels permuted among the samples: the median over permutations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_permuted: Option<f64>,
    /// Of always naming the most frequent class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_majority: Option<f64>,
    /// Share of held-out spectra whose interval or set, made of the scores of other folds, held the truth; as the following, the
    /// mean over samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// Mean width of these intervals, in the output's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_width: Option<f64>,
    /// Mean number of classes in these sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_size: Option<f64>,
    /// Share of these sets that name exactly one class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_single: Option<f64>,
    /// Share of these sets that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_empty: Option<f64>,
    /// Share of held-out spectra whose p-value, against the scores of other folds, is not above 0.01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<f64>,
    /// RMSECV or accuracy of each network alone, where the model is the mean of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<f64>,
    /// Root mean square, over spectra, of the standard deviation of what the networks say; of classes, the share of spectra
    /// that they name differently.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_spread: Option<f64>,
    /// Share of the spectra of each class that were named rightly, in the order of the labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recall: Vec<f64>,
    /// Spectra over all repeats: a row per true class, a column per predicted one, in the order of the labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
    /// 95 % bootstrap intervals over samples, by the key of the figure; of `recall`, by `recall <label>`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub interval: BTreeMap<String, [f64; 2]>,
}
