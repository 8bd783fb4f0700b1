//! The recorded device, answering again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ocean_binary_protocol::Frame;
use ramand_core::spectrum::RawSpectrum;

use super::CaptureError;
use super::format::{Act, Conversation, Event, Moment, Way, hex};
use crate::acquire::settings::{Line, Settings};
use crate::acquire::{AcquireError, Driver, Spectrometer};
use crate::supervise::Stop;

/// A conversation and how far it has been played. Copies play the same one.
#[derive(Debug, Clone)]
pub struct Player(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    moments: Vec<Moment>,
    next: usize,
    started: SystemTime,
    base: Instant,
    /// Since `base`: when the last event happened, or how long was waited for the next one.
    now: Duration,
}

impl Player {
    /// From its beginning.
    pub fn new(conversation: &Conversation) -> Self {
        Self(Arc::new(Mutex::new(State {
            moments: conversation.moments.clone(),
            next: 0,
            started: conversation.started,
            base: Instant::now(),
            now: Duration::ZERO,
        })))
    }

    /// What comes next, and on which line; `None` at the end.
    pub fn next(&self) -> Option<Moment> {
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
    pub(in crate::acquire) fn play(&self, event: &Event) -> Result<(), CaptureError> {
        let mut state = self.lock();
        let moment = state.upcoming(event)?;
        if moment.event != *event {
            return Err(diverged(moment, event));
        }
        state.take();
        Ok(())
    }

    /// As [`Player::play`], unless the write failed when it was recorded: then the way it failed.
    pub(in crate::acquire) fn write(&self, bytes: &[u8]) -> Result<Option<String>, CaptureError> {
        let event = Event::Sent(bytes.to_vec());
        let lost = match &self.lock().upcoming(&event)?.event {
            Event::Lost(Way::Writing, why) => Some(why.clone()),
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
            Event::Received(bytes) => {
                state.take();
                Ok(Ok(bytes))
            }
            Event::Lost(Way::Reading, why) => {
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
        let stops = state.moments.get(state.next).is_some_and(|moment| moment.event == Event::Stop);
        if stops {
            state.take();
        }
        stops
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn upcoming(&self, now: &Event) -> Result<&Moment, CaptureError> {
        self.upcoming_or(&told(now))
    }

    fn upcoming_or(&self, now: &str) -> Result<&Moment, CaptureError> {
        let line = self.moments.last().map_or(0, |last| last.line);
        let moment = self.moments.get(self.next).filter(|moment| moment.event != Event::Full);
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

impl PartialEq for Player {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

fn diverged(recorded: &Moment, now: &Event) -> CaptureError {
    CaptureError::Diverged { line: recorded.line, recorded: told(&recorded.event), now: told(now) }
}

/// An event in few words: a frame by what it asks.
fn told(event: &Event) -> String {
    match event {
        Event::Sent(bytes) => match Frame::decode(bytes) {
            Ok(frame) => {
                let data = if frame.data.is_empty() { String::new() } else { format!(" with {}", hex(&frame.data)) };
                format!("request {} of {}{data}", frame.regarding, frame.message_type)
            }
            Err(_) => format!("{} bytes to the device that are no frame", bytes.len()),
        },
        Event::Received(bytes) => format!("{} bytes from the device", bytes.len()),
        Event::Result(digest) => format!("a spectrum with digest {}...", hex(&digest[..4])),
        other => format!("'{other}'"),
    }
}

/// Plays the conversation to the driver; `tell` gets each spectrum, and each error of the driver, as it comes about.
///
/// # Errors
/// [`AcquireError::Capture`] where the driver no longer does what was recorded, or the recording ends within something.
pub fn replay(
    conversation: &Conversation,
    mut tell: impl FnMut(Result<&RawSpectrum, &AcquireError>),
) -> Result<(), AcquireError> {
    let player = Player::new(conversation);
    let settings = Settings { line: Line::Played(player.clone()), ..conversation.settings.clone() };
    let mut driver: Option<Driver> = None;
    while let Some(moment) = player.next() {
        let outcome = match (&moment.event, &mut driver) {
            (Event::Full, _) => return Ok(()),
            (Event::Open(_), _) => {
                driver = None;
                Driver::open(settings.clone(), &Stop::never()).map(|opened| {
                    driver = Some(opened);
                    None
                })
            }
            (Event::Do(Act::Close), _) => {
                driver = None;
                // Letting go consumes the line; where nothing was held, the file says what no program did.
                match player.next() {
                    Some(next) if next.line == moment.line => return Err(stray(&moment)),
                    _ => Ok(None),
                }
            }
            (Event::Do(Act::Measure), Some(driver)) => driver.measure().map(Some),
            (Event::Do(Act::MeasureDark), Some(driver)) => driver.measure_dark().map(Some),
            (Event::Do(Act::LaserOff), Some(driver)) => driver.laser_off().map(|()| None),
            (Event::Do(Act::SetExposure(integration, scans)), Some(driver)) => {
                driver.set_exposure(*integration, *scans).map(|()| None)
            }
            _ => return Err(stray(&moment)),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(spectrum)) => tell(Ok(&spectrum)),
            // What went wrong with the device went wrong then too; what the recording forbids ends the replay.
            Err(error @ AcquireError::Capture(_)) => return Err(error),
            Err(error) => tell(Err(&error)),
        }
    }
    Ok(())
}

/// A line that no driver would have been asked for at this point.
fn stray(moment: &Moment) -> AcquireError {
    let Moment { line, event, .. } = moment;
    let now = "the driver having nothing more to do".to_owned();
    CaptureError::Diverged { line: *line, recorded: told(event), now }.into()
}
