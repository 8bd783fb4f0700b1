//! Reasons of a verdict in words: a code for programs, a sentence for people.

use serde::Serialize;

use crate::outcome::Reason;
use crate::spectrum::Laser;

/// A reason as published.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ReasonRecord {
    code: &'static str,
    text: String,
}

impl From<&Reason> for ReasonRecord {
    fn from(reason: &Reason) -> Self {
        let n = rounded;
        let (code, text) = match reason {
            Reason::Saturated { pixels } => {
                ("saturated", format!("{pixels} pixels are saturated: shorten the exposure"))
            }
            Reason::TooDark { signal, minimum } => {
                ("too_dark", format!("{} counts above dark, at least {} are needed", n(*signal), n(*minimum)))
            }
            Reason::TooNoisy { signal_to_noise, minimum } => (
                "too_noisy",
                format!("a signal-to-noise ratio of {}, at least {} is needed", n(*signal_to_noise), n(*minimum)),
            ),
            Reason::LaserNotOn { laser: Laser::Unknown } => {
                ("laser_not_on", "the spectrometer does not say whether the laser was on".to_owned())
            }
            Reason::LaserNotOn { laser } => ("laser_not_on", format!("the laser was {}", laser_state(*laser))),
            Reason::DeviceException { number } => {
                ("device_exception", format!("the spectrometer marked the frame with its error {number}"))
            }
            Reason::AxisNotCovered { measured, needed } => (
                "axis_not_covered",
                format!(
                    "the spectrum covers {} to {} cm-1, the model needs {} to {} cm-1",
                    measured.0, measured.1, needed.0, needed.1
                ),
            ),
            Reason::NotPrepared { why } => ("not_prepared", why.clone()),
            Reason::UnusualSample { t2, limit } => (
                "unusual_sample",
                format!("T2 of {} is above the limit of {}: outside what the model was trained on", n(*t2), n(*limit)),
            ),
            Reason::UnknownSample { q, limit } => (
                "unknown_sample",
                format!("Q of {} is above the limit of {}: unlike anything in training", n(*q), n(*limit)),
            ),
            Reason::NotGated => ("not_gated", "the model has no applicability gate".to_owned()),
            Reason::Above { value, limit, unit } => {
                ("above", format!("{} {unit} is above the limit of {} {}", n(*value), n(*limit), symbol(unit)))
            }
            Reason::Below { value, limit, unit } => {
                ("below", format!("{} {unit} is below the limit of {} {}", n(*value), n(*limit), symbol(unit)))
            }
            Reason::WrongClass { found, allowed } => {
                ("wrong_class", format!("{found} is not among {}", allowed.join(", ")))
            }
            Reason::Unsure { probability, minimum } => {
                ("unsure", format!("a probability of {}, at least {} is asked for", n(*probability), n(*minimum)))
            }
            Reason::Incomplete { error } => {
                ("incomplete", format!("the explanation does not add up to the output: relative error {}", n(*error)))
            }
        };
        Self { code, text }
    }
}

/// The state of the laser in a word.
pub(super) const fn laser_state(laser: Laser) -> &'static str {
    match laser {
        Laser::On => "on",
        Laser::Off => "off",
        Laser::Unknown => "unknown",
    }
}

/// `% sunflower oil` is a unit and what it measures: a limit repeats the unit alone.
fn symbol(unit: &str) -> &str {
    unit.split_whitespace().next().unwrap_or(unit)
}

/// Three significant digits, whole numbers whole: a sentence is no place for the rest, the record has them all.
fn rounded(value: f32) -> String {
    const DIGITS: i32 = 3;
    const DECIMALS_MAX: i32 = 6;
    if !value.is_finite() || value == 0.0 {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    let decimals = (DIGITS - 1 - magnitude).clamp(0, DECIMALS_MAX) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_have_three_digits() {
        let cases = [
            (7.213_456_7, "7.21"),
            (5.0, "5"),
            (0.0, "0"),
            (-0.012_345, "-0.0123"),
            (123_456.7, "123457"),
            (99.99, "100"),
            (1e-9, "0"),
            (f32::NAN, "NaN"),
        ];
        for (value, expected) in cases {
            assert_eq!(rounded(value), expected);
        }
    }
}
