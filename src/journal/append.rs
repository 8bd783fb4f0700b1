//! Writing records, and making room for them: what is acknowledged goes first, what is not leaves a gap record behind.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ramand_core::record::{Audience, Clock, Entry, Gap, Loss, LossReason, Part, PartKind, PartKinds, Seq};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::error::JournalError;
use super::reserve::Reserve;
use super::schema::{is_full, restart_log};
use super::settings::{JournalSettings, PART_BYTES_MAX};

/// Records deleted at once at most: each costs a walk over its pages, and an append waits for it.
const RELEASE_RECORDS_MAX: usize = 256;

/// Rounds of release before one append at most: enough to reach a lowered capacity within a few appends, bounded in time.
const RELEASE_ROUNDS_MAX: usize = 8;

/// Making room frees this fraction of the capacity beyond what is needed, so that not every append has to.
const RELEASE_FRACTION: u64 = 32;

/// The one connection that appends, and what it still has to own up to.
#[derive(Debug)]
pub(super) struct Appender {
    connection: Connection,
    next: Seq,
    /// Numbers whose records could not be written; told by the next gap record that can be.
    unwritten: Gap,
    reserve: Arc<Reserve>,
    growth: Growth,
    expiry: Expiry,
}

/// When, and whether that can be believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) time: SystemTime,
    pub(super) clock: Clock,
}

impl From<&Entry> for Moment {
    fn from(entry: &Entry) -> Self {
        Self { time: entry.time, clock: entry.clock }
    }
}

/// Whether records have been deleted for their age since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    NotYet,
    Told,
}

/// Whether the file may become larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Growth {
    Free,
    /// On a full disk: what grew in the log alone would never find its place in the file, and the log never end.
    Stopped,
}

/// As many pages as SQLite can count.
const PAGES_MAX: i64 = 0xffff_fffe;

/// Which records may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Release {
    /// Those older than the oldest owed part.
    Acknowledged,
    /// The oldest, owed or not.
    Oldest,
}

impl Appender {
    pub(super) fn new(connection: Connection, reserve: Arc<Reserve>) -> Result<Self, JournalError> {
        let last: i64 = connection
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'record'", [], |row| row.get(0))
            .map_err(|source| JournalError::Access { action: "read the last number", source })?;
        let next = Seq::new(last.cast_unsigned()).next();
        Ok(Self { connection, next, unwritten: Gap::default(), reserve, growth: Growth::Free, expiry: Expiry::NotYet })
    }

    /// The number of the next record.
    pub(super) fn next(&self) -> Seq {
        self.next
    }

    /// What no gap record names yet.
    pub(super) fn unwritten(&self) -> &Gap {
        &self.unwritten
    }

    /// Writes the record of number [`Appender::next`].
    pub(super) fn append(&mut self, settings: &JournalSettings, entry: &Entry) -> Result<Seq, JournalError> {
        check(entry)?;
        let seq = self.next;
        self.next = seq.next();
        match self.write_or_release(settings, seq, entry) {
            Ok(()) => {
                self.reserve.restore();
                let now = Moment::from(entry);
                let kept = self.tell_unwritten(settings, now);
                if let Err(failure) = kept.and_then(|()| self.keep_within(settings, now)) {
                    tracing::warn!(%failure, "the journal cannot be put in order; the next append tries again");
                }
                Ok(seq)
            }
            Err(source) => {
                let owed = entry.parts.iter().filter(|part| part.audience == Audience::Subscribers);
                let kinds = owed.map(|part| part.kind).collect();
                self.unwritten.add(Loss { seqs: seq..=seq, kinds, reason: LossReason::NotWritten });
                Err(if is_full(&source) {
                    JournalError::Full { seq, source }
                } else {
                    JournalError::Append { seq, source }
                })
            }
        }
    }

