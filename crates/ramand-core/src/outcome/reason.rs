//! Why a verdict is not plain acceptance: for programs a code, for people a sentence.

use std::sync::Arc;

use crate::spectrum::Laser;

/// Why a verdict is not plain acceptance.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// Pixels at the end of the detector's range.
    Saturated { pixels: usize },
    /// Too little signal above dark.
    TooDark {
        /// 95th percentile of light − dark, counts.
        signal: f32,
        minimum: f32,
    },
    /// Too noisy.
    TooNoisy {
        /// Signal over noise.
        signal_to_noise: f32,
        minimum: f32,
    },
    /// The laser was not on, or the device cannot confirm it.
    LaserNotOn {
        /// What the device says.
        laser: Laser,
    },
    /// The device marked the frame as possibly spoilt.
    DeviceException {
        /// The device's error number.
        number: u16,
    },
    /// The instrument's axis ends before the model's.
    AxisNotCovered {
        /// The instrument's axis, cm⁻¹.
        measured: (f64, f64),
        /// The model's axis, cm⁻¹.
        needed: (f64, f64),
    },
    /// The spectrum could not be preprocessed for another reason.
    NotPreprocessed {
        /// The preprocessing's message.
        why: String,
    },
    /// The model was shown the spectrum and gave no usable answer.
    NotJudged {
        /// The model's message.
        why: String,
    },
    /// T² above its limit.
    UnusualSample {
        /// T².
        t2: f32,
        limit: f32,
    },
    /// Q above its limit.
    UnknownSample {
        /// Q.
        q: f32,
        limit: f32,
    },
    /// The share of samples like the training's that are as unusual is not above the configured level.
    ImprobableSample { p_value: f32, significance: f32 },
    /// No class conforms, or every one does.
    UnknownClass {
        /// How many conform: none or all.
        conforming: usize,
        /// Of the set.
        confidence: f32,
    },
    /// More than one class conforms.
    Ambiguous {
        /// Which, and the one with the highest score if it is not among them.
        labels: Vec<String>,
    },
    /// A configured limit lies within the interval of the value.
    NearLimit {
        /// Lower end of the interval.
        lower: f32,
        /// Upper end.
        upper: f32,
        /// Nominal coverage of the interval.
        confidence: f32,
        limit: f32,
        /// Unit of all.
        unit: Arc<str>,
    },
    /// The value is farther outside the range of the training's true values than the model usually errs.
    Extrapolated {
        /// The predicted value.
        value: f32,
        /// The least true value of the training.
        low: f32,
        /// The largest.
        high: f32,
        /// Unit of all.
        unit: Arc<str>,
    },
    /// The bundle has no gate, and the configuration allows that.
    NotGated,
    /// The bundle has no conformal scores, and the configuration allows that.
    NotCalibrated {
        /// What is therefore not stated.
        missing: &'static str,
    },
    /// A configured upper limit.
    Above {
        /// The predicted value.
        value: f32,
        limit: f32,
        /// Unit of both.
        unit: Arc<str>,
    },
    /// A configured lower limit.
    Below {
        /// The predicted value.
        value: f32,
        limit: f32,
        /// Unit of both.
        unit: Arc<str>,
    },
    /// A class that is not among the configured ones.
    WrongClass { found: String, allowed: Vec<String> },
    /// The right class, too unsure.
    Unsure {
        /// Probability of the best class.
        probability: f32,
        minimum: f32,
    },
    /// The map does not add up: a fault of the software or the bundle.
    Incomplete { error: f32 },
    /// A configured limit is for another kind of prediction: a fault of the software, as loading a model refuses it.
    LimitNotApplicable {
        /// The limit in words.
        limit: String,
    },
}

