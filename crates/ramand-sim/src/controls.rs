//! The device's memory and switches: everything a host can ask or set that is not a spectrum.

use std::time::Duration;

use ocean_binary_protocol::{DeviceError, MessageType};

use super::profile::FamilyFigures;
use super::unit::InstrumentUnit;

/// The longest serial number, alias and user string, bytes: what fits into immediate data.
const TEXT_LEN_MAX: usize = 15;

/// How many strings a user can keep in the device.
const USER_STRINGS: usize = 2;

/// Largest on-board boxcar half width, pixels, and number of scans averaged.
const BOXCAR_MAX: u8 = 15;
const SCANS_MAX: u16 = 5_000;

/// Largest binning of the STS: 2³ pixels become one.
const BINNING_MAX: u8 = 3;

/// Spectra the QE Pro's buffer holds at most (the vendor's header says 15,000; nobody here needs 60 MB of them).
const BUFFER_MAX: u32 = 100;

/// Time constant of the cooler, and how close to the setpoint it calls itself stable.
const COOLER_TIME_CONSTANT_S: f64 = 20.0;
const COOLER_STABLE_K: f64 = 0.2;

/// The room, and the slow swing of temperatures in it.
const ROOM_C: f64 = 25.0;
const SWING_PERIOD_S: f64 = 600.0;

/// What a request without trouble leads to.
#[derive(Debug, PartialEq)]
pub(super) enum ControlsReply {
    /// A query's data.
    Data(Vec<u8>),
    /// A command was carried out.
    Done,
}

/// Settings and switches.
#[derive(Debug, Clone)]
pub(super) struct Controls {
    pub(super) integration_us: u32,
    pub(super) scans: u16,
    pub(super) boxcar: u8,
    pub(super) binning: u8,
    pub(super) trigger_mode: u8,
    pub(super) partial: Partial,
    pub(super) buffer_size: u32,
    pub(super) baud: u32,
    pub(super) baud_saved: u32,
    /// What the lasting faults made of the device.
    pub(super) tec_drift_k: f64,
    pub(super) laser_power: f64,
    interlock: Interlock,
    laser_contact: Contact,
    laser: Switch,
    lamp_line: Switch,
    laser_intensity: f32,
    shutter: Switch,
    delay_us: u32,
    flow_control: u8,
    alias: Vec<u8>,
    user_strings: [Vec<u8>; USER_STRINGS],
    cooler: Cooler,
}

/// Which pixels a partial spectrum has: start, step, count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partial {
    pub(super) start: u16,
    pub(super) step: u16,
    pub(super) count: u16,
    mode: u16,
}

/// A door contact in series with the laser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interlock {
    Closed,
    Open,
}

/// The relay that carries the laser's current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contact {
    Sound,
    /// Closes, and never opens again.
    Welded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    Off,
    On,
}

#[derive(Debug, Clone, Copy)]
struct Cooler {
    switch: Switch,
    setpoint_c: f64,
    /// Temperature when the target last changed, and when that was.
    from_c: f64,
    since: Duration,
}

impl Switch {
    fn read(data: &[u8]) -> Result<Self, DeviceError> {
        match u8_of(data)? {
            0 => Ok(Self::Off),
            1 => Ok(Self::On),
            _ => Err(DeviceError::PayloadInvalid),
        }
    }

    fn data(self) -> Vec<u8> {
        vec![u8::from(self == Self::On)]
    }
}

impl Controls {
    pub(super) fn new(model: &FamilyFigures, baud: u32) -> Self {
        let pixels = model.pixels as u16;
        Self {
            integration_us: model.integration_default_us,
            scans: 1,
            boxcar: 0,
            binning: 0,
            trigger_mode: 0,
            partial: Partial { start: 0, step: 1, count: pixels, mode: 1 },
            buffer_size: 1,
            baud,
            baud_saved: baud,
            tec_drift_k: 0.0,
            laser_power: 1.0,
            interlock: Interlock::Closed,
            laser_contact: Contact::Sound,
            laser: Switch::Off,
            lamp_line: Switch::Off,
            laser_intensity: 1.0,
            shutter: Switch::On,
            delay_us: 0,
            flow_control: 0,
            alias: Vec::new(),
            user_strings: Default::default(),
            cooler: Cooler {
                switch: Switch::On,
                setpoint_c: model.temperature_c,
                from_c: model.temperature_c,
                since: Duration::ZERO,
            },
        }
    }

