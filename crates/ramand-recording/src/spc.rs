//! Galactic's SPC files in the new format (version 0x4B, little-endian): one or several spectra, evenly spaced or not.
//!
//! ```text
//! header 512 bytes | shared X values, f32 (TXVALS without TXYXYS) | subfiles
//! subfile: header 32 bytes | its own X values, f32 (TXYXYS) | Y values
//!
//! offset  header                                    offset  subheader
//!      0  u8  flags: 1 TSPREC  4 TMULTI                  0  u8  flags
//!             64 TXYXYS  128 TXVALS                      1  i8  exponent, -128: f32
//!      1  u8  version 0x4B                              16  u32 points (TXYXYS)
//!      3  i8  exponent of Y, -128: Y is f32
//!      4  u32 points          8  f64 first X
//!     16  f64 last X         24  u32 subfiles
//!     28  u8  unit of X: 0 arbitrary, 1 cm-1, 3 nm, 13 Raman shift in cm-1
//! ```
//! Y = integer · 2^exponent / 2^32, or / 2^16 with TSPREC (Galactic Industries, "A brief guide to SPC file format").
//! Everything else, the older formats and all text in the file are left alone.

use super::curve::{AbscissaUnit, Curve, POINTS_MAX};

/// Spectra in one file: a map of 64 by 64 points.
pub const SPECTRA_MAX: usize = 4096;

const HEADER_BYTES: usize = 512;
const SUBHEADER_BYTES: usize = 32;
const VERSION_NEW: u8 = 0x4B;
const SIXTEEN_BITS: u8 = 1;
const SEVERAL: u8 = 4;
const OWN_X: u8 = 64;
const LISTED_X: u8 = 128;
/// The exponent that says that Y values are f32.
const FLOATS: i8 = -128;

/// Why bytes are no such file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SpcError {
    /// The second byte is another version's.
    #[error("version byte {found:#04x}, only the new little-endian format 0x4b is read: save the file in that format")]
    Version {
        /// The second byte.
        found: u8,
    },
    /// The file ends early.
    #[error("the file has {found} bytes and ends within {what}")]
    TooShort {
        /// What was to be read.
        what: &'static str,
        /// Bytes there are.
        found: usize,
    },
    /// More of something than is plausible, or too few.
    #[error("{found} {what}, expected {least} to {most}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many the file says.
        found: usize,
        /// Fewest.
        least: usize,
        /// Most.
        most: usize,
    },
    /// An abscissa that is no shift, wavenumber or wavelength.
    #[error("the unit of X has code {code}; 0, 1 and 13 (cm-1) and 3 (nm) are read")]
    AbscissaUnit {
        /// As in the header.
        code: u8,
    },
    /// An exponent that no file of an instrument has.
    #[error("spectrum {spectrum}: the exponent {exponent} of Y is beyond -64 to 64")]
    Exponent {
        /// From 0.
        spectrum: usize,
        /// As in the file.
        exponent: i8,
    },
    /// NaN or infinite.
    #[error("spectrum {spectrum}: {what} of point {point} is not a finite number")]
    NotFinite {
        /// From 0.
        spectrum: usize,
        /// X or Y.
        what: &'static str,
        /// From 0.
        point: usize,
    },
}

