//! The acquisition thread: opens, measures, hands over, and opens again when the device comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use ocean_binary_protocol::deadline::{BAUD_MIN, deadline};
use ramand_core::failure::{self, Failure, Kind};
use ramand_core::spectrum::{Instrument, Laser, RawSpectrum};

use super::driver::Driver;
use super::laser::off_max;
use super::settings::{AcquisitionSettings, LaserSwitching};
use super::units::exposure_for_device;
use super::{AcquireError, Spectrometer};
use crate::supervise::Stop;

/// Spectra waiting to be taken. Few, because a spectrum is worth most while it is new.
const SPECTRA_WAITING_MAX: usize = 4;

/// Events waiting to be taken: more than a device that comes and goes makes in a minute.
const EVENTS_WAITING_MAX: usize = 64;

/// The first pause before a lost device is looked for again.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(250);

/// The longest pause: a device that returns is found within it.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Between two signs of life while nobody takes a spectrum.
const HANDOVER_BEAT: Duration = Duration::from_millis(500);

/// How long a measured spectrum is still offered after a stop request: its laser is off by then, and a worn SD card stalls
/// for seconds.
const HANDOVER_WITHIN: Duration = Duration::from_secs(30);

/// The longest answer: a spectrum of the QE Pro.
const SPECTRUM_BYTES_MAX: usize = 4272;

/// Frames of one measurement, each with its retries: a discarded one, a dark one, a light one.
const FRAMES_MAX: u32 = 9;

/// Six rates, each with its time-out and draining, and the questions of an identification.
const IDENTIFY_MAX: Duration = Duration::from_secs(60);

/// Who switches off after a stop request, each with all attempts: the measurement that it cuts short, whoever serves the
/// device, and the driver that lets go of it.
const SWITCHED_OFF_MAX: u32 = 3;

/// Who does where the device has to be opened anew for it: whoever opens it, and the driver that lets go of it.
const SWITCHED_OFF_ANEW_MAX: u32 = 2;

/// What happened at the instrument.
#[derive(Debug, Clone, PartialEq)]
pub enum StationEvent {
    /// Identified for the first time.
    Connected(Arc<Instrument>),
    /// Gone, or not there to begin with; the station keeps looking.
    Lost {
        /// What went wrong, in the words of the error and its causes.
        why: String,
    },
    /// Identified again, after it was lost.
    Recovered {
        /// The instrument that answers now.
        instrument: Arc<Instrument>,
        /// How long it was lost.
        after: Duration,
    },
    /// The laser is on, as read back from the device.
    LaserOn,
    /// The laser is off, as read back from the device.
    LaserOff,
}

/// Where the acquisition thread puts what it has: one end of [`channels`].
#[derive(Debug)]
pub struct StationSenders {
    spectra: Sender<RawSpectrum>,
    events: Sender<StationEvent>,
}

/// Where it is taken from: the other end of [`channels`].
#[derive(Debug)]
pub struct StationReceivers {
    /// Spectra, oldest first.
    pub spectra: Receiver<RawSpectrum>,
    /// Events, oldest first.
    pub events: Receiver<StationEvent>,
}

/// Between the acquisition thread and whoever takes what it measures.
///
/// When four spectra wait, the station switches the laser off and waits too: no measured spectrum is thrown away, and one that was
/// not measured is not missed. When sixty-four events wait, further ones are dropped with a line in the log: measuring goes on.
pub fn channels() -> (StationSenders, StationReceivers) {
    let (spectra_sender, spectra) = bounded(SPECTRA_WAITING_MAX);
    let (events_sender, events) = bounded(EVENTS_WAITING_MAX);
    (StationSenders { spectra: spectra_sender, events: events_sender }, StationReceivers { spectra, events })
}

/// Measures on the calling thread until stopped, every `period` of the settings. Where the pause between two measurements is at
/// least their `laser_warmup`, the laser is off in it. `beat` is called at every step, never further apart than [`silence_max`].
/// A stop request takes effect within 200 ms plus what the device needs to finish.
///
/// # Errors
/// One that only the operator can mend, or a laser that was not confirmed off at the end.
pub fn run(
    settings: AcquisitionSettings,
    stop: &Stop,
    beat: impl Fn(),
    to: StationSenders,
) -> Result<(), AcquireError> {
    let AcquisitionSettings { period, laser_warmup, laser_switch, .. } = settings;
    let (open, stop) = (opener(settings), stop.clone());
    StationKeeper { open, beat, period, laser_warmup, laser_switch, stop, to, laser: Laser::Unknown }.run()
}

