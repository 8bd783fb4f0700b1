//! Bytes in time: the device's answers leave at the speed of a serial line, and only towards a host that listens at it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ocean_binary_protocol::Framer;

use super::pty::Pty;
use super::responder::{LineOutput, Responder};

/// Start bit, eight data bits, stop bit.
const BITS_PER_BYTE: u32 = 10;

/// Bytes appear in portions of this much line time, as from a UART's buffer.
const PORTION: Duration = Duration::from_millis(4);

/// One read; requests are 64 bytes.
const READ_LEN: usize = 4096;

/// How fast answers leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pacing {
    /// At ten bits a byte, as a real line.
    #[default]
    Line,
    /// At once, for tests that do not ask about time.
    Immediate,
}

/// The device's end of the cable.
#[derive(Debug)]
pub(super) struct SimulatedLine {
    link: PathBuf,
    pty: Option<Pty>,
    baud: u32,
    pacing: Pacing,
    framer: Framer,
    /// Bytes to send, and when the last bit of each portion has left.
    outgoing: VecDeque<(Duration, Vec<u8>)>,
    come_back_at: Option<Duration>,
}

impl SimulatedLine {
    pub(super) fn open(link: &Path, baud: u32, pacing: Pacing) -> io::Result<Self> {
        let pty = Some(Pty::open(link)?);
        let (link, framer) = (link.to_owned(), Framer::new());
        Ok(Self { link, pty, baud, pacing, framer, outgoing: VecDeque::new(), come_back_at: None })
    }

    pub(super) fn pty(&self) -> Option<&Pty> {
        self.pty.as_ref()
    }

    /// Closes the line: an open host reads an error or the end. Zero means until [`SimulatedLine::come_back`].
    pub(super) fn hang_up(&mut self, away: Duration, now: Duration) {
        self.pty = None;
        self.outgoing.clear();
        self.framer.reset();
        self.come_back_at = (!away.is_zero()).then(|| now + away);
    }

    /// A new line under the old name.
    pub(super) fn come_back(&mut self) -> io::Result<()> {
        self.come_back_at = None;
        if self.pty.is_none() {
            self.pty = Some(Pty::open(&self.link)?);
        }
        Ok(())
    }

    /// When the line has something to do by itself.
    pub(super) fn next_at(&self) -> Option<Duration> {
        let portion = self.outgoing.front().map(|(at, _)| *at);
        [portion, self.come_back_at].into_iter().flatten().min()
    }

    /// Sends what is due, takes what the device has ready, returns when its time has come.
    pub(super) fn drive(&mut self, device: &mut Responder, now: Duration) -> io::Result<()> {
        if self.come_back_at.is_some_and(|at| at <= now) {
            self.come_back()?;
        }
        loop {
            self.send_due(now)?;
            if !self.outgoing.is_empty() {
                return Ok(());
            }
            match device.take_due(now) {
                None => return Ok(()),
                Some(LineOutput::Baud(baud)) => self.baud = baud,
                Some(LineOutput::Send(pieces)) => {
                    let mut at = now;
                    for piece in pieces {
                        at += piece.pause;
                        at = self.enqueue(&piece.bytes, at, device.slowness());
                    }
                }
            }
        }
    }

    /// Reads what the host has sent, if it speaks at the device's speed, and lets the device carry it out.
    pub(super) fn listen(&mut self, device: &mut Responder, now: Duration) -> io::Result<()> {
        let Some(pty) = &mut self.pty else { return Ok(()) };
        let mut buffer = [0; READ_LEN];
        while let Some(number) = pty.read(&mut buffer)? {
            let heard = buffer.get(..number).unwrap_or_default();
            if pty.host_baud()? != self.baud {
                // At another speed the device sees bits that make no bytes.
                self.framer.reset();
                continue;
            }
            for request in self.framer.push(heard) {
                device.receive(&request, now);
            }
            if number < READ_LEN {
                break;
            }
        }
        Ok(())
    }

    /// Queues bytes from `at` on; when the last one has left.
    fn enqueue(&mut self, bytes: &[u8], at: Duration, slowness: f64) -> Duration {
        if self.pacing == Pacing::Immediate {
            self.outgoing.push_back((at, bytes.to_vec()));
            return at;
        }
        let byte_time = (Duration::from_secs(BITS_PER_BYTE.into()) / self.baud.max(1)).mul_f64(slowness);
        let portion = ((PORTION.as_secs_f64() / byte_time.as_secs_f64()) as usize).max(1);
        let mut left_at = at;
        for chunk in bytes.chunks(portion) {
            left_at += byte_time * chunk.len() as u32;
            self.outgoing.push_back((left_at, chunk.to_vec()));
        }
        left_at
    }

    fn send_due(&mut self, now: Duration) -> io::Result<()> {
        let Some(pty) = &mut self.pty else {
            self.outgoing.clear();
            return Ok(());
        };
        while let Some((_, bytes)) = self.outgoing.front_mut().filter(|(at, _)| *at <= now) {
            // A host that listens at another speed gets nothing it could read. A host that does not read at all loses what
            // its buffer cannot hold, as on any serial port.
            let written =
                if pty.host_baud()? == self.baud { pty.write(bytes)?.unwrap_or(bytes.len()) } else { bytes.len() };
            bytes.drain(..written);
            if bytes.is_empty() {
                self.outgoing.pop_front();
            }
        }
        Ok(())
    }
}
