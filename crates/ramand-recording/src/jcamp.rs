//! JCAMP-DX files (version 4.24): one spectrum, as `(X++(Y..Y))` in any of the standard's number forms or as `(XY..XY)`.
//!
//! ```text
//! ##TITLE= sunflower oil        ##XUNITS= 1/CM     ##XFACTOR= 1   ##FIRSTX= 800    ##NPOINTS= 251
//! ##JCAMP-DX= 4.24              ##YUNITS= COUNTS   ##YFACTOR= 1   ##LASTX= 1800
//! ##XYDATA= (X++(Y..Y))
//! 800 1523 1533 1540 ...
//! ##END=
//! ```
//! R. S. McDonald and P. A. Wilks, Appl. Spectrosc. 42 (1988) 151-162. What the file says twice must agree: the abscissa at the
//! start of each line, the repeated values of DIF lines, the number of points.

use super::asdf::{AsdfError, Ordinates, is_separator, number};
use super::curve::{AbscissaUnit, Curve, POINTS_MAX};

/// Why text is no such file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JcampError {
    /// It does not begin with `##TITLE=`.
    #[error("it does not begin with ##TITLE=")]
    NoTitle,
    /// A record that has to be there.
    #[error("there is no ##{label}= record")]
    Missing { label: &'static str },
    /// A record that is there twice: a compound file.
    #[error("line {line}: a second ##{label}= record; files of several blocks are not read")]
    Twice {
        /// From 1.
        line: usize,
        label: &'static str,
    },
    /// A record whose content is no number.
    #[error("line {line}: ##{label}= {found:?} is not a number that can be used")]
    Number {
        /// From 1.
        line: usize,
        label: &'static str,
        /// Its content.
        found: String,
    },
    /// Data in a form that is not read.
    #[error("line {line}: ##{label}= {found:?} is not read; (X++(Y..Y)) and (XY..XY) are")]
    Form {
        /// From 1.
        line: usize,
        label: String,
        /// Its content.
        found: String,
    },
    /// An abscissa that is no shift, wavenumber or wavelength.
    #[error("line {line}: ##XUNITS= {found:?} is not read; 1/CM and NANOMETERS are")]
    Units {
        /// From 1.
        line: usize,
        found: String,
    },
    /// A data line that cannot be read.
    #[error("line {line}: the data cannot be read")]
    Data {
        /// From 1.
        line: usize,
        /// What is wrong.
        #[source]
        source: AsdfError,
    },
    /// A line whose abscissa is not where its points are.
    #[error("line {line}: it begins at {found}, its points at {expected:.4}: points are lost or repeated before it")]
    Abscissa {
        /// From 1.
        line: usize,
        /// As written, times the factor.
        found: f64,
        /// Counted.
        expected: f64,
    },
    /// Points missing or left over.
    #[error("{found} points, ##NPOINTS= says {expected}")]
    Count {
        /// Read.
        found: usize,
        /// Said.
        expected: usize,
    },
    /// Pairs with one number left over.
    #[error("an abscissa without an ordinate at the end of the pairs")]
    HalfPair,
    /// NaN or infinite once factors are applied.
    #[error("point {point} is not a finite number")]
    NotFinite {
        /// From 0.
        point: usize,
    },
}

/// One labelled data record.
struct LabelledDataRecord<'a> {
    /// Line of its label, from 1.
    line: usize,
    /// Upper case, without the characters that do not count: space, `-`, `_` and `/`.
    label: String,
    /// After the `=`, without comments.
    value: &'a str,
    /// The lines that follow, with their numbers, without comments.
    lines: Vec<(usize, &'a str)>,
}

