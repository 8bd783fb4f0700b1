//! What the handlers share, and how they hear that the server stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::sources::Sources;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) sources: Sources,
    pub(super) stale_after: Duration,
    pub(super) watchers: Arc<Semaphore>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) history_readers: Arc<Semaphore>,
}

/// Resolves when the server stops, or is gone.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}