/// The longest time between two signs of life: identification at every baud rate, or a dark and a light frame with their
/// retries on the slowest line, and the pause until the next.
pub fn silence_max(settings: &AcquisitionSettings) -> Duration {
    let frame =
        deadline(exposure_for_device(settings.integration), settings.scans.into(), SPECTRUM_BYTES_MAX, BAUD_MIN);
    let work = (frame * FRAMES_MAX + settings.laser_warmup * 2).max(IDENTIFY_MAX);
    work.saturating_add(settings.period)
}

/// For the laser to be confirmed off after a stop request, and for what was measured to be taken. As a rule it is a second;
/// this is enough for a device that cannot abort to finish its exposure, then to be deaf to every attempt but the last, and
/// to be looked for anew.
pub fn end_within(settings: &AcquisitionSettings) -> Duration {
    let exposure =
        deadline(exposure_for_device(settings.integration), settings.scans.into(), SPECTRUM_BYTES_MAX, BAUD_MIN);
    let off = off_max() * (SWITCHED_OFF_MAX + SWITCHED_OFF_ANEW_MAX);
    exposure + off + IDENTIFY_MAX + HANDOVER_WITHIN
}

fn opener(settings: AcquisitionSettings) -> impl FnMut(&Stop) -> Result<Driver, AcquireError> {
    move |stop| Driver::open(settings.clone(), stop)
}

/// Whether there ever was a spectrometer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    Never,
    Once,
}

/// Why a spectrometer is no longer served.
enum ServiceEnd {
    Stopped,
    Failed(AcquireError),
}

/// Whether somebody still takes spectra.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpectrumTaker {
    There,
    Gone,
}

/// What the thread owns.
struct StationKeeper<O, B> {
    open: O,
    /// A sign of life.
    beat: B,
    period: Duration,
    laser_warmup: Duration,
    laser_switch: LaserSwitching,
    stop: Stop,
    to: StationSenders,
    /// As last reported.
    laser: Laser,
}

impl<S: Spectrometer, O: FnMut(&Stop) -> Result<S, AcquireError>, B: Fn()> StationKeeper<O, B> {
    fn run(mut self) -> Result<(), AcquireError> {
        let mut opened = Opened::Never;
        let outcome = self.measure_while_wanted(&mut opened);
        // What was never opened was not switched on either, unless by a run before that could not switch it off: whoever
        // stops now may rely on this one.
        let relied_on = opened == Opened::Once || self.stop.is_requested();
        if self.laser == Laser::Off || self.laser_switch == LaserSwitching::Elsewhere || !relied_on {
            return outcome;
        }
        let Err(unconfirmed) = self.confirm_off() else { return outcome };
        if let Err(error) = outcome {
            tracing::error!(why = failure::chain(&error), "the laser may be on after this");
        }
        Err(unconfirmed.of_laser_off())
    }

    /// Asks anew, whatever was requested: a device that is there again obeys, and of one that is not nobody can say.
    fn confirm_off(&mut self) -> Result<(), AcquireError> {
        (self.beat)();
        let mut spectrometer = (self.open)(&Stop::never())?;
        let outcome = spectrometer.laser_off();
        self.report_laser(&spectrometer);
        outcome
    }

    fn measure_while_wanted(&mut self, opened: &mut Opened) -> Result<(), AcquireError> {
        let mut pauses = pauses();
        let mut lost_since: Option<Instant> = None;
        let mut last_why = String::new();
        while !self.stop.is_requested() {
            (self.beat)();
            let end = match (self.open)(&self.stop) {
                Ok(mut spectrometer) => {
                    let instrument = spectrometer.instrument().clone();
                    self.report(match lost_since.take().filter(|_| *opened == Opened::Once) {
                        Some(since) => StationEvent::Recovered { instrument, after: since.elapsed() },
                        None => StationEvent::Connected(instrument),
                    });
                    *opened = Opened::Once;
                    last_why.clear();
                    self.report_laser(&spectrometer);
                    let served_from = Instant::now();
                    let end = self.serve(&mut spectrometer);
                    // A device that fails right after every opening is looked for less and less often.
                    if served_from.elapsed() > RETRY_PAUSE_MAX {
                        pauses = self::pauses();
                    }
                    end
                }
                Err(AcquireError::Stopped) => ServiceEnd::Stopped,
                Err(error) => ServiceEnd::Failed(error),
            };
            let error = match end {
                ServiceEnd::Stopped => return Ok(()),
                ServiceEnd::Failed(error) => error,
            };
            let why = failure::chain(&error);
            // A device that is plugged in while somebody looks for it is root's alone until udev has seen it.
            let looked_before = *opened == Opened::Once || lost_since.is_some();
            let may_settle = looked_before && matches!(error, AcquireError::PortForbidden { .. });
            match error.kind() {
                Kind::Operator | Kind::Bug if !may_settle => return Err(error),
                _ => {}
            }
            if self.stop.is_requested() {
                tracing::warn!(%why, "the spectrometer failed on the way out");
                return Ok(());
            }
            lost_since.get_or_insert_with(Instant::now);
            if why != last_why {
                tracing::warn!(%why, "lost the spectrometer");
                self.report(StationEvent::Lost { why: why.clone() });
                last_why = why;
            }
            self.stop.requested_within(pauses.next().unwrap_or(RETRY_PAUSE_MAX));
        }
        Ok(())
    }