/// Reads a file's text.
///
/// # Errors
/// When it is no file of one spectrum, or contradicts itself.
pub fn read(text: &str) -> Result<Curve, JcampError> {
    let records = records(text)?;
    one(&records, "END")?.ok_or(JcampError::Missing { label: "END" })?;
    let unit = match one(&records, "XUNITS")? {
        None => return Err(JcampError::Missing { label: "XUNITS" }),
        Some(record) => unit(record)?,
    };
    let data = records.iter().filter(|record| ["XYDATA", "XYPOINTS", "PEAKTABLE", "NTUPLES"].contains(&&*record.label));
    let data: Vec<&LabelledDataRecord<'_>> = data.collect();
    let [data] = data[..] else {
        return Err(match data.get(1) {
            Some(second) => JcampError::Twice { line: second.line, label: "XYDATA" },
            None => JcampError::Missing { label: "XYDATA" },
        });
    };
    let form: String = data.value.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_uppercase();
    let x_factor = factor(&records, "XFACTOR")?;
    let y_factor = factor(&records, "YFACTOR")?;
    let (abscissae, ordinates) = match (data.label.as_str(), form.as_str()) {
        ("XYDATA", "(X++(Y..Y))") => series(&records, data, x_factor)?,
        ("XYDATA" | "XYPOINTS", "(XY..XY)") => pairs(&records, data, x_factor)?,
        _ => {
            let (line, label, found) = (data.line, data.label.clone(), data.value.to_owned());
            return Err(JcampError::Form { line, label, found });
        }
    };
    let ordinates: Vec<f32> = ordinates.into_iter().map(|value| (value * y_factor) as f32).collect();
    let finite = |(x, y): (&f64, &f32)| x.is_finite() && y.is_finite();
    match abscissae.iter().zip(&ordinates).position(|point| !finite(point)) {
        Some(point) => Err(JcampError::NotFinite { point }),
        None => Ok(Curve { abscissae, ordinates, unit: Some(unit) }),
    }
}

fn records(text: &str) -> Result<Vec<LabelledDataRecord<'_>>, JcampError> {
    let text = text.trim_start_matches('\u{feff}');
    let mut records: Vec<LabelledDataRecord<'_>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split_once("$$").map_or(line, |(before, _)| before).trim();
        let record = line.strip_prefix("##").and_then(|record| record.split_once('='));
        match (record, records.last_mut()) {
            (Some((label, value)), _) => {
                let label = label.chars().filter(|c| !" -_/".contains(*c)).collect::<String>().to_uppercase();
                records.push(LabelledDataRecord { line: index + 1, label, value: value.trim(), lines: Vec::new() });
            }
            (None, Some(last)) if !line.is_empty() => last.lines.push((index + 1, line)),
            _ => {}
        }
    }
    if records.first().is_none_or(|first| first.label != "TITLE") {
        return Err(JcampError::NoTitle);
    }
    one(&records, "TITLE")?;
    Ok(records)
}

/// The record of this name; a second one means that the file holds several blocks.
fn one<'a, 'b>(
    records: &'b [LabelledDataRecord<'a>],
    label: &'static str,
) -> Result<Option<&'b LabelledDataRecord<'a>>, JcampError> {
    let mut found = records.iter().filter(|record| record.label == label);
    let first = found.next();
    match found.next() {
        Some(second) => Err(JcampError::Twice { line: second.line, label }),
        None => Ok(first),
    }
}

