//! How far a long computation is, and whether it shall go on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The computation was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted;

/// Shared between the threads that work and the one that watches.
#[derive(Debug, Default)]
pub struct Progress {
    steps: AtomicU64,
    interrupted: AtomicBool,
}

impl Progress {
    /// Steps done: of training, steps of gradient descent over all fits.
    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Ends the computation at its next step with [`Interrupted`].
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
    }

    /// One more step done.
    ///
    /// # Errors
    /// When the computation shall end.
    pub fn step(&self) -> Result<(), Interrupted> {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.check()
    }

    /// So many steps turned out not to be needed.
    ///
    /// # Errors
    /// When the computation shall end.
    pub(super) fn skip(&self, steps: u64) -> Result<(), Interrupted> {
        self.steps.fetch_add(steps, Ordering::Relaxed);
        self.check()
    }

    pub(super) fn check(&self) -> Result<(), Interrupted> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }
}
