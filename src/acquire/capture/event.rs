//! What happens on the line or is decided beside it, as one line of the file: a time and an event.
//!
//! Times are seconds since the start with six decimals.

use std::fmt;
use std::time::Duration;

use ocean_binary_protocol::Frame;
use ramand_core::spectrum::IntegrationTime;

/// The longest text in an event or header: no path, serial number or message of an operating system is longer.
pub(super) const TEXT_LEN_MAX: usize = 255;

/// The latest time, s: thirty years, which arithmetic on times survives.
const SECONDS_MAX: u64 = 1_000_000_000;

/// Microseconds in a second.
const MICROS: u64 = 1_000_000;

/// What the program was asked to do with the instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A light frame with its dark frame.
    Measure,
    /// A frame without the laser.
    MeasureDark,
    /// Switch the laser off.
    LaserOff,
    /// Change the exposure of one scan, and the number of scans.
    SetExposure(IntegrationTime, u16),
    /// Let go of the instrument.
    Close,
}

/// Something that happened on the line or was decided beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptureEvent {
    /// The port was opened at this rate.
    Open(u32),
    /// The port talks at this rate from now on.
    Baud(u32),
    /// Input that nobody had read was thrown away.
    Clear,
    /// Bytes to the device.
    Sent(Vec<u8>),
    /// Bytes from the device, as many as one read brought.
    Received(Vec<u8>),
    /// The port failed: reading or writing, and what the operating system said.
    Lost(Way, String),
    /// A stop request was noticed.
    Stop,
    /// The instrument has said who it is.
    Device(String),
    /// The program was asked to do something.
    Do(Act),
    /// It came to a spectrum with this digest.
    Result([u8; 32]),
    /// The port was closed.
    Closed,
    /// The recorder had no room left.
    Full,
}

/// A direction on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the device to the program.
    Reading,
    /// From the program to the device.
    Writing,
}

impl Way {
    pub(in crate::acquire) const fn name(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Writing => "writing",
        }
    }
}

/// An event, when it happened, and the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureMoment {
    /// Since the recorder was started.
    pub at: Duration,
    /// What happened.
    pub event: CaptureEvent,
    /// Its line in the file, counted from 1.
    pub line: usize,
}

/// One event with its line end.
pub(super) fn encode_line(at: Duration, event: &CaptureEvent) -> String {
    format!("{}.{:06} {event}\n", at.as_secs(), at.subsec_micros())
}

pub(super) fn parse_time(text: &str) -> Option<Duration> {
    let (seconds, micros) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if micros.len() != 6 || !digits(micros) || !digits(seconds) {
        return None;
    }
    let seconds: u64 = seconds.parse().ok().filter(|&seconds| seconds <= SECONDS_MAX)?;
    Some(Duration::from_micros(seconds * MICROS + micros.parse::<u64>().ok()?))
}

impl CaptureEvent {
    /// A port that failed, in the words of the operating system.
    pub(in crate::acquire) fn lost(way: Way, error: &std::io::Error) -> Self {
        Self::Lost(way, printable(&error.to_string()))
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (word, rest) = text.split_once(' ').map_or((text, None), |(word, rest)| (word, Some(rest)));
        let baud = || {
            let baud = rest.and_then(|rest| rest.parse().ok()).filter(|baud| (1..=100_000_000).contains(baud));
            baud.ok_or_else(|| format!("'{word}' needs a rate"))
        };
        let bytes = || rest.and_then(unhex).filter(|bytes| !bytes.is_empty());
        let alone = |event| if rest.is_none() { Ok(event) } else { Err(format!("'{word}' stands alone")) };
        match word {
            "open" => baud().map(Self::Open),
            "baud" => baud().map(Self::Baud),
            "clear" => alone(Self::Clear),
            ">" => bytes().map(Self::Sent).ok_or_else(|| "'>' needs pairs of hexadecimal digits".to_owned()),
            "<" => bytes().map(Self::Received).ok_or_else(|| "'<' needs pairs of hexadecimal digits".to_owned()),
            "lost" => {
                let (way, why) = rest.and_then(|rest| rest.split_once(' ')).ok_or("'lost' needs a way and a reason")?;
                let way = [Way::Reading, Way::Writing].into_iter().find(|known| known.name() == way);
                Ok(Self::Lost(way.ok_or("'lost' is 'reading' or 'writing'")?, text_of(why)?))
            }
            "stop" => alone(Self::Stop),
            "device" => text_of(rest.unwrap_or_default()).map(Self::Device),
            "do" => Act::parse(rest.unwrap_or_default()).map(Self::Do),
            "=" => {
                let digest = bytes().and_then(|bytes| bytes.try_into().ok());
                digest.map(Self::Result).ok_or_else(|| "'=' needs a SHA-256".to_owned())
            }
            "closed" => alone(Self::Closed),
            "full" => alone(Self::Full),
            _ => Err("there is no such event".to_owned()),
        }
    }

