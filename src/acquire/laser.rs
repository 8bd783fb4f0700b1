//! The session together with the laser it can switch, so that whoever lets go of the one has switched off the other.

use std::time::{Duration, Instant};

use ocean_binary_protocol::FRAME_LEN_MIN;
use ocean_binary_protocol::deadline::{BAUD_MIN, deadline};
use ocean_binary_protocol::request::light::{EnableLightSource, LampLine, LightSourceEnabled, SetLampLine};
use ocean_binary_protocol::request::spectrum::AbortAcquisition;
use ocean_binary_protocol::{DeviceError, IntegrationTime, LaserControl, Request, SpectrumSource};
use ramand_core::spectrum::Laser;

use super::AcquireError;
use super::capture::Act;
use super::link::SILENCE;
use super::session::{ATTEMPTS, DeviceSession, Reply};

/// How often "off" is asked for before it counts as refused: each is itself repeated by the session.
const OFF_ATTEMPTS: u32 = 2;

/// For a laser to be switched off and read back where every answer is waited for as long as possible, and the line drained
/// after it: what [`LaserSession::off`] takes at most on the slowest line, once the device is no longer busy.
pub(super) fn off_max() -> Duration {
    let exchange = deadline(IntegrationTime::from_micros(0), 1, 2 * FRAME_LEN_MIN, BAUD_MIN) + SILENCE;
    // Asked for, and read back.
    exchange * (OFF_ATTEMPTS * 2 * ATTEMPTS)
}

/// What the laser is told to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switched {
    Off,
    On,
}

/// A session whose laser is off by the end of it: on success, on error, on a stop request, on a panic that unwinds.
#[derive(Debug)]
pub(super) struct LaserSession {
    pub(super) session: DeviceSession,
    control: Option<LaserControl>,
    /// How spectra are asked for: a buffered exposure can be aborted, one on demand has to end by itself.
    source: SpectrumSource,
    /// As last read back; [`Laser::Unknown`] from the moment it is being changed until it is confirmed.
    state: Laser,
    /// Whether "on" is the last it was told. An interlock makes it read "off" all the same, and when it closes again the laser
    /// may shine as it was told.
    told_on: bool,
    /// Until when the device may be busy with an exposure that nobody waits for any more.
    exposing_until: Option<Instant>,
}

impl LaserSession {
    /// Whatever an earlier session left behind is switched off first. `None` is a laser that is switched elsewhere.
    pub(super) fn begin(
        session: DeviceSession,
        control: Option<LaserControl>,
        source: SpectrumSource,
    ) -> Result<Self, AcquireError> {
        let mut begun = Self { session, control, source, state: Laser::Unknown, told_on: true, exposing_until: None };
        begun.off()?;
        Ok(begun)
    }

    /// Whether the laser can be switched at all.
    pub(super) fn is_switched(&self) -> bool {
        self.control.is_some()
    }

    /// The laser as last read back.
    pub(super) fn state(&self) -> Laser {
        self.state
    }

    /// A request whose answer needs an exposure: until it is answered, the device may be deaf to others.
    pub(super) fn expose_by<R: Request>(&mut self, request: &R) -> Result<Reply<R::Response>, AcquireError> {
        self.exposing_until = Some(self.session.now() + request.timing().deadline(self.session.link().baud()));
        let reply = self.session.exchange(request)?;
        self.exposing_until = None;
        Ok(reply)
    }

    /// Switches the laser on, and reads back that it is.
    pub(super) fn on(&mut self) -> Result<(), AcquireError> {
        if self.session.is_stopped() {
            return Err(AcquireError::Stopped);
        }
        self.state = Laser::Unknown;
        self.told_on = true;
        match self.switch(Switched::On) {
            Err(AcquireError::Refused { source, .. }) => return Err(AcquireError::LaserNotOn { source: Some(source) }),
            outcome => outcome?,
        }
        if self.read()? != Laser::On {
            return Err(AcquireError::LaserNotOn { source: None });
        }
        tracing::info!(port = %self.session.link().path().display(), "laser on");
        Ok(())
    }

    /// Switches the laser off, and reads back that it is; nothing to do where that is what it was told and what it said.
    pub(super) fn off(&mut self) -> Result<(), AcquireError> {
        let Some(control) = self.control else { return Ok(()) };
        if self.state == Laser::Off && !self.told_on {
            return Ok(());
        }
        if self.source == SpectrumSource::Buffered && !self.busy().is_zero() {
            // Otherwise the answers below would come only after the exposure that nobody waits for any more.
            self.session.tell(&AbortAcquisition)?;
        }
        let mut outcome = self.confirm_off();
        for _ in 1..OFF_ATTEMPTS {
            // A line that is gone stays gone; anything else deserves another try.
            if !matches!(outcome, Ok(()) | Err(AcquireError::Lost { .. })) {
                outcome = self.confirm_off();
            }
        }
        match outcome {
            Ok(()) => {
                tracing::info!(port = %self.session.link().path().display(), "laser off");
                Ok(())
            }
            Err(AcquireError::Refused {
                source: DeviceError::UnknownMessageType | DeviceError::NoSuchInformation,
                ..
            }) => {
                // What does not exist does not shine, and is not switched again on the way out.
                self.control = None;
                let control = match control {
                    LaserControl::LightSource { .. } => "light source",
                    LaserControl::LampLine => "lamp line",
                };
                Err(AcquireError::NoLaser { control })
            }
            Err(error) => Err(error),
        }
    }

    /// Asks the device whether the laser is on.
    pub(super) fn read(&mut self) -> Result<Laser, AcquireError> {
        let busy = self.busy();
        let enabled = match self.control {
            None => return Ok(Laser::Unknown),
            Some(LaserControl::LightSource { module, source }) => {
                self.session.exchange_even_if_stopped(&LightSourceEnabled { module, source }, busy)?.value
            }
            Some(LaserControl::LampLine) => self.session.exchange_even_if_stopped(&LampLine, busy)?.value,
        };
        self.state = if enabled { Laser::On } else { Laser::Off };
        Ok(self.state)
    }

    fn confirm_off(&mut self) -> Result<(), AcquireError> {
        self.state = Laser::Unknown;
        self.switch(Switched::Off)?;
        self.told_on = false;
        if self.read()? == Laser::Off { Ok(()) } else { Err(AcquireError::LaserStillOn) }
    }

    fn switch(&mut self, wanted: Switched) -> Result<(), AcquireError> {
        let (busy, enabled) = (self.busy(), wanted == Switched::On);
        match self.control {
            None => Ok(()),
            Some(LaserControl::LightSource { module, source }) => {
                let request = EnableLightSource { module, source, enabled };
                self.session.exchange_even_if_stopped(&request, busy).map(|reply| reply.value)
            }
            Some(LaserControl::LampLine) => {
                self.session.exchange_even_if_stopped(&SetLampLine { enabled }, busy).map(|reply| reply.value)
            }
        }
    }

    /// How much longer the device may be busy with an exposure that was given up.
    fn busy(&self) -> Duration {
        self.exposing_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(self.session.now()))
    }
}

impl Drop for LaserSession {
    fn drop(&mut self) {
        if let Err(error) = self.session.link_mut().note_act(Act::Close) {
            tracing::debug!(%error, "the recording has no end here");
        }
        if let Err(error) = self.off() {
            let port = self.session.link().path().display();
            tracing::error!(%error, %port, "the laser could not be confirmed off at the end");
        }
    }
}
