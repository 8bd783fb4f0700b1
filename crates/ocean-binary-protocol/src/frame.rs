//! One frame: its layout, its flags, its error numbers, its checksum.
//!
//! ```text
//! offset size field              offset size field
//!      0    2 start C1 C0            22    1 checksum type: 0 none, 1 MD5
//!      2    2 protocol version       23    1 length of immediate data, 0..=16
//!      4    2 flags                  24   16 immediate data, unused bytes 0
//!      6    2 error number           40    4 bytes remaining: payload length + 20
//!      8    4 message type           44    n payload, only without immediate data
//!     12    4 regarding            44+n   16 MD5 of bytes 0..44+n, or zeros
//!     16    6 reserved, 0          60+n    4 footer C5 C4 C3 C2
//! ```
//! Data of at most 16 bytes travels as immediate data, longer data as payload, never both: a frame without payload has
//! exactly 64 bytes.

use md5::{Digest, Md5};

use super::MessageType;

/// What every frame begins with.
pub const START: [u8; 2] = [0xC1, 0xC0];
/// What every frame ends with.
pub const FOOTER: [u8; 4] = [0xC5, 0xC4, 0xC3, 0xC2];
/// Bytes up to and including "bytes remaining": enough to know how long the frame is.
pub const HEADER_LEN: usize = 44;
/// Bytes of checksum and footer: the least "bytes remaining" can say.
pub const TRAILER_LEN: usize = 20;
/// A frame without payload.
pub const FRAME_LEN_MIN: usize = HEADER_LEN + TRAILER_LEN;
/// Data that fits here is immediate data.
pub const IMMEDIATE_LEN_MAX: usize = 16;
/// The longest payload believed: fifteen times the longest spectrum of any profile, and little memory on any board.
pub const PAYLOAD_LEN_MAX: usize = 65_536;
/// The longest frame believed.
pub const FRAME_LEN_MAX: usize = FRAME_LEN_MIN + PAYLOAD_LEN_MAX;

const VERSION_AT: usize = 2;
const FLAGS_AT: usize = 4;
const ERROR_AT: usize = 6;
const MESSAGE_TYPE_AT: usize = 8;
const REGARDING_AT: usize = 12;
const CHECKSUM_TYPE_AT: usize = 22;
const IMMEDIATE_LEN_AT: usize = 23;
const IMMEDIATE_AT: usize = 24;
const REMAINING_AT: usize = 40;
const CHECKSUM_LEN: usize = 16;

/// Why bytes are no frame, or a frame cannot be put into bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end before the frame does.
    #[error("the frame has {found} bytes of {expected}")]
    TooShort {
        /// Bytes the frame needs, as far as is known yet.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
    /// Bytes after the footer.
    #[error("{surplus} bytes follow the frame")]
    TooLong {
        /// How many.
        surplus: usize,
    },
    /// Not C1 C0.
    #[error("the frame does not begin with C1 C0")]
    Start,
    /// Neither 0x1000 nor 0x1100.
    #[error("protocol version {0:#06x} is not 0x1000 or 0x1100")]
    Version(u16),
    /// Neither none nor MD5.
    #[error("checksum type {0} is not 0 (none) or 1 (MD5)")]
    ChecksumType(u8),
    /// More than the field holds.
    #[error("{0} bytes of immediate data, a frame holds {IMMEDIATE_LEN_MAX}")]
    ImmediateLength(u8),
    /// "Bytes remaining" below 20 or above what [`PAYLOAD_LEN_MAX`] allows.
    #[error("{0} bytes remaining is below {TRAILER_LEN}, or makes a payload above {PAYLOAD_LEN_MAX} bytes")]
    Remaining(u32),
    /// A frame with both kinds of data.
    #[error("the frame has both immediate data and a payload")]
    TwoData,
    /// Not C5 C4 C3 C2 where the header says the frame ends.
    #[error("the frame does not end with C5 C4 C3 C2")]
    Footer,
    /// The bytes are not those the sender hashed.
    #[error("the MD5 checksum does not match")]
    Checksum,
    /// Data to send beyond [`PAYLOAD_LEN_MAX`].
    #[error("{0} bytes of data, a frame holds {PAYLOAD_LEN_MAX}")]
    DataTooLong(usize),
}

