//! The verdict: every reason there is, the most serious first, and the decision they ask for.

use std::cmp::Reverse;

use crate::failure::{Failure, Kind};
use crate::outcome::{Applicability, Completeness, Decision, Prediction, Reason, Verdict};

/// Above this the map does not add up. Rounding in f32 leaves about 1e-6 for the networks this program trains; a
/// gradient that belongs to another activation leaves 0.1 and more.
pub const COMPLETENESS_ERROR_MAX: f32 = 1e-3;

/// A limit somebody configured for one model.
#[derive(Debug, Clone, PartialEq)]
pub enum Limit {
    /// Reject a value above this, in the model's unit.
    Above(f32),
    /// Reject a value below this, in the model's unit.
    Below(f32),
    /// Reject every class but these.
    Classes(Vec<String>),
    /// Reject a class with less probability than this, in 0..=1.
    ProbabilityMin(f32),
}

/// What a model gives, as far as a limit has to know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Output<'a> {
    /// A quantity.
    Value,
    /// One of these classes.
    Class(&'a [String]),
}

/// Why a limit cannot be applied to a model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// Not a number that a prediction can be compared with.
    #[error("a limit of {limit} cannot be compared with")]
    NotComparable {
        /// The limit.
        limit: f32,
    },
    /// A limit on a value for a model of classes, or the other way round.
    #[error("the {limit} is for a model that gives a {expected}, this one gives a {found}")]
    OtherOutput {
        /// The limit in words.
        limit: String,
        /// What the limit is for.
        expected: &'static str,
        /// What the model gives.
        found: &'static str,
    },
    /// A class the model does not know.
    #[error("the model knows no class '{class}'; it knows {known}")]
    UnknownClass {
        /// As configured.
        class: String,
        /// The model's classes.
        known: String,
    },
}

impl Failure for LimitError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}

impl Limit {
    /// Whether this limit can be applied to a model that gives `output`: to be asked when a model is loaded.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&self, output: Output<'_>) -> Result<(), LimitError> {
        match (self, output) {
            (Self::Above(limit) | Self::Below(limit), Output::Value) if limit.is_finite() => Ok(()),
            (Self::ProbabilityMin(limit), Output::Class(_)) if (0.0..=1.0).contains(limit) => Ok(()),
            (Self::Above(limit) | Self::Below(limit), Output::Value)
            | (Self::ProbabilityMin(limit), Output::Class(_)) => Err(LimitError::NotComparable { limit: *limit }),
            (Self::Classes(classes), Output::Class(known)) => {
                match classes.iter().find(|class| !known.contains(class)) {
                    Some(class) => Err(LimitError::UnknownClass { class: class.clone(), known: known.join(", ") }),
                    None => Ok(()),
                }
            }
            (Self::Above(_) | Self::Below(_), Output::Class(_)) => {
                Err(LimitError::OtherOutput { limit: self.to_string(), expected: "value", found: "class" })
            }
            (Self::Classes(_) | Self::ProbabilityMin(_), Output::Value) => {
                Err(LimitError::OtherOutput { limit: self.to_string(), expected: "class", found: "value" })
            }
        }
    }

    /// The reason to reject, if the prediction breaks this limit. Comparisons are written so that NaN breaks every one.
    fn broken_by(&self, prediction: &Prediction) -> Option<Reason> {
        let within = |inside: bool, reason: Reason| (!inside).then_some(reason);
        match (self, prediction) {
            (&Self::Above(limit), Prediction::Value { value, unit, .. }) => {
                within(*value <= limit, Reason::Above { value: *value, limit, unit: unit.clone() })
            }
            (&Self::Below(limit), Prediction::Value { value, unit, .. }) => {
                within(*value >= limit, Reason::Below { value: *value, limit, unit: unit.clone() })
            }
            (Self::Classes(allowed), Prediction::Class { labels, best, .. }) => {
                let found = labels.get(*best).cloned().unwrap_or_default();
                within(allowed.contains(&found), Reason::WrongClass { found, allowed: allowed.clone() })
            }
            (&Self::ProbabilityMin(minimum), Prediction::Class { probabilities, best, .. }) => {
                let probability = probabilities.get(*best).copied().unwrap_or(f32::NAN);
                within(probability >= minimum, Reason::Unsure { probability, minimum })
            }
            _ => Some(Reason::LimitNotApplicable { limit: self.to_string() }),
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Above(limit) => write!(f, "upper limit {limit}"),
            Self::Below(limit) => write!(f, "lower limit {limit}"),
            Self::Classes(classes) => write!(f, "list of allowed classes ({})", classes.join(", ")),
            Self::ProbabilityMin(limit) => write!(f, "least probability {limit}"),
        }
    }
}