    /// After a restart: what is not saved is as from the factory, what was done to the device stays done.
    pub(super) fn restarted(&self, model: &FamilyFigures) -> Self {
        Self {
            tec_drift_k: self.tec_drift_k,
            laser_power: self.laser_power,
            interlock: self.interlock,
            laser_contact: self.laser_contact,
            alias: self.alias.clone(),
            user_strings: self.user_strings.clone(),
            ..Self::new(model, self.baud_saved)
        }
    }

    /// Opens or closes the interlock; opening it switches the laser off for good.
    pub(super) fn set_interlock(&mut self, interlock: Interlock) {
        self.interlock = interlock;
        if interlock == Interlock::Open {
            (self.laser, self.lamp_line) = (Switch::Off, Switch::Off);
        }
    }

    /// Spoils or mends the laser's relay.
    pub(super) fn set_laser_contact(&mut self, contact: Contact) {
        self.laser_contact = contact;
    }

    /// What becomes of a light that is at `now` and asked to be at `wanted`.
    fn switched(&self, now: Switch, wanted: Switch) -> Switch {
        if self.laser_contact == Contact::Welded && now == Switch::On { Switch::On } else { wanted }
    }

    /// Whether the device believes its laser is on.
    pub(super) fn laser_is_on(&self) -> bool {
        self.laser == Switch::On || self.lamp_line == Switch::On
    }

    /// The light that reaches the sample, as a fraction of full power.
    pub(super) fn power(&self) -> f64 {
        let shutter = self.shutter == Switch::On;
        let intensity = if self.laser == Switch::On { f64::from(self.laser_intensity) } else { 1.0 };
        if self.laser_is_on() && shutter { intensity * self.laser_power } else { 0.0 }
    }

    /// The detector's temperature, °C.
    pub(super) fn detector_c(&self, model: &FamilyFigures, now: Duration) -> f64 {
        let swing = (std::f64::consts::TAU * now.as_secs_f64() / SWING_PERIOD_S).sin();
        if !model.cooled {
            return ROOM_C + 0.3 * swing + self.tec_drift_k;
        }
        self.cooler.temperature_c(now) + 0.03 * swing + self.tec_drift_k
    }

    /// Answers a request that is not about spectra, or `None` where the device does not know the message type.
    pub(super) fn answer(
        &mut self,
        unit: &InstrumentUnit,
        message_type: MessageType,
        data: &[u8],
        now: Duration,
    ) -> Option<Result<ControlsReply, DeviceError>> {
        let query = self.query(unit, message_type, data, now);
        match query {
            Some(answer) => Some(answer.map(ControlsReply::Data)),
            None => self.command(unit.model, message_type, data, now).map(|done| done.map(|()| ControlsReply::Done)),
        }
    }

