//! One spectrometer: set up once, then light and dark frames, the laser off on every way out.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ocean_binary_protocol::request::calibration::{
    NonlinearityCoefficient, NonlinearityCoefficientCount, WavelengthCoefficient, WavelengthCoefficientCount,
};
use ocean_binary_protocol::request::exposure::{
    CurrentIntegrationTime, SetBoxcar, SetIntegrationTime, SetScansToAverage, SetTriggerMode,
};
use ocean_binary_protocol::request::spectrum::{
    AbortAcquisition, BufferedSpectrum, ClearBuffer, CorrectedSpectrum, StartAcquisition,
};
use ocean_binary_protocol::request::temperature::{EnableTec, SetTecSetpoint, TecStable, TecTemperature, Temperatures};
use ocean_binary_protocol::{Profile, SpectrumSource};
use ramand_core::spectrum::{
    Acquisition, Celsius, Counts, Instrument, IntegrationTime, Laser, Nonlinearity, Origin, RawSpectrum, ShiftAxis,
    WavelengthCalibration,
};

use super::capture::{Act, CaptureEvent, digest};
use super::dark::DarkFrame;
use super::identify::{IdentifiedDevice, ask_if_supported, identify};
use super::laser::LaserSession;
use super::session::{DeviceSession, Reply};
use super::settings::AcquisitionSettings;
use super::units::{exposure_for_device, exposure_of_device, temperature_for_device, temperature_of_device};
use super::{AcquireError, Spectrometer};
use crate::supervise::Stop;

/// More coefficients than any device stores: eight, for the nonlinearity.
const COEFFICIENTS_MAX: u8 = 16;

/// Where a device does not say how many wavelength coefficients it stores: a cubic.
const WAVELENGTH_COEFFICIENTS: u8 = 4;

/// Spectra of an older exposure thrown away before this counts as a fault; after abort and clear there is at most one.
const OLD_SPECTRA_MAX: u32 = 4;

/// Where the average over scans is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Averaging {
    OnDevice,
    OnHost,
}

/// One frame, averaged.
struct AveragedFrame {
    /// Counts of the active pixels.
    counts: Vec<f32>,
    /// Active pixels that reached saturation in any scan read by the host.
    saturated_pixels: usize,
    exception: Option<u16>,
    /// End of the last scan, time of day.
    taken: SystemTime,
}

/// What belongs to a frame besides its counts.
struct Acquired {
    asked: Instant,
    laser: Laser,
    temperature: Option<Celsius>,
    dark_noise: Option<Counts>,
    exception: Option<u16>,
}

/// An identified spectrometer. Dropping it switches the laser off.
#[derive(Debug)]
pub struct Driver {
    line: LaserSession,
    settings: AcquisitionSettings,
    profile: &'static Profile,
    instrument: Arc<Instrument>,
    axis: Arc<ShiftAxis>,
    averaging: Averaging,
    /// The exposure of one scan as the device understood it: some round to a step of theirs.
    exposure: IntegrationTime,
    dark: Option<DarkFrame>,
    /// Whether the next spectrum may still be of the old settings or illumination.
    discard_next: bool,
}

impl Driver {
    /// Opens the port, identifies the device, switches the laser off, reads the coefficients and sets the exposure.
    ///
    /// # Errors
    /// When there is no such device, it is another one than configured, or it does not take the settings.
    pub fn open(settings: AcquisitionSettings, stop: &Stop) -> Result<Self, AcquireError> {
        let IdentifiedDevice { session, profile, serial, firmware } = identify(&settings, stop)?;
        check_limits(&settings, profile)?;
        let mut line = LaserSession::begin(session, settings.laser_switch.control(profile), profile.spectrum)?;
        let coefficients = wavelength_coefficients(&mut line.session)?;
        let calibration = WavelengthCalibration { coefficients, laser: settings.laser };
        let axis = Arc::new(calibration.axis(profile.active.clone())?);
        let nonlinearity = nonlinearity(&mut line.session, profile)?;
        let instrument = Arc::new(Instrument {
            model: profile.model.to_owned(),
            serial,
            firmware,
            pixels: profile.pixels,
            active: profile.active.clone(),
            calibration,
            nonlinearity,
            saturation: Counts::new(profile.saturation.value() as f32),
        });
        let mut driver = Self {
            line,
            settings,
            profile,
            instrument,
            axis,
            averaging: Averaging::OnDevice,
            exposure: IntegrationTime::from_micros(0),
            dark: None,
            discard_next: true,
        };
        driver.prepare()?;
        let Instrument { model, serial, firmware, .. } = driver.instrument.as_ref();
        let device = format!("{model} {serial} {}", firmware.as_deref().unwrap_or("-"));
        driver.line.session.link_mut().note(&CaptureEvent::Device(device))?;
        Ok(driver)
    }

