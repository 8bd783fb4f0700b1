//! The device as a state machine: frames in, bytes out, with the time as an argument.
//!
//! Requests are carried out in order. A query is answered with data; a command is answered with an ACK when the host asks for
//! one, otherwise not at all; what cannot be done is answered with a NACK and the error number. Replies carry an MD5 when the
//! request did, or after the host has set checksum type 1.

use std::collections::VecDeque;
use std::time::Duration;

use ocean_binary_protocol::{Checksum, DeviceError, Flags, Frame, MessageType, ProtocolVersion};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, RngExt};

use super::camera::{Brightness, Camera, Layout, Spectrum};
use super::controls::{Contact, Controls, ControlsReply, Interlock};
use super::detector::Readout;
use super::faults::{Fault, FaultKind, Pending};
use super::stage::Served;

/// Replies that wait to be sent: a host that asks this much without listening gets no more answers.
const QUEUE_MAX: usize = 64;

/// Between the pieces of a fragmented reply.
const FRAGMENT_GAP: Duration = Duration::from_millis(20);

/// Bytes that go out together after a pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) pause: Duration,
    pub(super) bytes: Vec<u8>,
}

/// What the line has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LineOutput {
    /// Send these.
    Send(Vec<Piece>),
    /// Switch to this baud rate, once everything before is sent.
    Baud(u32),
}

#[derive(Debug)]
struct Queued {
    ready_at: Duration,
    carries_spectrum: bool,
    output: LineOutput,
}

/// The device.
#[derive(Debug)]
pub(super) struct Responder {
    camera: Camera,
    controls: Controls,
    faults: Pending,
    queue: VecDeque<Queued>,
    /// Spectrum requests that wait for the trigger.
    untriggered: Vec<(Frame, Layout)>,
    checksum: Checksum,
    hang_up: Option<Duration>,
    bare_acks: bool,
    /// How much longer than it should a byte takes on the line.
    slowness: f64,
    rng: ChaCha8Rng,
}

/// What a request led to.
enum RequestOutcome {
    ControlsReply(ControlsReply),
    /// Data that is there when the exposure ends.
    Spectrum(Spectrum),
    /// Nothing before the trigger comes.
    Waits(Layout),
}

impl Responder {
    pub(super) fn new(camera: Camera, baud: u32, rng: ChaCha8Rng) -> Self {
        Self {
            controls: Controls::new(camera.unit.model, baud),
            camera,
            faults: Pending::default(),
            queue: VecDeque::new(),
            untriggered: Vec::new(),
            checksum: Checksum::None,
            hang_up: None,
            bare_acks: false,
            slowness: 1.0,
            rng,
        }
    }

    /// Makes something go wrong: at once where it is a state, with the next fitting frame where it is an event.
    pub(super) fn inject(&mut self, fault: Fault) {
        match fault.kind {
            FaultKind::CosmicRays(per_s) => self.camera.cosmic_rays_per_s = per_s,
            FaultKind::TecDrift(kelvin) => self.controls.tec_drift_k = kelvin,
            FaultKind::LaserPower(part) => self.controls.laser_power = part,
            FaultKind::InterlockOpen => self.controls.set_interlock(Interlock::Open),
            FaultKind::InterlockClosed => self.controls.set_interlock(Interlock::Closed),
            FaultKind::HotPixel(pixel) => self.camera.unit.defects.hot_pixels.push(pixel),
            FaultKind::ReadNoise(times) => self.camera.unit.defects.read_noise = times,
            FaultKind::Gain(times) => self.camera.unit.defects.gain = times,
            FaultKind::Compression(part) => self.camera.unit.defects.compression = part,
            FaultKind::AxisError(nm) => self.camera.unit.wavelength_coefficients[0] += nm as f32,
            FaultKind::SerialNumber(number) => {
                self.camera.unit.serial = super::unit::serial(self.camera.unit.model, number);
            }
            FaultKind::SlowLine(times) => self.slowness = times,
            FaultKind::LaserStuck => self.controls.set_laser_contact(Contact::Welded),
            FaultKind::LaserReleased => self.controls.set_laser_contact(Contact::Sound),
            FaultKind::HangUp(away) => self.hang_up = Some(away),
            FaultKind::BareAck => self.bare_acks = true,
            FaultKind::BrownOut => {
                self.restart();
                let error = DeviceError::UnexpectedReset.number();
                self.faults.push(Fault::once(FaultKind::Nack { error, message_type: None }));
            }
            _ => self.faults.push(fault),
        }
    }