    fn query(
        &self,
        unit: &InstrumentUnit,
        message_type: MessageType,
        data: &[u8],
        now: Duration,
    ) -> Option<Result<Vec<u8>, DeviceError>> {
        let model = unit.model;
        let number = message_type.number();
        if let Some(answer) = indexed_query(self, unit, number, data, now) {
            return Some(answer);
        }
        let answer = match number {
            // Status and health: no public layout; zero stands for "nothing to report".
            0x0000_0005 | 0x0000_0006 => vec![0; 4],
            0x0000_0080 => vec![1],
            // Revisions are binary-coded decimals: 1.10 and 1.00.
            0x0000_0090 => 0x0110_u16.to_le_bytes().to_vec(),
            0x0000_0091 => 0x0100_u16.to_le_bytes().to_vec(),
            0x0000_0100 => unit.serial.as_bytes().to_vec(),
            0x0000_0101 | 0x0000_0201 | 0x0000_0301 => vec![TEXT_LEN_MAX as u8],
            0x0000_0200 => self.alias.clone(),
            0x0000_0300 => vec![USER_STRINGS as u8],
            0x0000_0800 => self.baud.to_le_bytes().to_vec(),
            0x0000_0804 => vec![self.flow_control],
            0x0010_0820 => u32::to_le_bytes(BUFFER_MAX).to_vec(),
            0x0010_0822 => self.buffer_size.to_le_bytes().to_vec(),
            0x0010_10A0 => model.counts_max.to_le_bytes().to_vec(),
            0x0010_10A1 => (model.baseline as u32).to_le_bytes().to_vec(),
            0x0010_2000 => self.partial.data(),
            0x0011_0000 => self.integration_us.to_le_bytes().to_vec(),
            0x0011_0001 => model.integration_us[0].to_le_bytes().to_vec(),
            0x0011_0002 => model.integration_us[1].to_le_bytes().to_vec(),
            0x0011_0003 => 1_u32.to_le_bytes().to_vec(),
            0x0011_0100 => vec![self.trigger_mode],
            0x0011_0220 => ((model.pixels >> self.binning) as u32).to_le_bytes().to_vec(),
            0x0011_0221 => pixel_ranges(std::slice::from_ref(&model.optical)),
            0x0011_0222 => pixel_ranges(&model.masked),
            0x0011_0280 | 0x0011_0285 if !model.cooled => vec![self.binning],
            0x0011_0281 if !model.cooled => vec![BINNING_MAX],
            0x0011_0400 => self.lamp_line.data(),
            0x0012_0000 => self.scans.to_le_bytes().to_vec(),
            0x0012_1000 => vec![self.boxcar],
            0x0018_0100 => vec![unit.wavelength_coefficients.len() as u8],
            0x0018_1100 => vec![unit.nonlinearity.len() as u8],
            0x0018_3100 => vec![STRAY_LIGHT.len() as u8],
            0x001B_0000 => b"SIMULATED BENCH".to_vec(),
            0x001B_0100 => unit.serial.as_bytes().to_vec(),
            0x001B_0200 => 50_u16.to_le_bytes().to_vec(),
            0x0040_0000 => vec![self.temperatures(model, now).len() as u8],
            0x0040_0002 => self.temperatures(model, now).iter().flat_map(|degrees| degrees.to_le_bytes()).collect(),
            0x0042_0000 if model.cooled => self.cooler.switch.data(),
            0x0042_0001 if model.cooled => (self.cooler.setpoint_c as f32).to_le_bytes().to_vec(),
            0x0042_0003 if model.cooled => {
                let off = (self.detector_c(model, now) - self.cooler.setpoint_c).abs();
                vec![u8::from(off < COOLER_STABLE_K)]
            }
            0x0042_0004 if model.cooled => (self.detector_c(model, now) as f32).to_le_bytes().to_vec(),
            _ => return None,
        };
        Some(if data.is_empty() { Ok(answer) } else { Err(DeviceError::PayloadLength) })
    }