/// The protocol version a frame speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 0x1000, older devices and hosts.
    V1_0,
    /// 0x1100, current.
    V1_1,
}

impl Version {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::V1_0 => 0x1000,
            Self::V1_1 => 0x1100,
        }
    }

    fn from_number(number: u16) -> Result<Self, FrameError> {
        match number {
            0x1000 => Ok(Self::V1_0),
            0x1100 => Ok(Self::V1_1),
            other => Err(FrameError::Version(other)),
        }
    }
}

/// The flag word. Bits are tested one by one: devices set bits no public sheet names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u16);

impl Flags {
    /// No bit set: a query.
    pub const NONE: Self = Self(0);
    /// Device: the answer to a request.
    pub const RESPONSE: Self = Self(1);
    /// Device: the command was carried out.
    pub const ACK: Self = Self(1 << 1);
    /// Host: please acknowledge.
    pub const ACK_REQUESTED: Self = Self(1 << 2);
    /// Device: the request failed, the error number says why.
    pub const NACK: Self = Self(1 << 3);
    /// Device: the message is valid, but hardware trouble may have spoilt the result.
    pub const EXCEPTION: Self = Self(1 << 4);
    /// Device: the caller's protocol version is deprecated.
    pub const DEPRECATED: Self = Self(1 << 5);

    /// From the word on the wire, unknown bits kept.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The word on the wire.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all bits of `flag` are set.
    pub const fn contains(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }

    /// These bits and those of `other`.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a device says went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// 1
    #[error("the device does not speak this protocol version (error 1)")]
    Protocol,
    /// 2
    #[error("the device does not know this message type (error 2)")]
    UnknownMessageType,
    /// 3
    #[error("the request reached the device with a bad checksum (error 3)")]
    BadChecksum,
    /// 4
    #[error("the request is too large for the device (error 4)")]
    MessageTooLarge,
    /// 5
    #[error("the length of the data does not fit the message type (error 5)")]
    PayloadLength,
    /// 6
    #[error("the device refuses the value (error 6)")]
    PayloadInvalid,
    /// 7
    #[error("the device is not ready for this message (error 7)")]
    NotReady,
    /// 8
    #[error("the device does not know this checksum type (error 8)")]
    UnknownChecksumType,
    /// 9
    #[error("the device was reset unexpectedly (error 9)")]
    UnexpectedReset,
    /// 10
    #[error("another interface of the device, USB say, is in use (error 10)")]
    TooManyBuses,
    /// 11
    #[error("the device is out of memory (error 11)")]
    OutOfMemory,
    /// 12
    #[error("the device does not hold this information (error 12)")]
    NoSuchInformation,
    /// 13
    #[error("internal error of the device, possibly lasting (error 13)")]
    Internal,
    /// 14
    #[error("the request did not end properly (error 14)")]
    MessageEnd,
    /// 15
    #[error("the current scan was interrupted (error 15)")]
    ScanInterrupted,
    /// 100
    #[error("the device could not decrypt the message (error 100)")]
    Decryption,
    /// 101
    #[error("the firmware layout is invalid (error 101)")]
    FirmwareLayout,
    /// 102
    #[error("the packet was not 64 bytes (error 102)")]
    PacketSize,
    /// 103
    #[error("the firmware does not fit the hardware revision (error 103)")]
    HardwareRevision,
    /// 104
    #[error("the flash map is incompatible (error 104)")]
    FlashMap,
    /// 255: neither ACK nor NACK yet.
    #[error("the device needs more time (error 255)")]
    Deferred,
    /// A number no public sheet names; 0 where a NACK came without one.
    #[error("the device reports error {0}, which no public sheet names")]
    Unknown(u16),
}

