//! One request at a time, and its answer: told apart from stale and damaged ones, repeated a bounded number of times,
//! never waited for endlessly.

use std::time::{Duration, Instant};

use ocean_binary_protocol::FRAME_LEN_MIN;
use ocean_binary_protocol::deadline::{ALLOWANCE, line_time};
use ocean_binary_protocol::{
    AnswerKind, Checksum, DeviceError, Flags, Frame, Framer, FramerStatistics, MessageType, Profile, Request,
    ResponseError,
};
use ramand_core::spectrum::LineStatistics;

use super::AcquireError;
use super::link::SerialLink;
use crate::supervise::Stop;

/// How often a request is sent before its answer counts as lost: one damaged frame each way is bad luck, three are a
/// broken line.
pub(super) const ATTEMPTS: u32 = 3;

/// Before a device that was not ready is asked again: the time a device takes for a small answer.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// The longest single wait, so that a stop request takes effect well within 200 ms.
const STOP_LATENCY: Duration = Duration::from_millis(50);

/// What an answer said.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply<T> {
    /// Its meaning.
    pub(super) value: T,
    /// The device's error number, where it marked the answer as possibly spoilt by hardware trouble.
    pub(super) exception: Option<u16>,
}

/// Whether a stop request ends the waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interrupt {
    OnStop,
    /// For what has to be done after a stop request: switching the laser off.
    Never,
}

/// What one attempt came to.
enum Attempt<T> {
    Answered(Reply<T>),
    Silent,
    Refused(DeviceError),
    Nonsense(ResponseError),
}

/// The one conversation on a link.
#[derive(Debug)]
pub(super) struct DeviceSession {
    link: SerialLink,
    framer: Framer,
    framer_before: FramerStatistics,
    stop: Stop,
    checksum: Checksum,
    regarding: u32,
    statistics: LineStatistics,
}

impl DeviceSession {
    /// On an open link. `checksum` is that of the requests; answers are checked whenever they carry one.
    pub(super) fn new(link: SerialLink, checksum: Checksum, stop: Stop) -> Self {
        Self {
            link,
            framer: Framer::new(),
            framer_before: FramerStatistics::default(),
            stop,
            checksum,
            regarding: 0,
            statistics: LineStatistics::default(),
        }
    }

    /// The port and its rate.
    pub(super) fn link(&self) -> &SerialLink {
        &self.link
    }

    /// The same, to note something on.
    pub(super) fn link_mut(&mut self) -> &mut SerialLink {
        &mut self.link
    }

    /// Whether the stop request this session obeys was made.
    pub(super) fn is_stopped(&mut self) -> bool {
        self.link.is_stopped(&self.stop)
    }

    /// Pauses; whether the stop request was made before the pause ended.
    pub(super) fn is_stopped_within(&mut self, pause: Duration) -> bool {
        self.link.is_stopped_within(pause, &self.stop)
    }

    /// The time that deadlines are reckoned in.
    pub(super) fn now(&self) -> Instant {
        self.link.now()
    }

    /// Asks, and waits for the answer as long as the request's own deadline says, up to three times.
    ///
    /// # Errors
    /// When the line is lost, no answer comes, the device refuses, or answers nonsense; [`AcquireError::Stopped`] at once
    /// on a stop request.
    pub(super) fn exchange<R: Request>(&mut self, request: &R) -> Result<Reply<R::Response>, AcquireError> {
        let patience = request.timing().deadline(self.link.baud());
        self.repeat(request, patience, ATTEMPTS, Interrupt::OnStop)
    }

    /// The same even though a stop was requested, and with `busy` more patience, because the device has an exposure to
    /// finish first.
    ///
    /// # Errors
    /// As [`DeviceSession::exchange`], without [`AcquireError::Stopped`].
    pub(super) fn exchange_even_if_stopped<R: Request>(
        &mut self,
        request: &R,
        busy: Duration,
    ) -> Result<Reply<R::Response>, AcquireError> {
        let patience = request.timing().deadline(self.link.baud()).saturating_add(busy);
        self.repeat(request, patience, ATTEMPTS, Interrupt::Never)
    }

    /// Asks once, and waits for `patience` on top of the time the bytes need.
    ///
    /// # Errors
    /// As [`DeviceSession::exchange`].
    pub(super) fn ask_once<R: Request>(
        &mut self,
        request: &R,
        patience: Duration,
    ) -> Result<Reply<R::Response>, AcquireError> {
        let patience = patience + line_time(2 * FRAME_LEN_MIN, self.link.baud());
        self.repeat(request, patience, 1, Interrupt::OnStop)
    }

    /// Sends a command without asking for an acknowledgement, for when nobody has the time to wait for one.
    ///
    /// # Errors
    /// When the line is lost.
    pub(super) fn tell<R: Request>(&mut self, request: &R) -> Result<(), AcquireError> {
        self.regarding = self.regarding.wrapping_add(1);
        let frame = Frame { flags: Flags::NONE, ..request.frame(self.regarding, self.checksum) };
        self.write(&frame)
    }

    /// Talks at another rate from now on.
    ///
    /// # Errors
    /// When the port does not take it.
    pub(super) fn set_baud(&mut self, baud: u32) -> Result<(), AcquireError> {
        self.framer.reset();
        self.link.set_baud(baud)
    }