/// What becomes of the results of a model without an applicability gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ungated {
    /// They are invalid: applicability cannot be assumed.
    #[default]
    Invalid,
    /// They stand, and every one says so.
    Remarked,
}

/// What one model's predictions are held against.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// All of them apply.
    pub limits: Vec<Limit>,
    /// For a bundle without a gate.
    pub ungated: Ungated,
}

/// The verdict on a prediction. `reasons` are the instrument's; `applicability` is `None` where the bundle has no gate;
/// `completeness` is the map's, with its error.
///
/// A prediction that may not be drawn is [`Decision::Invalid`] whatever its value; one that may and breaks a limit is
/// [`Decision::Reject`]; any other is [`Decision::Accept`]. All reasons are given, the most serious first.
pub fn verdict(
    mut reasons: Vec<Reason>,
    applicability: Option<&Applicability>,
    prediction: &Prediction,
    completeness: (Completeness, f32),
    rules: &Rules,
) -> Verdict {
    let (expected, error) = completeness;
    let allowed = match expected {
        Completeness::Exact => COMPLETENESS_ERROR_MAX,
        Completeness::Reported => f32::MAX,
    };
    if error.is_nan() || error > allowed {
        reasons.push(Reason::Incomplete { error });
    }
    match applicability {
        Some(&Applicability { t2, t2_limit, q, q_limit }) => {
            if q.is_nan() || q > q_limit {
                reasons.push(Reason::UnknownSample { q, limit: q_limit });
            }
            if t2.is_nan() || t2 > t2_limit {
                reasons.push(Reason::UnusualSample { t2, limit: t2_limit });
            }
        }
        None => reasons.push(Reason::NotGated),
    }
    reasons.extend(rules.limits.iter().filter_map(|limit| limit.broken_by(prediction)));
    conclude(reasons, rules.ungated)
}

/// The verdict where no prediction could be made: the spectrum could not be prepared, say.
pub fn invalid(reasons: Vec<Reason>) -> Verdict {
    Verdict { decision: Decision::Invalid, ..conclude(reasons, Ungated::Invalid) }
}

fn conclude(mut reasons: Vec<Reason>, ungated: Ungated) -> Verdict {
    reasons.sort_by_key(|reason| (Reverse(demands(reason, ungated)), rank(reason)));
    let decision = reasons.first().map_or(Decision::Accept, |reason| demands(reason, ungated));
    Verdict { decision, reasons }
}

/// The decision one reason asks for.
fn demands(reason: &Reason, ungated: Ungated) -> Decision {
    match reason {
        Reason::Above { .. } | Reason::Below { .. } | Reason::WrongClass { .. } | Reason::Unsure { .. } => {
            Decision::Reject
        }
        Reason::NotGated => match ungated {
            Ungated::Invalid => Decision::Invalid,
            Ungated::Remarked => Decision::Accept,
        },
        Reason::Saturated { .. }
        | Reason::TooDark { .. }
        | Reason::TooNoisy { .. }
        | Reason::LaserNotOn { .. }
        | Reason::DeviceException { .. }
        | Reason::AxisNotCovered { .. }
        | Reason::NotPrepared { .. }
        | Reason::NotJudged { .. }
        | Reason::UnusualSample { .. }
        | Reason::UnknownSample { .. }
        | Reason::Incomplete { .. }
        | Reason::LimitNotApplicable { .. } => Decision::Invalid,
    }
}