impl DeviceError {
    const NUMBERED: [(u16, Self); 21] = [
        (1, Self::Protocol),
        (2, Self::UnknownMessageType),
        (3, Self::BadChecksum),
        (4, Self::MessageTooLarge),
        (5, Self::PayloadLength),
        (6, Self::PayloadInvalid),
        (7, Self::NotReady),
        (8, Self::UnknownChecksumType),
        (9, Self::UnexpectedReset),
        (10, Self::TooManyBuses),
        (11, Self::OutOfMemory),
        (12, Self::NoSuchInformation),
        (13, Self::Internal),
        (14, Self::MessageEnd),
        (15, Self::ScanInterrupted),
        (100, Self::Decryption),
        (101, Self::FirmwareLayout),
        (102, Self::PacketSize),
        (103, Self::HardwareRevision),
        (104, Self::FlashMap),
        (255, Self::Deferred),
    ];

    /// The error a number stands for.
    pub fn from_number(number: u16) -> Self {
        let known = Self::NUMBERED.into_iter().find(|&(candidate, _)| candidate == number);
        known.map_or(Self::Unknown(number), |(_, error)| error)
    }

    /// The number on the wire.
    pub fn number(self) -> u16 {
        if let Self::Unknown(number) = self {
            return number;
        }
        let known = Self::NUMBERED.into_iter().find(|&(_, error)| error == self);
        known.map_or(0, |(number, _)| number)
    }
}

/// How a frame protects its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Not at all.
    None,
    /// MD5 of header and payload.
    Md5,
}

impl Checksum {
    const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Md5 => 1,
        }
    }
}

/// One frame, from either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The version its sender speaks.
    pub version: Version,
    /// The flag word.
    pub flags: Flags,
    /// The error number: 0 is no error, [`DeviceError::from_number`] names the others.
    pub error_number: u16,
    /// What is asked or answered.
    pub message_type: MessageType,
    /// The host's free value, which the device copies into its reply.
    pub regarding: u32,
    /// How the bytes are protected.
    pub checksum: Checksum,
    /// Immediate data or payload, whichever the frame has.
    pub data: Vec<u8>,
}

impl Frame {
    /// The bytes on the wire.
    ///
    /// # Errors
    /// When the data exceeds [`PAYLOAD_LEN_MAX`].
    pub fn encode(&self) -> Result<Vec<u8>, FrameError> {
        if self.data.len() > PAYLOAD_LEN_MAX {
            return Err(FrameError::DataTooLong(self.data.len()));
        }
        let (immediate, payload): (&[u8], &[u8]) =
            if self.data.len() <= IMMEDIATE_LEN_MAX { (&self.data, &[]) } else { (&[], &self.data) };
        let mut bytes = Vec::with_capacity(FRAME_LEN_MIN + payload.len());
        bytes.extend(START);
        bytes.extend(self.version.number().to_le_bytes());
        bytes.extend(self.flags.bits().to_le_bytes());
        bytes.extend(self.error_number.to_le_bytes());
        bytes.extend(self.message_type.number().to_le_bytes());
        bytes.extend(self.regarding.to_le_bytes());
        bytes.extend([0; CHECKSUM_TYPE_AT - REGARDING_AT - 4]);
        bytes.extend([self.checksum.number(), immediate.len() as u8]);
        bytes.extend(immediate);
        bytes.resize(REMAINING_AT, 0);
        bytes.extend(((payload.len() + TRAILER_LEN) as u32).to_le_bytes());
        bytes.extend(payload);
        match self.checksum {
            Checksum::None => bytes.extend([0; CHECKSUM_LEN]),
            Checksum::Md5 => bytes.extend(Md5::digest(&bytes)),
        }
        bytes.extend(FOOTER);
        Ok(bytes)
    }

