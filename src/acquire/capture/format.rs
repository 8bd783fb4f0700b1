//! The file: a header of `key value` lines, an empty line, then one line an event.
//!
//! ```text
//! ramand-capture 1
//! written-by ramand 0.1.0
//! started 2026-11-23T09:30:00.000000Z
//! ...settings...
//!
//! 0.000000 open 115200
//! 0.000102 clear
//! 0.100310 > C1C000110000...
//! 0.108114 < C1C000110100...
//! ```
//! Times are seconds since the start with six decimals.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ocean_binary_protocol::frame::FRAME_LEN_MAX;
use ramand_core::spectrum::IntegrationTime;

use super::CaptureError;
use super::settings::Header;
use crate::acquire::settings::Settings;

/// The first line.
pub(super) const MAGIC: &str = "ramand-capture 1";

/// The longest file, bytes: some seven thousand QE Pro spectra, and little enough to be read into memory on any board.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// The longest line: the longest frame in hexadecimal digits, and room for its time.
const LINE_LEN_MAX: usize = 2 * FRAME_LEN_MAX + 64;

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
    /// The laser off.
    LaserOff,
    /// Another exposure.
    SetExposure(IntegrationTime, u16),
    /// Let go of the instrument.
    Close,
}

/// Something that happened on the line or was decided beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
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
    /// From the device.
    Reading,
    /// To the device.
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
pub struct Moment {
    /// Since the recorder was started.
    pub at: Duration,
    /// What.
    pub event: Event,
    /// Counted from 1.
    pub line: usize,
}

/// A whole file.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// The version of ramand that wrote it.
    pub written_by: String,
    /// When the recorder was started, wall clock.
    pub started: SystemTime,
    /// What the driver was told. The port is the name of the file below its folder, nothing that could be opened.
    pub settings: Settings,
    /// In order.
    pub moments: Vec<Moment>,
}

impl Conversation {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or is anything but a capture: the error names the line.
    pub fn read(path: &Path) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(CaptureError::TooLong { path: path.to_owned() });
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes().iter().take(valid).filter(|&&byte| byte == b'\n').count();
            wrong(line, "not text")
        })?;
        Self::parse(&text)
    }

    /// `text` as it stands in a file.
    ///
    /// # Errors
    /// When it is anything but a capture.
    pub fn parse(text: &str) -> Result<Self, CaptureError> {
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        if lines.next().is_none_or(|(_, first)| first != MAGIC) {
            return Err(wrong(1, format!("a capture begins with '{MAGIC}'")));
        }
        let Header { written_by, started, settings } = Header::parse(&mut lines)?;
        let mut moments: Vec<Moment> = Vec::new();
        for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
            if text.len() > LINE_LEN_MAX {
                return Err(wrong(line, format!("longer than {LINE_LEN_MAX} characters")));
            }
            let (time, event) = text.split_once(' ').ok_or_else(|| wrong(line, "a time and an event belong here"))?;
            let at = parse_time(time).ok_or_else(|| wrong(line, "the time is not seconds with six decimals"))?;
            if moments.last().is_some_and(|before| at < before.at) {
                return Err(wrong(line, "the time is before that of the line above"));
            }
            let event = Event::parse(event).map_err(|why| wrong(line, why))?;
            moments.push(Moment { at, event, line });
        }
        Ok(Self { written_by, started, settings, moments })
    }

    /// The file's text.
    pub fn encode(&self) -> String {
        let mut text = Header::encode(&self.written_by, self.started, &self.settings);
        self.moments.iter().for_each(|moment| text.push_str(&encode_line(moment.at, &moment.event)));
        text
    }
}

pub(super) fn wrong(line: usize, why: impl Into<String>) -> CaptureError {
    CaptureError::Line { line, why: why.into() }
}

/// One event with its line end.
pub(super) fn encode_line(at: Duration, event: &Event) -> String {
    format!("{}.{:06} {event}\n", at.as_secs(), at.subsec_micros())
}

fn parse_time(text: &str) -> Option<Duration> {
    let (seconds, micros) = text.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if micros.len() != 6 || !digits(micros) || !digits(seconds) {
        return None;
    }
    let seconds: u64 = seconds.parse().ok().filter(|&seconds| seconds <= SECONDS_MAX)?;
    Some(Duration::from_micros(seconds * MICROS + micros.parse::<u64>().ok()?))
}

impl Event {
    /// A port that failed, in the words of the operating system.
    pub(in crate::acquire) fn lost(way: Way, error: &std::io::Error) -> Self {
        Self::Lost(way, printable(&error.to_string()))
    }

    fn parse(text: &str) -> Result<Self, String> {
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
}

impl fmt::Display for Event {
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

pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0').to_ascii_uppercase();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let byte = |&[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}
