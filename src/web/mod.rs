//! The live page, history and metrics over HTTP: read-only.
//!
//! The daemon feeds [`Live`] and [`Metrics`] and answers [`History`] and [`Health`]; a [`Server`] shows them. docs/web.md
//! lists the endpoints.

mod assets;
mod connection;
mod events;
mod guard;
mod live;
mod metrics;
mod routes;
mod server;

use std::sync::Arc;

pub use self::live::{Live, LiveUpdate, ModelMaps};
pub use self::metrics::{Connection, Metrics, Peer};
pub use self::server::{Server, Settings, WebError};

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

/// Results of the past. Called on a thread that may block, [`routes::HISTORY_READERS`] at a time.
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

#[cfg(test)]
mod tests;
