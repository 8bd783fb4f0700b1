//! NumPy's `.npy` files, version 1: two-dimensional arrays of little-endian f32 in C order.
//!
//! ```text
//! 93 'NUMPY' 01 00 | u16 LE: length of the header | header, ASCII, ends in \n | data
//! {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
//! ```

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
/// The header of a two-dimensional array has some 70 bytes; NumPy pads it to a multiple of 64.
const HEADER_BYTES_MAX: usize = 1024;
/// 64 MB: a gate of 256 components on 16 channels of 4096 points.
pub const ELEMENTS_MAX: usize = 1 << 24;

/// Why bytes are not such an array.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NpyError {
    /// Another file format, another version, or too short.
    #[error("not a NumPy file of version 1")]
    Format,
    /// The header says something else than a two-dimensional array of `<f4` in C order.
    #[error("its header {header:?} is not that of a two-dimensional '<f4' array in C order")]
    Header {
        /// As far as it is text.
        header: String,
    },
    /// More elements than [`ELEMENTS_MAX`].
    #[error("{rows} by {columns} elements, at most {ELEMENTS_MAX} are accepted")]
    TooLarge {
        /// First dimension.
        rows: usize,
        /// Second dimension.
        columns: usize,
    },
    /// Data missing or left over.
    #[error("{found} bytes of data, {rows} by {columns} elements have {expected}")]
    Length {
        /// First dimension.
        rows: usize,
        /// Second dimension.
        columns: usize,
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// NaN or infinite.
    #[error("element {index} is not a finite number")]
    NotFinite {
        /// Position, row-major.
        index: usize,
    },
}

/// Rows of equal length, finite numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: usize,
    values: Vec<f32>,
}

impl Table {
    /// `values` is [rows][columns], row-major.
    ///
    /// # Panics
    /// When the values do not fill whole rows.
    pub fn new(columns: usize, values: Vec<f32>) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "a table has whole rows");
        Self { columns, values }
    }

    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values, row-major.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// When they are anything but such an array of finite numbers.
    pub fn read(bytes: &[u8]) -> Result<Self, NpyError> {
        let (header, data) = parts(bytes)?;
        let refused = || NpyError::Header { header: header.text.trim().to_owned() };
        if header.element != Element::F32 || header.dimensions != 2 {
            return Err(refused());
        }
        header.table(data)
    }

    /// Reads what `numpy.save` makes of an array of one or two dimensions, `<f4` or `<f8`, in C order: an array of one
    /// dimension is one row. Numbers beyond f32 are refused.
    ///
    /// # Errors
    /// When they are anything but such an array of finite numbers.
    pub fn read_saved(bytes: &[u8]) -> Result<Self, NpyError> {
        let (header, data) = parts(bytes)?;
        header.table(data)
    }

    /// The bytes of a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (rows, columns) = (self.rows(), self.columns);
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        // The data starts at a multiple of 64 bytes; the padding ends in a line feed.
        let unpadded = MAGIC.len() + 2 + header.len() + 1;
        let width = header.len() + unpadded.next_multiple_of(64) - unpadded;
        let header = format!("{header:<width$}\n");
        let length = u16::try_from(header.len()).expect("two numbers and 60 characters");
        let data = self.values.iter().flat_map(|value| value.to_le_bytes());
        MAGIC.iter().copied().chain(length.to_le_bytes()).chain(header.into_bytes()).chain(data).collect()
    }
}

/// Numbers of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    F32,
    F64,
}

/// What a header says.
struct Header<'a> {
    text: &'a str,
    element: Element,
    dimensions: usize,
    rows: usize,
    columns: usize,
}

/// Header and data of a file.
fn parts(bytes: &[u8]) -> Result<(Header<'_>, &[u8]), NpyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::Format)?;
    let (length, rest) = rest.split_first_chunk::<2>().ok_or(NpyError::Format)?;
    let length = usize::from(u16::from_le_bytes(*length));
    let (text, data) = rest.split_at_checked(length).ok_or(NpyError::Format)?;
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= HEADER_BYTES_MAX);
    let text = text.ok_or(NpyError::Format)?;
    let header = Header::parse(text).ok_or_else(|| NpyError::Header { header: text.trim().to_owned() })?;
    Ok((header, data))
}

