//! What a line without limits concludes from a changed spectrum, against the truth.

use ramand_core::decide::{Rules, Ungated, verdict};
use ramand_core::outcome::{Conclusion, Decision, Finding, Prediction, Reason, Verdict};
use ramand_core::preprocess::Workspace;
use ramand_core::spectrum::RawSpectrum;
use ramand_model::{Model, Session};

use super::super::error::EvaluateError;

/// What a line without limits concludes from one spectrum, against the truth.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Seen {
    /// By anything.
    pub(super) refused: bool,
    /// By T² or Q.
    pub(super) by_gate: bool,
    pub(super) by_p_value: bool,
    /// By an empty set, or one of every class.
    pub(super) by_set: bool,
    /// Whether interval or set held the truth, where there is one.
    pub(super) covered: Option<bool>,
    /// Width of the interval, or size of the set.
    pub(super) size: Option<f64>,
    /// It may be used as the answer, and is not the truth: another class, or an interval beside it.
    pub(super) wrong: bool,
    /// T² and Q, each over its limit; `None` where there is no gate or nothing to show it.
    pub(super) shares: Option<(f64, f64)>,
}

/// The truth of each spectrum.
pub(super) enum Truths<'a> {
    Values(Vec<f64>),
    Classes(Vec<&'a str>),
    None,
}

/// What the model is shown.
#[derive(Clone, Copy)]
pub(super) enum Shown<'a> {
    /// The row of a recording of what it knows.
    Known(&'a Truths<'a>, usize),
    /// Something it does not know.
    Unknown,
}

/// A model as a line without limits asks it.
pub(super) struct Judge<'a> {
    model: &'a Model,
    session: Session,
    workspace: Workspace,
    rules: Rules,
}

impl<'a> Judge<'a> {
    /// With no other rules than a line has that says nothing.
    pub(super) fn new(model: &'a Model) -> Result<Self, EvaluateError> {
        let rules = Rules { ungated: Ungated::Remarked, ..Rules::default() };
        Ok(Self { model, session: model.session()?, workspace: Workspace::default(), rules })
    }

    /// Asks the model about the spectrum `raw` with other intensities, `light`.
    pub(super) fn see(&mut self, raw: &RawSpectrum, light: Vec<f32>, shown: Shown<'_>) -> Result<Seen, EvaluateError> {
        let changed =
            RawSpectrum::new(raw.axis().clone(), light, raw.dark().map(<[f32]>::to_vec), raw.origin().clone());
        let preprocessed =
            changed.ok().and_then(|changed| self.model.pipeline().preprocess(&changed, &mut self.workspace).ok());
        // What cannot be preprocessed is refused before any model sees it.
        let Some(preprocessed) = preprocessed else { return Ok(Seen { refused: true, ..Seen::default() }) };
        let judged = self.model.judge(&mut self.session, &preprocessed)?;
        let applicability = self.model.gate().map(|gate| gate.assess(&preprocessed));
        let completeness = (judged.attribution.completeness, judged.attribution.completeness_error);
        let verdict = verdict(Vec::new(), applicability.as_ref(), &judged.prediction, completeness, &self.rules);
        let conclusion =
            Some(Conclusion { prediction: judged.prediction, attribution: judged.attribution, applicability });
        Ok(seen(&Finding { model: self.model.identity().clone(), conclusion, verdict }, shown))
    }
}

fn seen(finding: &Finding, shown: Shown<'_>) -> Seen {
    let Verdict { decision, reasons } = &finding.verdict;
    let because = |of: fn(&Reason) -> bool| reasons.iter().any(of);
    let refused = *decision == Decision::Invalid;
    let prediction = finding.conclusion.as_ref().map(|conclusion| &conclusion.prediction);
    let labels = matches!(prediction, Some(Prediction::Class { .. }));
    let (covered, size) = match prediction {
        Some(Prediction::Value { interval: Some(interval), .. }) => {
            let held = |value: f64| (f64::from(interval.lower)..=f64::from(interval.upper)).contains(&value);
            let covered = match shown {
                Shown::Known(Truths::Values(values), row) => Some(held(values[row])),
                _ => None,
            };
            (covered, Some(f64::from(interval.upper - interval.lower)))
        }
        Some(Prediction::Class { labels, set: Some(set), .. }) => {
            let covered = match shown {
                Shown::Known(Truths::Classes(classes), row) => {
                    Some(set.members.iter().any(|&member| labels[member] == classes[row]))
                }
                _ => None,
            };
            (covered, Some(set.members.len() as f64))
        }
        _ => (None, None),
    };
    let applicability = finding.conclusion.as_ref().and_then(|conclusion| conclusion.applicability);
    let shares = applicability.map(|of| (f64::from(of.t2 / of.t2_limit), f64::from(of.q / of.q_limit)));
    let wrong = match shown {
        // Whatever is said of something the model does not know is wrong: a name, or a value.
        Shown::Unknown if labels => finding.named().is_some(),
        Shown::Unknown => !refused,
        Shown::Known(Truths::Classes(classes), row) => finding.named().is_some_and(|named| named != classes[row]),
        Shown::Known(Truths::Values(_), _) => !refused && covered == Some(false),
        Shown::Known(Truths::None, _) => false,
    };
    Seen {
        refused,
        by_gate: because(|reason| matches!(reason, Reason::UnknownSample { .. } | Reason::UnusualSample { .. })),
        by_p_value: because(|reason| matches!(reason, Reason::ImprobableSample { .. })),
        by_set: because(|reason| matches!(reason, Reason::UnknownClass { .. })),
        covered,
        size,
        wrong,
        shares,
    }
}
