//! Faults as data: what can be made to go wrong, on the line, in the protocol and in the device.
//!
//! One text form serves the command line, scenarios and tests: `name[=value][@count]`, as in `flip-byte=70@3`.

use std::str::FromStr;
use std::time::Duration;

/// A fault fires this often at most; "for ever" for any test or demonstration.
const TIMES_MAX: u32 = 1_000_000;

/// The longest stall, deferral or absence, ms: an hour.
const MS_MAX: u32 = 3_600_000;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FaultKind {
    /// Byte number n of a reply is missing.
    DropByte(usize),
    /// Byte number n of a reply comes twice.
    DuplicateByte(usize),
    /// Byte number n of a reply has all bits inverted.
    FlipByte(usize),
    /// This many random bytes before a reply.
    Noise(usize),
    /// A reply comes in pieces of this many bytes, 20 ms apart.
    Fragment(usize),
    /// A reply stops in its middle for this long.
    Stall(Duration),
    /// A reply that is never sent.
    Silence,
    /// A reply that is sent twice.
    DuplicateReply,
    /// A spectrum of a previous session arrives before a reply.
    Leftover,
    /// The oldest spectrum in the buffer is one of a previous session.
    StaleBuffer,
    /// A request is refused with this error number; only of this message type, where one is given.
    Nack {
        /// Error number.
        error: u16,
        /// `None` for the next request of any type.
        message_type: Option<u32>,
    },
    /// Error 255 first, the answer this much later.
    Deferred(Duration),
    /// ACK and NACK frames lack the response bit.
    BareAck,
    /// Replies say protocol version 0x1000.
    OldVersion,
    /// A reply regards another request.
    WrongRegarding,
    /// The data of a reply is one byte short.
    ShortData,
    /// A spectrum carries the exception flag.
    Exception,
    /// The device restarts with its defaults; the next request is refused with error 9.
    BrownOut,
    /// The line goes away; it returns after this time, or on request where that is zero.
    HangUp(Duration),
    /// The sample is a hundred times too bright.
    Saturation,
    /// Cosmic rays per second from now on.
    CosmicRays(f64),
    /// The cooler loses this many kelvin from now on.
    TecDrift(f64),
    /// The laser gives this fraction of its power from now on; 0 is a dead laser that says it is on.
    LaserPower(f64),
    /// The interlock opens: the laser goes off and refuses to go on, with error 7.
    InterlockOpen,
    /// The interlock closes.
    InterlockClosed,
    /// This pixel leaks from now on.
    HotPixel(usize),
    /// The read noise, in times what it should be.
    ReadNoise(f64),
    /// Counts per electron, in times what they should be.
    Gain(f64),
    /// The part of a full-scale reading that is missing, and that the device's polynomial does not tell.
    Compression(f64),
    /// The stored calibration is off by this many nm from now on, on top of what it was.
    AxisError(f64),
    /// The device is another unit from now on, by its number.
    SerialNumber(u64),
    /// Bytes take this many times as long on the line.
    SlowLine(f64),
    /// The laser goes on, and never off again: the device acknowledges, and says that it is on.
    LaserStuck,
    /// It obeys again.
    LaserReleased,
}

/// One fault and how often it fires. Lasting changes of the device ignore the number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// For how many replies, requests or light frames.
    pub times: u32,
}

impl Fault {
    /// `kind`, once.
    pub const fn once(kind: FaultKind) -> Self {
        Self { kind, times: 1 }
    }
}

/// Why a text is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No fault of that name.
    #[error("there is no fault '{name}'; there are: {}", NAMES.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// A value is missing, superfluous or no number in range.
    #[error("fault '{fault}': the value must be {expected}")]
    Value {
        /// The whole text that should be a fault.
        fault: String,
        /// What the value must be.
        expected: &'static str,
    },
    /// What follows the @ is no number of times.
    #[error("fault '{fault}': what follows @ must be a number in 1..={TIMES_MAX}")]
    Times {
        /// The whole text that should be a fault.
        fault: String,
    },
}