/// The order among reasons that ask for the same decision: a fault of this program, then of the device, of the measurement,
/// of the fit between instrument and model, and last the sample.
fn rank(reason: &Reason) -> u8 {
    match reason {
        Reason::Incomplete { .. } => 0,
        Reason::LimitNotApplicable { .. } => 1,
        Reason::DeviceException { .. } => 2,
        Reason::LaserNotOn { .. } => 3,
        Reason::Saturated { .. } => 4,
        Reason::TooDark { .. } => 5,
        Reason::TooNoisy { .. } => 6,
        Reason::AxisNotCovered { .. } => 7,
        Reason::NotPrepared { .. } => 8,
        Reason::NotJudged { .. } => 9,
        Reason::UnknownSample { .. } => 10,
        Reason::UnusualSample { .. } => 11,
        Reason::NotGated => 12,
        Reason::WrongClass { .. } => 13,
        Reason::Above { .. } => 14,
        Reason::Below { .. } => 15,
        Reason::Unsure { .. } => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::Laser;

    const GOOD: Applicability = Applicability { t2: 3.0, t2_limit: 20.0, q: 0.1, q_limit: 0.8 };
    const EXACT: f32 = 1e-7;

    fn value(value: f32) -> Prediction {
        Prediction::Value { value, unit: "%".into(), interval: None }
    }

    fn olive(probability: f32) -> Prediction {
        let labels = ["corn", "olive"].map(str::to_owned);
        Prediction::Class {
            labels: labels.into(),
            scores: vec![0.0, 1.0],
            probabilities: vec![1.0 - probability, probability],
            best: 1,
            runner_up: 0,
        }
    }

    #[test]
    fn the_decision_follows_the_gravest_reason_and_every_reason_is_told() {
        let limits = || vec![Limit::Above(5.0), Limit::Below(0.0)];
        let classes = |allowed: &str| vec![Limit::Classes(vec![allowed.into()]), Limit::ProbabilityMin(0.9)];
        let foreign = Applicability { q: 0.9, t2: 21.0, ..GOOD };
        let at_limit = Applicability { q: 0.8, t2: 20.0, ..GOOD };
        let nan = Applicability { q: f32::NAN, t2: f32::NAN, ..GOOD };
        let dark = || vec![Reason::TooDark { signal: 1.0, minimum: 9.0 }, Reason::LaserNotOn { laser: Laser::Off }];
        use Decision::{Accept, Invalid, Reject};
        type Case<'a> = (Vec<Reason>, Option<&'a Applicability>, Prediction, f32, Vec<Limit>, Decision, &'a [&'a str]);
        let cases: [Case<'_>; 15] = [
            (vec![], Some(&GOOD), value(4.9), EXACT, limits(), Accept, &[]),
            (vec![], Some(&at_limit), value(5.0), EXACT, limits(), Accept, &[]),
            (vec![], Some(&GOOD), value(5.1), EXACT, limits(), Reject, &["above"]),
            (vec![], Some(&GOOD), value(-0.1), EXACT, limits(), Reject, &["below"]),
            (vec![], Some(&GOOD), value(f32::NAN), EXACT, limits(), Reject, &["above", "below"]),
            (
                vec![],
                Some(&foreign),
                value(50.0),
                EXACT,
                limits(),
                Invalid,
                &["unknown-sample", "unusual-sample", "above"],
            ),
            (vec![], Some(&nan), value(1.0), EXACT, limits(), Invalid, &["unknown-sample", "unusual-sample"]),
            (dark(), Some(&GOOD), value(50.0), EXACT, limits(), Invalid, &["laser-not-on", "too-dark", "above"]),
            (dark(), Some(&GOOD), value(1.0), 0.5, vec![], Invalid, &["incomplete", "laser-not-on", "too-dark"]),
            (vec![], Some(&GOOD), value(1.0), f32::NAN, vec![], Invalid, &["incomplete"]),
            (vec![], None, value(9.0), EXACT, limits(), Invalid, &["not-gated", "above"]),
            (vec![], Some(&GOOD), olive(0.95), EXACT, classes("olive"), Accept, &[]),
            (vec![], Some(&GOOD), olive(0.6), EXACT, classes("olive"), Reject, &["unsure"]),
            (vec![], Some(&GOOD), olive(0.6), EXACT, classes("corn"), Reject, &["wrong-class", "unsure"]),
            (vec![], Some(&GOOD), olive(0.95), EXACT, limits(), Invalid, &["limit-not-applicable"; 2]),
        ];
        for (reasons, applicability, prediction, error, limits, decision, codes) in cases {
            let rules = Rules { limits, ungated: Ungated::Invalid };
            let found = verdict(reasons, applicability, &prediction, (Completeness::Exact, error), &rules);
            let found_codes: Vec<&str> = found.reasons.iter().map(Reason::code).collect();
            assert_eq!((found.decision, found_codes.as_slice()), (decision, codes), "{prediction:?}");
        }
    }

    #[test]
    fn a_model_without_a_gate_may_speak_where_that_is_configured() {
        let remarked = |limits| Rules { limits, ungated: Ungated::Remarked };
        let accepted = verdict(vec![], None, &value(1.0), (Completeness::Exact, EXACT), &remarked(vec![]));
        assert_eq!(accepted, Verdict { decision: Decision::Accept, reasons: vec![Reason::NotGated] });
        let rejected =
            verdict(vec![], None, &value(9.0), (Completeness::Exact, EXACT), &remarked(vec![Limit::Above(5.0)]));
        assert_eq!(rejected.decision, Decision::Reject);
        assert_eq!(rejected.reasons.last(), Some(&Reason::NotGated));
    }

    #[test]
    fn where_the_sum_is_only_reported_a_missing_part_is_no_fault() {
        let of = |error| {
            let completeness = (Completeness::Reported, error);
            verdict(vec![], Some(&GOOD), &value(1.0), completeness, &Rules::default()).decision
        };
        assert_eq!([0.5, 40.0].map(of), [Decision::Accept; 2]);
        assert_eq!([f32::NAN, f32::INFINITY].map(of), [Decision::Invalid; 2]);
    }

    #[test]
    fn without_a_prediction_the_verdict_is_invalid() {
        let reasons = vec![Reason::NotPrepared { why: "flat".into() }];
        assert_eq!(invalid(reasons.clone()), Verdict { decision: Decision::Invalid, reasons });
        assert_eq!(invalid(vec![]).decision, Decision::Invalid);
    }

    #[test]
    fn a_limit_that_does_not_fit_the_model_is_refused() {
        let labels = ["corn", "olive"].map(str::to_owned);
        let classes = Output::Class(&labels);
        let cases = [
            (Limit::Above(5.0), Output::Value, None),
            (
                Limit::Above(5.0),
                classes,
                Some("the upper limit 5 is for a model that gives a value, this one gives a class"),
            ),
            (Limit::Below(f32::NAN), Output::Value, Some("a limit of NaN cannot be compared with")),
            (Limit::Classes(vec!["olive".into()]), classes, None),
            (Limit::Classes(vec!["Olive".into()]), classes, Some("knows no class 'Olive'; it knows corn, olive")),
            (Limit::Classes(vec!["olive".into()]), Output::Value, Some("gives a class, this one gives a value")),
            (Limit::ProbabilityMin(0.9), classes, None),
            (Limit::ProbabilityMin(90.0), classes, Some("a limit of 90 cannot be compared with")),
        ];
        for (limit, output, expected) in cases {
            let found = limit.check(output).map_err(|error| error.to_string());
            match expected {
                None => assert_eq!(found, Ok(())),
                Some(text) => {
                    assert!(found.as_ref().is_err_and(|found| found.contains(text)), "{found:?} for {text:?}")
                }
            }
        }
    }
}