    /// Exactly one frame.
    ///
    /// # Errors
    /// When the bytes are not one whole, undamaged frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let expected = announced_len(bytes)?;
        if bytes.len() > expected {
            return Err(FrameError::TooLong { surplus: bytes.len() - expected });
        }
        let too_short = || FrameError::TooShort { expected, found: bytes.len() };
        let (body, trailer) = bytes.split_at_checked(expected - TRAILER_LEN).ok_or_else(too_short)?;
        let (checksum_bytes, footer) = trailer.split_at_checked(CHECKSUM_LEN).ok_or_else(too_short)?;
        if footer.len() < FOOTER.len() {
            return Err(too_short());
        }
        if footer != FOOTER {
            return Err(FrameError::Footer);
        }
        let checksum = checked(body, checksum_bytes)?;
        let (header, payload) = body.split_at_checked(HEADER_LEN).ok_or_else(too_short)?;
        let immediate_len = usize::from(byte_at(header, IMMEDIATE_LEN_AT)?);
        let immediate = header.get(IMMEDIATE_AT..IMMEDIATE_AT + immediate_len).ok_or_else(too_short)?;
        Ok(Self {
            version: Version::from_number(u16_at(header, VERSION_AT)?)?,
            flags: Flags::from_bits(u16_at(header, FLAGS_AT)?),
            error_number: u16_at(header, ERROR_AT)?,
            message_type: MessageType::new(u32_at(header, MESSAGE_TYPE_AT)?),
            regarding: u32_at(header, REGARDING_AT)?,
            checksum,
            data: if immediate.is_empty() { payload.to_vec() } else { immediate.to_vec() },
        })
    }

    /// The error a NACK or an exception carries; `None` for a frame that reports none.
    pub fn device_error(&self) -> Option<DeviceError> {
        (self.error_number != 0 || self.flags.contains(Flags::NACK))
            .then(|| DeviceError::from_number(self.error_number))
    }
}

/// The whole length of the frame that `bytes` begin with, once its header is there and believable.
///
/// # Errors
/// [`FrameError::TooShort`] while the header is incomplete; any other variant when this is no header.
pub(super) fn announced_len(bytes: &[u8]) -> Result<usize, FrameError> {
    let header = bytes.get(..HEADER_LEN).ok_or(FrameError::TooShort { expected: HEADER_LEN, found: bytes.len() })?;
    if !header.starts_with(&START) {
        return Err(FrameError::Start);
    }
    Version::from_number(u16_at(header, VERSION_AT)?)?;
    let checksum_type = byte_at(header, CHECKSUM_TYPE_AT)?;
    if checksum_type > Checksum::Md5.number() {
        return Err(FrameError::ChecksumType(checksum_type));
    }
    let immediate_len = byte_at(header, IMMEDIATE_LEN_AT)?;
    if usize::from(immediate_len) > IMMEDIATE_LEN_MAX {
        return Err(FrameError::ImmediateLength(immediate_len));
    }
    let remaining = u32_at(header, REMAINING_AT)?;
    let payload_len = (remaining as usize).checked_sub(TRAILER_LEN).filter(|&len| len <= PAYLOAD_LEN_MAX);
    let payload_len = payload_len.ok_or(FrameError::Remaining(remaining))?;
    if payload_len > 0 && immediate_len > 0 {
        return Err(FrameError::TwoData);
    }
    Ok(FRAME_LEN_MIN + payload_len)
}

/// The checksum type of an undamaged `body`.
///
/// A frame of type "none" may carry anything in the checksum field, except the very digest it would have as a frame of
/// type MD5: then its type byte is what was damaged.
fn checked(body: &[u8], field: &[u8]) -> Result<Checksum, FrameError> {
    if byte_at(body, CHECKSUM_TYPE_AT)? == Checksum::Md5.number() {
        return if field == Md5::digest(body).as_slice() { Ok(Checksum::Md5) } else { Err(FrameError::Checksum) };
    }
    if field.iter().any(|&byte| byte != 0) {
        let (before, after) = body.split_at(CHECKSUM_TYPE_AT);
        let as_md5 = Md5::new().chain_update(before).chain_update([Checksum::Md5.number()]).chain_update(&after[1..]);
        if field == as_md5.finalize().as_slice() {
            return Err(FrameError::Checksum);
        }
    }
    Ok(Checksum::None)
}

fn byte_at(bytes: &[u8], at: usize) -> Result<u8, FrameError> {
    bytes.get(at).copied().ok_or(FrameError::TooShort { expected: at + 1, found: bytes.len() })
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], FrameError> {
    let too_short = FrameError::TooShort { expected: at + N, found: bytes.len() };
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(too_short)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, FrameError> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, FrameError> {
    array_at(bytes, at).map(u32::from_le_bytes)
}
