//! Spectra: on demand with u16 pixels (STS), buffered with metadata and u32 pixels (QE Pro).

use super::{AnswerKind, Request, ResponseError, Timing, commands};
use crate::message_type::MessageType;
use crate::units::IntegrationTime;

/// Bytes before the pixels of a buffered spectrum.
const METADATA_LEN: usize = 32;

/// Bytes of data in the answer to [`CorrectedSpectrum`].
pub(crate) const fn on_demand_len(pixels: usize) -> usize {
    pixels * 2
}

/// Bytes of data in the answer to [`BufferedSpectrum`].
pub(crate) const fn buffered_len(pixels: usize) -> usize {
    METADATA_LEN + pixels * 4
}

commands! {
    /// Ends the running acquisition and goes idle; its spectrum never comes.
    AbortAcquisition: ABORT_ACQUISITION;
    /// Forgets all buffered spectra, those that an earlier host left behind among them.
    ClearBuffer: CLEAR_BUFFER;
    /// Starts an acquisition into the buffer. The acknowledgement comes at once, not at the end of the exposure.
    StartAcquisition: START_ACQUISITION;
}

/// Exposes at once and asks for the spectrum, corrected on board for temperature drift and fixed pattern.
///
/// The answer is u16 counts, one a pixel: 2048 bytes of payload from an STS. An exposure in free run may have begun before
/// the request, so that the first spectrum after a change of exposure or light may still be of the old state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorrectedSpectrum {
    /// Pixels the answer must have; [`Profile::pixels`](crate::Profile::pixels) as a rule.
    pub pixels: usize,
    /// The exposure of one scan as it is set, for the deadline.
    pub integration: IntegrationTime,
    /// Scans that the device averages as it is set, for the deadline.
    pub scans: u32,
}

impl Request for CorrectedSpectrum {
    type Response = Vec<u16>;
    const MESSAGE_TYPE: MessageType = MessageType::CORRECTED_SPECTRUM;
    const ANSWER: AnswerKind = AnswerKind::Data;

    fn timing(&self) -> Timing {
        let Self { pixels, integration, scans } = *self;
        Timing { integration, scans, data_len: on_demand_len(pixels) }
    }

    fn parse(&self, data: &[u8]) -> Result<Vec<u16>, ResponseError> {
        let pixels = exactly(Self::MESSAGE_TYPE, data, on_demand_len(self.pixels))?.as_chunks::<2>().0;
        Ok(pixels.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect())
    }
}

/// How a buffered spectrum was taken: the 32 bytes before its pixels.
///
/// ```text
/// offset size field                       offset size field
///      0    4 spectrum count                  16    2 reserved
///      4    8 tick, µs                        18    1 trigger mode
///     12    4 integration time, µs            19   13 reserved
/// ```
/// Source: SeaBreeze `demo-qepro-api.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Spectra acquired since power-up; wraps.
    pub spectrum_count: u32,
    /// The device's own clock, µs.
    pub tick_us: u64,
    /// The exposure of one scan that this spectrum really had: another one than was set marks an old spectrum.
    pub integration: IntegrationTime,
    /// The trigger mode the spectrum was taken in.
    pub trigger_mode: u8,
}

impl Metadata {
    fn decode(bytes: &[u8; METADATA_LEN]) -> Self {
        let [c0, c1, c2, c3, t0, t1, t2, t3, t4, t5, t6, t7, i0, i1, i2, i3, _, _, trigger_mode, ..] = *bytes;
        Self {
            spectrum_count: u32::from_le_bytes([c0, c1, c2, c3]),
            tick_us: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            integration: IntegrationTime::from_micros(u32::from_le_bytes([i0, i1, i2, i3]).into()),
            trigger_mode,
        }
    }
}

/// A spectrum from the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Buffered {
    /// How it was taken.
    pub metadata: Metadata,
    /// Counts of all pixels, dark and dummy ones included.
    pub pixels: Vec<u32>,
}

/// Asks for the oldest spectrum of the buffer, and waits for one to be there.
///
/// The answer is [`Metadata`] and u32 counts, one a pixel: 4208 bytes of payload from a QE Pro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferedSpectrum {
    /// Pixels the answer must have; [`Profile::pixels`](crate::Profile::pixels) as a rule.
    pub pixels: usize,
    /// The exposure of one scan as it is set, for the deadline.
    pub integration: IntegrationTime,
    /// Scans that the device averages as it is set, for the deadline.
    pub scans: u32,
}

impl Request for BufferedSpectrum {
    type Response = Buffered;
    const MESSAGE_TYPE: MessageType = MessageType::BUFFERED_SPECTRUM;
    const ANSWER: AnswerKind = AnswerKind::Data;

    fn timing(&self) -> Timing {
        let Self { pixels, integration, scans } = *self;
        Timing { integration, scans, data_len: buffered_len(pixels) }
    }

    fn parse(&self, data: &[u8]) -> Result<Buffered, ResponseError> {
        let expected = buffered_len(self.pixels);
        let wrong = ResponseError::Length { message_type: Self::MESSAGE_TYPE, expected, found: data.len() };
        let data = exactly(Self::MESSAGE_TYPE, data, expected)?;
        let (metadata, pixels) = data.split_first_chunk().ok_or(wrong)?;
        let pixels = pixels.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        Ok(Buffered { metadata: Metadata::decode(metadata), pixels })
    }
}

fn exactly(message_type: MessageType, data: &[u8], expected: usize) -> Result<&[u8], ResponseError> {
    if data.len() == expected {
        Ok(data)
    } else {
        Err(ResponseError::Length { message_type, expected, found: data.len() })
    }
}
