//! A scripted device on a pseudo-terminal: just enough of one to provoke the driver, with its misdeeds as data.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use ocean_binary_protocol::{Checksum, Flags, Frame, Framer, LaserControl, MessageType, Profile, ProtocolVersion};

/// Counts of every pixel without light, plus 0..7 by pixel.
pub(in crate::acquire) const DARK: u32 = 1_000;
/// What the laser adds.
pub(in crate::acquire) const SIGNAL: u32 = 5_000;

const POLL_MS: u8 = 10;

/// What the device does instead of answering properly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::acquire) enum Deed {
    Ignore,
    Nack(u16),
    /// Says "later" first.
    Defer,
    /// Answers another request first.
    AnswerOther,
    WrongLength,
    FlipByte,
    Stall,
    AckWithoutResponseBit,
    Exception(u16),
    OldVersion,
    Hangup,
}

/// A misdeed at a message type, a number of times.
#[derive(Debug, Clone, Copy)]
pub(in crate::acquire) struct PlannedDeed {
    pub(in crate::acquire) on: MessageType,
    pub(in crate::acquire) deed: Deed,
    pub(in crate::acquire) times: u32,
}

/// The device's state.
#[derive(Debug)]
pub(in crate::acquire) struct DeviceState {
    pub(in crate::acquire) profile: &'static Profile,
    pub(in crate::acquire) laser: bool,
    /// Every change of the laser, in order.
    pub(in crate::acquire) laser_log: Vec<bool>,
    pub(in crate::acquire) interlock_open: bool,
    pub(in crate::acquire) integration_us: u32,
    /// Spectra of another integration time that the buffer still holds.
    pub(in crate::acquire) old_spectra: u32,
    pub(in crate::acquire) spectra_sent: u32,
    pub(in crate::acquire) faults: Vec<PlannedDeed>,
    hung_up: bool,
    ended: bool,
}