impl Reason {
    /// A short code that never changes: what a program compares where a human reads the text.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Saturated { .. } => "saturated",
            Self::TooDark { .. } => "too-dark",
            Self::TooNoisy { .. } => "too-noisy",
            Self::LaserNotOn { .. } => "laser-not-on",
            Self::DeviceException { .. } => "device-exception",
            Self::AxisNotCovered { .. } => "axis-not-covered",
            Self::NotPreprocessed { .. } => "not-prepared",
            Self::NotJudged { .. } => "not-judged",
            Self::UnusualSample { .. } => "unusual-sample",
            Self::UnknownSample { .. } => "unknown-sample",
            Self::ImprobableSample { .. } => "improbable-sample",
            Self::UnknownClass { .. } => "unknown-kind",
            Self::Ambiguous { .. } => "ambiguous",
            Self::NearLimit { .. } => "near-limit",
            Self::Extrapolated { .. } => "extrapolated",
            Self::NotGated => "not-gated",
            Self::NotCalibrated { .. } => "not-calibrated",
            Self::Above { .. } => "above",
            Self::Below { .. } => "below",
            Self::WrongClass { .. } => "wrong-class",
            Self::Unsure { .. } => "unsure",
            Self::Incomplete { .. } => "incomplete",
            Self::LimitNotApplicable { .. } => "limit-not-applicable",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Saturated { pixels: 1 } => write!(f, "1 pixel is saturated"),
            Self::Saturated { pixels } => write!(f, "{pixels} pixels are saturated"),
            Self::TooDark { signal, minimum } => {
                let (signal, minimum) = told_apart(*signal, *minimum);
                write!(f, "the signal of {signal} counts is below the minimum of {minimum} counts")
            }
            Self::TooNoisy { signal_to_noise, minimum } => {
                let (found, minimum) = told_apart(*signal_to_noise, *minimum);
                write!(f, "the signal-to-noise ratio of {found} is below the minimum of {minimum}")
            }
            Self::LaserNotOn { laser: Laser::Unknown } => write!(f, "the device cannot say whether the laser was on"),
            Self::LaserNotOn { laser: Laser::On | Laser::Off } => write!(f, "the laser was not on"),
            Self::DeviceException { number } => write!(f, "the device marked the frame as spoilt, error {number}"),
            Self::AxisNotCovered { measured, needed } => write!(
                f,
                "the instrument covers {:.1} to {:.1} cm-1, the model needs {:.1} to {:.1} cm-1",
                measured.0, measured.1, needed.0, needed.1
            ),
            Self::NotPreprocessed { why } | Self::NotJudged { why } => write!(f, "{why}"),
            Self::UnusualSample { t2, limit } => {
                let (t2, limit) = told_apart(*t2, *limit);
                write!(f, "unusual for the training set: T2 {t2} is above the limit of {limit}")
            }
            Self::UnknownSample { q, limit } => {
                let (q, limit) = told_apart(*q, *limit);
                write!(f, "unlike anything in the training set: Q {q} is above the limit of {limit}")
            }
            Self::ImprobableSample { p_value, significance } => {
                let (p_value, significance) = told_apart(*p_value, *significance);
                write!(f, "unlike the training set: p {p_value} is not above the significance of {significance}")
            }
            Self::UnknownClass { conforming, confidence } => {
                let which = if *conforming == 0 { "no kind" } else { "every kind" };
                write!(f, "unknown: {which} fits with {} confidence", percent(*confidence))
            }
            Self::Ambiguous { labels } => write!(f, "ambiguous: {}", alternatives(labels)),
            Self::NearLimit { lower, upper, confidence, limit, unit } => {
                let three = |value: f32| significant(value, 3);
                let (lower, upper, limit, symbol) = (three(*lower), three(*upper), three(*limit), symbol(unit));
                let interval = format!("the {} interval is {lower} to {upper} {symbol}", percent(*confidence));
                write!(f, "cannot be told from the limit of {limit} {symbol}: {interval}")
            }
            Self::Extrapolated { value, low, high, unit } => {
                let nearest = if value < low { low } else { high };
                let (value, _) = told_apart(*value, *nearest);
                let (low, high, symbol) = (significant(*low, 3), significant(*high, 3), symbol(unit));
                write!(f, "extrapolated: {value} {unit} is outside the calibrated range of {low} to {high} {symbol}")
            }
            Self::NotGated => write!(f, "the model has no applicability gate"),
            Self::NotCalibrated { missing } => write!(f, "the model states no {missing}"),
            Self::Above { value, limit, unit } => {
                let (value, limit) = told_apart(*value, *limit);
                write!(f, "{value} {unit} is above the limit of {limit} {}", symbol(unit))
            }
            Self::Below { value, limit, unit } => {
                let (value, limit) = told_apart(*value, *limit);
                write!(f, "{value} {unit} is below the limit of {limit} {}", symbol(unit))
            }
            Self::WrongClass { found, allowed } => write!(f, "{found} is not among {}", allowed.join(", ")),
            Self::Unsure { probability, minimum } => {
                let (probability, minimum) = told_apart(*probability, *minimum);
                write!(f, "the probability of {probability} is below the minimum of {minimum}")
            }
            Self::Incomplete { error } => write!(f, "the explanation misses the output by {error:.1e}"),
            Self::LimitNotApplicable { limit } => write!(f, "the {limit} is for another kind of model"),
        }
    }
}

/// Both numbers with at least three significant digits, and as many as it takes to show which is larger.
fn told_apart(value: f32, limit: f32) -> (String, String) {
    let texts = |digits| (significant(value, digits), significant(limit, digits));
    (3..9).map(texts).find(|(value, limit)| value != limit).unwrap_or_else(|| texts(9))
}

