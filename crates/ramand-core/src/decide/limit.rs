//! Limits somebody configured, and whether a prediction keeps them.

use crate::failure::{Failure, Kind};
use crate::outcome::{Interval, Prediction, Reason};

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
    NotComparable { limit: f32 },
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
    pub(super) fn broken_by(&self, prediction: &Prediction) -> Option<Reason> {
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

    /// That the value cannot be told from this limit: its interval holds values on either side.
    pub(super) fn within_interval(&self, prediction: &Prediction) -> Option<Reason> {
        let (&Self::Above(limit) | &Self::Below(limit)) = self else { return None };
        let Prediction::Value { unit, interval: Some(interval), .. } = prediction else { return None };
        let Interval { lower, upper, confidence } = *interval;
        let straddles = match self {
            Self::Above(_) => lower <= limit && upper > limit,
            _ => lower < limit && upper >= limit,
        };
        straddles.then(|| Reason::NearLimit { lower, upper, confidence, limit, unit: unit.clone() })
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

#[cfg(test)]
mod tests {
    use super::*;

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