    /// Pages that SQLite itself may use: a full disk for the tests.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: i64) {
        self.connection.pragma_update(None, "max_page_count", pages).expect("a pragma without IO");
    }

    fn write_or_release(&mut self, settings: &JournalSettings, seq: Seq, entry: &Entry) -> rusqlite::Result<()> {
        self.limit_growth()?;
        let mut outcome = self.write(settings, seq, entry);
        if outcome.as_ref().is_err_and(is_full) {
            // There may be room in the file, and none for the log to grow.
            restart_log(&self.connection);
            outcome = self.write(settings, seq, entry);
        }
        let Err(full) = outcome else { return Ok(()) };
        if !is_full(&full) || !self.has_acknowledged()? {
            return Err(full);
        }
        // Pages of what was delivered serve again without any growth of the file.
        self.reserve.spend();
        restart_log(&self.connection);
        self.limit_growth()?;
        let expected = entry.parts.iter().map(|part| part.payload.len() as u64).sum::<u64>();
        let mut released = 0;
        for wanted in [expected + settings.bytes_max / RELEASE_FRACTION, expected] {
            match self.release(settings, Release::Acknowledged, wanted, entry.into()) {
                Ok(count) => released = count,
                // The log of so many deletions does not fit: of fewer, then.
                Err(error) if is_full(&error) => {
                    restart_log(&self.connection);
                    continue;
                }
                Err(error) => return Err(error),
            }
            break;
        }
        if released == 0 { Err(full) } else { self.write(settings, seq, entry) }
    }

    /// Lets the file grow while there is room on the disk, and not otherwise.
    fn limit_growth(&mut self) -> rusqlite::Result<()> {
        let growth = if self.reserve.is_full() { Growth::Stopped } else { Growth::Free };
        if growth != self.growth {
            let pages = match growth {
                Growth::Free => PAGES_MAX,
                Growth::Stopped => self.connection.pragma_query_value(None, "page_count", |row| row.get(0))?,
            };
            self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            self.growth = growth;
        }
        Ok(())
    }

    fn has_acknowledged(&mut self) -> rusqlite::Result<bool> {
        let transaction = self.connection.transaction()?;
        Ok(oldest_records(&transaction, Release::Acknowledged, 0)?.is_some())
    }

    fn write(&mut self, settings: &JournalSettings, seq: Seq, entry: &Entry) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        insert(&transaction, seq, entry)?;
        let expired = match entry.clock {
            Clock::Synchronised => delete_expired(&transaction, settings, entry.time)?,
            // By a clock that nobody has set, nothing is too old.
            Clock::Free => None,
        };
        transaction.commit()?;
        if let Some(newest) = expired.filter(|_| self.expiry == Expiry::NotYet) {
            self.expiry = Expiry::Told;
            tracing::info!(through = %newest, "records older than `keep` are deleted from now on");
        }
        Ok(())
    }

    /// Writes the gap record for what could not be written before: only when a record has found room again, or a full
    /// disk would collect one small gap record for every large record it refuses.
    pub(super) fn tell_unwritten(&mut self, settings: &JournalSettings, now: Moment) -> rusqlite::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let seq = self.next;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        insert_gap(&transaction, settings, seq, now, &self.unwritten)?;
        transaction.commit()?;
        self.next = seq.next();
        self.unwritten = Gap::default();
        Ok(())
    }

    /// Brings the journal back below its capacity.
    fn keep_within(&mut self, settings: &JournalSettings, now: Moment) -> rusqlite::Result<()> {
        for _ in 0..RELEASE_ROUNDS_MAX {
            let excess = used_bytes(&self.connection)?.saturating_sub(settings.bytes_max);
            if excess == 0 {
                break;
            }
            let wanted = excess + settings.bytes_max / RELEASE_FRACTION;
            if self.release(settings, Release::Acknowledged, wanted, now)? == 0
                && self.release(settings, Release::Oldest, wanted, now)? == 0
            {
                break;
            }
        }
        Ok(())
    }

    /// Deletes the oldest records until `wanted` bytes of payload are free, and answers how many went. What was still
    /// owed of them stands in a gap record of the same transaction, together with the gaps that older gap records
    /// among them declared.
    fn release(
        &mut self,
        settings: &JournalSettings,
        release: Release,
        wanted: u64,
        now: Moment,
    ) -> rusqlite::Result<usize> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some((newest, count)) = oldest_records(&transaction, release, wanted)? else { return Ok(0) };
        let mut gap = Gap::default();
        if release == Release::Oldest {
            for loss in owed_through(&transaction, newest)? {
                gap.add(loss);
            }
            for loss in losses_through(&transaction, newest)? {
                gap.add(loss);
            }
        }
        delete_through(&transaction, newest)?;
        let seq = self.next;
        if !gap.is_empty() {
            insert_gap(&transaction, settings, seq, now, &gap)?;
        }
        transaction.commit()?;
        if !gap.is_empty() {
            self.next = seq.next();
            tracing::warn!(
                records = gap.records(), gap = %seq,
                "the journal is full of what nobody acknowledged: the oldest records were given up, a gap record says which"
            );
        }
        Ok(count)
    }
}

