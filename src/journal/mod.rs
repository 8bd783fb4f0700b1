//! Every result and spectrum on disk before it is offered to the network: SQLite, numbered records of several parts.
//!
//! [`NextRecord::write`] returns when the record is on the medium. What is owed to the subscribers stays until it is
//! acknowledged, or until the journal is full and a gap record says which numbers were given up: produced = delivered +
//! gaps. A damaged file is never set aside by the program: the numbers already given stand in it, and only an operator
//! can say where a new journal has to go on ([`JournalSettings::first_seq`]).

mod append;
mod error;
mod outbox;
mod reader;
mod reserve;
mod schema;
mod settings;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ramand_core::record::{Clock, Entry, PartKey, Seq};
use reserve::Reserve;
use rusqlite::Connection;

use crate::supervise::ProcessLock;

pub use error::JournalError;
pub use reader::{HISTORY_RECORDS_MAX, HistoryPart, HistoryQuery, HistoryRecord, JournalReader, Statistics, Window};
pub use settings::{CAPACITY_BYTES_MIN, EncodeGap, JournalSettings, PART_BYTES_MAX};

/// The journal, open for writing: one per file, shared between the thread that appends and the one that delivers.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    settings: JournalSettings,
    appender: Mutex<append::Appender>,
    /// A connection of its own: reading what is owed never makes an append wait.
    outbox: Mutex<Connection>,
    /// Behind the connections, to be dropped when both are closed.
    reserve: Arc<Reserve>,
    /// Held until the end: one writing process per file.
    _lock: ProcessLock,
}

impl Journal {
    /// Opens or creates the journal at `path`.
    ///
    /// # Errors
    /// When the place cannot be written, another process has it, or the file is damaged, newer or somebody else's.
    pub fn open(path: &Path, settings: JournalSettings) -> Result<Self, JournalError> {
        if settings.bytes_max < CAPACITY_BYTES_MIN {
            return Err(JournalError::TooSmall { bytes: settings.bytes_max, minimum: CAPACITY_BYTES_MIN });
        }
        let lock = lock_beside(path)?;
        let reserve = Arc::new(Reserve::beside(path));
        let connect = || -> Result<_, JournalError> {
            let appender = schema::open_writer(path, schema::Durability::Full, settings.first_seq)?;
            schema::check_at_start(path, &appender)?;
            let outbox = schema::open_writer(path, schema::Durability::Normal, settings.first_seq)?;
            Ok((append::Appender::new(appender, reserve.clone())?, outbox))
        };
        let (appender, outbox) = match connect() {
            // Opening takes room too: for the log, and for its index.
            Err(error) if error.is_without_room() => {
                reserve.spend();
                let connected = connect()?;
                reserve.keep_rest();
                connected
            }
            connected => connected?,
        };
        Ok(Self {
            path: path.to_owned(),
            settings,
            appender: Mutex::new(appender),
            outbox: Mutex::new(outbox),
            reserve,
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next number, for a record whose payloads hold it. Nobody else writes until the record is written or dropped.
    pub fn next_record(&self) -> NextRecord<'_> {
        NextRecord { appender: locked(&self.appender), settings: &self.settings }
    }

    /// Writes a record that nothing else is made from: as [`Journal::next_record`] and [`NextRecord::write`].
    ///
    /// # Errors
    /// As [`NextRecord::write`].
    pub fn append(&self, build: impl FnOnce(Seq) -> Entry) -> Result<Seq, JournalError> {
        let next = self.next_record();
        let entry = build(next.seq());
        next.write(&entry)
    }

    /// The oldest `limit` parts after `after` that nobody has acknowledged, in the order of delivery, with payloads.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn owed(&self, after: Option<PartKey>, limit: usize) -> Result<Vec<(PartKey, Vec<u8>)>, JournalError> {
        outbox::owed(&locked(&self.outbox), after, limit)
    }

    /// Marks parts as delivered. What is not owed (any more) is passed over.
    ///
    /// # Errors
    /// When the file cannot be written: the parts stay owed and will be delivered again.
    pub fn acknowledge(&self, parts: &[PartKey]) -> Result<(), JournalError> {
        outbox::acknowledge(&mut locked(&self.outbox), &self.reserve, parts)
    }

    /// A second view for reading, which never blocks an append.
    ///
    /// # Errors
    /// As [`JournalReader::open`].
    pub fn reader(&self) -> Result<JournalReader, JournalError> {
        JournalReader::open(&self.path)
    }
}

/// A number that is given and not yet written. Dropped unwritten, it goes to the next record.
#[derive(Debug)]
pub struct NextRecord<'a> {
    appender: MutexGuard<'a, append::Appender>,
    settings: &'a JournalSettings,
}

impl NextRecord<'_> {
    pub fn seq(&self) -> Seq {
        self.appender.next()
    }

    /// Writes the record and returns its number when it is on the medium, all parts or none. Makes room first, where the
    /// settings ask for it.
    ///
    /// # Errors
    /// When there is no room or the medium fails: the number is spent, and the next record that can be written is
    /// followed by a gap record that names it.
    pub fn write(mut self, entry: &Entry) -> Result<Seq, JournalError> {
        self.appender.append(self.settings, entry)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let appender = self.appender.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nobody here knows whether the clock can be believed.
        let now = append::Moment { time: SystemTime::now(), clock: Clock::Free };
        if let Err(failure) = appender.tell_unwritten(&self.settings, now) {
            tracing::error!(%failure, lost = appender.unwritten().records(), "records are lost and no gap record says so");
        }
    }
}

/// A panic while a connection was held has rolled its transaction back: the connection is as good as before.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The lock is a file of its own: closing any second handle on the journal itself would drop SQLite's locks on it.
fn lock_beside(path: &Path) -> Result<ProcessLock, JournalError> {
    let failed = |source| JournalError::Place { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = File::options().create(true).truncate(false).write(true).open(PathBuf::from(name)).map_err(failed)?;
    ProcessLock::take(lock).map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::InUse { path: path.to_owned() },
        TryLockError::Error(source) => failed(source),
    })
}

#[cfg(test)]
mod tests;
