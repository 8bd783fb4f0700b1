//! A request to stop, and waiting that ends with it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Shared by whoever may ask and whoever obeys. Once requested it stays so.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    state: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// Not requested.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for it.
    pub fn request(&self) {
        let (requested, changed) = &*self.state;
        *requested.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }

    /// Whether somebody asked.
    pub fn requested(&self) -> bool {
        *self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `duration`, or for the request if it comes earlier; whether it came.
    pub fn wait(&self, duration: Duration) -> bool {
        let (requested, changed) = &*self.state;
        // A duration beyond the clock's range is as good as a year.
        let year = Duration::from_secs(365 * 24 * 3600);
        let until = Instant::now() + duration.min(year);
        let mut guard = requested.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if *guard || left.is_zero() {
                return *guard;
            }
            guard = changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
