//! What is owed to the subscribers, and their acknowledgements.

use ramand_core::record::{PartKey, PartKind, Seq};
use rusqlite::{Connection, TransactionBehavior};

use super::JournalError;
use super::reserve::Reserve;
use super::schema::{is_full, restart_log};

/// Payload bytes in one answer of [`owed`] at most, the first part excepted: memory stays bounded whatever the limit.
const OWED_BYTES_MAX: usize = 4 << 20;

pub(super) fn owed(
    connection: &Connection,
    after: Option<PartKey>,
    limit: usize,
) -> Result<Vec<(PartKey, Vec<u8>)>, JournalError> {
    let failed = |source| JournalError::Access { action: "read what is owed", source };
    let (seq, kind) = after.map_or((0, 0), |key| (key.seq.number().cast_signed(), i64::from(key.kind.code()) + 1));
    let read = || -> rusqlite::Result<_> {
        let mut statement = connection.prepare_cached(
            "SELECT owed.seq, owed.kind, payload FROM owed JOIN part ON part.seq = owed.seq AND part.kind = owed.kind
             WHERE (owed.seq, owed.kind) >= (?1, ?2) ORDER BY owed.seq, owed.kind LIMIT ?3",
        )?;
        let mut rows = statement.query((seq, kind, i64::try_from(limit).unwrap_or(i64::MAX)))?;
        let (mut parts, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            // A kind this release does not know cannot be in a file whose version it knows.
            let Some(kind) = PartKind::from_code(row.get(1)?) else { continue };
            let payload: Vec<u8> = row.get(2)?;
            bytes += payload.len();
            if bytes > OWED_BYTES_MAX && !parts.is_empty() {
                break;
            }
            parts.push((PartKey { seq: Seq::new(row.get::<_, i64>(0)?.cast_unsigned()), kind }, payload));
        }
        Ok(parts)
    };
    read().map_err(failed)
}

pub(super) fn acknowledge(
    connection: &mut Connection,
    reserve: &Reserve,
    parts: &[PartKey],
) -> Result<(), JournalError> {
    let write = |connection: &mut Connection| -> rusqlite::Result<()> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut delete = transaction.prepare_cached("DELETE FROM owed WHERE seq = ?1 AND kind = ?2")?;
        for part in parts {
            delete.execute((part.seq.number().cast_signed(), part.kind.code()))?;
        }
        drop(delete);
        transaction.commit()
    };
    let mut outcome = write(connection);
    // What is not marked never makes room: on a full disk this comes before everything else.
    for spend in [|_: &Reserve| (), Reserve::spend] {
        if outcome.as_ref().is_err_and(is_full) {
            spend(reserve);
            restart_log(connection);
            outcome = write(connection);
        }
    }
    outcome.map_err(|source| JournalError::Access { action: "mark what was acknowledged", source })
}
