//! Exposures: when they end, what they saw, and the bytes a host gets for them.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;

use super::controls::{Controls, Partial};
use super::detector::{Exposure, Illumination, Noise, Readout};
use super::stage::{SampleStage, Scene, Served};
use super::unit::InstrumentUnit;

/// How much too bright a saturating sample is.
const SATURATION_FACTOR: f64 = 100.0;

/// How a host wants its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// STS: u16, all pixels after binning.
    Words(Readout),
    /// STS: u16, only some pixels, corrected.
    PartialWords,
    /// QE Pro: metadata, then u32.
    LongsWithMetadata,
}

/// A spectrum that is there from a moment on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spectrum {
    pub(super) ready_at: Duration,
    pub(super) data: Vec<u8>,
}

/// The detector behind its controls, and the buffer in front of the host.
#[derive(Debug)]
pub(super) struct Camera {
    pub(super) unit: InstrumentUnit,
    pub(super) stage: SampleStage,
    pub(super) cosmic_rays_per_s: f64,
    noise: Noise,
    rng: ChaCha8Rng,
    light_frames: u64,
    frames: u32,
    exposing_until: Duration,
    buffer: VecDeque<Spectrum>,
    served: Vec<Served>,
}

/// How brightly the next frame is lit beyond what the controls say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brightness {
    Normal,
    Blinding,
}

impl Camera {
    pub(super) fn new(unit: InstrumentUnit, stage: SampleStage, noise: Noise, rng: ChaCha8Rng) -> Self {
        let cosmic_rays_per_s = unit.model.cosmic_rays_per_s;
        Self {
            unit,
            stage,
            cosmic_rays_per_s,
            noise,
            rng,
            light_frames: 0,
            frames: 0,
            exposing_until: Duration::ZERO,
            buffer: VecDeque::new(),
            served: Vec::new(),
        }
    }

    /// Light frames so far.
    pub(super) fn light_frames(&self) -> u64 {
        self.light_frames
    }

    /// What the light frames since the last call saw.
    pub(super) fn take_served(&mut self) -> Vec<Served> {
        std::mem::take(&mut self.served)
    }

    /// Exposes `scans` times as soon as no exposure runs; the answer is ready when the last one ends.
    pub(super) fn expose(
        &mut self,
        controls: &Controls,
        layout: Layout,
        brightness: Brightness,
        now: Duration,
    ) -> Spectrum {
        let one_scan = Duration::from_micros(controls.integration_us.into());
        let ready_at = now.max(self.exposing_until) + one_scan * u32::from(controls.scans);
        self.exposing_until = ready_at;
        let exposure = Exposure {
            integration_s: one_scan.as_secs_f64(),
            scans: controls.scans.into(),
            detector_c: controls.detector_c(self.unit.model, now),
            cosmic_rays_per_s: self.cosmic_rays_per_s,
            readout: if layout == Layout::Words(Readout::Raw) { Readout::Raw } else { Readout::Corrected },
            noise: self.noise,
        };
        let pixels = self.pixels(controls, brightness, &exposure);
        let pixels = boxcar(&pixels, controls.boxcar.into());
        let data = match layout {
            Layout::LongsWithMetadata => self.metadata(controls, ready_at, &pixels),
            Layout::Words(_) => words(&binned(&pixels, controls.binning)),
            Layout::PartialWords => words(&partial(&pixels, controls.partial)),
        };
        self.frames = self.frames.wrapping_add(1);
        Spectrum { ready_at, data }
    }

    /// Starts an exposure whose spectrum waits in the buffer; the oldest gives way.
    pub(super) fn expose_into_buffer(&mut self, controls: &Controls, brightness: Brightness, now: Duration) {
        let spectrum = self.expose(controls, Layout::LongsWithMetadata, brightness, now);
        self.keep(spectrum, controls.buffer_size);
    }

    /// Puts a spectrum behind those in the buffer.
    pub(super) fn keep(&mut self, spectrum: Spectrum, buffer_size: u32) {
        self.buffer.push_back(spectrum);
        while self.buffer.len() > buffer_size as usize {
            self.buffer.pop_front();
        }
    }

