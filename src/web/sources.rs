//! What the server shows, and whom it asks.

use std::sync::Arc;

use super::live::Live;
use super::metrics::Metrics;

/// What the server shows.
#[derive(Clone)]
pub struct Sources {
    /// New results.
    pub live: Arc<Live>,
    /// Counted by whoever knows.
    pub metrics: Arc<Metrics>,
    /// Older results.
    pub history: Arc<dyn History>,
    /// What is wrong now.
    pub health: Arc<dyn Health>,
}

/// Results of the past. Called on a thread that may block, two at a time.
pub trait History: Send + Sync + 'static {
    /// The `result` payloads (docs/wire.md) with `seq` below `before` (`None`: all), newest first, at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read; logged, and answered by status 500.
    fn page(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<serde_json::Value>, Box<dyn std::error::Error + Send + Sync>>;
}

/// The station's own judgement of itself. Called on every look at the page's health, so it must not block.
pub trait Health: Send + Sync + 'static {
    /// One sentence per problem; none when all is well.
    fn problems(&self) -> Vec<String>;
}