    /// Plays what the scenario has due.
    pub(super) fn advance(&mut self, now: Duration) {
        let light_frames = self.camera.light_frames();
        for fault in self.camera.stage.advance(now, light_frames) {
            self.inject(fault);
        }
    }

    /// Whether the line is to go away, and for how long.
    pub(super) fn take_hang_up(&mut self) -> Option<Duration> {
        self.hang_up.take()
    }

    /// Forgets what was not sent yet: the line is gone.
    pub(super) fn forget_replies(&mut self) {
        self.queue.clear();
        self.untriggered.clear();
    }

    /// What the light frames since the last call saw.
    pub(super) fn take_served(&mut self) -> Vec<Served> {
        self.camera.take_served()
    }

    /// Whether the device believes its laser is on.
    pub(super) fn laser_is_on(&self) -> bool {
        self.controls.laser_is_on()
    }

    /// How much longer than it should a byte takes on the line.
    pub(super) fn slowness(&self) -> f64 {
        self.slowness
    }

    /// When something happens next without the host.
    pub(super) fn next_at(&self) -> Option<Duration> {
        let queued = self.queue.front().map(|queued| queued.ready_at);
        [queued, self.camera.stage.next_event_at()].into_iter().flatten().min()
    }

    /// The next thing the line has to do, if it is due.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<LineOutput> {
        if self.queue.front()?.ready_at > now {
            return None;
        }
        self.queue.pop_front().map(|queued| queued.output)
    }

    /// Carries out one request.
    pub(super) fn receive(&mut self, request: &Frame, now: Duration) {
        self.advance(now);
        if self.queue.len() >= QUEUE_MAX || request.flags.contains(Flags::RESPONSE) {
            return;
        }
        if self.faults.fires(FaultKind::Leftover) {
            let layout = if self.camera.unit.model.cooled { Layout::LongsWithMetadata } else { SPECTRUM_NOW };
            let old = self.camera.expose(&self.controls, layout, Brightness::Normal, now);
            let message_type = if self.camera.unit.model.cooled {
                MessageType::BUFFERED_SPECTRUM
            } else {
                MessageType::CORRECTED_SPECTRUM
            };
            let previous = Frame { message_type, regarding: request.regarding.wrapping_sub(1), ..request.clone() };
            self.reply(&previous, Flags::RESPONSE, 0, old.data, now);
        }
        let requested = request.message_type.number();
        let refused = self.faults.take(|kind| match *kind {
            FaultKind::Nack { error, message_type } if message_type.is_none_or(|kind| kind == requested) => Some(error),
            _ => None,
        });
        if let Some(error) = refused {
            return self.refuse(request, error, now);
        }
        let deferred = self.faults.take(|kind| match *kind {
            FaultKind::Deferred(delay) => Some(delay),
            _ => None,
        });
        if deferred.is_some() {
            self.reply(request, Flags::RESPONSE, DeviceError::Deferred.number(), Vec::new(), now);
        }
        let ready_at = now + deferred.unwrap_or_default();
        match self.carry_out(request, now) {
            Ok(RequestOutcome::ControlsReply(ControlsReply::Data(data))) => {
                self.reply(request, self.data_flags(request), 0, data, ready_at)
            }
            Ok(RequestOutcome::ControlsReply(ControlsReply::Done)) => self.acknowledge(request, ready_at),
            Ok(RequestOutcome::Spectrum(spectrum)) => self.send_spectrum(request, spectrum, ready_at),
            Ok(RequestOutcome::Waits(layout)) => self.untriggered.push((request.clone(), layout)),
            Err(error) => self.refuse(request, error.number(), ready_at),
        }
    }

    fn carry_out(&mut self, request: &Frame, now: Duration) -> Result<RequestOutcome, DeviceError> {
        let (message_type, data) = (request.message_type, request.data.as_slice());
        let buffered = self.camera.unit.model.cooled;
        let nothing_in = |data: &[u8]| if data.is_empty() { Ok(()) } else { Err(DeviceError::PayloadLength) };
        let done = RequestOutcome::ControlsReply(ControlsReply::Done);
        match message_type.number() {
            0x0000_0000 | 0x0000_0001 => {
                nothing_in(data)?;
                self.restart();
                Ok(done)
            }
            0x0000_0010 => {
                self.checksum = match data {
                    [0] => Checksum::None,
                    [1] => Checksum::Md5,
                    [_] => return Err(DeviceError::UnknownChecksumType),
                    _ => return Err(DeviceError::PayloadLength),
                };
                Ok(done)
            }
            0x0010_0000 if buffered => {
                nothing_in(data)?;
                self.camera.abort(now);
                self.untriggered.clear();
                self.queue.retain(|queued| !queued.carries_spectrum || queued.ready_at <= now);
                Ok(done)
            }
            0x0010_0830 if buffered => {
                nothing_in(data)?;
                self.camera.forget(usize::MAX);
                Ok(done)
            }
            0x0010_0831 if buffered => {
                let number = data.try_into().map(u32::from_le_bytes).map_err(|_| DeviceError::PayloadLength)?;
                self.camera.forget(number as usize);
                Ok(done)
            }
            0x0010_0900 if buffered => {
                nothing_in(data)?;
                Ok(RequestOutcome::ControlsReply(ControlsReply::Data(self.camera.buffered(now).to_le_bytes().to_vec())))
            }
            0x0010_0902 if buffered => {
                nothing_in(data)?;
                let brightness = self.brightness();
                self.camera.expose_into_buffer(&self.controls, brightness, now);
                Ok(done)
            }
            0x0010_0908 if buffered => {
                nothing_in(data)?;
                Ok(RequestOutcome::ControlsReply(ControlsReply::Data(vec![u8::from(!self.camera.is_exposing(now))])))
            }
            0x0010_0928 if buffered => {
                nothing_in(data)?;
                self.buffered_spectrum(now)
            }
            0x0010_1000 if !buffered => nothing_in(data).and_then(|()| self.spectrum_now(SPECTRUM_NOW, now)),
            0x0010_1100 if !buffered => {
                nothing_in(data).and_then(|()| self.spectrum_now(Layout::Words(Readout::Raw), now))
            }
            0x0010_2080 if !buffered => nothing_in(data).and_then(|()| self.spectrum_now(Layout::PartialWords, now)),
            0x0011_0120 => {
                nothing_in(data)?;
                for (waiting, layout) in std::mem::take(&mut self.untriggered) {
                    let brightness = self.brightness();
                    let spectrum = self.camera.expose(&self.controls, layout, brightness, now);
                    self.send_spectrum(&waiting, spectrum, now);
                }
                Ok(done)
            }
            _ => {
                let answer = self.controls.answer(&self.camera.unit, message_type, data, now);
                answer.unwrap_or(Err(DeviceError::UnknownMessageType)).map(RequestOutcome::ControlsReply)
            }
        }
    }

    /// The oldest of the buffer; with an empty buffer the device exposes.
    fn buffered_spectrum(&mut self, now: Duration) -> Result<RequestOutcome, DeviceError> {
        if self.faults.fires(FaultKind::StaleBuffer) {
            // Exposed before this session, under settings nobody knows any more.
            let before = Controls::new(self.camera.unit.model, self.controls.baud);
            let mut stale = self.camera.expose(&before, Layout::LongsWithMetadata, Brightness::Normal, now);
            stale.ready_at = now;
            return Ok(RequestOutcome::Spectrum(stale));
        }
        match self.camera.take_buffered() {
            Some(spectrum) => Ok(RequestOutcome::Spectrum(spectrum)),
            None => self.spectrum_now(Layout::LongsWithMetadata, now),
        }
    }

    fn spectrum_now(&mut self, layout: Layout, now: Duration) -> Result<RequestOutcome, DeviceError> {
        // QE Pro: 1 level and 3 edge wait for the connector; STS: 1. The others run free.
        let external = if self.camera.unit.model.cooled { [1, 3] } else { [1, 1] };
        if external.contains(&self.controls.trigger_mode) {
            return Ok(RequestOutcome::Waits(layout));
        }
        let brightness = self.brightness();
        Ok(RequestOutcome::Spectrum(self.camera.expose(&self.controls, layout, brightness, now)))
    }

    fn brightness(&mut self) -> Brightness {
        let lit = self.controls.laser_is_on();
        if lit && self.faults.fires(FaultKind::Saturation) { Brightness::Blinding } else { Brightness::Normal }
    }

    fn restart(&mut self) {
        self.controls = self.controls.restarted(self.camera.unit.model);
        self.camera.abort(Duration::ZERO);
        self.camera.forget(usize::MAX);
        self.untriggered.clear();
        self.checksum = Checksum::None;
    }

    fn data_flags(&self, request: &Frame) -> Flags {
        if request.flags.contains(Flags::ACK_REQUESTED) { Flags::RESPONSE.with(Flags::ACK) } else { Flags::RESPONSE }
    }

    fn send_spectrum(&mut self, request: &Frame, spectrum: Spectrum, ready_at: Duration) {
        let mut flags = self.data_flags(request);
        if self.faults.fires(FaultKind::Exception) {
            flags = flags.with(Flags::EXCEPTION);
        }
        self.reply(request, flags, 0, spectrum.data, ready_at.max(spectrum.ready_at));
        if let Some(queued) = self.queue.back_mut() {
            queued.carries_spectrum = true;
        }
    }

    fn acknowledge(&mut self, request: &Frame, ready_at: Duration) {
        let bit_0 = if self.bare_acks { Flags::NONE } else { Flags::RESPONSE };
        if request.flags.contains(Flags::ACK_REQUESTED) {
            self.reply(request, Flags::ACK.with(bit_0), 0, Vec::new(), ready_at);
        }
        let restarts = matches!(request.message_type.number(), 0x0000_0000 | 0x0000_0001);
        if restarts || request.message_type == MessageType::SET_BAUD_RATE {
            self.enqueue(LineOutput::Baud(self.controls.baud), ready_at);
        }
    }

    /// A NACK goes to whoever waits for an answer: to a command only when it asked for an ACK, to everything else always.
    fn refuse(&mut self, request: &Frame, error: u16, ready_at: Duration) {
        let waits = request.flags.contains(Flags::ACK_REQUESTED);
        if !waits && COMMANDS.contains(&request.message_type.number()) {
            return;
        }
        let bit_0 = if self.bare_acks { Flags::NONE } else { Flags::RESPONSE };
        self.reply(request, Flags::NACK.with(bit_0), error, Vec::new(), ready_at);
    }

    fn reply(&mut self, request: &Frame, flags: Flags, error_number: u16, mut data: Vec<u8>, ready_at: Duration) {
        if self.faults.fires(FaultKind::Silence) {
            return;
        }
        if !data.is_empty() && self.faults.fires(FaultKind::ShortData) {
            data.pop();
        }
        let old = self.faults.fires(FaultKind::OldVersion);
        let wrong = self.faults.fires(FaultKind::WrongRegarding);
        let frame = Frame {
            version: if old { ProtocolVersion::V1_0 } else { request.version },
            flags,
            error_number,
            message_type: request.message_type,
            regarding: if wrong { request.regarding.wrapping_add(1) } else { request.regarding },
            checksum: if request.checksum == Checksum::Md5 { Checksum::Md5 } else { self.checksum },
            data,
        };
        let bytes = frame.encode().expect("no spectrum of any profile is longer than a payload may be");
        let copies = if self.faults.fires(FaultKind::DuplicateReply) { 2 } else { 1 };
        for _ in 0..copies {
            let pieces = damaged(bytes.clone(), &mut self.faults, &mut self.rng);
            self.enqueue(LineOutput::Send(pieces), ready_at);
        }
    }

    fn enqueue(&mut self, output: LineOutput, ready_at: Duration) {
        self.queue.push_back(Queued { ready_at, carries_spectrum: false, output });
    }
}