/// A running device. Dropping it ends it.
pub(in crate::acquire) struct ScriptedDevice {
    world: Arc<Mutex<DeviceState>>,
    path: PathBuf,
    folder: tempfile::TempDir,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedDevice {
    pub(in crate::acquire) fn new(profile: &'static Profile) -> Self {
        let world = DeviceState {
            profile,
            laser: true,
            laser_log: Vec::new(),
            interlock_open: false,
            integration_us: 0,
            old_spectra: 0,
            spectra_sent: 0,
            faults: Vec::new(),
            hung_up: false,
            ended: false,
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("spectrometer");
        let mut peer = Self { world: Arc::new(Mutex::new(world)), path, folder, thread: None };
        peer.plug_in(&[]);
        peer
    }

    pub(in crate::acquire) fn path(&self) -> &Path {
        &self.path
    }

    pub(in crate::acquire) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(in crate::acquire) fn world(&self) -> MutexGuard<'_, DeviceState> {
        self.world.lock().expect("the device's thread does not panic")
    }

    pub(in crate::acquire) fn add_fault(&self, on: MessageType, deed: Deed, times: u32) {
        self.world().faults.push(PlannedDeed { on, deed, times });
    }

    /// Appears under the same path, with `leftover` already on the line.
    pub(in crate::acquire) fn plug_in(&mut self, leftover: &[u8]) {
        self.unplug();
        let OpenptyResult { master, slave } = openpty(None, None).expect("a pseudo-terminal");
        let mut raw = tcgetattr(&slave).expect("a terminal");
        cfmakeraw(&mut raw);
        tcsetattr(&slave, SetArg::TCSANOW, &raw).expect("raw");
        let target = nix::unistd::ttyname(&slave).expect("a name");
        std::os::unix::fs::symlink(target, &self.path).expect("linked");
        let mut line = File::from(master);
        line.write_all(leftover).expect("room for it");
        {
            let mut world = self.world();
            world.hung_up = false;
            world.ended = false;
        }
        let world = self.world.clone();
        self.thread = Some(std::thread::spawn(move || {
            serve(&mut line, &world);
            // Held until now: without an open slave side the master would read an error between two hosts.
            drop(slave);
        }));
    }

    /// Disappears.
    pub(in crate::acquire) fn unplug(&mut self) {
        self.world().ended = true;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the device's thread does not panic");
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for ScriptedDevice {
    fn drop(&mut self) {
        self.unplug();
    }
}

fn serve(line: &mut File, world: &Mutex<DeviceState>) {
    let mut framer = Framer::new();
    let mut buffer = [0; 4096];
    loop {
        {
            let world = world.lock().expect("no panic with the lock held");
            if world.ended || world.hung_up {
                return;
            }
        }
        let mut ready = [PollFd::new(line.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, POLL_MS).expect("polled") == 0 {
            continue;
        }
        let len = line.read(&mut buffer).expect("the slave side is open");
        for request in framer.push(&buffer[..len]) {
            let answer = world.lock().expect("no panic with the lock held").answer(&request);
            line.write_all(&answer).expect("the host reads");
        }
    }
}

impl DeviceState {
    /// The bytes that go back, if any.
    fn answer(&mut self, request: &Frame) -> Vec<u8> {
        let fault = self.faults.iter_mut().find(|fault| fault.on == request.message_type && fault.times > 0);
        let deed = fault.map(|fault| {
            fault.times -= 1;
            fault.deed
        });
        let mut reply = Frame {
            version: ProtocolVersion::V1_1,
            flags: Flags::RESPONSE,
            error_number: 0,
            message_type: request.message_type,
            regarding: request.regarding,
            checksum: request.checksum,
            data: Vec::new(),
        };
        let nack = |reply: &Frame, number| {
            let flags = Flags::RESPONSE.with(Flags::NACK);
            Frame { flags, error_number: number, data: Vec::new(), ..reply.clone() }.encode().expect("short")
        };
        match deed {
            Some(Deed::Ignore) => return Vec::new(),
            Some(Deed::Nack(number)) => return nack(&reply, number),
            Some(Deed::Hangup) => {
                self.hung_up = true;
                return Vec::new();
            }
            _ => {}
        }
        match self.perform(request) {
            Ok(data) => reply.data = data,
            Err(number) => return nack(&reply, number),
        }
        if request.flags.contains(Flags::ACK_REQUESTED) {
            reply.flags = reply.flags.with(Flags::ACK);
        }
        let mut before = Vec::new();
        match deed {
            Some(Deed::Defer) => before = nack(&reply, 255),
            Some(Deed::AnswerOther) => {
                let other =
                    Frame { regarding: request.regarding.wrapping_sub(1), data: vec![0xC1; 20], ..reply.clone() };
                before = other.encode().expect("short");
            }
            Some(Deed::WrongLength) => drop(reply.data.pop()),
            Some(Deed::AckWithoutResponseBit) => reply.flags = Flags::ACK,
            Some(Deed::Exception(number)) => {
                reply.flags = reply.flags.with(Flags::EXCEPTION);
                reply.error_number = number;
            }
            Some(Deed::OldVersion) => reply.version = ProtocolVersion::V1_0,
            _ => {}
        }
        let mut bytes = reply.encode().expect("a spectrum is within the limit");
        match deed {
            Some(Deed::FlipByte) => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }
            Some(Deed::Stall) => bytes.truncate(bytes.len() / 2),
            _ => {}
        }
        before.extend(bytes);
        before
    }

    fn switch(&mut self, enabled: u8) -> Result<Vec<u8>, u16> {
        if self.interlock_open && enabled != 0 {
            return Err(7);
        }
        self.laser = enabled != 0;
        self.laser_log.push(self.laser);
        Ok(Vec::new())
    }

    fn perform(&mut self, request: &Frame) -> Result<Vec<u8>, u16> {
        let light_source = matches!(self.profile.laser, LaserControl::LightSource { .. });
        Ok(match request.message_type {
            MessageType::SERIAL_NUMBER => b"TEST0001".to_vec(),
            MessageType::SERIAL_NUMBER_LENGTH => vec![16],
            MessageType::FIRMWARE_REVISION => vec![0x23, 0x01],
            MessageType::PIXEL_COUNT => (self.profile.pixels as u32).to_le_bytes().to_vec(),
            MessageType::WAVELENGTH_COEFFICIENT_COUNT => vec![2],
            MessageType::WAVELENGTH_COEFFICIENT => match request.data[..] {
                [0] => 790.0_f32.to_le_bytes().to_vec(),
                [1] => 0.15_f32.to_le_bytes().to_vec(),
                _ => return Err(12),
            },
            MessageType::NONLINEARITY_COEFFICIENT_COUNT => vec![8],
            // Never calibrated: all zero, as some devices ship.
            MessageType::NONLINEARITY_COEFFICIENT => vec![0; 4],
            MessageType::SET_INTEGRATION_TIME => {
                self.integration_us = u32::from_le_bytes(request.data[..].try_into().map_err(|_| 5_u16)?);
                Vec::new()
            }
            MessageType::INTEGRATION_TIME => self.integration_us.to_le_bytes().to_vec(),
            MessageType::TEC_TEMPERATURE if self.profile.cooled => (-10.0_f32).to_le_bytes().to_vec(),
            MessageType::TEC_STABLE if self.profile.cooled => vec![1],
            MessageType::TEMPERATURES => [31.0_f32, 0.0, 33.0].into_iter().flat_map(f32::to_le_bytes).collect(),
            MessageType::LIGHT_SOURCE_ENABLED if light_source => vec![self.laser.into()],
            MessageType::ENABLE_LIGHT_SOURCE if light_source => return self.switch(request.data[2]),
            MessageType::LAMP_LINE if !light_source => vec![self.laser.into()],
            MessageType::SET_LAMP_LINE if !light_source => return self.switch(request.data[0]),
            MessageType::ABORT_ACQUISITION
            | MessageType::CLEAR_BUFFER
            | MessageType::START_ACQUISITION
            | MessageType::SET_TRIGGER_MODE => Vec::new(),
            MessageType::CORRECTED_SPECTRUM if !self.profile.cooled => {
                self.spectra_sent += 1;
                (0..self.profile.pixels).flat_map(|i| (self.count(i) as u16).to_le_bytes()).collect()
            }
            MessageType::BUFFERED_SPECTRUM if self.profile.cooled => {
                self.spectra_sent += 1;
                let old = u32::from(self.old_spectra > 0);
                self.old_spectra -= old;
                // Spectrum count, clock, integration time, and what the driver does not look at.
                let mut data = self.spectra_sent.to_le_bytes().to_vec();
                data.extend([0; 8]);
                data.extend((self.integration_us + old).to_le_bytes());
                data.resize(32, 0);
                data.extend((0..self.profile.pixels).flat_map(|i| self.count(i).to_le_bytes()));
                data
            }
            _ => return Err(2),
        })
    }

    fn count(&self, pixel: usize) -> u32 {
        DARK + (pixel % 7) as u32 + if self.laser { SIGNAL } else { 0 }
    }
}

/// A spectrum some earlier session asked for, cut off at the front.
pub(in crate::acquire) fn leftover() -> Vec<u8> {
    let data = vec![0xC1; 2048];
    let message_type = MessageType::CORRECTED_SPECTRUM;
    let (version, checksum, flags) = (ProtocolVersion::V1_1, Checksum::None, Flags::RESPONSE);
    let frame = Frame { version, flags, error_number: 0, message_type, regarding: 1, checksum, data };
    let bytes = frame.encode().expect("within the limit");
    bytes[700..].to_vec()
}