/// Every name, as the documentation lists them.
const NAMES: [&str; 34] = [
    "drop-byte",
    "duplicate-byte",
    "flip-byte",
    "noise",
    "fragment",
    "stall",
    "silence",
    "duplicate-reply",
    "leftover",
    "stale-buffer",
    "nack",
    "deferred",
    "bare-ack",
    "old-version",
    "wrong-regarding",
    "short-data",
    "exception",
    "brown-out",
    "hang-up",
    "saturation",
    "cosmic-rays",
    "tec-drift",
    "laser-power",
    "interlock-open",
    "interlock-closed",
    "hot-pixel",
    "read-noise",
    "gain",
    "compression",
    "axis-error",
    "serial-number",
    "slow-line",
    "laser-stuck",
    "laser-released",
];

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (body, times) = match text.split_once('@') {
            None => (text, 1),
            Some((body, count)) => {
                let count = count.parse().ok().filter(|count| (1..=TIMES_MAX).contains(count));
                (body, count.ok_or_else(|| FaultError::Times { fault: text.to_owned() })?)
            }
        };
        let (name, value) = match body.split_once('=') {
            None => (body, None),
            Some((name, value)) => (name, Some(value)),
        };
        let wrong = |expected| FaultError::Value { fault: text.to_owned(), expected };
        let none = |kind| if value.is_none() { Ok(kind) } else { Err(wrong("absent")) };
        let count = |expected| value.and_then(|value| value.parse::<usize>().ok()).ok_or_else(|| wrong(expected));
        let milliseconds = || {
            let parsed = value.and_then(|value| value.parse::<u32>().ok()).filter(|ms| *ms <= MS_MAX);
            parsed.map(|ms| Duration::from_millis(ms.into())).ok_or_else(|| wrong("milliseconds, an hour at most"))
        };
        let real = |from: f64, to: f64, expected| {
            let parsed = value.and_then(|value| value.parse().ok()).filter(|value| (from..=to).contains(value));
            parsed.ok_or_else(|| wrong(expected))
        };
        let kind = match name {
            "drop-byte" => FaultKind::DropByte(count("the number of a byte, from 0")?),
            "duplicate-byte" => FaultKind::DuplicateByte(count("the number of a byte, from 0")?),
            "flip-byte" => FaultKind::FlipByte(count("the number of a byte, from 0")?),
            "noise" => FaultKind::Noise(count("a number of bytes")?.min(4096)),
            "fragment" => FaultKind::Fragment(count("a number of bytes")?.max(1)),
            "stall" => FaultKind::Stall(milliseconds()?),
            "silence" => none(FaultKind::Silence)?,
            "duplicate-reply" => none(FaultKind::DuplicateReply)?,
            "leftover" => none(FaultKind::Leftover)?,
            "stale-buffer" => none(FaultKind::StaleBuffer)?,
            "nack" => nack(value).ok_or_else(|| wrong("ERROR or TYPE:ERROR, as in 7 or 0x00110010:6"))?,
            "deferred" => FaultKind::Deferred(milliseconds()?),
            "bare-ack" => none(FaultKind::BareAck)?,
            "old-version" => none(FaultKind::OldVersion)?,
            "wrong-regarding" => none(FaultKind::WrongRegarding)?,
            "short-data" => none(FaultKind::ShortData)?,
            "exception" => none(FaultKind::Exception)?,
            "brown-out" => none(FaultKind::BrownOut)?,
            "hang-up" => FaultKind::HangUp(milliseconds()?),
            "saturation" => none(FaultKind::Saturation)?,
            "cosmic-rays" => FaultKind::CosmicRays(real(0.0, 10_000.0, "rays per second, at most 10000")?),
            "tec-drift" => FaultKind::TecDrift(real(-100.0, 100.0, "kelvin")?),
            "laser-power" => FaultKind::LaserPower(real(0.0, 10.0, "a fraction of full power")?),
            "interlock-open" => none(FaultKind::InterlockOpen)?,
            "interlock-closed" => none(FaultKind::InterlockClosed)?,
            "hot-pixel" => FaultKind::HotPixel(count("the number of a pixel, from 0")?),
            "read-noise" => FaultKind::ReadNoise(real(0.0, 1_000.0, "a factor, at most 1000")?),
            "gain" => FaultKind::Gain(real(0.0, 100.0, "a factor, at most 100")?),
            "compression" => FaultKind::Compression(real(0.0, 1.0, "a part of 1")?),
            "axis-error" => FaultKind::AxisError(real(-10.0, 10.0, "nanometres, at most 10")?),
            "serial-number" => FaultKind::SerialNumber(count("a number")? as u64),
            "slow-line" => FaultKind::SlowLine(real(1.0, 1_000.0, "a factor from 1 to 1000")?),
            "laser-stuck" => none(FaultKind::LaserStuck)?,
            "laser-released" => none(FaultKind::LaserReleased)?,
            _ => return Err(FaultError::Unknown { name: name.to_owned() }),
        };
        Ok(Self { kind, times })
    }
}