    fn serve(&mut self, spectrometer: &mut S) -> ServiceEnd {
        match self.measure_until_stopped(spectrometer) {
            Ok(()) | Err(AcquireError::Stopped) => {
                let outcome = spectrometer.laser_off();
                self.report_laser(spectrometer);
                outcome.map_or_else(ServiceEnd::Failed, |()| ServiceEnd::Stopped)
            }
            Err(error) => {
                self.report_laser(spectrometer);
                ServiceEnd::Failed(error)
            }
        }
    }

    fn measure_until_stopped(&mut self, spectrometer: &mut S) -> Result<(), AcquireError> {
        while !self.stop.is_requested() {
            (self.beat)();
            let started = Instant::now();
            let spectrum = spectrometer.measure()?;
            self.report_laser(spectrometer);
            if self.hand_over(spectrum, spectrometer)? == SpectrumTaker::Gone {
                return Ok(());
            }
            let pause = self.period.saturating_sub(started.elapsed());
            if !pause.is_zero() && pause >= self.laser_warmup {
                spectrometer.laser_off()?;
                self.report_laser(spectrometer);
            }
            self.stop.requested_within(pause);
        }
        Ok(())
    }

    /// Offers a spectrum until it is taken or given up.
    fn hand_over(&mut self, spectrum: RawSpectrum, spectrometer: &mut S) -> Result<SpectrumTaker, AcquireError> {
        let mut spectrum = match self.to.spectra.try_send(spectrum) {
            Ok(()) => return Ok(SpectrumTaker::There),
            Err(TrySendError::Disconnected(_)) => return Ok(SpectrumTaker::Gone),
            Err(TrySendError::Full(spectrum)) => spectrum,
        };
        tracing::warn!("spectra are not taken as fast as they are measured: waiting");
        spectrometer.laser_off()?;
        self.report_laser(spectrometer);
        let mut last_offer = None;
        loop {
            (self.beat)();
            if self.stop.is_requested() {
                last_offer.get_or_insert_with(|| Instant::now() + HANDOVER_WITHIN);
            }
            match self.to.spectra.send_timeout(spectrum, HANDOVER_BEAT) {
                Ok(()) => return Ok(SpectrumTaker::There),
                Err(error) if error.is_disconnected() => return Ok(SpectrumTaker::Gone),
                Err(error) => spectrum = error.into_inner(),
            }
            if last_offer.is_some_and(|last_offer| Instant::now() >= last_offer) {
                tracing::warn!("a measured spectrum was not taken before the end");
                return Ok(SpectrumTaker::There);
            }
        }
    }

    fn report_laser(&mut self, spectrometer: &S) {
        let now = spectrometer.laser();
        if now == self.laser {
            return;
        }
        self.laser = now;
        match now {
            Laser::On => self.report(StationEvent::LaserOn),
            Laser::Off => self.report(StationEvent::LaserOff),
            Laser::Unknown => {}
        }
    }

    fn report(&self, event: StationEvent) {
        if let Err(TrySendError::Full(event)) = self.to.events.try_send(event) {
            tracing::warn!(?event, "an event was dropped because nobody takes them");
        }
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(RETRY_PAUSE_MIN)
        .with_max_delay(RETRY_PAUSE_MAX)
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What acquisition ends with where opening fails with these, one after the other.
    fn ends_with(mut failures: Vec<AcquireError>) -> String {
        failures.reverse();
        let open = |_: &Stop| -> Result<Driver, AcquireError> { Err(failures.pop().expect("it has ended before")) };
        let (to, _from) = channels();
        let keeper = StationKeeper {
            open,
            beat: || {},
            period: Duration::ZERO,
            laser_warmup: Duration::ZERO,
            laser_switch: LaserSwitching::ByProfile,
            stop: Stop::never(),
            to,
            laser: Laser::Unknown,
        };
        keeper.run().expect_err("it never opens").to_string()
    }

    #[test]
    fn a_port_that_udev_has_not_seen_yet_is_tried_again_and_one_forbidden_from_the_start_is_not() {
        let port = || "/dev/ttyACM0".into();
        let (missing, forbidden) =
            (|| AcquireError::PortMissing { port: port() }, || AcquireError::PortForbidden { port: port() });
        let end = || AcquireError::NotAPort { port: port() };
        assert_eq!(ends_with(vec![missing(), forbidden(), forbidden(), end()]), end().to_string());
        assert_eq!(ends_with(vec![forbidden(), end()]), forbidden().to_string());
    }
}
