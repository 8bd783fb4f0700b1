//! The verdict: every reason there is, the most serious first, and the decision they ask for.

use std::cmp::Reverse;

use super::limit::Limit;
use crate::outcome::{Applicability, Completeness, Decision, Prediction, Reason, Verdict};

/// Above this the map does not add up. Rounding in f32 leaves about 1e-6 for the networks this program trains; a
/// gradient that belongs to another activation leaves 0.1 and more.
pub const COMPLETENESS_ERROR_MAX: f32 = 1e-3;

/// Share of good spectra that a p-value may refuse where neither line nor bundle says otherwise.
pub const SIGNIFICANCE: f32 = 0.01;

/// What becomes of the results of a model without an applicability gate, or without conformal scores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ungated {
    /// They are invalid: applicability cannot be assumed.
    #[default]
    Invalid,
    /// They stand, and every one says so.
    Remarked,
}

/// What is held against a limit: the decision rule of JCGM 106:2012, sections 8.2 and 8.3.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Guard {
    /// The value or the likeliest class alone (simple acceptance). An interval that holds the limit, or an ambiguous class, is a
    /// remark.
    #[default]
    None,
    /// The whole interval or set (guarded acceptance): what could break a limit is rejected. Where the model states none, the
    /// value alone.
    Interval,
}

/// What one model's predictions are held against.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// All of them apply.
    pub limits: Vec<Limit>,
    /// For a bundle without a gate or conformal scores.
    pub ungated: Ungated,
    /// A p-value that is not above this is unlike the training set, in 0..1; `None`: as the bundle says. With n held-out samples no
    /// p-value is below 1 / (n + 1).
    pub significance: Option<f32>,
    /// What is held against the limits.
    pub guard: Guard,
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
        Some(&Applicability { t2, t2_limit, q, q_limit, p_value, significance }) => {
            let significance = rules.significance.unwrap_or(significance);
            if q.is_nan() || q > q_limit {
                reasons.push(Reason::UnknownSample { q, limit: q_limit });
            }
            if t2.is_nan() || t2 > t2_limit {
                reasons.push(Reason::UnusualSample { t2, limit: t2_limit });
            }
            match p_value {
                Some(p_value) if p_value > significance => {}
                Some(p_value) => {
                    reasons.push(Reason::ImprobableSample { p_value, significance });
                }
                None => reasons.push(Reason::NotCalibrated { missing: "p-value" }),
            }
        }
        None => reasons.push(Reason::NotGated),
    }
    reasons.extend(doubt(prediction));
    reasons.extend(rules.limits.iter().filter_map(|limit| limit.broken_by(prediction)));
    reasons.extend(rules.limits.iter().filter_map(|limit| limit.within_interval(prediction)));
    conclude(reasons, rules)
}

/// What the calibration leaves open about a prediction.
fn doubt(prediction: &Prediction) -> Option<Reason> {
    match prediction {
        Prediction::Value { interval: None, .. } => Some(Reason::NotCalibrated { missing: "interval" }),
        Prediction::Value { .. } => None,
        Prediction::Class { set: None, .. } => Some(Reason::NotCalibrated { missing: "prediction set" }),
        Prediction::Class { labels, best, set: Some(set), .. } => {
            let conforming = set.members.len();
            if conforming == 0 || conforming == labels.len() {
                return Some(Reason::UnknownClass { conforming, confidence: set.confidence });
            }
            if set.members == [*best] {
                return None;
            }
            let possible = |class: &usize| class == best || set.members.contains(class);
            let labels = (0..labels.len()).filter(possible).map(|class| labels[class].clone()).collect();
            Some(Reason::Ambiguous { labels })
        }
    }
}

/// The verdict where no prediction could be made: the spectrum could not be preprocessed, say.
pub fn invalid(reasons: Vec<Reason>) -> Verdict {
    Verdict { decision: Decision::Invalid, ..conclude(reasons, &Rules::default()) }
}

fn conclude(mut reasons: Vec<Reason>, rules: &Rules) -> Verdict {
    reasons.sort_by_key(|reason| (Reverse(demands(reason, rules)), rank(reason)));
    let decision = reasons.first().map_or(Decision::Accept, |reason| demands(reason, rules));
    Verdict { decision, reasons }
}

