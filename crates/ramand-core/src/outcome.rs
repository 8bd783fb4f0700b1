//! What is concluded from a spectrum: predictions, their explanation, whether they apply, and the verdict.

mod reason;

use std::ops::Sub;
use std::sync::Arc;
use std::time::Duration;

use crate::spectrum::{RamanShift, RawSpectrum, ShiftAxis};

pub use reason::Reason;

/// Which model spoke: name, version, the hash that pins its files, and what it claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelIdentity {
    /// As in `models/<name>`.
    pub name: String,
    /// The bundle's version.
    pub version: String,
    /// SHA-256 of the bundle's manifest, hexadecimal; the manifest holds the hashes of all other files.
    pub sha256: String,
    /// What the model was trained on, and what it was not, in its maker's words.
    pub claim: String,
}

/// A range that holds the truth with a stated confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end, in the unit of the value.
    pub lower: f32,
    /// Upper end.
    pub upper: f32,
    /// Nominal coverage, in 0..1.
    pub confidence: f32,
}

/// The classes that hold the true one with a stated confidence: none, one or several.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelSet {
    /// Indices into the labels, ascending.
    pub members: Vec<usize>,
    /// Nominal coverage, in 0..1.
    pub confidence: f32,
}

/// What a model says.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// One of several classes.
    Class {
        /// All the classes the model knows.
        labels: Arc<[String]>,
        /// The network's raw outputs, one per label: what the explanation adds up to.
        scores: Vec<f32>,
        /// Softmax of the scores at the bundle's calibrated temperature; sums to 1.
        probabilities: Vec<f32>,
        /// Index of the highest score.
        best: usize,
        /// Index of the second highest: the class the explanation is a contrast to.
        runner_up: usize,
        /// Where the bundle has conformal scores.
        set: Option<LabelSet>,
    },
    /// A quantity.
    Value {
        /// In `unit`.
        value: f32,
        /// As in `% sunflower oil`.
        unit: Arc<str>,
        /// Where the bundle has conformal scores.
        interval: Option<Interval>,
    },
}

impl Prediction {
    /// The name of a class; empty where the prediction knows none of that number.
    pub fn label(&self, class: usize) -> &str {
        match self {
            Self::Class { labels, .. } => labels.get(class).map_or("", String::as_str),
            Self::Value { .. } => "",
        }
    }
}

/// A named stretch of the spectrum: `from..=to`.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// The assignment, as in `C=C stretch, cis`.
    pub name: String,
    /// Lower end.
    pub from: RamanShift,
    /// Upper end.
    pub to: RamanShift,
}

/// D1 and D4 of the method: what one band adds to the output.
#[derive(Debug, Clone, PartialEq)]
pub struct BandContribution {
    pub band: Arc<Band>,
    /// D_B = Σ D\[i\] over the band, signed, in units of the output.
    pub contribution: f32,
    /// s_B = D_B / Σ D, signed; `None` where Σ D is too small to divide by.
    pub share: Option<f32>,
    /// g_B = Σ |D\[i\]| over the band / Σ |D\[i\]|, in 0..=1.
    pub gross_share: f32,
}

/// Which scalar the map adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explained {
    /// The value of a regression.
    Value,
    /// score\[class\] − score\[against\] of a classification.
    Contrast {
        /// The class that won.
        class: usize,
        /// The runner-up.
        against: usize,
    },
}

impl Explained {
    /// This scalar of what each output has.
    pub fn scalar<T: Sub<Output = T>>(self, of: impl Fn(usize) -> T) -> T {
        match self {
            Self::Value => of(0),
            Self::Contrast { class, against } => of(class) - of(against),
        }
    }

    /// The same of numbers that are one per output.
    pub fn of<T: Copy + Sub<Output = T>>(self, outputs: &[T]) -> T {
        self.scalar(|output| outputs[output])
    }

    /// The row of a value, or the difference of two classes' rows, of \[outputs\]\[width\].
    pub fn row_of<T: Copy + Sub<Output = T>>(self, rows: &[T], width: usize) -> Vec<T> {
        let row = |output: usize| &rows[output * width..][..width];
        match self {
            Self::Value => row(0).to_vec(),
            Self::Contrast { class, against } => {
                row(class).iter().zip(row(against)).map(|(&class, &against)| class - against).collect()
            }
        }
    }
}

/// What may be expected of the sum of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Behind the explained layers all is linear: Σ M = y − b but for rounding, and anything else is a fault.
    Exact,
    /// The offsets of the layers behind the explained ones are missing from the sum: the error is a figure to report
    /// (arXiv:1905.00780).
    Reported,
}

/// Why a model says what it says: the 1D Grad-CAM map M and the difference map D, on the model's axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// Which scalar y is explained.
    pub explained: Explained,
    /// The model's axis; both maps have one value per point.
    pub axis: Arc<ShiftAxis>,
    /// M\[i\] = Σ_k ∂y/∂A\[k,i\] · A\[k,i\], spread mass-preserving onto the axis: Σ M = y − b
    /// where the completeness is exact.
    pub map: Vec<f32>,
    /// D\[i\] = M\[i\] − mean over the reference population of M\[i\]: Σ D = y − mean y of the reference.
    pub difference: Vec<f32>,
    /// y of this spectrum.
    pub output: f32,
    /// mean y of the reference population.
    pub reference_output: f32,
    /// Every band of the bundle's table, in its order.
    pub bands: Vec<BandContribution>,
    /// 1 − Σ g_B over the bands: how much of the explanation lies where no band has an assignment.
    pub off_band: f32,
    /// |Σ M − (y − b)| / max(1, |y − b|): how far the map is from adding up.
    pub completeness_error: f32,
    /// Whether that error may be more than rounding.
    pub completeness: Completeness,
    /// Gross share of D that flows through the linear (PLS) skip, where the model has one.
    pub linear_share: Option<f32>,
    /// How much of the axis one cell of the network sees, cm⁻¹: the map's resolution.
    pub receptive_field: f64,
}

