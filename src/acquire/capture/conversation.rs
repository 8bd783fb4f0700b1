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

use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use ocean_binary_protocol::FRAME_LEN_MAX;

use super::CaptureError;
use super::event::{CaptureEvent, CaptureMoment, encode_line, parse_time};
use super::header::{CaptureHeader, MAGIC};
use super::record::{FILE_BYTES_MAX, Recorder};
use crate::acquire::settings::{AcquisitionSettings, SerialLine};

/// The longest line: the longest frame in hexadecimal digits, and room for its time.
const LINE_LEN_MAX: usize = 2 * FRAME_LEN_MAX + 64;

/// These settings, with everything that is said on the line written to a file. One that is there already is kept under its name
/// with `.old` behind it.
///
/// # Errors
/// When the file cannot be created.
pub fn recorded(settings: AcquisitionSettings, path: &Path) -> Result<AcquisitionSettings, CaptureError> {
    let written_by = concat!("ramand ", env!("CARGO_PKG_VERSION"));
    let header = CaptureHeader::encode(written_by, SystemTime::now(), &settings);
    let recorder = Recorder::create(path, &header)?;
    Ok(AcquisitionSettings { line: SerialLine::Recorded(recorder), ..settings })
}

/// A whole file.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// The version of ramand that wrote it.
    pub written_by: String,
    /// When the recorder was started, wall clock.
    pub started: SystemTime,
    /// What the driver was told. The port is the name of the file below its folder, nothing that could be opened.
    pub settings: AcquisitionSettings,
    /// What happened, in order.
    pub moments: Vec<CaptureMoment>,
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
            return Err(CaptureError::TooLong { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes().iter().take(valid).filter(|&&byte| byte == b'\n').count();
            CaptureError::at(line, "not text")
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
            return Err(CaptureError::at(1, format!("a capture begins with '{MAGIC}'")));
        }
        let CaptureHeader { written_by, started, settings } = CaptureHeader::parse(&mut lines)?;
        let mut moments: Vec<CaptureMoment> = Vec::new();
        for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
            if text.len() > LINE_LEN_MAX {
                return Err(CaptureError::at(line, format!("longer than {LINE_LEN_MAX} characters")));
            }
            let (time, event) =
                text.split_once(' ').ok_or_else(|| CaptureError::at(line, "a time and an event belong here"))?;
            let at =
                parse_time(time).ok_or_else(|| CaptureError::at(line, "the time is not seconds with six decimals"))?;
            if moments.last().is_some_and(|before| at < before.at) {
                return Err(CaptureError::at(line, "the time is before that of the line above"));
            }
            let event = CaptureEvent::parse(event).map_err(|why| CaptureError::at(line, why))?;
            moments.push(CaptureMoment { at, event, line });
        }
        Ok(Self { written_by, started, settings, moments })
    }

    /// The file's text.
    pub fn encode(&self) -> String {
        let mut text = CaptureHeader::encode(&self.written_by, self.started, &self.settings);
        self.moments.iter().for_each(|moment| text.push_str(&encode_line(moment.at, &moment.event)));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_can_be_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("capture.txt");
        let settings = recorded(AcquisitionSettings::new("/dev/ttyS0"), &path).expect("created");
        let SerialLine::Recorded(recorder) = &settings.line else { panic!("not recorded") };
        recorder.record(&CaptureEvent::Sent(vec![0xC1; 30]));
        recorder.record(&CaptureEvent::Full);
        let conversation = Conversation::read(&path).expect("a capture");
        let events: Vec<CaptureEvent> = conversation.moments.into_iter().map(|moment| moment.event).collect();
        assert_eq!(events, [CaptureEvent::Sent(vec![0xC1; 30]), CaptureEvent::Full]);
        assert_eq!(conversation.settings.scans, settings.scans);
    }
}