fn check(entry: &Entry) -> Result<(), JournalError> {
    let mut kinds = PartKinds::default();
    for part in &entry.parts {
        let fault = if kinds.contains(part.kind) {
            format!("has two parts '{}'", part.kind.name())
        } else if part.payload.len() > PART_BYTES_MAX {
            format!("has {} bytes as '{}', at most {PART_BYTES_MAX} are kept", part.payload.len(), part.kind.name())
        } else {
            kinds = kinds.with(part.kind);
            continue;
        };
        return Err(JournalError::Entry { fault });
    }
    if entry.parts.is_empty() {
        return Err(JournalError::Entry { fault: "has no parts".into() });
    }
    Ok(())
}

fn insert(transaction: &Transaction<'_>, seq: Seq, entry: &Entry) -> rusqlite::Result<()> {
    let seq = seq.number().cast_signed();
    let mut record = transaction.prepare_cached("INSERT INTO record (seq, id, time_us) VALUES (?1, ?2, ?3)")?;
    record.execute(params![seq, entry.id, to_micros(entry.time)])?;
    if entry.clock == Clock::Free {
        let mut stretch = transaction.prepare_cached(
            "INSERT INTO unsynchronised (first, last)
             VALUES (coalesce((SELECT first FROM unsynchronised
                               WHERE last = (SELECT max(seq) FROM record WHERE seq < ?1)), ?1), ?1)
             ON CONFLICT (first) DO UPDATE SET last = excluded.last",
        )?;
        stretch.execute([seq])?;
    }
    let mut insert = transaction.prepare_cached("INSERT INTO part (seq, kind, payload) VALUES (?1, ?2, ?3)")?;
    let mut owe = transaction.prepare_cached("INSERT INTO owed (seq, kind) VALUES (?1, ?2)")?;
    for Part { kind, payload, audience } in &entry.parts {
        insert.execute(params![seq, kind.code(), payload])?;
        if *audience == Audience::Subscribers {
            owe.execute(params![seq, kind.code()])?;
        }
    }
    Ok(())
}

fn insert_gap(
    transaction: &Transaction<'_>,
    settings: &JournalSettings,
    seq: Seq,
    now: Moment,
    gap: &Gap,
) -> rusqlite::Result<()> {
    let Moment { time, clock } = now;
    let payload = (settings.encode_gap)(seq, time, gap).into();
    let parts = vec![Part { kind: PartKind::Gap, payload, audience: settings.gap_audience }];
    insert(transaction, seq, &Entry { id: format!("gap-{seq}"), time, clock, parts })?;
    let mut insert =
        transaction.prepare_cached("INSERT INTO loss (seq, first, last, kinds, reason) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for Loss { seqs, kinds, reason } in gap.losses() {
        let (first, last) = (seqs.start().number().cast_signed(), seqs.end().number().cast_signed());
        insert.execute(params![seq.number().cast_signed(), first, last, kinds.bits(), reason.name()])?;
    }
    Ok(())
}

/// Deletes what is older than `age_max`, and answers the newest of it. A record whose clock ran free is as old as the next one
/// whose clock did not: the numbers are in order whatever the clock said.
fn delete_expired(
    transaction: &Transaction<'_>,
    settings: &JournalSettings,
    now: SystemTime,
) -> rusqlite::Result<Option<Seq>> {
    /// The oldest records never count as expired by more than a few per append: an append stays short.
    const EXPIRED_RECORDS_MAX: i64 = 16;
    let oldest_kept = to_micros(now.checked_sub(settings.age_max).unwrap_or(UNIX_EPOCH));
    let mut dated = transaction.prepare_cached(
        "SELECT seq, time_us, EXISTS (SELECT 1 FROM unsynchronised WHERE seq BETWEEN first AND last) FROM record
         WHERE seq > coalesce((SELECT last FROM unsynchronised WHERE first <= (SELECT min(seq) FROM record)
                               ORDER BY first DESC LIMIT 1), 0)
           AND seq < coalesce((SELECT min(seq) FROM owed), (SELECT max(seq) FROM record))
         ORDER BY seq LIMIT ?1",
    )?;
    let mut rows = dated.query([EXPIRED_RECORDS_MAX])?;
    let mut expired = None;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= oldest_kept || row.get(2)? {
            break;
        }
        expired = Some(row.get::<_, i64>(0)?);
    }
    let Some(expired) = expired else { return Ok(None) };
    let few: i64 = transaction
        .prepare_cached("SELECT max(seq) FROM (SELECT seq FROM record ORDER BY seq LIMIT ?1)")?
        .query_row([EXPIRED_RECORDS_MAX], |row| row.get(0))?;
    let newest = Seq::new(expired.min(few).cast_unsigned());
    delete_through(transaction, newest)?;
    Ok(Some(newest))
}