/// The decision one reason asks for.
fn demands(reason: &Reason, rules: &Rules) -> Decision {
    match reason {
        Reason::Above { .. } | Reason::Below { .. } | Reason::WrongClass { .. } | Reason::Unsure { .. } => {
            Decision::Reject
        }
        // A value far above an upper limit is no less above it.
        Reason::Extrapolated { .. } => Decision::Accept,
        Reason::NotGated | Reason::NotCalibrated { .. } => match rules.ungated {
            Ungated::Invalid => Decision::Invalid,
            Ungated::Remarked => Decision::Accept,
        },
        Reason::NearLimit { .. } => match rules.guard {
            Guard::Interval => Decision::Reject,
            Guard::None => Decision::Accept,
        },
        Reason::Ambiguous { labels } => {
            let forbids = |limit: &Limit| match limit {
                Limit::Classes(allowed) => labels.iter().any(|label| !allowed.contains(label)),
                Limit::Above(_) | Limit::Below(_) | Limit::ProbabilityMin(_) => false,
            };
            let guarded = rules.guard == Guard::Interval && rules.limits.iter().any(forbids);
            if guarded { Decision::Reject } else { Decision::Accept }
        }
        Reason::Saturated { .. }
        | Reason::TooDark { .. }
        | Reason::TooNoisy { .. }
        | Reason::LaserNotOn { .. }
        | Reason::DeviceException { .. }
        | Reason::AxisNotCovered { .. }
        | Reason::NotPreprocessed { .. }
        | Reason::NotJudged { .. }
        | Reason::UnusualSample { .. }
        | Reason::UnknownSample { .. }
        | Reason::ImprobableSample { .. }
        | Reason::UnknownClass { .. }
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
        Reason::NotPreprocessed { .. } => 8,
        Reason::NotJudged { .. } => 9,
        Reason::UnknownSample { .. } => 10,
        Reason::UnusualSample { .. } => 11,
        Reason::ImprobableSample { .. } => 12,
        Reason::UnknownClass { .. } => 13,
        Reason::NotGated => 14,
        Reason::NotCalibrated { .. } => 15,
        Reason::WrongClass { .. } => 16,
        Reason::Above { .. } => 17,
        Reason::Below { .. } => 18,
        Reason::Unsure { .. } => 19,
        Reason::Ambiguous { .. } => 20,
        Reason::NearLimit { .. } => 21,
        Reason::Extrapolated { .. } => 22,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Interval, LabelSet};
    use crate::spectrum::Laser;

    const GOOD: Applicability =
        Applicability { t2: 3.0, t2_limit: 20.0, q: 0.1, q_limit: 0.8, p_value: Some(0.4), significance: SIGNIFICANCE };
    const EXACT: f32 = 1e-7;

    fn value(value: f32) -> Prediction {
        let interval = Some(Interval { lower: value, upper: value, confidence: 0.9 });
        Prediction::Value { value, unit: "%".into(), interval }
    }

    fn olive(probability: f32) -> Prediction {
        let labels = ["corn", "olive"].map(str::to_owned);
        Prediction::Class {
            labels: labels.into(),
            scores: vec![0.0, 1.0],
            probabilities: vec![1.0 - probability, probability],
            best: 1,
            runner_up: 0,
            set: Some(LabelSet { members: vec![1], confidence: 0.9 }),
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
            let rules = Rules { limits, ..Rules::default() };
            let found = verdict(reasons, applicability, &prediction, (Completeness::Exact, error), &rules);
            let found_codes: Vec<&str> = found.reasons.iter().map(Reason::code).collect();
            assert_eq!((found.decision, found_codes.as_slice()), (decision, codes), "{prediction:?}");
        }
    }

    #[test]
    fn a_model_without_a_gate_may_speak_where_that_is_configured() {
        let remarked = |limits| Rules { limits, ungated: Ungated::Remarked, ..Rules::default() };
        let accepted = verdict(vec![], None, &value(1.0), (Completeness::Exact, EXACT), &remarked(vec![]));
        assert_eq!(accepted, Verdict { decision: Decision::Accept, reasons: vec![Reason::NotGated] });
        let rejected =
            verdict(vec![], None, &value(9.0), (Completeness::Exact, EXACT), &remarked(vec![Limit::Above(5.0)]));
        assert_eq!(rejected.decision, Decision::Reject);
        assert_eq!(rejected.reasons.last(), Some(&Reason::NotGated));
    }

    #[test]
    fn a_p_value_is_held_against_the_lines_significance_or_else_the_bundles() {
        let of_kinds = Applicability { p_value: Some(0.03), significance: 0.05, ..GOOD };
        for (significance, expected) in [(None, Some(0.05)), (Some(0.01), None), (Some(0.03), Some(0.03))] {
            let rules = Rules { significance, ..Rules::default() };
            let found = verdict(vec![], Some(&of_kinds), &value(1.0), (Completeness::Exact, EXACT), &rules);
            let refused = expected.map(|significance| Reason::ImprobableSample { p_value: 0.03, significance });
            assert_eq!(found.reasons, Vec::from_iter(refused), "{significance:?}");
        }
    }

    #[test]
    fn what_held_out_samples_say_is_part_of_the_verdict() {
        use Decision::{Accept, Invalid, Reject};
        let with = |members: &[usize]| {
            let labels = ["corn", "olive", "peanut"].map(str::to_owned);
            let set = Some(LabelSet { members: members.to_vec(), confidence: 0.9 });
            let (scores, probabilities) = (vec![0.0, 1.0, 0.5], vec![0.1, 0.6, 0.3]);
            Prediction::Class { labels: labels.into(), scores, probabilities, best: 1, runner_up: 2, set }
        };
        let between = |lower, upper| {
            let interval = Some(Interval { lower, upper, confidence: 0.9 });
            Prediction::Value { value: 0.5 * (lower + upper), unit: "%".into(), interval }
        };
        let p = |p_value| Applicability { p_value, ..GOOD };
        let without = Prediction::Value { value: 1.0, unit: "%".into(), interval: None };
        let (above, below) = (|| vec![Limit::Above(5.0)], || vec![Limit::Below(5.0)]);
        let olive = || vec![Limit::Classes(vec!["olive".into()])];
        let both = || vec![Limit::Classes(vec!["olive".into(), "peanut".into()])];
        type Case<'a> = (Applicability, Prediction, Vec<Limit>, [Decision; 2], &'a [&'a str]);
        // The decisions of simple and of guarded acceptance.
        let cases: [Case<'_>; 17] = [
            (p(Some(0.0101)), between(1.0, 2.0), vec![], [Accept; 2], &[]),
            (p(Some(0.01)), between(1.0, 2.0), vec![], [Invalid; 2], &["improbable-sample"]),
            (p(Some(f32::NAN)), between(1.0, 2.0), vec![], [Invalid; 2], &["improbable-sample"]),
            (p(None), between(1.0, 2.0), vec![], [Invalid; 2], &["not-calibrated"]),
            (GOOD, without, vec![], [Invalid; 2], &["not-calibrated"]),
            (GOOD, between(1.0, 4.0), above(), [Accept; 2], &[]),
            (GOOD, between(3.0, 6.0), above(), [Accept, Reject], &["near-limit"]),
            (GOOD, between(4.0, 7.0), above(), [Reject; 2], &["above", "near-limit"]),
            (GOOD, between(5.5, 7.0), above(), [Reject; 2], &["above"]),
            (GOOD, between(4.5, 7.0), below(), [Accept, Reject], &["near-limit"]),
            (GOOD, between(1.0, 4.0), below(), [Reject; 2], &["below"]),
            (GOOD, with(&[1]), olive(), [Accept; 2], &[]),
            (GOOD, with(&[1, 2]), olive(), [Accept, Reject], &["ambiguous"]),
            (GOOD, with(&[1, 2]), both(), [Accept; 2], &["ambiguous"]),
            (GOOD, with(&[2]), olive(), [Accept, Reject], &["ambiguous"]),
            (GOOD, with(&[]), both(), [Invalid; 2], &["unknown-kind"]),
            (GOOD, with(&[0, 1, 2]), both(), [Invalid; 2], &["unknown-kind"]),
        ];
        for (applicability, prediction, limits, decisions, codes) in cases {
            for (guard, decision) in [Guard::None, Guard::Interval].into_iter().zip(decisions) {
                let rules = Rules { limits: limits.clone(), guard, ..Rules::default() };
                let found = verdict(vec![], Some(&applicability), &prediction, (Completeness::Exact, EXACT), &rules);
                let found_codes: Vec<&str> = found.reasons.iter().map(Reason::code).collect();
                assert_eq!((found.decision, found_codes.as_slice()), (decision, codes), "{guard:?}, {prediction:?}");
            }
        }
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
        let reasons = vec![Reason::NotPreprocessed { why: "flat".into() }];
        assert_eq!(invalid(reasons.clone()), Verdict { decision: Decision::Invalid, reasons });
        assert_eq!(invalid(vec![]).decision, Decision::Invalid);
    }
}