impl<'a> Header<'a> {
    /// One or two dimensions of numbers in C order, or nothing.
    fn parse(text: &'a str) -> Option<Self> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let element = if compact.contains("'descr':'<f4'") {
            Element::F32
        } else if compact.contains("'descr':'<f8'") {
            Element::F64
        } else {
            return None;
        };
        let (_, shape) = compact.split_once("'shape':(").filter(|_| compact.contains("'fortran_order':False"))?;
        let (shape, _) = shape.split_once(')')?;
        let (first, second) = shape.split_once(',')?;
        let (dimensions, rows, columns) = match second {
            "" => (1, 1, first.parse().ok()?),
            _ => (2, first.parse().ok()?, second.parse().ok()?),
        };
        Some(Self { text, element, dimensions, rows, columns })
    }

    fn table(&self, data: &[u8]) -> Result<Table, NpyError> {
        let Self { rows, columns, element, .. } = *self;
        let elements = rows.checked_mul(columns).filter(|&elements| elements <= ELEMENTS_MAX);
        let size = if element == Element::F32 { size_of::<f32>() } else { size_of::<f64>() };
        let expected = elements.ok_or(NpyError::TooLarge { rows, columns })? * size;
        if data.len() != expected || columns == 0 {
            return Err(NpyError::Length { rows, columns, found: data.len(), expected });
        }
        let values: Vec<f32> = match element {
            Element::F32 => data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            Element::F64 => data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect(),
        };
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(NpyError::NotFinite { index }),
            None => Ok(Table { columns, values }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `numpy.save` of `numpy.arange(6, dtype='<f4').reshape(2, 3)`, NumPy 2.
    const SAVED: &[u8] = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\
        \x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\
        \x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\
        \x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\n\
        \0\0\0\0\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40\0\0\xa0\x40";

    #[test]
    fn a_file_of_numpy_reads_and_is_written_alike() {
        let table = Table::read(SAVED).expect("NumPy's own");
        assert_eq!((table.rows(), table.columns()), (2, 3));
        assert_eq!(table.values(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(table.to_bytes(), SAVED);
    }

    #[test]
    fn every_other_file_is_refused() {
        let changed = |from: &str, to: &str| {
            let text: Vec<u8> = SAVED.to_vec();
            let place = text.windows(from.len()).position(|window| window == from.as_bytes()).expect("present");
            [&text[..place], to.as_bytes(), &text[place + from.len()..]].concat()
        };
        let cases = [
            (b"PK\x03\x04".to_vec(), "not a NumPy file"),
            (SAVED[..20].to_vec(), "not a NumPy file"),
            (changed("<f4", "<f8"), "is not that of a two-dimensional"),
            (changed("False", "True "), "is not that of a two-dimensional"),
            (changed("(2, 3)", "(6,)  "), "is not that of a two-dimensional"),
            (changed("(2, 3)", "(-2,3)"), "is not that of a two-dimensional"),
            (changed("(2, 3)", "(2, 4)"), "24 bytes of data, 2 by 4 elements have 32"),
            (changed("(2, 3)", "(0, 0)"), "24 bytes of data"),
            (changed("(2, 3), }      ", "(999999,999999)"), "at most 16777216"),
            ([&SAVED[..148], &f32::NAN.to_le_bytes()[..]].concat(), "element 5 is not a finite number"),
        ];
        for (bytes, expected) in cases {
            let message = Table::read(&bytes).expect_err(expected).to_string();
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn what_numpy_saves_of_user_arrays_reads_as_rows() {
        let saved = |header: &str, data: &[u8]| {
            let header = format!("{header:<117}\n");
            [MAGIC, &118_u16.to_le_bytes(), header.as_bytes(), data].concat()
        };
        let data: Vec<u8> = [800.5_f64, 802.0].into_iter().flat_map(f64::to_le_bytes).collect();
        let axis = saved("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", &data);
        let table = Table::read_saved(&axis).expect("one dimension of f64");
        assert_eq!((table.rows(), table.columns(), table.values()), (1, 2, &[800.5, 802.0][..]));
        assert!(
            matches!(Table::read(&axis), Err(NpyError::Header { .. })),
            "a bundle's arrays are f32 of two dimensions"
        );
        assert_eq!(Table::read_saved(SAVED), Table::read(SAVED));
        let big = saved("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }", &1e300_f64.to_le_bytes());
        assert_eq!(Table::read_saved(&big), Err(NpyError::NotFinite { index: 0 }));
        let integers = saved("{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", &data);
        assert!(matches!(Table::read_saved(&integers), Err(NpyError::Header { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(place in 0..SAVED.len(), byte: u8, length in 0..SAVED.len()) {
            let mut bytes = SAVED.to_vec();
            bytes[place] = byte;
            let _ = Table::read(&bytes);
            let _ = Table::read(&bytes[..length]);
        }
    }
}
