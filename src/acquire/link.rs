//! The port: raw bytes with a deadline, nothing of the protocol.

use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serialport::{ClearBuffer, DataBits, Parity, SerialPort, StopBits, TTYPort};

use super::AcquireError;
use super::settings::FlowControl;
use crate::obp::deadline::line_time;

/// A line on which nothing came for this long is silent: longer than a USB adapter holds bytes back (16 ms), and shorter
/// than anybody notices.
pub const SILENCE: Duration = Duration::from_millis(100);

/// For the port to take bytes off our hands beyond the time they need on the line.
const WRITE_ALLOWANCE: Duration = Duration::from_secs(1);

/// Bytes taken per read: a QE Pro spectrum at once.
const READ_LEN: usize = 4_608;

/// An open serial port: raw, 8N1, locked against other programs.
#[derive(Debug)]
pub struct Link {
    port: TTYPort,
    path: PathBuf,
    baud: u32,
    buffer: Box<[u8]>,
}

impl Link {
    /// # Errors
    /// When the port is missing, forbidden, in use, no port, or does not take the settings.
    pub fn open(path: &Path, baud: u32, flow_control: FlowControl) -> Result<Self, AcquireError> {
        let failed = |source| open_error(path, source);
        let metadata = std::fs::metadata(path).map_err(|error| failed(serialport::Error::from(error)))?;
        if !metadata.file_type().is_char_device() {
            return Err(AcquireError::NotAPort { port: path.to_owned() });
        }
        let flow_control = match flow_control {
            FlowControl::None => serialport::FlowControl::None,
            FlowControl::RtsCts => serialport::FlowControl::Hardware,
        };
        let builder = serialport::new(path.to_string_lossy(), baud)
            .data_bits(DataBits::Eight)
            .parity(Parity::None)
            .stop_bits(StopBits::One)
            .flow_control(flow_control);
        let port = TTYPort::open(&builder).map_err(failed)?;
        Ok(Self { port, path: path.to_owned(), baud, buffer: vec![0; READ_LEN].into() })
    }

    /// As configured.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bits per second.
    pub fn baud(&self) -> u32 {
        self.baud
    }

    /// Talks at another rate from now on. Whatever has not left or was not read yet is of the old one, and dropped.
    ///
    /// # Errors
    /// When the port does not take the rate.
    pub fn set_baud(&mut self, baud: u32) -> Result<(), AcquireError> {
        self.port.clear(ClearBuffer::All).map_err(|source| self.lost("writing", source.into()))?;
        let failed = |source| AcquireError::PortBaud { port: self.path.clone(), baud, source };
        self.port.set_baud_rate(baud).map_err(failed)?;
        self.baud = baud;
        Ok(())
    }

    /// The bytes that are there, or the first to come within `patience`; empty if none do.
    ///
    /// # Errors
    /// When the port is gone.
    pub fn read(&mut self, patience: Duration) -> Result<&[u8], AcquireError> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.port.set_timeout(left).map_err(|source| self.lost("reading", source.into()))?;
            match self.port.read(&mut self.buffer) {
                // poll(2) promised a byte: its absence is the end of the file, a hung-up line.
                Ok(0) => return Err(self.lost("reading", io::ErrorKind::UnexpectedEof.into())),
                Ok(len) => return Ok(self.buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(&[]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted && Instant::now() < until => {}
                Err(source) => return Err(self.lost("reading", source)),
            }
        }
    }

    /// All the bytes, or an error.
    ///
    /// # Errors
    /// When the port is gone, or takes no bytes: a device that keeps CTS low, say.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), AcquireError> {
        let patience = line_time(bytes.len(), self.baud) + WRITE_ALLOWANCE;
        self.port.set_timeout(patience).map_err(|source| self.lost("writing", source.into()))?;
        self.port.write_all(bytes).map_err(|source| self.lost("writing", source))
    }

    /// Throws input away until the line is silent for [`SILENCE`]; how many bytes it were.
    ///
    /// # Errors
    /// When the port is gone, or the line is not silent within `patience`.
    pub fn drain(&mut self, patience: Duration) -> Result<usize, AcquireError> {
        let start = Instant::now();
        self.port.clear(ClearBuffer::Input).map_err(|source| self.lost("reading", source.into()))?;
        let mut dropped = 0;
        loop {
            let len = self.read(SILENCE)?.len();
            dropped += len;
            let waited = start.elapsed();
            if len == 0 {
                return Ok(dropped);
            }
            if waited > patience {
                return Err(AcquireError::Babble { port: self.path.clone(), bytes: dropped, waited });
            }
        }
    }

    fn lost(&self, doing: &'static str, source: io::Error) -> AcquireError {
        AcquireError::Lost { port: self.path.clone(), doing, source }
    }
}

fn open_error(path: &Path, source: serialport::Error) -> AcquireError {
    let port = path.to_owned();
    match source.kind() {
        serialport::ErrorKind::Io(io::ErrorKind::NotFound) => AcquireError::PortMissing { port },
        serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied) => AcquireError::PortForbidden { port },
        serialport::ErrorKind::NoDevice => AcquireError::PortBusy { port },
        _ => AcquireError::PortOpen { port, source },
    }
}
