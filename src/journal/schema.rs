//! The journal's file: its tables, how it is opened, and when it is refused.
//!
//! ```text
//! record  seq (never reused), id, time_us (microseconds since 1970, UTC)
//! kind    code, name                              what the codes below mean
//! part    seq, kind -> payload                    what was recorded
//! owed    seq, kind                               what the subscribers have not acknowledged: a row per part
//! unsynchronised  first -> last                   stretches of records whose clock ran free: as old as the record after them
//! loss    seq -> first, last, kinds, reason       what gap record `seq` declares lost; kinds: bit n for code n
//! ```
//! Acknowledging removes a row of two small numbers from `owed` and does not rewrite the payload beside it. Version
//! and owner stand in the file's header (`PRAGMA user_version`, `application_id`).

use std::path::Path;
use std::time::Duration;

use ramand_core::record::{PartKind, Seq};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::JournalError;

/// The newest schema this release writes; a newer file is refused, an older one would be migrated here.
pub(super) const SCHEMA_VERSION: i32 = 1;

/// `rmnd` in ASCII: tells `file` and us whose SQLite file this is.
const APPLICATION_ID: i32 = 0x726d_6e64;

/// How long a writer waits for the other one: acknowledgements and appends share the file, each takes milliseconds.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Above this size a whole check at start would keep the line waiting (40 MB/s from an SD card: 2 s). Larger files are
/// checked page by page as they are used, and whole by [`verify`](super::JournalReader::verify).
const CHECK_AT_START_BYTES_MAX: u64 = 64 << 20;

/// The write-ahead log is cut back to this after a checkpoint: a burst does not keep the disk for ever.
const WAL_BYTES_KEPT: i64 = 16 << 20;

const TABLES: &str = "
    CREATE TABLE record (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, time_us INTEGER NOT NULL) STRICT;
    CREATE TABLE kind (code INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
    CREATE TABLE part (seq INTEGER NOT NULL, kind INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (seq, kind)) STRICT;
    CREATE TABLE owed (seq INTEGER NOT NULL, kind INTEGER NOT NULL, PRIMARY KEY (seq, kind)) STRICT, WITHOUT ROWID;
    CREATE TABLE loss (seq INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, kinds INTEGER NOT NULL,
                       reason TEXT NOT NULL, PRIMARY KEY (seq, first)) STRICT, WITHOUT ROWID;
";

/// Made in every file that lacks it: a release that does not know it can do without.
const UNSYNCHRONISED: &str = "
    CREATE TABLE IF NOT EXISTS unsynchronised (first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;
";

/// How much a connection promises about a power cut.
#[derive(Debug, Clone, Copy)]
pub(super) enum Durability {
    /// On the medium when the call returns.
    Full,
    /// Consistent after a power cut, the last changes perhaps undone: for acknowledgements, where that means a repetition.
    Normal,
}

/// Opens, creates or refuses the file for writing.
pub(super) fn open_writer(path: &Path, durability: Durability, first_seq: Seq) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = open(path, flags)?;
    prepare(&mut connection, durability, first_seq).map_err(|source| damage_or(path, source))?;
    refuse_foreign(path, &connection)?;
    Ok(connection)
}

/// Whether there was no room for it.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// What the log holds finds its place in the file, and the log begins anew in the room that it has.
pub(super) fn restart_log(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())) {
        tracing::debug!(%error, "the log of the journal is not restarted");
    }
}

/// Opens the file for reading only.
pub(super) fn open_reader(path: &Path) -> Result<Connection, JournalError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    refuse_foreign(path, &connection)?;
    Ok(connection)
}

/// Reads the whole file, where it is small enough to do so at start.
pub(super) fn check_at_start(path: &Path, connection: &Connection) -> Result<(), JournalError> {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    if bytes <= CHECK_AT_START_BYTES_MAX { check(path, connection) } else { Ok(()) }
}

/// Reads the whole file.
pub(super) fn check(path: &Path, connection: &Connection) -> Result<(), JournalError> {
    let finding: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|source| damage_or(path, source))?;
    if finding == "ok" { Ok(()) } else { Err(JournalError::Damaged { path: path.to_owned(), finding }) }
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, JournalError> {
    let connection = Connection::open_with_flags(path, flags)
        .and_then(|connection| connection.busy_timeout(BUSY_MAX).map(|()| connection))
        .map_err(|source| damage_or(path, source))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn prepare(connection: &mut Connection, durability: Durability, first_seq: Seq) -> rusqlite::Result<()> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if version == 0 && tables == 0 {
        // The page size has to be set before the first page is written; 4096 is also what SD cards and SSDs write.
        connection.pragma_update(None, "page_size", 4096)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let creation = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        creation.execute_batch(TABLES)?;
        for kind in PartKind::ALL {
            creation.execute("INSERT INTO kind VALUES (?1, ?2)", (kind.code(), kind.name()))?;
        }
        let before = i64::try_from(first_seq.number().saturating_sub(1)).unwrap_or(i64::MAX);
        creation.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('record', ?1)", [before])?;
        creation.pragma_update(None, "application_id", APPLICATION_ID)?;
        creation.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        creation.execute_batch(UNSYNCHRONISED)?;
        creation.commit()?;
    } else if version == SCHEMA_VERSION {
        connection.execute_batch(UNSYNCHRONISED)?;
    }
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    connection.pragma_update(
        None,
        "synchronous",
        match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        },
    )
}

fn refuse_foreign(path: &Path, connection: &Connection) -> Result<(), JournalError> {
    let number =
        |name| connection.pragma_query_value(None, name, |row| row.get(0)).map_err(|source| damage_or(path, source));
    let (application_id, found): (i32, i32) = (number("application_id")?, number("user_version")?);
    if application_id != APPLICATION_ID {
        return Err(JournalError::NotAJournal { path: path.to_owned(), application_id });
    }
    if found > SCHEMA_VERSION {
        return Err(JournalError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    Ok(())
}

fn damage_or(path: &Path, source: rusqlite::Error) -> JournalError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            JournalError::Damaged { path, finding: source.to_string() }
        }
        _ => JournalError::Open { path, source },
    }
}
