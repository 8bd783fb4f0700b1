//! The recorded device, answering again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::CaptureError;
use super::event::{CaptureEvent, CaptureMoment, Way};

/// A conversation and how far it has been played. Copies play the same one.
#[derive(Debug, Clone)]
pub struct CapturePlayer(Arc<Mutex<PlayerState>>);

#[derive(Debug)]
struct PlayerState {
    moments: Vec<CaptureMoment>,
    next: usize,
    started: SystemTime,
    base: Instant,
    /// Since `base`: when the last event happened, or how long was waited for the next one.
    now: Duration,
}

impl CapturePlayer {
    /// At the beginning of these events; `started` is the recorded time of day of the first.
    pub(super) fn new(started: SystemTime, moments: Vec<CaptureMoment>) -> Self {
        Self(Arc::new(Mutex::new(PlayerState { moments, next: 0, started, base: Instant::now(), now: Duration::ZERO })))
    }

    /// What comes next, and on which line; `None` at the end.
    pub(super) fn next(&self) -> Option<CaptureMoment> {
        let state = self.lock();
        state.moments.get(state.next).cloned()
    }

    /// The time in the recording.
    pub(in crate::acquire) fn now(&self) -> Instant {
        let state = self.lock();
        state.base + state.now
    }

    /// The recorded wall clock.
    pub(in crate::acquire) fn wall_clock(&self) -> SystemTime {
        let state = self.lock();
        state.started + state.now
    }

    /// Lets time pass, in the recording only.
    pub(in crate::acquire) fn pass(&self, pause: Duration) {
        self.lock().now += pause;
    }

    /// Does what was recorded next.
    pub(in crate::acquire) fn play(&self, event: &CaptureEvent) -> Result<(), CaptureError> {
        let mut state = self.lock();
        let moment = state.upcoming(event)?;
        if moment.event != *event {
            return Err(diverged(moment, event));
        }
        state.take();
        Ok(())
    }

    /// As [`CapturePlayer::play`], unless the write failed when it was recorded: then the way it failed.
    pub(in crate::acquire) fn write(&self, bytes: &[u8]) -> Result<Option<String>, CaptureError> {
        let event = CaptureEvent::Sent(bytes.to_vec());
        let lost = match &self.lock().upcoming(&event)?.event {
            CaptureEvent::Lost(Way::Writing, why) => Some(why.clone()),
            _ => None,
        };
        if lost.is_some() {
            self.lock().take();
            return Ok(lost);
        }
        self.play(&event).map(|()| None)
    }

    /// The bytes that came, or the way the read failed; none, after `patience`, where the driver did something else first. An
    /// answer that was recorded here came in time: otherwise what the driver did about it would stand before it.
    pub(in crate::acquire) fn read(&self, patience: Duration) -> Result<Result<Vec<u8>, String>, CaptureError> {
        let mut state = self.lock();
        match state.upcoming_or("waiting for an answer")?.event.clone() {
            CaptureEvent::Received(bytes) => {
                state.take();
                Ok(Ok(bytes))
            }
            CaptureEvent::Lost(Way::Reading, why) => {
                state.take();
                Ok(Err(why))
            }
            _ => {
                state.now += patience;
                Ok(Ok(Vec::new()))
            }
        }
    }

    /// Whether a stop request was noticed here.
    pub(in crate::acquire) fn stops(&self) -> bool {
        let mut state = self.lock();
        let stops = state.moments.get(state.next).is_some_and(|moment| moment.event == CaptureEvent::Stop);
        if stops {
            state.take();
        }
        stops
    }

    fn lock(&self) -> MutexGuard<'_, PlayerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PlayerState {
    fn upcoming(&self, now: &CaptureEvent) -> Result<&CaptureMoment, CaptureError> {
        self.upcoming_or(&now.summary())
    }

    fn upcoming_or(&self, now: &str) -> Result<&CaptureMoment, CaptureError> {
        let line = self.moments.last().map_or(0, |last| last.line);
        let moment = self.moments.get(self.next).filter(|moment| moment.event != CaptureEvent::Full);
        moment.ok_or_else(|| CaptureError::Ended { line, now: now.to_owned() })
    }

    /// Its time is now. A player that has waited longer than the recorded program is not set back.
    fn take(&mut self) {
        if let Some(moment) = self.moments.get(self.next) {
            self.now = self.now.max(moment.at);
            self.next += 1;
        }
    }
}

impl PartialEq for CapturePlayer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

fn diverged(recorded: &CaptureMoment, now: &CaptureEvent) -> CaptureError {
    CaptureError::Diverged { line: recorded.line, recorded: recorded.event.summary(), now: now.summary() }
}
