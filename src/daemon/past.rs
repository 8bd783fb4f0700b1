//! The live page's look at the journal.

use std::sync::{Mutex, PoisonError};

use ramand_core::record::{PartKind, PartKinds, Seq};

use crate::journal::{HistoryQuery, JournalError, JournalReader, Statistics, Window};
use crate::web;

/// Older results, straight from the journal.
#[derive(Debug)]
pub(super) struct Past {
    reader: Mutex<JournalReader>,
}

impl Past {
    pub(super) fn new(reader: JournalReader) -> Self {
        Self { reader: Mutex::new(reader) }
    }

    /// How full the journal is. Blocks.
    pub(super) fn statistics(&self) -> Result<Statistics, JournalError> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).statistics()
    }
}

impl web::History for Past {
    fn page(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<serde_json::Value>, Box<dyn std::error::Error + Send + Sync>> {
        let query = HistoryQuery {
            window: before.map_or(Window::Newest, |seq| Window::Before(Seq::new(seq))),
            limit,
            kinds: PartKinds::default().with(PartKind::Result),
        };
        let records = self.reader.lock().unwrap_or_else(PoisonError::into_inner).history(&query)?;
        let payloads = records.iter().rev().flat_map(|record| &record.parts).map(|part| &part.payload);
        Ok(payloads.map(|payload| serde_json::from_slice(payload)).collect::<Result<_, _>>()?)
    }
}
