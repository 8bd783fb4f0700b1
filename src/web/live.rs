//! What is new: each result with its maps, serialised once however many watch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ramand_core::outcome::Finding;
use ramand_core::spectrum::PreprocessedSpectrum;
use serde::Serialize;
use tokio::sync::broadcast;

/// Updates a client may be behind before it is dropped: a second or two of a fast line, a megabyte at most.
const UPDATES_KEPT: usize = 16;

/// One result with what the page draws.
#[derive(Debug, Clone, Serialize)]
pub struct LiveUpdate {
    /// The `result` payload of docs/wire.md, as published.
    pub result: serde_json::Value,
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
    /// The prepared spectrum, first channel, without unit.
    pub prepared: Vec<f32>,
    /// M, the 1D Grad-CAM map, in units of the output.
    pub map: Vec<f32>,
    /// D, its difference from the reference, in units of the output.
    pub difference: Vec<f32>,
}

impl ModelMaps {
    /// `reference` is the bundle's word for its population; `prepared` is what the model was shown.
    pub fn new(reference: &str, finding: &Finding, prepared: Option<&PreprocessedSpectrum>) -> Self {
        let attribution = finding.conclusion.as_ref().map(|conclusion| &conclusion.attribution);
        let axis =
            attribution.map(|attribution| &attribution.axis).or_else(|| prepared.map(PreprocessedSpectrum::axis));
        let points = axis.map_or(0, |axis| axis.len());
        Self {
            name: finding.model.name.clone(),
            claim: finding.model.claim.clone(),
            reference: reference.to_owned(),
            axis_cm: axis.map(|axis| axis.per_cm().to_vec()).unwrap_or_default(),
            prepared: prepared
                .map(|prepared| prepared.values().iter().take(points).copied().collect())
                .unwrap_or_default(),
            map: attribution.map(|attribution| attribution.map.clone()).unwrap_or_default(),
            difference: attribution.map(|attribution| attribution.difference.clone()).unwrap_or_default(),
        }
    }
}

/// An update as it goes over the wire.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) seq: Option<u64>,
    pub(super) json: Arc<str>,
    pub(super) at: Instant,
}

impl Published {
    pub(super) fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

/// Takes updates from the daemon, hands them to whoever watches.
#[derive(Debug)]
pub struct Live {
    last: Mutex<Option<Published>>,
    updates: broadcast::Sender<Published>,
}

impl Live {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { last: Mutex::default(), updates: broadcast::Sender::new(UPDATES_KEPT) }
    }

    /// Shows an update. Never blocks: who cannot keep up is dropped.
    ///
    /// # Errors
    /// When the update is no JSON: a key that is not text, say.
    pub fn publish(&self, update: &LiveUpdate) -> Result<(), serde_json::Error> {
        let seq = update.result.get("seq").and_then(serde_json::Value::as_u64);
        let published = Published { seq, json: serde_json::to_string(update)?.into(), at: Instant::now() };
        // Both under one lock, so that a subscriber sees each update exactly once: as the last or as news.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(published.clone());
        // Fails when nobody watches, which is no failure.
        drop(self.updates.send(published));
        Ok(())
    }

    pub(super) fn last(&self) -> Option<Published> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn subscribe(&self) -> (Option<Published>, broadcast::Receiver<Published>) {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (last.clone(), self.updates.subscribe())
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}