    /// The axis of every spectrum this driver brings.
    pub fn axis(&self) -> &Arc<ShiftAxis> {
        &self.axis
    }

    /// Changes exposure and scans; the next spectrum is the first of the new ones, with its own dark frame.
    ///
    /// # Errors
    /// When the model does not take the values, or the line fails.
    pub fn set_exposure(&mut self, integration: IntegrationTime, scans: u16) -> Result<(), AcquireError> {
        let settings = AcquisitionSettings { integration, scans, ..self.settings.clone() };
        check_limits(&settings, self.profile)?;
        self.line.session.link_mut().note_act(Act::SetExposure(integration, scans))?;
        self.settings = settings;
        self.expose_as_set()
    }

    /// One spectrum without the laser, and without a dark frame: what the detector counts by itself.
    ///
    /// # Errors
    /// As [`Spectrometer::measure`].
    pub fn measure_dark(&mut self) -> Result<RawSpectrum, AcquireError> {
        self.line.session.link_mut().note_act(Act::MeasureDark)?;
        let outcome = self.take_dark();
        self.concluded(outcome)
    }

    fn expose_as_set(&mut self) -> Result<(), AcquireError> {
        let AcquisitionSettings { integration, scans, .. } = self.settings;
        self.line.session.exchange(&SetIntegrationTime { integration: exposure_for_device(integration) })?;
        let set = ask_if_supported(&mut self.line.session, &CurrentIntegrationTime)?;
        self.exposure = set.map_or(integration, exposure_of_device);
        let on_device = ask_if_supported(&mut self.line.session, &SetScansToAverage { scans })?;
        self.averaging = if on_device.is_some() { Averaging::OnDevice } else { Averaging::OnHost };
        self.discard_next = true;
        Ok(())
    }

    fn prepare(&mut self) -> Result<(), AcquireError> {
        self.clear()?;
        ask_if_supported(&mut self.line.session, &SetTriggerMode { mode: 0 })?;
        ask_if_supported(&mut self.line.session, &SetBoxcar { half_width: 0 })?;
        if let Some(setpoint) = self.settings.tec_setpoint.filter(|_| self.profile.cooled) {
            ask_if_supported(&mut self.line.session, &SetTecSetpoint { setpoint: temperature_for_device(setpoint) })?;
            ask_if_supported(&mut self.line.session, &EnableTec { enabled: true })?;
        }
        if self.profile.cooled && ask_if_supported(&mut self.line.session, &TecStable)? == Some(false) {
            tracing::warn!(serial = %self.instrument.serial, "the detector has not reached its temperature yet");
        }
        self.expose_as_set()
    }

    /// Stops what a buffered model is doing, and forgets what it has done.
    fn clear(&mut self) -> Result<(), AcquireError> {
        if self.profile.spectrum == SpectrumSource::Buffered {
            ask_if_supported(&mut self.line.session, &AbortAcquisition)?;
            ask_if_supported(&mut self.line.session, &ClearBuffer)?;
        }
        Ok(())
    }

    fn take_spectrum(&mut self) -> Result<RawSpectrum, AcquireError> {
        let asked = self.line.session.now();
        let temperature = self.detector_temperature()?;
        let (integration, scans) = (self.exposure, self.settings.scans);
        if self.line.is_switched() {
            let (refresh, now) = (self.settings.dark_refresh, self.line.session.now());
            let holds = |dark: &DarkFrame| dark.holds(integration, scans, temperature, now, refresh);
            if !self.dark.as_ref().is_some_and(holds) {
                self.switch_off()?;
                let AveragedFrame { counts, exception, .. } = self.expose()?;
                let taken = self.line.session.now();
                self.dark = Some(DarkFrame { counts, integration, scans, temperature, taken, exception });
            }
            self.laser_on()?;
        }
        let light = self.expose()?;
        // An interlock may have opened during the exposure: what counts is what the device says afterwards.
        let laser = self.line.read()?;
        let exception = light.exception.or(self.dark.as_ref().and_then(|dark| dark.exception));
        let dark_noise = self.dark.as_ref().map(DarkFrame::noise);
        let dark = self.dark.as_ref().map(|dark| dark.counts.clone());
        self.spectrum(light, dark, Acquired { asked, laser, temperature, dark_noise, exception })
    }

