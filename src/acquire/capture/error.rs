//! What can be wrong with a recorded conversation.

use std::path::PathBuf;

use ramand_core::failure::{Failure, Kind};

/// Why a conversation cannot be recorded or played back.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be created: the folder is not there, or may not be written to.
    #[error("failed to create the capture {}", path.display())]
    Create {
        /// The file that was to be created.
        path: PathBuf,
        /// What the operating system says about it.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be read.
    #[error("failed to read the capture {}", path.display())]
    Read {
        /// The file that was to be read.
        path: PathBuf,
        /// What the operating system says about it.
        #[source]
        source: std::io::Error,
    },
    /// The file is longer than any that a recorder writes.
    #[error("{} is longer than {bytes_max} bytes: not a capture", path.display())]
    TooLong {
        /// The file that was to be read.
        path: PathBuf,
        /// The longest file that a recorder writes, bytes.
        bytes_max: u64,
    },
    /// A line is not what a recorder writes.
    #[error("line {line} of the capture: {why}")]
    Line {
        /// The line of the file, counted from 1.
        line: usize,
        /// What is wrong with the line, or what belongs there.
        why: String,
    },
    /// The driver does something else than when it was recorded.
    #[error("line {line} of the capture: recorded is {recorded}, but now comes {now}")]
    Diverged {
        /// The line of the file, counted from 1.
        line: usize,
        /// What the file says comes next.
        recorded: String,
        /// What the driver does instead.
        now: String,
    },
    /// The file ends in the middle of something.
    #[error("the capture ends at line {line}, in the middle of what the driver was doing: {now} has no counterpart")]
    Ended {
        /// The last line of the file, counted from 1.
        line: usize,
        /// What the driver does where the file has nothing more.
        now: String,
    },
}

impl CaptureError {
    /// A line that is wrong.
    pub(super) fn at(line: usize, why: impl Into<String>) -> Self {
        Self::Line { line, why: why.into() }
    }
}

impl Failure for CaptureError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}
