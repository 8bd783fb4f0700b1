//! The ordinates of a JCAMP-DX data line: plain numbers (AFFN, PAC) and the compressed forms SQZ, DIF and DUP.
//!
//! ```text
//! SQZ  @ABCDEFGHI abcdefghi   +0..9, -1..-9: the first digit of a value with its sign
//! DIF  %JKLMNOPQR jklmnopqr   the same of the difference to the value before
//! DUP  STUVWXYZs              1..9: how often the item before stands there altogether
//! ```
//! R. S. McDonald and P. A. Wilks, "JCAMP-DX: a standard form for exchange of infrared spectra in computer readable form",
//! Appl. Spectrosc. 42 (1988) 151-162. An `E` after digits belongs to the number only before a sign, as the standard
//! writes exponents; otherwise it is the SQZ digit 5.

use super::curve::POINTS_MAX;

/// Digits of one number: more than any writer has.
const DIGITS_MAX: usize = 40;

/// What a data line cannot hold.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AsdfError {
    /// A character that starts no item.
    #[error("{found:?} starts no number")]
    Character { found: char },
    /// Digits that are no number.
    #[error("{found:?} is not a number")]
    Number { found: String },
    /// `?`: a point that was not measured.
    #[error("a value is missing ('?')")]
    Missing,
    /// A difference or repetition with nothing before it.
    #[error("{found:?} refers to a value before it, and there is none")]
    NoPredecessor { found: char },
    /// A DIF line whose first value is not the last of the line before.
    #[error("the line begins with {found}, the line before ended with {expected}: a line is damaged or lost")]
    Check {
        /// First value of this line.
        found: f64,
        /// Last value of the line before.
        expected: f64,
    },
    /// More points than any spectrum has.
    #[error("more than {POINTS_MAX} points")]
    TooMany,
}

/// Values so far, over all lines.
#[derive(Debug, Default)]
pub(super) struct Ordinates {
    pub(super) values: Vec<f64>,
    /// Whether the last line ended in a difference, so that the next one begins with a repetition of its last value.
    ended_in_difference: bool,
}

/// What the next repetition repeats.
#[derive(Clone, Copy)]
enum Item {
    Value,
    Difference(f64),
}

impl Ordinates {
    /// Reads the ordinates of one line. The result is the index of the point that the line's abscissa belongs to; lines without
    /// ordinates have none.
    ///
    /// # Errors
    /// When an item is no number, or the first value contradicts the line before.
    pub(super) fn read_line(&mut self, line: &str) -> Result<Option<usize>, AsdfError> {
        let checked = self.ended_in_difference;
        let mut begin = None;
        let mut before: Option<Item> = None;
        let mut rest = line.trim_start_matches(is_separator);
        while let Some(found) = rest.chars().next() {
            let item;
            if let Some((count, after)) = compressed(rest, DUPLICATES, 1)? {
                rest = after;
                let repeated = before.ok_or(AsdfError::NoPredecessor { found })?;
                self.repeat(repeated, count)?;
                item = repeated;
            } else if let Some((difference, after)) = compressed(rest, DIFFERENCES, 0)? {
                rest = after;
                before.ok_or(AsdfError::NoPredecessor { found })?;
                item = Item::Difference(difference);
                let last = self.values.last().copied().ok_or(AsdfError::NoPredecessor { found })?;
                self.push(last + difference)?;
            } else {
                let (value, after) = match compressed(rest, SQUEEZED, 0)? {
                    Some(squeezed) => squeezed,
                    None => number(rest)?,
                };
                rest = after;
                item = Item::Value;
                if checked && begin.is_none() {
                    let expected = self.values.last().copied().ok_or(AsdfError::NoPredecessor { found })?;
                    if value != expected {
                        return Err(AsdfError::Check { found: value, expected });
                    }
                    begin = Some(self.values.len() - 1);
                } else {
                    begin.get_or_insert(self.values.len());
                    self.push(value)?;
                }
            }
            before = Some(item);
            rest = rest.trim_start_matches(is_separator);
        }
        if let Some(last) = before {
            self.ended_in_difference = matches!(last, Item::Difference(_));
        }
        Ok(begin)
    }

    fn repeat(&mut self, item: Item, count: f64) -> Result<(), AsdfError> {
        if !(1.0..=POINTS_MAX as f64).contains(&count) {
            return Err(AsdfError::TooMany);
        }
        for _ in 1..count as usize {
            let last = self.values.last().copied().unwrap_or_default();
            self.push(match item {
                Item::Value => last,
                Item::Difference(difference) => last + difference,
            })?;
        }
        Ok(())
    }

    fn push(&mut self, value: f64) -> Result<(), AsdfError> {
        if self.values.len() == POINTS_MAX {
            return Err(AsdfError::TooMany);
        }
        self.values.push(value);
        Ok(())
    }
}

/// Characters for 0 upwards, and for −1 downwards.
type Digits = (&'static str, &'static str);
const SQUEEZED: Digits = ("@ABCDEFGHI", "abcdefghi");
const DIFFERENCES: Digits = ("%JKLMNOPQR", "jklmnopqr");
const DUPLICATES: Digits = ("STUVWXYZs", "");