    fn take_dark(&mut self) -> Result<RawSpectrum, AcquireError> {
        let asked = self.line.session.now();
        let temperature = self.detector_temperature()?;
        self.switch_off()?;
        let frame = self.expose()?;
        let laser = self.line.read()?;
        let exception = frame.exception;
        self.spectrum(frame, None, Acquired { asked, laser, temperature, dark_noise: None, exception })
    }

    fn spectrum(
        &mut self,
        frame: AveragedFrame,
        dark: Option<Vec<f32>>,
        acquired: Acquired,
    ) -> Result<RawSpectrum, AcquireError> {
        let Acquired { asked, laser, temperature, dark_noise, exception } = acquired;
        let acquisition = Acquisition {
            instrument: self.instrument.clone(),
            taken: frame.taken,
            took: self.line.session.now().saturating_duration_since(asked),
            integration: self.exposure,
            scans: self.settings.scans.into(),
            laser,
            saturated_pixels: frame.saturated_pixels,
            dark_noise,
            detector_temperature: temperature,
            device_exception: exception,
            line: self.line.session.take_statistics(),
        };
        Ok(RawSpectrum::new(self.axis.clone(), frame.counts, dark, Origin::Measured(acquisition))?)
    }

    /// After an error the laser is off; a spectrum's digest goes into a recording.
    fn concluded(&mut self, outcome: Result<RawSpectrum, AcquireError>) -> Result<RawSpectrum, AcquireError> {
        match outcome {
            Ok(spectrum) => {
                self.line.session.link_mut().note(&CaptureEvent::Result(digest(&spectrum)))?;
                Ok(spectrum)
            }
            Err(error) => {
                if let Err(off_error) = self.switch_off() {
                    tracing::error!(%error, %off_error, "the laser could not be confirmed off after an error");
                }
                Err(error)
            }
        }
    }

    fn switch_off(&mut self) -> Result<(), AcquireError> {
        self.discard_next |= self.line.state() != Laser::Off;
        self.line.off()
    }

    /// One averaged frame of the active pixels.
    fn expose(&mut self) -> Result<AveragedFrame, AcquireError> {
        let (on_device, on_host) = match self.averaging {
            Averaging::OnDevice => (u32::from(self.settings.scans), 1),
            Averaging::OnHost => (1, self.settings.scans),
        };
        let active = self.profile.active.clone();
        let saturation = f64::from(self.profile.saturation.value());
        let mut sums = vec![0.0_f64; active.len()];
        let mut saturated = vec![false; active.len()];
        let mut exception = None;
        for _ in 0..on_host {
            let frame = self.frame(on_device)?;
            exception = exception.or(frame.exception);
            let pixels = frame.value.iter().skip(active.start).take(active.len());
            for ((sum, saturated), &count) in sums.iter_mut().zip(&mut saturated).zip(pixels) {
                *sum += f64::from(count);
                *saturated |= f64::from(count) >= saturation;
            }
        }
        let counts = sums.into_iter().map(|sum| (sum / f64::from(on_host)) as f32).collect();
        let saturated_pixels = saturated.into_iter().filter(|&pixel| pixel).count();
        Ok(AveragedFrame { counts, saturated_pixels, exception, taken: self.line.session.link().wall_clock() })
    }

