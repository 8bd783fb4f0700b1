//! The acquisition thread of the daemon, on a thread of the test's own.

use std::thread::JoinHandle;

use super::acquire::station::{self, StationReceivers};
use super::acquire::{AcquireError, AcquisitionSettings};
use super::supervise::StopSignal;

/// A running station. Dropping it stops it, laser off, and waits for its end.
pub(crate) struct RunningStation {
    pub(crate) measured: StationReceivers,
    stop: StopSignal,
    thread: Option<JoinHandle<Result<(), AcquireError>>>,
}

impl RunningStation {
    pub(crate) fn start(settings: AcquisitionSettings) -> Self {
        let (senders, measured) = station::channels();
        let stop = StopSignal::new();
        let token = stop.token();
        let thread = std::thread::spawn(move || station::run(settings, &token, || (), senders));
        Self { measured, stop, thread: Some(thread) }
    }

    pub(crate) fn stop(&self) {
        self.stop.request("the test is over");
    }

    pub(crate) fn join(mut self) -> Result<(), AcquireError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), AcquireError> {
        self.thread.take().map_or(Ok(()), |thread| thread.join().expect("acquisition does not panic"))
    }
}

impl Drop for RunningStation {
    fn drop(&mut self) {
        self.stop();
        if let Err(error) = self.end() {
            eprintln!("acquisition ended with an error: {error}");
        }
    }
}