/// Reads a file's bytes: at least one spectrum.
///
/// # Errors
/// When they are no file of the new format, end early, or hold what is no number.
pub fn read(bytes: &[u8]) -> Result<Vec<Curve>, SpcError> {
    let mut reader = Reader { bytes, place: 0 };
    let header = Reader { bytes: reader.take(HEADER_BYTES, "the header")?, place: 0 };
    let [flags, version, _, exponent] = header.at(0)?;
    if version != VERSION_NEW {
        return Err(SpcError::Version { found: version });
    }
    let has = |flag: u8| flags & flag != 0;
    let points = u32::from_le_bytes(header.at(4)?) as usize;
    let (first, last) = (f64::from_le_bytes(header.at(8)?), f64::from_le_bytes(header.at(16)?));
    let spectra = if has(SEVERAL) { u32::from_le_bytes(header.at(24)?) as usize } else { 1 };
    within("spectra", spectra, 1, SPECTRA_MAX)?;
    let unit = match header.at(28)? {
        [0] => None,
        [1 | 13] => Some(AbscissaUnit::PerCm),
        [3] => Some(AbscissaUnit::Nm),
        [code] => return Err(SpcError::AbscissaUnit { code }),
    };
    let shared = if has(OWN_X) {
        None
    } else {
        within("points", points, 2, POINTS_MAX)?;
        Some(if has(LISTED_X) {
            finite(reader.floats(points, "the X values")?, 0, "X")?
        } else {
            let step = (last - first) / (points - 1) as f64;
            finite((0..points).map(|i| first + step * i as f64).collect(), 0, "X")?
        })
    };
    let mut curves = Vec::new();
    for spectrum in 0..spectra {
        let subheader = Reader { bytes: reader.take(SUBHEADER_BYTES, "a subheader")?, place: 0 };
        let exponent = if has(SEVERAL) || has(OWN_X) { subheader.at::<1>(1)? } else { [exponent] };
        let exponent = i8::from_le_bytes(exponent);
        let abscissae = match &shared {
            Some(shared) => shared.clone(),
            None => {
                let points = u32::from_le_bytes(subheader.at(16)?) as usize;
                within("points", points, 2, POINTS_MAX)?;
                finite(reader.floats(points, "the X values")?, spectrum, "X")?
            }
        };
        if exponent != FLOATS && exponent.unsigned_abs() > EXPONENT_MAX {
            return Err(SpcError::Exponent { spectrum, exponent });
        }
        let encoding = match exponent {
            FLOATS => Encoding::Floats,
            _ if has(SIXTEEN_BITS) => Encoding::Words { exponent },
            _ => Encoding::DoubleWords { exponent },
        };
        let ordinates = reader.ordinates(abscissae.len(), encoding)?;
        let ordinates = finite(ordinates, spectrum, "Y")?.into_iter().map(|value| value as f32).collect();
        curves.push(Curve { abscissae, ordinates, unit });
    }
    Ok(curves)
}

/// 2^64 counts are in no detector, and 2^-64 of a count in none either.
const EXPONENT_MAX: u8 = 64;

fn within(what: &'static str, found: usize, least: usize, most: usize) -> Result<(), SpcError> {
    if (least..=most).contains(&found) { Ok(()) } else { Err(SpcError::Count { what, found, least, most }) }
}

fn finite(values: Vec<f64>, spectrum: usize, what: &'static str) -> Result<Vec<f64>, SpcError> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(point) => Err(SpcError::NotFinite { spectrum, what, point }),
        None => Ok(values),
    }
}

/// How Y values are written: as they are, or as whole numbers of 16 or 32 bits, y = number · 2^(exponent − bits).
#[derive(Debug, Clone, Copy)]
enum Encoding {
    Floats,
    Words { exponent: i8 },
    DoubleWords { exponent: i8 },
}

/// Bytes and how far they are read.
struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], SpcError> {
        let end = self.place.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.place..end));
        let taken = taken.ok_or(SpcError::TooShort { what, found: self.bytes.len() })?;
        self.place += count;
        Ok(taken)
    }

    /// A field of a header.
    fn at<const N: usize>(&self, offset: usize) -> Result<[u8; N], SpcError> {
        let field = self.bytes.get(offset..).and_then(|rest| rest.first_chunk());
        field.copied().ok_or(SpcError::TooShort { what: "the header", found: self.bytes.len() })
    }

    fn floats(&mut self, count: usize, what: &'static str) -> Result<Vec<f64>, SpcError> {
        let bytes = self.take(count * size_of::<f32>(), what)?;
        Ok(bytes.as_chunks().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect())
    }

    fn ordinates(&mut self, count: usize, encoding: Encoding) -> Result<Vec<f64>, SpcError> {
        const WHAT: &str = "the Y values";
        let power = |exponent: i8, bits: i32| 2.0_f64.powi(i32::from(exponent) - bits);
        match encoding {
            Encoding::Floats => self.floats(count, WHAT),
            Encoding::Words { exponent } => {
                let (bytes, power) = (self.take(count * size_of::<i16>(), WHAT)?, power(exponent, 16));
                Ok(bytes.as_chunks().0.iter().map(|&bytes| f64::from(i16::from_le_bytes(bytes)) * power).collect())
            }
            Encoding::DoubleWords { exponent } => {
                let (bytes, power) = (self.take(count * size_of::<i32>(), WHAT)?, power(exponent, 32));
                Ok(bytes.as_chunks().0.iter().map(|&bytes| f64::from(i32::from_le_bytes(bytes)) * power).collect())
            }
        }
    }
}
