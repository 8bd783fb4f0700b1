//! What is new: each result with its maps, serialised once however many watch, and not at all while nobody does.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ramand_core::outcome::Finding;
use ramand_core::record::Seq;
use ramand_core::spectrum::PreprocessedSpectrum;
use serde::Serialize;
use tokio::sync::broadcast;

/// Updates a client may be behind before it is dropped: a second or two of a fast line, a megabyte at most.
const UPDATES_KEPT: usize = 16;

/// One result with what the page draws.
#[derive(Debug, Clone)]
pub struct LiveUpdate {
    /// The number of the result.
    pub seq: Seq,
    /// The `result` payload of docs/wire.md: the bytes that stand in the journal.
    pub result: Arc<[u8]>,
    /// One per model, in the order of the result's `models`.
    pub models: Vec<ModelMaps>,
}

/// The arrays of one model, all on `axis_cm`; empty where the model could not be shown the spectrum.
#[derive(Debug, Clone, Serialize)]
pub struct ModelMaps {
    /// The bundle's name.
    pub name: String,
    /// The bundle's claim: what the model was trained on, and what it was not.
    pub claim: String,
    /// The population the difference map compares with.
    pub reference: String,
    /// Raman shifts, cm⁻¹.
    pub axis_cm: Vec<f64>,
    /// The preprocessed spectrum, first channel, without unit.
    #[serde(rename = "prepared")]
    pub preprocessed: Vec<f32>,
    /// M, the 1D Grad-CAM map, in units of the output.
    pub map: Vec<f32>,
    /// D, its difference from the reference, in units of the output.
    pub difference: Vec<f32>,
}

impl ModelMaps {
    /// `reference` is the bundle's word for its population; `preprocessed` is what the model was shown.
    pub fn new(reference: &str, finding: &Finding, preprocessed: Option<&PreprocessedSpectrum>) -> Self {
        let attribution = finding.conclusion.as_ref().map(|conclusion| &conclusion.attribution);
        let axis =
            attribution.map(|attribution| &attribution.axis).or_else(|| preprocessed.map(PreprocessedSpectrum::axis));
        let points = axis.map_or(0, |axis| axis.len());
        Self {
            name: finding.model.name.clone(),
            claim: finding.model.claim.clone(),
            reference: reference.to_owned(),
            axis_cm: axis.map(|axis| axis.per_cm().to_vec()).unwrap_or_default(),
            preprocessed: preprocessed
                .map(|preprocessed| preprocessed.values().iter().take(points).copied().collect())
                .unwrap_or_default(),
            map: attribution.map(|attribution| attribution.map.clone()).unwrap_or_default(),
            difference: attribution.map(|attribution| attribution.difference.clone()).unwrap_or_default(),
        }
    }
}

/// An update, and its text once somebody has asked for it.
#[derive(Debug)]
pub(super) struct Published {
    update: LiveUpdate,
    json: OnceLock<String>,
    at: Instant,
}

impl Published {
    pub(super) fn seq(&self) -> Seq {
        self.update.seq
    }

    pub(super) fn age(&self) -> Duration {
        self.at.elapsed()
    }

    /// `{"result": .., "models": [..]}`. The result is JSON already.
    pub(super) fn json(&self) -> &str {
        self.json.get_or_init(|| {
            let models = serde_json::to_string(&self.update.models).expect("text keys and numbers are JSON");
            format!("{{\"result\":{},\"models\":{models}}}", String::from_utf8_lossy(&self.update.result))
        })
    }
}

/// Takes updates from the daemon, hands them to whoever watches.
#[derive(Debug)]
pub struct Live {
    last: Mutex<Option<Arc<Published>>>,
    updates: broadcast::Sender<Arc<Published>>,
}

impl Live {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { last: Mutex::default(), updates: broadcast::Sender::new(UPDATES_KEPT) }
    }

    /// Shows an update. Never blocks: who cannot keep up is dropped.
    pub fn publish(&self, update: LiveUpdate) {
        let published = Arc::new(Published { update, json: OnceLock::new(), at: Instant::now() });
        if self.updates.receiver_count() > 0 {
            // On this thread: the network's has other clients to serve.
            published.json();
        }
        // Both under one lock, so that a subscriber sees each update exactly once: as the last or as news.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(published.clone());
        // Fails when nobody watches, which is no failure.
        drop(self.updates.send(published));
    }

    pub(super) fn last(&self) -> Option<Arc<Published>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn subscribe(&self) -> (Option<Arc<Published>>, broadcast::Receiver<Arc<Published>>) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (last.clone(), self.updates.subscribe())
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(seq: u64) -> LiveUpdate {
        LiveUpdate { seq: Seq::new(seq), result: format!("{{\"seq\":{seq}}}").into_bytes().into(), models: Vec::new() }
    }

    #[test]
    fn an_update_becomes_text_when_somebody_watches() {
        let live = Live::new();
        live.publish(update(1));
        let first = live.last().expect("published");
        assert_eq!(first.json.get(), None, "nobody watches");
        let (last, mut updates) = live.subscribe();
        assert_eq!(last.expect("published").json(), r#"{"result":{"seq":1},"models":[]}"#);
        live.publish(update(2));
        let second = updates.try_recv().expect("sent");
        assert_eq!(second.json.get().map(String::as_str), Some(r#"{"result":{"seq":2},"models":[]}"#));
    }
}
