//! Spectra: on demand with u16 pixels (STS), buffered with metadata and u32 pixels (QE Pro).

use super::{Answer, Request, ResponseError, Timing, Value, commands, queries};
use crate::MessageType;
use crate::units::IntegrationTime;

/// Bytes before the pixels of a buffered spectrum.
pub const METADATA_LEN: usize = 32;

commands! {
    /// Stops an acquisition and goes idle.
    AbortAcquisition: ABORT_ACQUISITION;
    /// Forgets all buffered spectra.
    ClearBuffer: CLEAR_BUFFER;
    /// Acquires into the buffer; the acknowledgement comes at once.
    StartAcquisition: START_ACQUISITION;
}

queries! {
    /// How many spectra are buffered.
    BufferedSpectra: BUFFERED_SPECTRA -> u32;
    /// Whether no acquisition runs.
    IsIdle: IS_IDLE -> bool;
}

/// Exposes now and answers with the pixels, corrected on board for temperature drift and fixed pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorrectedSpectrum {
    /// Pixels the answer must have.
    pub pixels: usize,
    /// The exposure of one scan, as set.
    pub integration: IntegrationTime,
    /// Scans averaged, as set.
    pub scans: u32,
}

impl Request for CorrectedSpectrum {
    type Response = Vec<u16>;
    const MESSAGE_TYPE: MessageType = MessageType::CORRECTED_SPECTRUM;
    const ANSWER: Answer = Answer::Data;

    fn timing(&self) -> Timing {
        Timing { integration: self.integration, scans: self.scans, data_len: self.pixels * 2 }
    }

    fn parse(&self, data: &[u8]) -> Result<Vec<u16>, ResponseError> {
        let pixels = exactly(Self::MESSAGE_TYPE, data, self.pixels * 2)?.as_chunks::<2>().0;
        Ok(pixels.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect())
    }
}

/// Chooses `count` pixels from `start`, every `step`th, for [`PartialSpectrum`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetPartialSpectrumMode {
    /// First pixel, from 0.
    pub start: u16,
    /// Distance between pixels.
    pub step: u16,
    /// How many pixels.
    pub count: u16,
}

impl SetPartialSpectrumMode {
    /// Mode number of "start, step, count".
    const MODE: u16 = 2;
}

impl Request for SetPartialSpectrumMode {
    type Response = ();
    const MESSAGE_TYPE: MessageType = MessageType::SET_PARTIAL_SPECTRUM_MODE;
    const ANSWER: Answer = Answer::Acknowledgement;

    fn data(&self) -> Vec<u8> {
        [Self::MODE, self.start, self.step, self.count].into_iter().flat_map(u16::to_le_bytes).collect()
    }

    fn parse(&self, _data: &[u8]) -> Result<(), ResponseError> {
        Ok(())
    }
}

/// The chosen pixels, now. Up to eight of them fit into immediate data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialSpectrum {
    /// Pixels the answer must have.
    pub pixels: usize,
    /// The exposure of one scan, as set.
    pub integration: IntegrationTime,
    /// Scans averaged, as set.
    pub scans: u32,
}

impl Request for PartialSpectrum {
    type Response = Vec<u16>;
    const MESSAGE_TYPE: MessageType = MessageType::PARTIAL_SPECTRUM;
    const ANSWER: Answer = Answer::Data;

    fn timing(&self) -> Timing {
        Timing { integration: self.integration, scans: self.scans, data_len: self.pixels * 2 }
    }

    fn parse(&self, data: &[u8]) -> Result<Vec<u16>, ResponseError> {
        let pixels = exactly(Self::MESSAGE_TYPE, data, self.pixels * 2)?.as_chunks::<2>().0;
        Ok(pixels.iter().map(|bytes| u16::from_le_bytes(*bytes)).collect())
    }
}

/// The 32 bytes before the pixels of a buffered spectrum.
///
/// ```text
/// offset size field                       offset size field
///      0    4 spectrum count                  16    2 reserved
///      4    8 tick, us                        18    1 trigger mode
///     12    4 integration time, us            19   13 reserved
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Spectra acquired since power-up; wraps.
    pub spectrum_count: u32,
    /// The device's clock, us.
    pub tick_us: u64,
    /// The exposure this spectrum really had.
    pub integration: IntegrationTime,
    /// The trigger mode it was taken in.
    pub trigger_mode: u8,
}

impl Metadata {
    /// As a device sends it.
    pub fn encode(&self) -> [u8; METADATA_LEN] {
        let mut data = Vec::with_capacity(METADATA_LEN);
        self.spectrum_count.write(&mut data);
        data.extend(self.tick_us.to_le_bytes());
        self.integration.write(&mut data);
        data.extend([0, 0, self.trigger_mode]);
        data.resize(METADATA_LEN, 0);
        data.try_into().expect("the data was resized to the length of the metadata")
    }

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
pub struct Buffered {
    /// How it was taken.
    pub metadata: Metadata,
    /// Counts, all pixels.
    pub pixels: Vec<u32>,
}

/// Fetches the oldest spectrum of the buffer, and waits for one to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferedSpectrum {
    /// Pixels the answer must have.
    pub pixels: usize,
    /// The exposure of one scan, as set.
    pub integration: IntegrationTime,
    /// Scans averaged, as set.
    pub scans: u32,
}

impl Request for BufferedSpectrum {
    type Response = Buffered;
    const MESSAGE_TYPE: MessageType = MessageType::BUFFERED_SPECTRUM;
    const ANSWER: Answer = Answer::Data;

    fn timing(&self) -> Timing {
        let data_len = METADATA_LEN + self.pixels * 4;
        Timing { integration: self.integration, scans: self.scans, data_len }
    }

    fn parse(&self, data: &[u8]) -> Result<Buffered, ResponseError> {
        let expected = METADATA_LEN + self.pixels * 4;
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