fn nack(value: Option<&str>) -> Option<FaultKind> {
    let (message_type, error) = match value?.split_once(':') {
        None => (None, value?),
        Some((message_type, error)) => {
            let digits = message_type.strip_prefix("0x")?;
            (Some(u32::from_str_radix(digits, 16).ok()?), error)
        }
    };
    Some(FaultKind::Nack { error: error.parse().ok()?, message_type })
}

/// The faults that have not fired often enough yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending(Vec<Fault>);

impl Pending {
    pub(super) fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// The first one `wanted` accepts, counted as fired.
    pub(super) fn take<T>(&mut self, wanted: impl Fn(&FaultKind) -> Option<T>) -> Option<T> {
        let (index, found) = self.0.iter().enumerate().find_map(|(i, fault)| Some((i, wanted(&fault.kind)?)))?;
        self.0[index].times -= 1;
        if self.0[index].times == 0 {
            self.0.remove(index);
        }
        Some(found)
    }

    /// Whether `kind` fires now.
    pub(super) fn fires(&mut self, kind: FaultKind) -> bool {
        self.take(|pending| (*pending == kind).then_some(())).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_name_a_value_and_a_count() {
        let check = |text: &str, kind, times| assert_eq!(text.parse(), Ok(Fault { kind, times }), "{text}");
        check("silence", FaultKind::Silence, 1);
        check("flip-byte=70@3", FaultKind::FlipByte(70), 3);
        check("stall=250", FaultKind::Stall(Duration::from_millis(250)), 1);
        check("nack=7@2", FaultKind::Nack { error: 7, message_type: None }, 2);
        check("nack=0x00110010:6", FaultKind::Nack { error: 6, message_type: Some(0x0011_0010) }, 1);
        check("laser-power=0.5", FaultKind::LaserPower(0.5), 1);
    }

    #[test]
    fn what_is_no_fault_says_why() {
        let check = |text: &str, expected: &str| {
            let message = text.parse::<Fault>().expect_err(text).to_string();
            assert!(message.contains(expected), "{message}");
        };
        check("gremlin", "there is no fault 'gremlin'; there are: drop-byte");
        check("silence=3", "must be absent");
        check("flip-byte", "the number of a byte");
        check("flip-byte=-1", "the number of a byte");
        check("stall=4000000", "an hour at most");
        check("laser-power=NaN", "a fraction");
        check("silence@0", "1..=1000000");
        check("nack=110010:6", "TYPE:ERROR");
    }

    #[test]
    fn every_name_is_understood() {
        for name in NAMES {
            let refused = [name.to_owned(), format!("{name}=1")].iter().all(|text| text.parse::<Fault>().is_err());
            assert!(!refused, "{name}");
        }
    }

    #[test]
    fn a_fault_fires_as_often_as_asked() {
        let mut pending = Pending::default();
        pending.push(Fault { kind: FaultKind::Silence, times: 2 });
        pending.push(Fault::once(FaultKind::Leftover));
        let fired: Vec<bool> = (0..3).map(|_| pending.fires(FaultKind::Silence)).collect();
        assert_eq!(fired, [true, true, false]);
        assert!(pending.fires(FaultKind::Leftover) && !pending.fires(FaultKind::Leftover));
    }
}