/// `value` rounded to so many significant digits, without an exponent for readable sizes and without trailing zeros.
fn significant(value: f32, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-4..9).contains(&magnitude) {
        return format!("{value:.*e}", (digits - 1) as usize);
    }
    let text = format!("{value:.*}", (digits - 1 - magnitude).max(0) as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// `90 %`, `97.5 %`.
fn percent(share: f32) -> String {
    format!("{} %", significant(100.0 * share, 3))
}

/// `olive`, `olive or peanut`, `corn, olive or peanut`.
fn alternatives(labels: &[String]) -> String {
    match labels {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

/// The unit proper of a unit with its substance: `%` of `% sunflower oil`.
fn symbol(unit: &str) -> &str {
    unit.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes are on the wire: this table is not to be edited, only added to.
    #[test]
    fn every_reason_has_its_code_and_says_its_numbers() {
        let unit: Arc<str> = "% sunflower oil".into();
        let cases = [
            (Reason::Saturated { pixels: 3 }, "saturated", "3 pixels are saturated"),
            (
                Reason::TooDark { signal: 12.345, minimum: 200.0 },
                "too-dark",
                "the signal of 12.3 counts is below the minimum of 200 counts",
            ),
            (
                Reason::TooNoisy { signal_to_noise: 9.9996, minimum: 10.0 },
                "too-noisy",
                "the signal-to-noise ratio of 9.9996 is below the minimum of 10",
            ),
            (Reason::LaserNotOn { laser: Laser::Off }, "laser-not-on", "the laser was not on"),
            (
                Reason::LaserNotOn { laser: Laser::Unknown },
                "laser-not-on",
                "the device cannot say whether the laser was on",
            ),
            (
                Reason::DeviceException { number: 5 },
                "device-exception",
                "the device marked the frame as spoilt, error 5",
            ),
            (
                Reason::AxisNotCovered { measured: (901.25, 1800.0), needed: (800.0, 1800.0) },
                "axis-not-covered",
                "the instrument covers 901.2 to 1800.0 cm-1, the model needs 800.0 to 1800.0 cm-1",
            ),
            (Reason::NotPreprocessed { why: "the spectrum is flat".into() }, "not-prepared", "the spectrum is flat"),
            (Reason::NotJudged { why: "output 0 is NaN".into() }, "not-judged", "output 0 is NaN"),
            (
                Reason::UnusualSample { t2: 1.5e12, limit: 21.0 },
                "unusual-sample",
                "unusual for the training set: T2 1.50e12 is above the limit of 21",
            ),
            (
                Reason::UnknownSample { q: 0.801, limit: 0.8 },
                "unknown-sample",
                "unlike anything in the training set: Q 0.801 is above the limit of 0.8",
            ),
            (
                Reason::ImprobableSample { p_value: 0.0021, significance: 0.01 },
                "improbable-sample",
                "unlike the training set: p 0.0021 is not above the significance of 0.01",
            ),
            (
                Reason::UnknownClass { conforming: 0, confidence: 0.9 },
                "unknown-kind",
                "unknown: no kind fits with 90 % confidence",
            ),
            (
                Reason::UnknownClass { conforming: 8, confidence: 0.975 },
                "unknown-kind",
                "unknown: every kind fits with 97.5 % confidence",
            ),
            (
                Reason::Ambiguous { labels: vec!["corn".into(), "olive".into(), "peanut".into()] },
                "ambiguous",
                "ambiguous: corn, olive or peanut",
            ),
            (
                Reason::NearLimit { lower: 3.1449, upper: 9.31, confidence: 0.9, limit: 5.0, unit: unit.clone() },
                "near-limit",
                "cannot be told from the limit of 5 %: the 90 % interval is 3.14 to 9.31 %",
            ),
            (Reason::NotGated, "not-gated", "the model has no applicability gate"),
            (Reason::NotCalibrated { missing: "interval" }, "not-calibrated", "the model states no interval"),
            (
                Reason::Above { value: 7.2, limit: 5.0, unit: unit.clone() },
                "above",
                "7.2 % sunflower oil is above the limit of 5 %",
            ),
            (
                Reason::Below { value: -1e-5, limit: 0.0, unit },
                "below",
                "-1.00e-5 % sunflower oil is below the limit of 0 %",
            ),
            (
                Reason::WrongClass { found: "palm".into(), allowed: vec!["olive".into(), "sesame".into()] },
                "wrong-class",
                "palm is not among olive, sesame",
            ),
            (
                Reason::Unsure { probability: 0.8999, minimum: 0.9 },
                "unsure",
                "the probability of 0.8999 is below the minimum of 0.9",
            ),
            (Reason::Incomplete { error: 0.0123 }, "incomplete", "the explanation misses the output by 1.2e-2"),
            (
                Reason::LimitNotApplicable { limit: "upper limit 5".into() },
                "limit-not-applicable",
                "the upper limit 5 is for another kind of model",
            ),
        ];
        for (reason, code, text) in cases {
            assert_eq!((reason.code(), reason.to_string().as_str()), (code, text));
        }
    }
}