    fn command(
        &mut self,
        model: &FamilyFigures,
        message_type: MessageType,
        data: &[u8],
        now: Duration,
    ) -> Option<Result<(), DeviceError>> {
        Some(match message_type.number() {
            0x0000_0210 => text_of(data).map(|text| self.alias = text),
            0x0000_0310 => self.set_user_string(data),
            0x0000_0810 => u32_of(data).and_then(|baud| {
                one_of(model.bauds.contains(&baud))?;
                self.baud = baud;
                Ok(())
            }),
            0x0000_0814 => u8_of(data).and_then(|mode| one_of(mode <= 1).map(|()| self.flow_control = mode)),
            0x0000_08F0 => nothing_in(data).map(|()| self.baud_saved = self.baud),
            0x0000_1010 => u8_of(data).map(|_| ()),
            0x0010_0832 if model.cooled => {
                u32_of(data).and_then(|size| one_of((1..=BUFFER_MAX).contains(&size)).map(|()| self.buffer_size = size))
            }
            0x0010_2010 if !model.cooled => Partial::read(data, model).map(|partial| self.partial = partial),
            0x0011_0010 => u32_of(data).and_then(|micros| {
                let [shortest, longest] = model.integration_us;
                one_of((shortest..=longest).contains(&micros)).map(|()| self.integration_us = micros)
            }),
            0x0011_0110 => {
                u8_of(data).and_then(|mode| one_of(mode <= model.trigger_mode_max).map(|()| self.trigger_mode = mode))
            }
            0x0011_0290 if !model.cooled => {
                u8_of(data).and_then(|factor| one_of(factor <= BINNING_MAX).map(|()| self.binning = factor))
            }
            0x0011_0410 => Switch::read(data).and_then(|switch| {
                self.interlock_allows(switch)?;
                self.lamp_line = self.switched(self.lamp_line, switch);
                Ok(())
            }),
            0x0011_0510 => u32_of(data).map(|micros| self.delay_us = micros),
            0x0011_0610 if model.cooled => Switch::read(data).map(|switch| self.shutter = switch),
            0x0012_0010 => {
                u16_of(data).and_then(|scans| one_of((1..=SCANS_MAX).contains(&scans)).map(|()| self.scans = scans))
            }
            0x0012_1010 => u8_of(data).and_then(|width| one_of(width <= BOXCAR_MAX).map(|()| self.boxcar = width)),
            0x0042_0010 if model.cooled => Switch::read(data).map(|switch| self.cooler.turn(switch, now)),
            0x0042_0011 if model.cooled => f32_of(data).and_then(|setpoint| {
                one_of((-40.0..=30.0).contains(&setpoint)).map(|()| self.cooler.aim(f64::from(setpoint), now))
            }),
            0x0042_0012 if model.cooled => Switch::read(data).map(|_| ()),
            0x0081_0031 if model.cooled => light_source(data, 1).and_then(|rest| {
                let switch = Switch::read(rest)?;
                self.interlock_allows(switch)?;
                self.laser = self.switched(self.laser, switch);
                Ok(())
            }),
            0x0081_0051 if model.cooled => light_source(data, 4).and_then(f32_of).and_then(|intensity| {
                one_of((0.0..=1.0).contains(&intensity)).map(|()| self.laser_intensity = intensity)
            }),
            _ => return None,
        })
    }

    fn interlock_allows(&self, switch: Switch) -> Result<(), DeviceError> {
        if switch == Switch::On && self.interlock == Interlock::Open { Err(DeviceError::NotReady) } else { Ok(()) }
    }

    fn set_user_string(&mut self, data: &[u8]) -> Result<(), DeviceError> {
        let (&index, text) = data.split_first().ok_or(DeviceError::PayloadLength)?;
        let slot = self.user_strings.get_mut(usize::from(index)).ok_or(DeviceError::PayloadInvalid)?;
        *slot = text_of(text)?;
        Ok(())
    }

    /// QE Pro: processor, reserved, board, detector. STS: detector, reserved, board.
    fn temperatures(&self, model: &FamilyFigures, now: Duration) -> Vec<f32> {
        let detector_c = self.detector_c(model, now) as f32;
        if model.cooled { vec![38.0, 0.0, 31.0, detector_c] } else { vec![detector_c, 0.0, 29.0] }
    }
}

/// Stray light: none.
const STRAY_LIGHT: [f32; 2] = [0.0, 0.0];

/// Queries that carry the number of what they ask about.
fn indexed_query(
    controls: &Controls,
    unit: &InstrumentUnit,
    number: u32,
    data: &[u8],
    now: Duration,
) -> Option<Result<Vec<u8>, DeviceError>> {
    let coefficient = |coefficients: &[f32]| {
        let index = usize::from(u8_of(data)?);
        let value = coefficients.get(index).ok_or(DeviceError::NoSuchInformation)?;
        Ok(value.to_le_bytes().to_vec())
    };
    Some(match number {
        0x0000_0302 => u8_of(data).and_then(|index| {
            let text = controls.user_strings.get(usize::from(index)).ok_or(DeviceError::NoSuchInformation)?;
            Ok(text.clone())
        }),
        0x0018_0101 => coefficient(&unit.wavelength_coefficients),
        0x0018_1101 => coefficient(&unit.nonlinearity),
        0x0018_3101 => coefficient(&STRAY_LIGHT),
        // No irradiance calibration and no list of hot pixels in this unit.
        0x0018_2001..=0x0018_2003 | 0x0018_6000 => Err(DeviceError::NoSuchInformation),
        0x0040_0001 => coefficient(&controls.temperatures(unit.model, now)),
        0x0081_0021 if unit.model.cooled => light_source(data, 0).map(|_| controls.laser.data()),
        0x0081_0041 if unit.model.cooled => {
            light_source(data, 0).map(|_| controls.laser_intensity.to_le_bytes().to_vec())
        }
        _ => return None,
    })
}