    /// Throws away what comes until the line is silent: the rest of a frame, or spectra an earlier session asked for.
    ///
    /// # Errors
    /// When the port is gone, or the line does not fall silent in the time that two of the longest spectra need.
    pub(super) fn drain(&mut self) -> Result<(), AcquireError> {
        let longest = Profile::ALL.iter().map(|profile| profile.spectrum_len()).max().unwrap_or_default();
        let patience = line_time(2 * (FRAME_LEN_MIN + longest), self.link.baud()) + ALLOWANCE;
        let dropped = self.link.drain(patience)?;
        if dropped > 0 {
            tracing::debug!(port = %self.link.path().display(), bytes = dropped, "dropped old input");
        }
        self.framer.reset();
        Ok(())
    }

    /// What the line went through since this was last asked.
    pub(super) fn take_statistics(&mut self) -> LineStatistics {
        let framer = self.framer.statistics();
        let damaged = framer.damaged_frames - self.framer_before.damaged_frames;
        self.framer_before = framer;
        let statistics = std::mem::take(&mut self.statistics);
        LineStatistics { damaged_frames: u32::try_from(damaged).unwrap_or(u32::MAX), ..statistics }
    }

    fn repeat<R: Request>(
        &mut self,
        request: &R,
        patience: Duration,
        attempts: u32,
        interrupt: Interrupt,
    ) -> Result<Reply<R::Response>, AcquireError> {
        let message_type = R::MESSAGE_TYPE;
        let mut failure = AcquireError::TimedOut { message_type, waited: patience, attempts };
        for attempt in 0..attempts {
            if attempt > 0 {
                self.statistics.retries += 1;
                tracing::debug!(%message_type, attempt, error = %failure, "asking again");
            }
            match self.attempt(request, patience, interrupt)? {
                Attempt::Answered(reply) => return Ok(reply),
                Attempt::Silent => {
                    failure = AcquireError::TimedOut { message_type, waited: patience, attempts };
                    self.drain()?;
                }
                Attempt::Refused(source @ DeviceError::BadChecksum) => {
                    failure = AcquireError::Refused { message_type, source };
                }
                Attempt::Refused(source) => return Err(AcquireError::Refused { message_type, source }),
                Attempt::Nonsense(error) => failure = error.into(),
            }
        }
        Err(failure)
    }

    /// Sends the request and waits for its answer; while the device is not ready, again and again until `patience` ends.
    fn attempt<R: Request>(
        &mut self,
        request: &R,
        patience: Duration,
        interrupt: Interrupt,
    ) -> Result<Attempt<R::Response>, AcquireError> {
        let mut until = None;
        loop {
            let regarding = self.send(request)?;
            let until = *until.get_or_insert(self.now() + patience);
            let Some(frame) = self.answer(R::MESSAGE_TYPE, R::ANSWER, regarding, until, interrupt)? else {
                return Ok(Attempt::Silent);
            };
            if !frame.flags.contains(Flags::NACK) {
                let exception = frame.flags.contains(Flags::EXCEPTION).then_some(frame.error_number);
                return Ok(match request.parse(&frame.data) {
                    Ok(value) => Attempt::Answered(Reply { value, exception }),
                    Err(error) => Attempt::Nonsense(error),
                });
            }
            let error = DeviceError::from_number(frame.error_number);
            if error != DeviceError::NotReady || self.now() + BUSY_PAUSE >= until {
                return Ok(Attempt::Refused(error));
            }
            self.statistics.retries += 1;
            match interrupt {
                Interrupt::OnStop if self.is_stopped_within(BUSY_PAUSE) => return Err(AcquireError::Stopped),
                Interrupt::OnStop => {}
                Interrupt::Never => self.link.pause(BUSY_PAUSE),
            }
        }
    }

    /// Gives the value the answer will carry. It counts up, so that an answer to an older request is told apart.
    fn send<R: Request>(&mut self, request: &R) -> Result<u32, AcquireError> {
        self.regarding = self.regarding.wrapping_add(1);
        self.write(&request.frame(self.regarding, self.checksum))?;
        Ok(self.regarding)
    }

    fn write(&mut self, frame: &Frame) -> Result<(), AcquireError> {
        let bytes = frame.encode().expect("no request has data near the limit of a frame");
        self.link.write_all(&bytes)
    }

    fn answer(
        &mut self,
        message_type: MessageType,
        answer: AnswerKind,
        regarding: u32,
        until: Instant,
        interrupt: Interrupt,
    ) -> Result<Option<Frame>, AcquireError> {
        let mut answered = None;
        while answered.is_none() {
            if interrupt == Interrupt::OnStop && self.is_stopped() {
                return Err(AcquireError::Stopped);
            }
            let left = until.saturating_duration_since(self.now());
            if left.is_zero() {
                return Ok(None);
            }
            let bytes = self.link.read(left.min(STOP_LATENCY))?;
            for frame in self.framer.push(bytes) {
                let ours = frame.message_type == message_type && frame.regarding == regarding;
                if !ours || !is_answer(&frame, answer) {
                    self.statistics.stale_frames += 1;
                    tracing::debug!(%message_type, stale = %frame.message_type, "dropped a stale frame");
                } else if frame.device_error() == Some(DeviceError::Deferred) {
                    // Neither yes nor no: the real answer comes later, to the same request.
                    tracing::debug!(%message_type, "the device needs more time");
                } else if answered.is_none() {
                    answered = Some(frame);
                } else {
                    self.statistics.stale_frames += 1;
                }
            }
        }
        Ok(answered)
    }
}

/// Whether a frame can be the device's answer, and not an echo of the request by a line that loops back. Real ACK and
/// NACK frames come with and without the response bit.
fn is_answer(frame: &Frame, answer: AnswerKind) -> bool {
    frame.flags.contains(Flags::NACK)
        || match answer {
            AnswerKind::Data => frame.flags.contains(Flags::RESPONSE),
            AnswerKind::Acknowledgement => frame.flags.contains(Flags::ACK),
        }
}
