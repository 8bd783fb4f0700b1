//! From a byte stream to frames: finds the next frame after noise, damage or a lost byte.
//!
//! Out of step, the framer searches for C1 C0. In step it believes the header's length and never searches inside: pixel
//! bytes may well be C1 C0. A candidate that fails its header, footer or checksum loses its two start bytes only, so an
//! undamaged frame that a false start swallowed is still found.

use crate::frame::{FRAME_LEN_MAX, Frame, FrameError, START, announced_len};

/// What a [`Framer`] met besides good frames, counted since it was made. A quiet line has zeros here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FramerStatistics {
    /// How often C1 C0 was followed by a header, footer or checksum that no frame has: a damaged frame, or noise that looks
    /// like a start.
    pub damaged_frames: u64,
    /// Bytes that belonged to no good frame: noise, damaged frames, and what [`Framer::reset`] forgot.
    pub dropped_bytes: u64,
}

/// A receiver without IO: bytes in, frames out.
///
/// It keeps at most [`FRAME_LEN_MAX`] bytes, whatever comes. It has no idea of time: a frame that never ends stays pending
/// until [`reset`](Self::reset), or until later bytes show that it was none.
#[derive(Debug, Default)]
pub struct Framer {
    /// At most [`FRAME_LEN_MAX`] bytes that may be part of a frame.
    pending: Vec<u8>,
    statistics: FramerStatistics,
}

impl Framer {
    /// A framer that expects the first byte to begin a frame, and has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes as they come, in any portions, and returns the frames they complete, in the order they came.
    ///
    /// How the stream is cut into portions makes no difference to the frames. Damage is no error here: it is counted in
    /// [`statistics`](Self::statistics), and the search goes on behind it.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            // A full buffer always holds a whole candidate, so `extract` leaves room for at least one byte more.
            let room = FRAME_LEN_MAX - self.pending.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.pending.extend_from_slice(now);
            self.extract(&mut frames);
            rest = later;
        }
        frames
    }

    /// Forgets an incomplete frame, because what comes next has nothing to do with it: after a time-out, a change of the
    /// baud rate or a drained port. Its bytes count as dropped.
    pub fn reset(&mut self) {
        self.statistics.dropped_bytes += self.pending.len() as u64;
        self.pending.clear();
    }

    /// What was damaged or dropped so far.
    pub fn statistics(&self) -> FramerStatistics {
        self.statistics
    }

    fn extract(&mut self, frames: &mut Vec<Frame>) {
        let mut at = 0;
        loop {
            let noise = self.pending.get(at..).map_or(0, noise_len);
            self.statistics.dropped_bytes += noise as u64;
            at += noise;
            let candidate = self.pending.get(at..).unwrap_or_default();
            let decoded = announced_len(candidate).and_then(|len| {
                let whole = candidate.get(..len);
                let whole = whole.ok_or(FrameError::TooShort { expected: len, found: candidate.len() })?;
                Ok((Frame::decode(whole)?, len))
            });
            match decoded {
                Ok((frame, len)) => {
                    frames.push(frame);
                    at += len;
                }
                Err(FrameError::TooShort { .. }) => break,
                Err(_) => {
                    self.statistics.damaged_frames += 1;
                    self.statistics.dropped_bytes += START.len() as u64;
                    at += START.len();
                }
            }
        }
        self.pending.drain(..at);
    }
}

/// How many bytes come before the next possible start; a lone C1 at the end may be half of one.
fn noise_len(bytes: &[u8]) -> usize {
    let start = bytes.windows(START.len()).position(|pair| pair == START);
    start.unwrap_or_else(|| bytes.len() - usize::from(bytes.last() == Some(&START[0])))
}
