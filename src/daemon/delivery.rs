//! Where journal and MQTT meet: the journal is the publisher's outbox, and an inspection is one record of both.

use std::sync::Arc;

use ramand_core::outcome::Inspection;
use ramand_core::record::{Entry, Part, PartKey, PartKind, PartKinds};

use crate::journal::Journal;
use crate::publish::wire::{self, Stamp};
use crate::publish::{Outbox, OutboxError};

impl Outbox for Journal {
    fn owed(&self, after: Option<PartKey>, limit: usize) -> Result<Vec<(PartKey, Vec<u8>)>, OutboxError> {
        Ok(Journal::owed(self, after, limit)?)
    }

    fn acknowledge(&self, parts: &[PartKey]) -> Result<(), OutboxError> {
        Ok(Journal::acknowledge(self, parts)?)
    }
}

/// The journal's entry for an inspection: `result` as it was built, `cam` and `spectrum`, of which `published` are owed to
/// the subscribers and the others are kept for reading on the spot.
pub(super) fn inspection_entry(
    stamp: &Stamp,
    inspection: &Inspection,
    result: Arc<[u8]>,
    published: PartKinds,
) -> Entry {
    let spectrum = &inspection.spectrum;
    let payloads = [
        (PartKind::Result, result),
        (PartKind::Cam, wire::cam(stamp, inspection).into()),
        (PartKind::Spectrum, wire::spectrum(stamp, spectrum).into()),
    ];
    let part = |(kind, payload)| part(kind, payload, published);
    Entry {
        id: wire::record_id(stamp.seq, spectrum.origin()),
        time: stamp.time,
        clock: stamp.clock,
        parts: payloads.into_iter().map(part).collect(),
    }
}

/// A part, owed to the subscribers where its kind is among `published`.
pub(super) fn part(kind: PartKind, payload: Arc<[u8]>, published: PartKinds) -> Part {
    if published.contains(kind) { Part::owed(kind, payload) } else { Part::kept(kind, payload) }
}
