//! How far a training is, and whether it shall go on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::error::TrainError;

/// Shared between the threads that train and the one that watches.
#[derive(Debug, Default)]
pub struct Progress {
    steps: AtomicU64,
    interrupted: AtomicBool,
}

impl Progress {
    /// Steps of gradient descent done, over all fits.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Ends the training at the next step with [`TrainError::Interrupted`].
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    pub(super) fn step(&self) -> Result<(), TrainError> {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.check()
    }

    pub(super) fn check(&self) -> Result<(), TrainError> {
        if self.interrupted.load(Ordering::Relaxed) { Err(TrainError::Interrupted) } else { Ok(()) }
    }
}