impl Attribution {
    /// The bands, largest contribution first.
    pub fn loudest(&self) -> Vec<&BandContribution> {
        let mut bands: Vec<&BandContribution> = self.bands.iter().collect();
        bands.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
        bands
    }
}

/// Whether the model may speak about this spectrum (ASTM D6122: applicability cannot be assumed).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Applicability {
    /// Hotelling's T² = Σ t_a² / λ_a: unusual, within the directions training varied in.
    pub t2: f32,
    pub t2_limit: f32,
    /// Q = ‖x − P Pᵀ x‖²: unlike anything in training.
    pub q: f32,
    pub q_limit: f32,
    /// The share of samples like the training's that are at least as unusual; `None` where the bundle has no held-out
    /// scores to compare with.
    pub p_value: Option<f32>,
    /// A p-value that is not above this is refused where the line asks for nothing else.
    pub significance: f32,
}

impl Applicability {
    /// Both statistics within their limits.
    pub fn applies(&self) -> bool {
        self.t2 <= self.t2_limit && self.q <= self.q_limit
    }
}

/// What to do with what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// The prediction stands and is within every limit.
    Accept,
    /// The prediction stands and breaks a configured limit.
    Reject,
    /// No prediction may be drawn from this spectrum.
    Invalid,
}

impl Decision {
    /// The word for it, in records, metrics and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Invalid => "invalid",
        }
    }

    /// Of the whole: the most serious of its models'; without any model nothing may be concluded.
    pub fn overall(findings: &[Finding]) -> Self {
        findings.iter().map(|finding| finding.verdict.decision).max().unwrap_or(Self::Invalid)
    }
}

/// A decision with its reasons; acceptance may carry remarks (`NotGated`).
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub decision: Decision,
    /// Why, most serious first.
    pub reasons: Vec<Reason>,
}

/// What a model concludes from a spectrum it could be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// What it says.
    pub prediction: Prediction,
    pub attribution: Attribution,
    /// Whether it may speak; `None` where the bundle has no gate.
    pub applicability: Option<Applicability>,
}

/// One model's part of an inspection.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub model: Arc<ModelIdentity>,
    /// What it concludes; `None` where the spectrum could not be preprocessed for it (the verdict says why).
    pub conclusion: Option<Conclusion>,
    pub verdict: Verdict,
}

impl Finding {
    /// The class that may be used as the answer: of a prediction that stands, and that no other class could be as well. `None`
    /// where the spectrum is refused, the class is ambiguous, or the model gives a quantity.
    pub fn named(&self) -> Option<&str> {
        let conclusion = self.conclusion.as_ref().filter(|_| self.verdict.decision != Decision::Invalid)?;
        let Prediction::Class { labels, best, set, .. } = &conclusion.prediction else { return None };
        let alone = set.as_ref().is_none_or(|set| set.members == [*best]);
        labels.get(*best).filter(|_| alone).map(String::as_str)
    }

    /// The classes that a prediction that stands leaves possible, the likeliest first; none where the spectrum is refused or the
    /// model gives a quantity.
    pub fn possible(&self) -> Vec<&str> {
        let stands = self.conclusion.as_ref().filter(|_| self.verdict.decision != Decision::Invalid);
        let Some(Prediction::Class { labels, best, set, .. }) = stands.map(|conclusion| &conclusion.prediction) else {
            return Vec::new();
        };
        let others = set.iter().flat_map(|set| &set.members).filter(|member| *member != best);
        std::iter::once(best).chain(others).filter_map(|&class| labels.get(class)).map(String::as_str).collect()
    }
}

/// How long the stages of an inspection took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// Exposure, transfer and dark frame bookkeeping.
    pub acquire: Duration,
    /// Preprocessing, all models.
    pub preprocess: Duration,
    /// Network and maps, all models.
    pub infer: Duration,
    /// Gates, limits, verdicts.
    pub decide: Duration,
}

/// Everything concluded from one spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    pub spectrum: Arc<RawSpectrum>,
    /// One per model, in the configured order.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub timings: Timings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contrast_is_the_difference_of_two_rows_and_antisymmetric() {
        let rows = [1.0, 2.0, 5.0, 3.0, 7.0, 7.0];
        assert_eq!(Explained::Value.row_of(&rows, 2), [1.0, 2.0]);
        assert_eq!(Explained::Contrast { class: 1, against: 0 }.row_of(&rows, 2), [4.0, 1.0]);
        assert_eq!(Explained::Contrast { class: 0, against: 1 }.row_of(&rows, 2), [-4.0, -1.0]);
        assert_eq!((Explained::Value.of(&rows), Explained::Contrast { class: 4, against: 2 }.of(&rows)), (1.0, 2.0));
    }
}
