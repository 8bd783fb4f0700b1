//! The port, or a recording of one: raw bytes with a deadline, nothing of the protocol.

use std::io::{self, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ocean_binary_protocol::deadline::line_time;
use serialport::{ClearBuffer, DataBits, Parity, SerialPort, StopBits, TTYPort};

use super::AcquireError;
use super::capture::{Act, CaptureEvent, CapturePlayer, Recorder, Way};
use super::settings::{FlowControl, SerialLine};
use crate::supervise::Stop;

/// A line on which nothing came for this long is silent: longer than a USB adapter holds bytes back (16 ms), and shorter
/// than anybody notices.
pub(super) const SILENCE: Duration = Duration::from_millis(100);

/// For the port to take bytes off our hands beyond the time they need on the line.
const WRITE_ALLOWANCE: Duration = Duration::from_secs(1);

/// Bytes taken per read: a QE Pro spectrum at once.
const READ_LEN: usize = 4_608;

/// What the bytes go through.
#[derive(Debug)]
enum Wire {
    Port(TTYPort, Option<Recorder>),
    Played(CapturePlayer),
}

/// An open serial port: raw, 8N1, locked against other programs. Or a recorded one, whose time is that of the recording.
#[derive(Debug)]
pub(super) struct SerialLink {
    wire: Wire,
    path: PathBuf,
    baud: u32,
    buffer: Box<[u8]>,
}

impl SerialLink {
    /// # Errors
    /// When the port is missing, forbidden, in use, no port, or does not take the settings.
    pub(super) fn open(
        line: &SerialLine,
        path: &Path,
        baud: u32,
        flow_control: FlowControl,
    ) -> Result<Self, AcquireError> {
        let wire = match line {
            SerialLine::Port => Wire::Port(open_port(path, baud, flow_control)?, None),
            SerialLine::Recorded(recorder) => Wire::Port(open_port(path, baud, flow_control)?, Some(recorder.clone())),
            SerialLine::Played(player) => Wire::Played(player.clone()),
        };
        let mut link = Self { wire, path: path.to_owned(), baud, buffer: vec![0; READ_LEN].into() };
        link.note(&CaptureEvent::Open(baud))?;
        Ok(link)
    }

    /// As configured.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bits per second.
    pub(super) fn baud(&self) -> u32 {
        self.baud
    }

    /// Writes down what is decided beside the line; a recording is asked whether the same was decided then.
    ///
    /// # Errors
    /// When something else was.
    pub(super) fn note(&mut self, event: &CaptureEvent) -> Result<(), AcquireError> {
        match &self.wire {
            Wire::Port(_, Some(recorder)) => recorder.record(event),
            Wire::Port(_, None) => {}
            Wire::Played(player) => player.play(event)?,
        }
        Ok(())
    }

    /// As [`SerialLink::note`], of something the program was asked to do.
    pub(super) fn note_act(&mut self, act: Act) -> Result<(), AcquireError> {
        self.note(&CaptureEvent::Do(act))
    }

    /// The time that deadlines on this link are reckoned in.
    pub(super) fn now(&self) -> Instant {
        match &self.wire {
            Wire::Port(..) => Instant::now(),
            Wire::Played(player) => player.now(),
        }
    }

    /// The time of day.
    pub(super) fn wall_clock(&self) -> SystemTime {
        match &self.wire {
            Wire::Port(..) => SystemTime::now(),
            Wire::Played(player) => player.wall_clock(),
        }
    }

    /// Whether a stop was requested by now.
    pub(super) fn is_stopped(&mut self, stop: &Stop) -> bool {
        self.is_stopped_within(Duration::ZERO, stop)
    }

    /// Pauses; whether a stop was requested before the pause ended.
    pub(super) fn is_stopped_within(&mut self, pause: Duration, stop: &Stop) -> bool {
        match &self.wire {
            Wire::Port(_, recorder) => {
                let stopped = if pause.is_zero() { stop.is_requested() } else { stop.requested_within(pause) };
                if let Some(recorder) = recorder.as_ref().filter(|_| stopped) {
                    recorder.record(&CaptureEvent::Stop);
                }
                stopped
            }
            Wire::Played(player) => {
                let stopped = player.stops();
                if !stopped {
                    player.pass(pause);
                }
                stopped
            }
        }
    }

    /// Pauses, whatever was requested.
    pub(super) fn pause(&mut self, pause: Duration) {
        match &self.wire {
            Wire::Port(..) => std::thread::sleep(pause),
            Wire::Played(player) => player.pass(pause),
        }
    }

    /// Talks at another rate from now on. Whatever has not left or was not read yet is of the old one, and dropped.
    ///
    /// # Errors
    /// When the port does not take the rate.
    pub(super) fn set_baud(&mut self, baud: u32) -> Result<(), AcquireError> {
        if let Wire::Port(port, _) = &mut self.wire {
            let lost = |source: serialport::Error| lost(&self.path, Way::Writing, source.into());
            port.clear(ClearBuffer::All).map_err(lost)?;
            let failed = |source| AcquireError::PortBaud { port: self.path.clone(), baud, source };
            port.set_baud_rate(baud).map_err(failed)?;
        }
        self.baud = baud;
        self.note(&CaptureEvent::Baud(baud))
    }

    /// The bytes that are there, or the first to come within `patience`; empty if none do.
    ///
    /// # Errors
    /// When the port is gone.
    pub(super) fn read(&mut self, patience: Duration) -> Result<&[u8], AcquireError> {
        let len = match &mut self.wire {
            Wire::Port(port, recorder) => {
                let outcome = read_port(port, &mut self.buffer, patience);
                if let Some(recorder) = recorder {
                    match &outcome {
                        Ok(0) => {}
                        Ok(len) => {
                            let bytes = self.buffer.get(..*len).unwrap_or_default();
                            recorder.record(&CaptureEvent::Received(bytes.to_vec()));
                        }
                        Err(error) => recorder.record(&CaptureEvent::lost(Way::Reading, error)),
                    }
                }
                outcome.map_err(|source| lost(&self.path, Way::Reading, source))?
            }
            Wire::Played(player) => {
                let recorded = player.read(patience)?;
                let bytes = recorded.map_err(|why| lost(&self.path, Way::Reading, io::Error::other(why)))?;
                if bytes.len() > self.buffer.len() {
                    self.buffer = vec![0; bytes.len()].into();
                }
                self.buffer.iter_mut().zip(&bytes).for_each(|(place, byte)| *place = *byte);
                bytes.len()
            }
        };
        Ok(self.buffer.get(..len).unwrap_or_default())
    }

    /// All the bytes, or an error.
    ///
    /// # Errors
    /// When the port is gone, or takes no bytes: a device that keeps CTS low, say.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> Result<(), AcquireError> {
        let lost = |source| lost(&self.path, Way::Writing, source);
        match &mut self.wire {
            Wire::Port(port, recorder) => {
                let patience = line_time(bytes.len(), self.baud) + WRITE_ALLOWANCE;
                let outcome = port.set_timeout(patience).map_err(io::Error::from).and_then(|()| port.write_all(bytes));
                if let Some(recorder) = recorder {
                    recorder.record(&match &outcome {
                        Ok(()) => CaptureEvent::Sent(bytes.to_vec()),
                        Err(error) => CaptureEvent::lost(Way::Writing, error),
                    });
                }
                outcome.map_err(lost)
            }
            Wire::Played(player) => match player.write(bytes)? {
                None => Ok(()),
                Some(why) => Err(lost(io::Error::other(why))),
            },
        }
    }

    /// Throws input away until the line is silent for [`SILENCE`]; how many bytes it were.
    ///
    /// # Errors
    /// When the port is gone, or the line is not silent within `patience`.
    pub(super) fn drain(&mut self, patience: Duration) -> Result<usize, AcquireError> {
        if let Wire::Port(port, _) = &mut self.wire {
            let lost = |source: serialport::Error| lost(&self.path, Way::Reading, source.into());
            port.clear(ClearBuffer::Input).map_err(lost)?;
        }
        self.note(&CaptureEvent::Clear)?;
        let start = self.now();
        let mut dropped = 0;
        loop {
            let len = self.read(SILENCE)?.len();
            dropped += len;
            let waited = self.now().saturating_duration_since(start);
            if len == 0 {
                return Ok(dropped);
            }
            if waited > patience {
                return Err(AcquireError::Babble { port: self.path.clone(), bytes: dropped, waited });
            }
        }
    }
}

impl Drop for SerialLink {
    fn drop(&mut self) {
        if let Err(error) = self.note(&CaptureEvent::Closed) {
            tracing::debug!(%error, "the recording goes on where the port is closed");
        }
    }
}

fn lost(port: &Path, way: Way, source: io::Error) -> AcquireError {
    AcquireError::Lost { port: port.to_owned(), doing: way.name(), source }
}

fn read_port(port: &mut TTYPort, buffer: &mut [u8], patience: Duration) -> io::Result<usize> {
    let until = Instant::now() + patience;
    loop {
        port.set_timeout(until.saturating_duration_since(Instant::now()))?;
        match port.read(buffer) {
            // poll(2) promised a byte: its absence is the end of the file, a hung-up line.
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => return Ok(len),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(0),
            // A signal ends the waiting, and nothing else.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                if Instant::now() >= until {
                    return Ok(0);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn open_port(path: &Path, baud: u32, flow_control: FlowControl) -> Result<TTYPort, AcquireError> {
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
    TTYPort::open(&builder).map_err(failed)
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