fn value(records: &[LabelledDataRecord<'_>], label: &'static str) -> Result<Option<f64>, JcampError> {
    let Some(record) = one(records, label)? else { return Ok(None) };
    let refused = || JcampError::Number { line: record.line, label, found: record.value.to_owned() };
    record.value.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(refused).map(Some)
}

/// 1 where nothing is said.
fn factor(records: &[LabelledDataRecord<'_>], label: &'static str) -> Result<f64, JcampError> {
    Ok(value(records, label)?.unwrap_or(1.0))
}

fn unit(record: &LabelledDataRecord<'_>) -> Result<AbscissaUnit, JcampError> {
    let name: String = record.value.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_uppercase();
    if ["1/CM", "CM-1", "CM^-1"].iter().any(|unit| name.contains(unit)) {
        Ok(AbscissaUnit::PerCm)
    } else if ["NM", "NANOMETERS", "NANOMETRES"].contains(&&*name) {
        Ok(AbscissaUnit::Nm)
    } else {
        Err(JcampError::Units { line: record.line, found: record.value.to_owned() })
    }
}

fn points(records: &[LabelledDataRecord<'_>]) -> Result<Option<usize>, JcampError> {
    let Some(count) = value(records, "NPOINTS")? else { return Ok(None) };
    let record = one(records, "NPOINTS")?;
    if count.fract() == 0.0 && (2.0..=POINTS_MAX as f64).contains(&count) {
        return Ok(Some(count as usize));
    }
    let (line, found) = record.map_or((0, String::new()), |record| (record.line, record.value.to_owned()));
    Err(JcampError::Number { line, label: "NPOINTS", found })
}

/// Evenly spaced points from FIRSTX to LASTX.
fn series(
    records: &[LabelledDataRecord<'_>],
    data: &LabelledDataRecord<'_>,
    x_factor: f64,
) -> Result<(Vec<f64>, Vec<f64>), JcampError> {
    let needed = |label| value(records, label)?.ok_or(JcampError::Missing { label });
    let (first, last) = (needed("FIRSTX")?, needed("LASTX")?);
    let expected = points(records)?.ok_or(JcampError::Missing { label: "NPOINTS" })?;
    let step = (last - first) / (expected - 1) as f64;
    let mut ordinates = Ordinates::default();
    for &(line, text) in &data.lines {
        let failed = |source| JcampError::Data { line, source };
        let (x, rest) = number(text).map_err(failed)?;
        let written = text.len() - rest.len();
        if let Some(begin) = ordinates.read_line(rest).map_err(failed)? {
            let (found, expected) = (x * x_factor, first + step * begin as f64);
            // Writers round the abscissa to the digits they print.
            let rounding = 0.5 * x_factor.abs() * last_place(&text[..written]);
            if (found - expected).abs() > step.abs() + rounding {
                return Err(JcampError::Abscissa { line, found, expected });
            }
        }
    }
    let found = ordinates.values.len();
    if found != expected {
        return Err(JcampError::Count { found, expected });
    }
    Ok(((0..expected).map(|i| first + step * i as f64).collect(), ordinates.values))
}

/// What the last digit of a printed number counts: 0.01 of 812.25.
fn last_place(number: &str) -> f64 {
    let decimals =
        number.split_once('.').map_or(0, |(_, decimals)| decimals.bytes().take_while(u8::is_ascii_digit).count());
    10.0_f64.powi(-(decimals as i32))
}

fn pairs(
    records: &[LabelledDataRecord<'_>],
    data: &LabelledDataRecord<'_>,
    x_factor: f64,
) -> Result<(Vec<f64>, Vec<f64>), JcampError> {
    let (mut abscissae, mut ordinates) = (Vec::new(), Vec::new());
    for &(line, text) in &data.lines {
        let failed = |source| JcampError::Data { line, source };
        let mut rest = text.trim_start_matches(is_separator);
        while !rest.is_empty() {
            let (value, after) = number(rest).map_err(failed)?;
            rest = after.trim_start_matches(is_separator);
            if abscissae.len() == ordinates.len() {
                if abscissae.len() == POINTS_MAX {
                    return Err(failed(AsdfError::TooMany));
                }
                abscissae.push(value * x_factor);
            } else {
                ordinates.push(value);
            }
        }
    }
    if abscissae.len() != ordinates.len() {
        return Err(JcampError::HalfPair);
    }
    let expected = points(records)?.unwrap_or(ordinates.len());
    if ordinates.len() != expected || expected < 2 {
        return Err(JcampError::Count { found: ordinates.len(), expected: expected.max(2) });
    }
    Ok((abscissae, ordinates))
}