    /// In few words, for a message: a frame by what it asks.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Sent(bytes) => match Frame::decode(bytes) {
                Ok(frame) => {
                    let data =
                        if frame.data.is_empty() { String::new() } else { format!(" with {}", hex(&frame.data)) };
                    format!("request {} of {}{data}", frame.regarding, frame.message_type)
                }
                Err(_) => format!("{} bytes to the device that are no frame", bytes.len()),
            },
            Self::Received(bytes) => format!("{} bytes from the device", bytes.len()),
            Self::Result(digest) => format!("a spectrum with digest {}...", hex(&digest[..4])),
            other => format!("'{other}'"),
        }
    }
}

impl fmt::Display for CaptureEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(baud) => write!(f, "open {baud}"),
            Self::Baud(baud) => write!(f, "baud {baud}"),
            Self::Clear => f.write_str("clear"),
            Self::Sent(bytes) => write!(f, "> {}", hex(bytes)),
            Self::Received(bytes) => write!(f, "< {}", hex(bytes)),
            Self::Lost(way, why) => write!(f, "lost {} {why}", way.name()),
            Self::Stop => f.write_str("stop"),
            Self::Device(device) => write!(f, "device {device}"),
            Self::Do(act) => write!(f, "do {act}"),
            Self::Result(digest) => write!(f, "= {}", hex(digest)),
            Self::Closed => f.write_str("closed"),
            Self::Full => f.write_str("full"),
        }
    }
}

impl Act {
    fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split(' ');
        let act = match (words.next(), words.next(), words.next()) {
            (Some("measure"), None, _) => Some(Self::Measure),
            (Some("measure-dark"), None, _) => Some(Self::MeasureDark),
            (Some("laser-off"), None, _) => Some(Self::LaserOff),
            (Some("close"), None, _) => Some(Self::Close),
            (Some("set-exposure"), Some(micros), Some(scans)) => {
                let exposure = micros.parse().ok().zip(scans.parse().ok());
                exposure.map(|(micros, scans)| Self::SetExposure(IntegrationTime::from_micros(micros), scans))
            }
            _ => None,
        };
        act.filter(|_| words.next().is_none()).ok_or_else(|| "nothing that could be done".to_owned())
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measure => f.write_str("measure"),
            Self::MeasureDark => f.write_str("measure-dark"),
            Self::LaserOff => f.write_str("laser-off"),
            Self::SetExposure(integration, scans) => write!(f, "set-exposure {} {scans}", integration.micros()),
            Self::Close => f.write_str("close"),
        }
    }
}

/// Printable text within the limit.
pub(super) fn text_of(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > TEXT_LEN_MAX || text.chars().any(char::is_control) {
        return Err(format!("a text has 1 to {TEXT_LEN_MAX} printable characters"));
    }
    Ok(text.to_owned())
}

/// Any text as one that [`text_of`] takes.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::new();
    for character in text.chars().map(|character| if character.is_control() { '?' } else { character }) {
        if printable.len() + character.len_utf8() > TEXT_LEN_MAX {
            break;
        }
        printable.push(character);
    }
    if printable.is_empty() { "?".to_owned() } else { printable }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0').to_ascii_uppercase();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let byte = |&[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}
