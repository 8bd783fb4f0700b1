//! Reading the journal beside the writer: history, spectra to replay, and how full it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ramand_core::record::{PartKind, PartKinds, Seq};
use rusqlite::{Connection, OptionalExtension};

use super::{JournalError, schema};

/// Records in one answer at most: a page of history, not the whole of it.
pub const HISTORY_RECORDS_MAX: usize = 10_000;

/// A connection that cannot change anything.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    connection: Connection,
}

/// Which records are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Where to look.
    pub window: Window,
    /// At most this many, and at most [`HISTORY_RECORDS_MAX`].
    pub limit: usize,
    /// Of these kinds; records without any are passed over.
    pub kinds: PartKinds,
}

/// Which end of the journal a query starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The newest records there are.
    Newest,
    /// The newest records below this number: the page before.
    Before(Seq),
    /// From this number on.
    From(Seq),
}

/// A record as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRecord {
    pub seq: Seq,
    /// Its name outside.
    pub id: String,
    /// When it came about, wall clock.
    pub time: SystemTime,
    /// The parts that were asked for, in order.
    pub parts: Vec<HistoryPart>,
}

/// A part as it was written, and whether it has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPart {
    /// What it says.
    pub kind: PartKind,
    /// As published.
    pub payload: Vec<u8>,
    /// Whether a subscriber is still waiting for it.
    pub owed: bool,
}

/// How full the journal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// The oldest record kept.
    pub first: Option<Seq>,
    /// The newest number given.
    pub last: Option<Seq>,
    /// Parts that nobody has acknowledged.
    pub owed_parts: u64,
    /// The oldest of them, and when its record came about.
    pub owed_since: Option<(Seq, SystemTime)>,
    /// Bytes in use, free pages inside the file not counted.
    pub used_bytes: u64,
}

impl JournalReader {
    /// Opens an existing journal, whether or not a writer has it. SQLite keeps its index of the log beside the file:
    /// reading needs write permission on the folder unless a writer has the journal open.
    ///
    /// # Errors
    /// When there is no such file, or it is damaged, newer or somebody else's.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Ok(Self { path: path.to_owned(), connection: schema::open_reader(path)? })
    }

    /// The records asked for, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryRecord>, JournalError> {
        self.read_history(query).map_err(|source| JournalError::Access { action: "read the history", source })
    }

    /// How full it is. Takes a time that grows with what is owed, not with what is kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn statistics(&self) -> Result<Statistics, JournalError> {
        self.read_statistics().map_err(|source| JournalError::Access { action: "count the records", source })
    }

    /// Reads the whole file and checks that its structure is sound; takes seconds per 100 MB on an SD card.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(&self) -> Result<(), JournalError> {
        schema::check(&self.path, &self.connection)
    }

    fn read_history(&self, query: &HistoryQuery) -> rusqlite::Result<Vec<HistoryRecord>> {
        let limit = query.limit.min(HISTORY_RECORDS_MAX) as i64;
        // One snapshot, so that no record is pruned between its line and its parts.
        let snapshot = self.connection.unchecked_transaction()?;
        let wanted = "EXISTS (SELECT 1 FROM part WHERE part.seq = record.seq AND (?1 >> kind) & 1)";
        let (condition, order, bound) = match query.window {
            Window::Newest => ("seq < ?2", "DESC", i64::MAX),
            Window::Before(seq) => ("seq < ?2", "DESC", to_sql(seq)),
            Window::From(seq) => ("seq >= ?2", "ASC", to_sql(seq)),
        };
        let mut records = snapshot.prepare_cached(&format!(
            "SELECT seq, id, time_us FROM record WHERE {wanted} AND {condition} ORDER BY seq {order} LIMIT ?3"
        ))?;
        let mut found = records
            .query_map((query.kinds.bits(), bound, limit), |row| {
                Ok(HistoryRecord {
                    seq: Seq::new(row.get::<_, i64>(0)?.cast_unsigned()),
                    id: row.get(1)?,
                    time: from_micros(row.get(2)?),
                    parts: Vec::new(),
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        if order == "DESC" {
            found.reverse();
        }
        let mut parts = snapshot.prepare_cached(
            "SELECT kind, payload, EXISTS (SELECT 1 FROM owed WHERE owed.seq = part.seq AND owed.kind = part.kind)
             FROM part WHERE seq = ?1 AND (?2 >> kind) & 1 ORDER BY kind",
        )?;
        for record in &mut found {
            let mut rows = parts.query((to_sql(record.seq), query.kinds.bits()))?;
            while let Some(row) = rows.next()? {
                if let Some(kind) = PartKind::from_code(row.get(0)?) {
                    record.parts.push(HistoryPart { kind, payload: row.get(1)?, owed: row.get(2)? });
                }
            }
        }
        Ok(found)
    }

    fn read_statistics(&self) -> rusqlite::Result<Statistics> {
        let snapshot = self.connection.unchecked_transaction()?;
        let number = |sql: &str| snapshot.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        let seq = |number: Option<i64>| number.filter(|&n| n > 0).map(|n| Seq::new(n.cast_unsigned()));
        let pragma = |name: &str| snapshot.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let owed_since = snapshot
            .query_row("SELECT seq, time_us FROM record WHERE seq = (SELECT min(seq) FROM owed)", [], |row| {
                Ok((Seq::new(row.get::<_, i64>(0)?.cast_unsigned()), from_micros(row.get(1)?)))
            })
            .optional()?;
        Ok(Statistics {
            first: seq(number("SELECT min(seq) FROM record")?),
            last: seq(number("SELECT seq FROM sqlite_sequence WHERE name = 'record'")?),
            owed_parts: number("SELECT count(*) FROM owed")?.unwrap_or(0).cast_unsigned(),
            owed_since,
            used_bytes: ((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?).cast_unsigned(),
        })
    }
}

fn to_sql(seq: Seq) -> i64 {
    i64::try_from(seq.number()).unwrap_or(i64::MAX)
}

fn from_micros(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros.max(0).cast_unsigned())
}