    /// One frame of all pixels, certainly exposed with the present settings and illumination.
    fn frame(&mut self, scans: u32) -> Result<Reply<Vec<u32>>, AcquireError> {
        let (pixels, integration) = (self.profile.pixels, exposure_for_device(self.exposure));
        match self.profile.spectrum {
            SpectrumSource::OnDemand => {
                let request = CorrectedSpectrum { pixels, integration, scans };
                if self.discard_next {
                    self.line.expose_by(&request)?;
                    self.discard_next = false;
                }
                let reply = self.line.expose_by(&request)?;
                Ok(Reply { value: reply.value.into_iter().map(u32::from).collect(), exception: reply.exception })
            }
            SpectrumSource::Buffered => {
                self.clear()?;
                ask_if_supported(&mut self.line.session, &StartAcquisition)?;
                self.discard_next = false;
                for _ in 0..OLD_SPECTRA_MAX {
                    let reply = self.line.expose_by(&BufferedSpectrum { pixels, integration, scans })?;
                    if reply.value.metadata.integration == integration {
                        return Ok(Reply { value: reply.value.pixels, exception: reply.exception });
                    }
                }
                Err(AcquireError::OldSpectra { discarded: OLD_SPECTRA_MAX, asked: self.exposure })
            }
        }
    }

    fn detector_temperature(&mut self) -> Result<Option<Celsius>, AcquireError> {
        if self.profile.cooled
            && let Some(temperature) = ask_if_supported(&mut self.line.session, &TecTemperature)?
        {
            return Ok(Some(temperature_of_device(temperature)));
        }
        let readings = ask_if_supported(&mut self.line.session, &Temperatures)?.unwrap_or_default();
        Ok(readings.get(self.profile.detector_sensor).copied().flatten().map(temperature_of_device))
    }

    fn laser_on(&mut self) -> Result<(), AcquireError> {
        if self.line.state() == Laser::On {
            return Ok(());
        }
        self.discard_next = true;
        self.line.on()?;
        if self.line.session.is_stopped_within(self.settings.laser_warmup) {
            return Err(AcquireError::Stopped);
        }
        Ok(())
    }
}

impl Spectrometer for Driver {
    fn instrument(&self) -> &Arc<Instrument> {
        &self.instrument
    }

    fn measure(&mut self) -> Result<RawSpectrum, AcquireError> {
        self.line.session.link_mut().note_act(Act::Measure)?;
        let outcome = self.take_spectrum();
        self.concluded(outcome)
    }

    fn laser_off(&mut self) -> Result<(), AcquireError> {
        self.line.session.link_mut().note_act(Act::LaserOff)?;
        self.switch_off()
    }

    fn laser(&self) -> Laser {
        self.line.state()
    }
}

/// Whether a model of this profile takes these settings: to be asked before anything is opened.
///
/// # Errors
/// When it does not.
pub fn check_limits(settings: &AcquisitionSettings, profile: &'static Profile) -> Result<(), AcquireError> {
    let min = exposure_of_device(profile.integration_min);
    let max = exposure_of_device(profile.integration_max);
    if !(min..=max).contains(&settings.integration) {
        return Err(AcquireError::IntegrationTime { asked: settings.integration, min, max, model: profile.model });
    }
    if settings.scans == 0 { Err(AcquireError::NoScans) } else { Ok(()) }
}

/// cᵢ of λ(p) = Σ cᵢ pⁱ, ascending.
pub(super) fn wavelength_coefficients(session: &mut DeviceSession) -> Result<Vec<f64>, AcquireError> {
    let count = ask_if_supported(session, &WavelengthCoefficientCount)?.unwrap_or(WAVELENGTH_COEFFICIENTS);
    let coefficient = |index| Ok(session.exchange(&WavelengthCoefficient { index })?.value.into());
    (0..count.min(COEFFICIENTS_MAX)).map(coefficient).collect()
}

/// `None` where the device has no such coefficients, or has some that no detector can have: all zero, say.
fn nonlinearity(session: &mut DeviceSession, profile: &Profile) -> Result<Option<Nonlinearity>, AcquireError> {
    let count = ask_if_supported(session, &NonlinearityCoefficientCount)?.unwrap_or(0);
    let mut coefficients = Vec::new();
    for index in 0..count.min(COEFFICIENTS_MAX) {
        let Some(coefficient) = ask_if_supported(session, &NonlinearityCoefficient { index })? else { break };
        coefficients.push(f64::from(coefficient));
    }
    let response = |counts: f64| coefficients.iter().rev().fold(0.0, |sum, n| sum * counts + n);
    let full = f64::from(profile.saturation.value());
    let plausible = [0.0, 0.5 * full, full].into_iter().all(|counts| (0.5..=2.0).contains(&response(counts)));
    Ok(plausible.then_some(Nonlinearity { coefficients }))
}
