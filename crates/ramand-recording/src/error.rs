//! Why spectra cannot be read: which file, line and column.

use std::path::PathBuf;

use ramand_core::failure::{Failure, Kind};
use ramand_core::npy::NpyError;
use ramand_core::spectrum::AxisError;

use super::jcamp::JcampError;
use super::spc::SpcError;

/// Cells (rows × shifts) in one recording: 400 MB of f32, far above any calibration set, far below a board's memory limit.
pub const CELLS_MAX: usize = 100_000_000;

/// Why a file of spectra cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        /// What the operating system or the CSV reader says.
        #[source]
        source: csv::Error,
    },
    /// No numeric header.
    #[error("{}: fewer than two columns have a number (a Raman shift in cm-1, or nm) as header", path.display())]
    NoShifts { path: PathBuf },
    /// The shifts are no axis.
    #[error("{}: the shifts are no axis", path.display())]
    Axis {
        path: PathBuf,
        #[source]
        source: AxisError,
    },
    /// A hole or text among the intensities.
    #[error("{}: line {line}, column '{column}': {found:?} is not a finite number", path.display())]
    NotANumber {
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// Header of the column.
        column: String,
        /// What stands there.
        found: String,
    },
    /// A label column was asked for that is not there.
    #[error("{}: there is no label column '{column}'; there are: {available}", path.display())]
    NoColumn {
        path: PathBuf,
        /// Asked for.
        column: String,
        /// The label columns there are.
        available: String,
    },
    /// An identifier that no row has.
    #[error("{}: no row has the identifier '{id}'", path.display())]
    NoSuchId { path: PathBuf, id: String },
    /// Every row was left out.
    #[error("{}: no spectrum is left", path.display())]
    NothingLeft { path: PathBuf },
    /// A header that stands there twice.
    #[error("{}: column '{column}' is there twice", path.display())]
    ColumnTwice { path: PathBuf, column: String },
    /// Shifts that go up and down.
    #[error("{}: column '{column}' is out of order beside column '{beside}'", path.display())]
    ColumnOrder {
        path: PathBuf,
        /// Header of the column.
        column: String,
        /// Header of its neighbour.
        beside: String,
    },
    /// A file or identifier that stands twice in a label table.
    #[error("{}: line {line}: '{name}' is there in line {earlier} already", path.display())]
    NameTwice {
        /// Which table.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// The first column.
        name: String,
        /// Where it was before.
        earlier: u64,
    },
    /// A name in a label table that is no file of the folder.
    #[error("{}: line {line}: '{name}' is not the name of a file in the folder", path.display())]
    FileName {
        /// Which table.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// The first column.
        name: String,
    },
    /// A file of spectra that the label table does not name.
    #[error("{}: there is no row for {}: add one, or move the file away", path.display(), file.display())]
    NoRow {
        /// Which table.
        path: PathBuf,
        file: PathBuf,
    },
    /// A file or folder cannot be read.
    #[error("failed to read {}", path.display())]
    Open {
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Not a JCAMP-DX file that can be read.
    #[error("{}: not a JCAMP-DX spectrum that can be used", path.display())]
    Jcamp {
        path: PathBuf,
        #[source]
        source: JcampError,
    },
    /// Not an SPC file that can be read.
    #[error("{}: neither JCAMP-DX nor an SPC file that can be used", path.display())]
    Spc {
        path: PathBuf,
        #[source]
        source: SpcError,
    },
    /// Not a NumPy array that can be read.
    #[error("{}: not an array that can be used", path.display())]
    Array {
        path: PathBuf,
        #[source]
        source: NpyError,
    },
    /// An axis that does not fit its spectra.
    #[error("{}: {points} points a spectrum, {} has {shifts} shifts", path.display(), other.display())]
    Lengths {
        /// Which array.
        path: PathBuf,
        /// Its columns.
        points: usize,
        /// Which axis.
        other: PathBuf,
        /// Its length.
        shifts: usize,
    },
    /// Labels that do not fit their spectra.
    #[error("{}: {spectra} spectra, {} has {labels} rows", path.display(), other.display())]
    Rows {
        /// Which array.
        path: PathBuf,
        /// Its rows.
        spectra: usize,
        /// Which table.
        other: PathBuf,
        /// Its rows.
        labels: usize,
    },
    /// Files that do not belong together.
    #[error(
        "{}: a CSV file stands alone, a folder needs a table of labels, and an .npy array a table of labels and an array of \
         shifts", path.display()
    )]
    Parts {
        /// The spectra.
        path: PathBuf,
    },
    /// Only a header.
    #[error("{}: there is no spectrum in the file", path.display())]
    Empty { path: PathBuf },
    /// More cells than [`CELLS_MAX`].
    #[error("{}: more than {CELLS_MAX} intensities", path.display())]
    TooLarge { path: PathBuf },
}

impl Failure for RecordingError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}