impl Cooler {
    fn temperature_c(&self, now: Duration) -> f64 {
        let target_c = if self.switch == Switch::On { self.setpoint_c } else { ROOM_C };
        let elapsed_s = now.saturating_sub(self.since).as_secs_f64();
        target_c + (self.from_c - target_c) * (-elapsed_s / COOLER_TIME_CONSTANT_S).exp()
    }

    fn turn(&mut self, switch: Switch, now: Duration) {
        (self.from_c, self.since) = (self.temperature_c(now), now);
        self.switch = switch;
    }

    fn aim(&mut self, setpoint_c: f64, now: Duration) {
        (self.from_c, self.since) = (self.temperature_c(now), now);
        self.setpoint_c = setpoint_c;
    }
}

impl Partial {
    /// Mode 1 = every `step`-th pixel; mode 2 = `count` pixels from `start`, every `step`-th.
    fn read(data: &[u8], model: &FamilyFigures) -> Result<Self, DeviceError> {
        let words = data.chunks(2).map(u16_of).collect::<Result<Vec<u16>, _>>()?;
        let pixels = model.pixels as u16;
        let partial = match words[..] {
            [mode @ 1, step] if step > 0 => Self { start: 0, step, count: pixels.div_ceil(step), mode },
            [mode @ 2, start, step, count] if step > 0 => Self { start, step, count, mode },
            [1 | 2, ..] => return Err(DeviceError::PayloadInvalid),
            _ => return Err(DeviceError::PayloadLength),
        };
        let last = u32::from(partial.start) + u32::from(partial.step) * (u32::from(partial.count).max(1) - 1);
        one_of(partial.count > 0 && last < u32::from(pixels)).map(|()| partial)
    }

    fn data(self) -> Vec<u8> {
        let words: &[u16] =
            if self.mode == 1 { &[self.mode, self.step] } else { &[self.mode, self.start, self.step, self.count] };
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

fn pixel_ranges(ranges: &[std::ops::Range<usize>]) -> Vec<u8> {
    let filled = ranges.iter().filter(|range| !range.is_empty());
    filled.flat_map(|range| [range.start as u16, (range.end - 1) as u16]).flat_map(u16::to_le_bytes).collect()
}

/// The bytes after module and source, when they name the one light source there is and have the right length.
fn light_source(data: &[u8], rest_len: usize) -> Result<&[u8], DeviceError> {
    let (which, rest) = data.split_at_checked(2).ok_or(DeviceError::PayloadLength)?;
    if rest.len() != rest_len {
        return Err(DeviceError::PayloadLength);
    }
    one_of(which == [0, 0]).map(|()| rest)
}

fn one_of(allowed: bool) -> Result<(), DeviceError> {
    if allowed { Ok(()) } else { Err(DeviceError::PayloadInvalid) }
}

fn nothing_in(data: &[u8]) -> Result<(), DeviceError> {
    if data.is_empty() { Ok(()) } else { Err(DeviceError::PayloadLength) }
}

fn text_of(data: &[u8]) -> Result<Vec<u8>, DeviceError> {
    if data.len() > TEXT_LEN_MAX {
        return Err(DeviceError::PayloadLength);
    }
    one_of(data.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')).map(|()| data.to_vec())
}

fn bytes_of<const N: usize>(data: &[u8]) -> Result<[u8; N], DeviceError> {
    data.try_into().map_err(|_| DeviceError::PayloadLength)
}

fn u8_of(data: &[u8]) -> Result<u8, DeviceError> {
    bytes_of(data).map(u8::from_le_bytes)
}

fn u16_of(data: &[u8]) -> Result<u16, DeviceError> {
    bytes_of(data).map(u16::from_le_bytes)
}

fn u32_of(data: &[u8]) -> Result<u32, DeviceError> {
    bytes_of(data).map(u32::from_le_bytes)
}

fn f32_of(data: &[u8]) -> Result<f32, DeviceError> {
    bytes_of(data).map(f32::from_le_bytes)
}
