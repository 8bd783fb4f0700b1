//! Where journal and MQTT meet: the journal is the publisher's outbox, and an inspection is one record of both.

use ramand_core::outcome::Inspection;
use ramand_core::record::{Entry, Part, PartKey, PartKind, PartKinds, Seq};

use crate::journal::Journal;
use crate::publish::wire::{self, Clock, Stamp};
use crate::publish::{Outbox, OutboxError};

impl Outbox for Journal {
    fn owed(&self, after: Option<PartKey>, limit: usize) -> Result<Vec<(PartKey, Vec<u8>)>, OutboxError> {
        Ok(Journal::owed(self, after, limit)?)
    }

    fn acknowledge(&self, parts: &[PartKey]) -> Result<(), OutboxError> {
        Ok(Journal::acknowledge(self, parts)?)
    }
}

/// The journal's entry for an inspection: `result`, `cam` and `spectrum`, of which `published` are owed to the
/// subscribers and the others are kept for reading on the spot.
pub(super) fn inspection_entry(seq: Seq, inspection: &Inspection, clock: Clock, published: PartKinds) -> Entry {
    let spectrum = &inspection.spectrum;
    let time = spectrum.acquisition().map_or_else(std::time::SystemTime::now, |acquisition| acquisition.taken);
    let stamp = Stamp { seq, time, clock };
    let payloads = [
        (PartKind::Result, wire::result(&stamp, inspection)),
        (PartKind::Cam, wire::cam(&stamp, inspection)),
        (PartKind::Spectrum, wire::spectrum(&stamp, spectrum)),
    ];
    let part = |(kind, payload)| {
        if published.contains(kind) { Part::owed(kind, payload) } else { Part::kept(kind, payload) }
    };
    Entry { id: wire::record_id(seq, spectrum.origin()), time, clock, parts: payloads.into_iter().map(part).collect() }
}