/// A compressed number and what follows it; `None` where the first character is none of `digits`, the first of which counts
/// `from`.
fn compressed(text: &str, digits: Digits, from: usize) -> Result<Option<(f64, &str)>, AsdfError> {
    let Some(first) = text.chars().next() else { return Ok(None) };
    let (sign, digit) = match (digits.0.find(first), digits.1.find(first)) {
        (Some(place), _) => ("", place + from),
        (None, Some(place)) => ("-", place + 1),
        (None, None) => return Ok(None),
    };
    let after = &text[first.len_utf8()..];
    let more = after.bytes().take_while(u8::is_ascii_digit).count();
    let (more, after) = after.split_at(more);
    let value = parse(&format!("{sign}{digit}{more}"))?;
    Ok(Some((value, after)))
}

/// A plain number at the start of `text`, and what follows it.
///
/// # Errors
/// When there is none.
pub(super) fn number(text: &str) -> Result<(f64, &str), AsdfError> {
    let first = text.chars().next().ok_or(AsdfError::Number { found: String::new() })?;
    if first == '?' {
        return Err(AsdfError::Missing);
    }
    if !first.is_ascii_digit() && !"+-.".contains(first) {
        return Err(AsdfError::Character { found: first });
    }
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from("+-".contains(first));
    end += digits(end);
    if bytes.get(end) == Some(&b'.') {
        end += 1 + digits(end + 1);
    }
    let exponent = matches!(bytes.get(end), Some(b'E' | b'e')) && matches!(bytes.get(end + 1), Some(b'+' | b'-'));
    if exponent && digits(end + 2) > 0 {
        end += 2 + digits(end + 2);
    }
    let (number, after) = text.split_at(end);
    Ok((parse(number)?, after))
}

fn parse(text: &str) -> Result<f64, AsdfError> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && text.len() <= DIGITS_MAX);
    value.ok_or_else(|| AsdfError::Number { found: text.chars().take(DIGITS_MAX).collect() })
}

/// What may stand between numbers.
pub(super) fn is_separator(c: char) -> bool {
    c.is_whitespace() || c == ',' || c == ';'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Vec<f64>, AsdfError> {
        let mut ordinates = Ordinates::default();
        for line in lines {
            ordinates.read_line(line)?;
        }
        Ok(ordinates.values)
    }

    #[test]
    fn every_form_of_the_standard_says_the_same() {
        // The example of McDonald and Wilks: 1 2 3 3 2 1 0 -1 -2 -3.
        let expected = [1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0];
        let forms: [&[&str]; 8] = [
            &["1 2 3 3 2 1 0 -1 -2 -3"],
            &["+1+2+3+3+2+1+0-1-2-3"],
            &["1 2,3;3 2", "1 0 -1 -2 -3"],
            &["ABCCBA@abc"],
            &["AJJ%jjjjjj"],
            &["AJT%jX"],
            &["A B J % j j j", "@ j j j"],
            &["1.0 2E+0 300E-2 CBA@abc"],
        ];
        for form in forms {
            assert_eq!(read(form).expect("of the standard"), expected, "{form:?}");
        }
        assert_eq!(read(&["A5U"]).expect("squeezed, three times"), [15.0; 3]);
        assert_eq!(read(&["12E5"]).expect("a value and a squeezed one"), [12.0, 55.0]);
        assert_eq!(read(&["@S2"]).expect("twelve zeros"), [0.0; 12]);
    }

    #[test]
    fn the_abscissa_belongs_to_the_repeated_value_after_a_difference() {
        let mut ordinates = Ordinates::default();
        assert_eq!(ordinates.read_line("A0J"), Ok(Some(0)));
        assert_eq!(ordinates.read_line("A1J"), Ok(Some(1)));
        assert_eq!(ordinates.read_line("A2"), Ok(Some(2)));
        assert_eq!(ordinates.read_line("A3"), Ok(Some(3)));
        assert_eq!(ordinates.values, [10.0, 11.0, 12.0, 13.0]);
        assert_eq!(ordinates.read_line("  "), Ok(None));
    }

    #[test]
    fn damage_is_named() {
        let cases: [(&[&str], &str); 9] = [
            (&["A0J", "A2J"], "begins with 12, the line before ended with 11"),
            (&["1 ? 3"], "missing"),
            (&["1 $ 3"], "'$' starts no number"),
            (&["J1"], "'J' refers to a value before it"),
            (&["S1"], "'S' refers to a value before it"),
            (&["1 - 2"], "\"-\" is not a number"),
            (&["1 S99999999"], "more than"),
            (&["1e+999"], "is not a number"),
            (&["Aé"], "'é' starts no number"),
        ];
        for (lines, expected) in cases {
            let message = read(lines).expect_err(expected).to_string();
            assert!(message.contains(expected), "{lines:?}: {message}");
        }
    }
}
