//! What can go wrong between a record and the disk, and what to do about it.

use std::path::PathBuf;

use ramand_core::failure::{Failure, Kind};
use ramand_core::record::Seq;
use rusqlite::ErrorCode;

/// Why the journal did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder or the lock beside the journal cannot be made.
    #[error("failed to prepare the place for the journal {}", path.display())]
    Place {
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: std::io::Error,
    },
    /// Another process writes this journal.
    #[error("the journal {} is being written by another process: stop that one, or give this one its own", path.display())]
    InUse { path: PathBuf },
    /// The file cannot be opened.
    #[error("failed to open the journal {}", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    /// A SQLite file of somebody else.
    #[error("{} is a SQLite file, but no journal of this program (application id {application_id:#x})", path.display())]
    NotAJournal {
        path: PathBuf,
        /// What it says it belongs to.
        application_id: i32,
    },
    /// Written by a newer release.
    #[error("the journal {} has schema version {found}, this release knows up to {known}: use the newer release", path.display())]
    Newer {
        path: PathBuf,
        /// The version in the file.
        found: i32,
        /// The newest this release can read.
        known: i32,
    },
    /// The file is damaged.
    #[error(
        "the journal {} is damaged ({finding}): stop the service, move the file and its -wal away, save what is readable \
         as docs/delivery.md says, and set `first_seq` above the last number any subscriber has seen",
        path.display()
    )]
    Damaged {
        path: PathBuf,
        /// The first thing SQLite found.
        finding: String,
    },
    /// A limit in the settings cannot be kept.
    #[error("a journal of {bytes} bytes is too small: at least {minimum}")]
    TooSmall {
        /// Configured.
        bytes: u64,
        minimum: u64,
    },
    /// No room on the disk, or the journal is as large as it may be and nothing can be released.
    #[error("no room for record {seq}: it is lost, and a gap record will say so when there is room again")]
    Full {
        seq: Seq,
        #[source]
        source: rusqlite::Error,
    },
    /// A record could not be written for another reason.
    #[error("failed to write record {seq}: it is lost, and a gap record will say so when writing works again")]
    Append {
        seq: Seq,
        #[source]
        source: rusqlite::Error,
    },
    /// An entry without parts, with a kind twice, or with a part above [`PART_BYTES_MAX`](super::PART_BYTES_MAX).
    #[error("an entry for the journal {fault}")]
    Entry {
        /// What is wrong with it, as in `has no parts`.
        fault: String,
    },
    /// Something could not be read or marked.
    #[error("failed to {action} in the journal")]
    Access {
        /// What was attempted, as in `read the history`.
        action: &'static str,
        #[source]
        source: rusqlite::Error,
    },
}

impl JournalError {
    /// Whether a disk that is full may be the reason why the file did not open. The index of the log fails as IO.
    pub(super) fn is_without_room(&self) -> bool {
        let (Self::Open { source, .. } | Self::Access { source, .. }) = self else { return false };
        matches!(source.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
    }
}

impl Failure for JournalError {
    fn kind(&self) -> Kind {
        match self {
            Self::Open { source, .. } => match source.sqlite_error_code() {
                Some(
                    ErrorCode::DiskFull
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::SystemIoFailure,
                ) => Kind::Transient,
                _ => Kind::Operator,
            },
            Self::Place { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => Kind::Transient,
            Self::Place { .. }
            | Self::InUse { .. }
            | Self::NotAJournal { .. }
            | Self::Newer { .. }
            | Self::Damaged { .. }
            | Self::TooSmall { .. } => Kind::Operator,
            Self::Full { .. } => Kind::Transient,
            Self::Append { source, .. } | Self::Access { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Kind::Operator,
                _ => Kind::Transient,
            },
            Self::Entry { .. } => Kind::Bug,
        }
    }
}