    /// The oldest buffered spectrum, which may still be exposing.
    pub(super) fn take_buffered(&mut self) -> Option<Spectrum> {
        self.buffer.pop_front()
    }

    /// Spectra in the buffer whose exposure has ended.
    pub(super) fn buffered(&self, now: Duration) -> u32 {
        self.buffer.iter().filter(|spectrum| spectrum.ready_at <= now).count() as u32
    }

    /// Whether an exposure runs.
    pub(super) fn is_exposing(&self, now: Duration) -> bool {
        now < self.exposing_until
    }

    /// Ends the running exposure and forgets its spectrum.
    pub(super) fn abort(&mut self, now: Duration) {
        self.exposing_until = self.exposing_until.min(now);
        self.buffer.retain(|spectrum| spectrum.ready_at <= now);
    }

    /// Forgets the oldest `number` spectra.
    pub(super) fn forget(&mut self, number: usize) {
        self.buffer.drain(..number.min(self.buffer.len()));
    }

    fn pixels(&mut self, controls: &Controls, brightness: Brightness, exposure: &Exposure) -> Vec<u32> {
        if !controls.laser_is_on() {
            return self.unit.expose(Illumination::None, exposure, &mut self.rng);
        }
        let factor = if brightness == Brightness::Blinding { SATURATION_FACTOR } else { 1.0 };
        let power = controls.power() * factor;
        let (scene, on_stage) = self.stage.scene(self.light_frames);
        self.served.push(Served { light_frame: self.light_frames, on_stage });
        self.light_frames += 1;
        match &scene {
            Scene::Dark => self.unit.expose(Illumination::None, exposure, &mut self.rng),
            Scene::Specimen(sample) => {
                self.unit.expose(Illumination::Specimen { sample, power }, exposure, &mut self.rng)
            }
            Scene::Counts(counts) => {
                let counts: Vec<f64> = counts.iter().map(|value| power * value).collect();
                self.unit.expose(Illumination::Recorded(&counts), exposure, &mut self.rng)
            }
        }
    }

    /// u32 spectrum count, u64 clock in µs, u32 integration time in µs, u16 reserved, u8 trigger mode, 13 reserved, pixels.
    fn metadata(&self, controls: &Controls, ready_at: Duration, pixels: &[u32]) -> Vec<u8> {
        let mut data = Vec::with_capacity(32 + 4 * pixels.len());
        data.extend(self.frames.to_le_bytes());
        data.extend((ready_at.as_micros() as u64).to_le_bytes());
        data.extend(controls.integration_us.to_le_bytes());
        data.extend([0; 2]);
        data.push(controls.trigger_mode);
        data.extend([0; 13]);
        data.extend(pixels.iter().flat_map(|counts| counts.to_le_bytes()));
        data
    }
}

/// Mean of each pixel and `half_width` neighbours on either side, as far as there are any.
fn boxcar(pixels: &[u32], half_width: usize) -> Vec<u32> {
    let window = |at: usize| &pixels[at.saturating_sub(half_width)..(at + half_width + 1).min(pixels.len())];
    let mean = |window: &[u32]| window.iter().sum::<u32>() / window.len() as u32;
    (0..pixels.len()).map(|at| mean(window(at))).collect()
}

/// Mean of 2ⁿ neighbours.
fn binned(pixels: &[u32], factor: u8) -> Vec<u32> {
    let size = 1_usize << factor;
    pixels.chunks_exact(size).map(|bin| bin.iter().sum::<u32>() / size as u32).collect()
}

fn partial(pixels: &[u32], which: Partial) -> Vec<u32> {
    let chosen = pixels.iter().skip(which.start.into()).step_by(which.step.into());
    chosen.take(which.count.into()).copied().collect()
}

fn words(pixels: &[u32]) -> Vec<u8> {
    pixels.iter().flat_map(|&counts| u16::try_from(counts).unwrap_or(u16::MAX).to_le_bytes()).collect()
}
