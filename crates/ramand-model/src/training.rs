//! `[training]`: the spectra a bundle was trained on, how they were held out, what looked wrong among them, and what was chosen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::evidence::CandidateRecord;

/// `[training]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// Provenance of the spectra, in words.
    pub data: String,
    /// SHA-256 of the file they came in, hexadecimal.
    pub data_sha256: String,
    /// True only where every spectrum was measured.
    pub measured: bool,
    /// What the columns of that file count.
    #[serde(default, skip_serializing_if = "AbscissaRecord::is_per_cm")]
    pub abscissa: AbscissaRecord,
    /// Independent samples.
    pub samples: usize,
    /// Spectra, replicates included.
    pub spectra: usize,
    /// The least and the largest true value of a quantity, in the output's unit; earlier versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// Column that told samples apart.
    pub group: String,
    /// Column whose samples were held out together; none where each sample was held out for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// Identifiers of spectra in the file that were left out on request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Of the cross-validation, in words.
    pub split: String,
    /// Of every random choice.
    pub seed: u64,
    /// Networks whose mean the model is; 1 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<usize>,
    /// PLS components of the linear part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<usize>,
    /// Program and version.
    pub made_by: String,
    /// What the model was chosen among; empty where there was no choice.
    #[serde(rename = "candidate", default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<CandidateRecord>,
    /// Spectra or labels unlike the others; nothing was left out because of it.
    #[serde(rename = "suspect", default, skip_serializing_if = "Vec::is_empty")]
    pub suspects: Vec<SuspectRecord>,
}

/// One of `[[training.suspect]]`: spectra of one sample, or one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspectRecord {
    /// Lines in the file, from 1.
    pub lines: Vec<u64>,
    /// Identifiers in these lines.
    pub ids: Vec<String>,
    /// The label.
    pub label: String,
    /// What models that saw none of these spectra say, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prediction: Option<String>,
    /// Statistics beyond their limits, each with its value and the limit.
    pub beyond: BTreeMap<String, [f64; 2]>,
}

impl SuspectRecord {
    /// In one line: where, what it is said to be and what it looks like, and which statistic says so.
    pub fn in_words(&self) -> String {
        let Self { lines, ids, label, prediction, beyond } = self;
        let places: Vec<String> = lines.iter().zip(ids).map(|(line, id)| format!("line {line}, id '{id}'")).collect();
        let prediction = prediction.as_ref().map(|value| format!(", predicted {value}")).unwrap_or_default();
        let beyond: Vec<String> =
            beyond.iter().map(|(what, [value, limit])| format!("{what} {value:.2} (limit {limit:.2})")).collect();
        format!("{}: label {label}{prediction}; {}", places.join("; "), beyond.join(", "))
    }
}

/// `training.abscissa`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbscissaRecord {
    /// Raman shift or wavenumber, cm⁻¹.
    #[default]
    PerCm,
    /// Wavelength, nm; shifts count from `laser_nm`, and without a laser wavenumbers are 10⁷ over it.
    Nm,
}

impl AbscissaRecord {
    fn is_per_cm(&self) -> bool {
        *self == Self::PerCm
    }
}