/// The newest of the oldest records that together hold `wanted` bytes, and how many they are; never the newest record
/// of all.
fn oldest_records(
    transaction: &Transaction<'_>,
    release: Release,
    wanted: u64,
) -> rusqlite::Result<Option<(Seq, usize)>> {
    let mut candidates = transaction.prepare_cached(
        "SELECT seq, (SELECT sum(length(payload)) FROM part WHERE part.seq = record.seq) FROM record
         WHERE seq < ?1 ORDER BY seq LIMIT ?2",
    )?;
    let newest: i64 = transaction.query_row("SELECT coalesce(max(seq), 0) FROM record", [], |row| row.get(0))?;
    let end: i64 = match release {
        Release::Oldest => newest,
        Release::Acknowledged => {
            transaction.query_row("SELECT coalesce(min(seq), ?1) FROM owed", [newest], |row| row.get(0))?
        }
    };
    let mut rows = candidates.query((end, RELEASE_RECORDS_MAX as i64))?;
    let (mut found, mut bytes) = (None, 0u64);
    while let Some(row) = rows.next()? {
        let count = found.map_or(0, |(_, count)| count);
        found = Some((Seq::new(row.get::<_, i64>(0)?.cast_unsigned()), count + 1));
        bytes += row.get::<_, Option<i64>>(1)?.unwrap_or(0).cast_unsigned();
        if bytes >= wanted {
            break;
        }
    }
    Ok(found)
}

fn owed_through(transaction: &Transaction<'_>, newest: Seq) -> rusqlite::Result<Vec<Loss>> {
    let mut owed = transaction.prepare_cached("SELECT seq, kind FROM owed WHERE seq <= ?1 ORDER BY seq, kind")?;
    let rows = owed.query_map([newest.number().cast_signed()], |row| {
        let seq = Seq::new(row.get::<_, i64>(0)?.cast_unsigned());
        let kinds = PartKinds::from_bits(1 << row.get::<_, u8>(1)?.min(7));
        Ok(Loss { seqs: seq..=seq, kinds, reason: LossReason::Capacity })
    })?;
    rows.collect()
}

fn losses_through(transaction: &Transaction<'_>, newest: Seq) -> rusqlite::Result<Vec<Loss>> {
    let mut losses = transaction.prepare_cached(
        "SELECT first, last, kinds, reason FROM loss WHERE seq <= ?1 AND seq IN (SELECT seq FROM owed WHERE seq <= ?1)",
    )?;
    let rows = losses.query_map([newest.number().cast_signed()], |row| {
        let number = |column| row.get::<_, i64>(column).map(|number| Seq::new(number.cast_unsigned()));
        let reason = LossReason::from_name(&row.get::<_, String>(3)?).unwrap_or(LossReason::Capacity);
        Ok(Loss { seqs: number(0)?..=number(1)?, kinds: PartKinds::from_bits(row.get(2)?), reason })
    })?;
    rows.collect()
}

fn delete_through(transaction: &Transaction<'_>, newest: Seq) -> rusqlite::Result<()> {
    for delete in [
        "DELETE FROM owed WHERE seq <= ?1",
        "DELETE FROM loss WHERE seq <= ?1",
        "DELETE FROM part WHERE seq <= ?1",
        "DELETE FROM record WHERE seq <= ?1",
        "DELETE FROM unsynchronised WHERE last <= ?1",
    ] {
        transaction.prepare_cached(delete)?.execute([newest.number().cast_signed()])?;
    }
    Ok(())
}

/// Bytes of the pages in use; free pages inside the file count as room.
fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let pages = number("page_count")? - number("freelist_count")?;
    Ok(pages.cast_unsigned() * number("page_size")?.cast_unsigned())
}

/// Microseconds since 1970; 0 for times before.
fn to_micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