/// Message types whose answer, if any, is an ACK.
#[rustfmt::skip]
const COMMANDS: [u32; 32] = [
    0x0000_0000, 0x0000_0001, 0x0000_0010, 0x0000_0210, 0x0000_0310, 0x0000_0810, 0x0000_0814, 0x0000_08D0, 0x0000_08F0,
    0x0000_1010, 0x0010_0000, 0x0010_0830, 0x0010_0831, 0x0010_0832, 0x0010_0902, 0x0010_2010, 0x0011_0010, 0x0011_0110,
    0x0011_0120, 0x0011_0290, 0x0011_0295, 0x0011_0410, 0x0011_0510, 0x0011_0610, 0x0012_0010, 0x0012_1010, 0x0018_0111,
    0x0042_0010, 0x0042_0011, 0x0042_0012, 0x0081_0031, 0x0081_0051,
];

/// The STS's spectrum on demand.
const SPECTRUM_NOW: Layout = Layout::Words(Readout::Corrected);

/// A reply as the line's faults leave it.
fn damaged(mut bytes: Vec<u8>, faults: &mut Pending, rng: &mut impl Rng) -> Vec<Piece> {
    let inside = |at: usize| (at < bytes.len()).then_some(at);
    let drop = faults.take(|kind| if let FaultKind::DropByte(at) = *kind { inside(at) } else { None });
    let duplicate = faults.take(|kind| if let FaultKind::DuplicateByte(at) = *kind { inside(at) } else { None });
    let flip = faults.take(|kind| if let FaultKind::FlipByte(at) = *kind { inside(at) } else { None });
    if let Some(byte) = flip.and_then(|at| bytes.get_mut(at)) {
        *byte = !*byte;
    }
    if let Some((at, byte)) = duplicate.and_then(|at| Some((at, *bytes.get(at)?))) {
        bytes.insert(at, byte);
    }
    if let Some(at) = drop {
        bytes.remove(at);
    }
    if let Some(number) = faults.take(|kind| if let FaultKind::Noise(number) = *kind { Some(number) } else { None }) {
        let mut noise: Vec<u8> = (0..number).map(|_| rng.random()).collect();
        noise.append(&mut bytes);
        bytes = noise;
    }
    let fragment = faults.take(|kind| if let FaultKind::Fragment(size) = *kind { Some(size) } else { None });
    let stall = faults.take(|kind| if let FaultKind::Stall(time) = *kind { Some(time) } else { None });
    let size = fragment.unwrap_or(bytes.len()).max(1);
    let mut pieces: Vec<Piece> = bytes
        .chunks(size)
        .enumerate()
        .map(|(number, chunk)| Piece {
            pause: if number == 0 { Duration::ZERO } else { FRAGMENT_GAP },
            bytes: chunk.to_vec(),
        })
        .collect();
    if let Some((pause, last)) = stall.and_then(|pause| Some((pause, pieces.pop()?))) {
        let (before, after) = last.bytes.split_at(last.bytes.len() / 2);
        pieces.push(Piece { pause: last.pause, bytes: before.to_vec() });
        pieces.push(Piece { pause, bytes: after.to_vec() });
    }
    pieces
}
