//! What can be wrong with a recorded conversation.

use std::path::PathBuf;

use ramand_core::failure::{Failure, Kind};

use super::format::FILE_BYTES_MAX;

/// Why a conversation cannot be recorded or played back.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// No such place, or no permission.
    #[error("failed to create the capture {}", path.display())]
    Create {
        /// Where.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be read.
    #[error("failed to read the capture {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Longer than any recorder writes.
    #[error("{} is longer than {FILE_BYTES_MAX} bytes: not a capture", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// Not what a recorder writes.
    #[error("line {line} of the capture: {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The driver does something else than when it was recorded.
    #[error("line {line} of the capture: recorded is {recorded}, but now comes {now}")]
    Diverged {
        /// Counted from 1.
        line: usize,
        /// What the file says comes next.
        recorded: String,
        /// What comes instead.
        now: String,
    },
    /// The file ends in the middle of something.
    #[error("the capture ends at line {line}, in the middle of what the driver was doing: {now} has no counterpart")]
    Ended {
        /// The last line.
        line: usize,
        /// What came after it.
        now: String,
    },
}

impl Failure for CaptureError {
    fn kind(&self) -> Kind {
        Kind::Operator
    }
}
