//! One frame: its layout, its flags, its error numbers, its checksum.
//!
//! [`Frame`] draws the layout.
//!
//! Data of at most 16 bytes travels as immediate data, longer data as payload, never both: a frame without payload has
//! exactly 64 bytes. Source: Ventana Data Sheet, pages 9-13; SeaBreeze `OBPMessage.cpp`; pyseabreeze.

use md5::{Digest, Md5};

use crate::message_type::MessageType;

/// What every frame begins with.
pub(crate) const START: [u8; 2] = [0xC1, 0xC0];
/// What every frame ends with.
const FOOTER: [u8; 4] = [0xC5, 0xC4, 0xC3, 0xC2];
/// Bytes up to and including "bytes remaining": enough to know how long the frame is.
const HEADER_LEN: usize = 44;
/// Bytes of checksum and footer: the least "bytes remaining" can say.
const TRAILER_LEN: usize = 20;
/// The length of a frame without payload, bytes: 44 of header, 16 of checksum, 4 of footer. A host may always read this many
/// first.
pub const FRAME_LEN_MIN: usize = HEADER_LEN + TRAILER_LEN;
/// The longest data that travels inside the header as immediate data, bytes; longer data becomes a payload.
pub const IMMEDIATE_LEN_MAX: usize = 16;
/// The longest payload that is believed or sent, bytes: fifteen times the longest spectrum of any profile, and little memory on any
/// board. The protocol's own field would allow 4 GiB, which a damaged header would then make a receiver wait for.
pub const PAYLOAD_LEN_MAX: usize = 65_536;
/// The longest frame that is believed or sent, bytes: one with a payload of [`PAYLOAD_LEN_MAX`].
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
///
/// The header is checked first, from front to back, then the footer, then the checksum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes end before the frame does. Of a stream this is no fault: the rest has not come yet.
    #[error("the frame has {found} bytes of {expected}")]
    TooShort {
        /// Bytes the frame needs: 44, the length of a header, until the header is there and tells the frame's own length.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// More bytes were given than the header announces.
    #[error("{surplus} bytes follow the frame")]
    TooLong {
        /// How many bytes stand after the footer.
        surplus: usize,
    },
    /// The first two bytes are not C1 C0.
    #[error("the frame does not begin with C1 C0")]
    Start,
    /// The version field (bytes 2 and 3, given here) is neither 0x1000 nor 0x1100. 0x2000, which newer instruments speak, is
    /// another protocol.
    #[error("protocol version {0:#06x} is not 0x1000 or 0x1100")]
    Version(u16),
    /// The checksum type (byte 22, given here) is neither 0 for none nor 1 for MD5.
    #[error("checksum type {0} is not 0 (none) or 1 (MD5)")]
    ChecksumType(u8),
    /// The length of the immediate data (byte 23, given here) is more than its 16 bytes.
    #[error("{0} bytes of immediate data, a frame holds {IMMEDIATE_LEN_MAX}")]
    ImmediateLength(u8),
    /// "Bytes remaining" (bytes 40 to 43, given here) is below 20, the length of checksum and footer, or above what
    /// [`PAYLOAD_LEN_MAX`] allows.
    #[error("{0} bytes remaining is below {TRAILER_LEN}, or makes a payload above {PAYLOAD_LEN_MAX} bytes")]
    Remaining(u32),
    /// The header announces immediate data and a payload; a frame has one of them at most.
    #[error("the frame has both immediate data and a payload")]
    TwoData,
    /// C5 C4 C3 C2 does not stand where the header says that the frame ends: bytes were lost or added.
    #[error("the frame does not end with C5 C4 C3 C2")]
    Footer,
    /// The MD5 in the frame is not that of its header and payload: the bytes are not those the sender hashed.
    #[error("the MD5 checksum does not match")]
    Checksum,
    /// The data to send (its length in bytes is given here) is longer than [`PAYLOAD_LEN_MAX`].
    #[error("{0} bytes of data, a frame holds {PAYLOAD_LEN_MAX}")]
    DataTooLong(usize),
}

/// The protocol version a frame speaks: bytes 2 and 3 of its header. Both have the same layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// 0x1000, which older devices and hosts send.
    V1_0,
    /// 0x1100, which current devices send and pyseabreeze demands.
    V1_1,
}

impl ProtocolVersion {
    /// The number on the wire, little endian there.
    const fn number(self) -> u16 {
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

/// The flag word: bytes 4 and 5 of the header. Test bits with [`contains`](Self::contains), never the whole word: devices set bits
/// that no public sheet names. Source: Ventana Data Sheet, page 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u16);

impl Flags {
    /// No bit set: a query of the host.
    pub const NONE: Self = Self(0);
    /// Bit 0, set by the device: the answer to a request. Whether ACK and NACK frames of real devices carry it too is documented
    /// nowhere; take both.
    pub const RESPONSE: Self = Self(1);
    /// Bit 1, set by the device: the command was carried out. Sent only where [`ACK_REQUESTED`](Self::ACK_REQUESTED) was set.
    pub const ACK: Self = Self(1 << 1);
    /// Bit 2, set by the host: please acknowledge. A command without it gets no answer at all.
    pub const ACK_REQUESTED: Self = Self(1 << 2);
    /// Bit 3, set by the device: the request was refused or failed; the error number says why.
    pub const NACK: Self = Self(1 << 3);
    /// Bit 4, set by the device: the message is valid, but trouble in the hardware may have spoilt the result. The error number
    /// says more where it is known.
    pub const EXCEPTION: Self = Self(1 << 4);

    /// The flags of a word from the wire, unknown bits kept.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The word on the wire, little endian there.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all bits of `flag` are set, whatever others are. Of [`NONE`](Self::NONE) this is always true.
    pub const fn contains(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }

    /// These bits together with those of `other`.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a device says went wrong: the error number of a NACK or an exception, bytes 6 and 7 of the header.
///
/// Source: Ventana Data Sheet, page 10, and pyseabreeze; 14 and 15 stand only in a script of the vendor's from 2018.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// 1: the device does not speak the protocol version of the request.
    #[error("the device does not speak this protocol version (error 1)")]
    Protocol,
    /// 2: no such message type in this model or firmware: the feature is absent.
    #[error("the device does not know this message type (error 2)")]
    UnknownMessageType,
    /// 3: the request was damaged on its way; send it again.
    #[error("the request reached the device with a bad checksum (error 3)")]
    BadChecksum,
    /// 4: the request is longer than the device takes.
    #[error("the request is too large for the device (error 4)")]
    MessageTooLarge,
    /// 5: the data of the request has another length than its message type asks for.
    #[error("the length of the data does not fit the message type (error 5)")]
    PayloadLength,
    /// 6: the value in the request is outside what the device takes.
    #[error("the device refuses the value (error 6)")]
    PayloadInvalid,
    /// 7: the device is busy, or an interlock forbids it; ask again later.
    #[error("the device is not ready for this message (error 7)")]
    NotReady,
    /// 8: the device cannot check the checksum type of the request.
    #[error("the device does not know this checksum type (error 8)")]
    UnknownChecksumType,
    /// 9: the device restarted by itself and has lost its settings; set it up again.
    #[error("the device was reset unexpectedly (error 9)")]
    UnexpectedReset,
    /// 10: requests come from several interfaces at once, over USB as well, say.
    #[error("another interface of the device, USB say, is in use (error 10)")]
    TooManyBuses,
    /// 11: the device has no memory left for the request.
    #[error("the device is out of memory (error 11)")]
    OutOfMemory,
    /// 12: the message type exists, but not what was asked for: a coefficient that was never stored, say.
    #[error("the device does not hold this information (error 12)")]
    NoSuchInformation,
    /// 13: an internal error of the device, which may last until it is switched off and on.
    #[error("internal error of the device, possibly lasting (error 13)")]
    Internal,
    /// 14: the request did not end with the footer.
    #[error("the request did not end properly (error 14)")]
    MessageEnd,
    /// 15: the scan that was running was interrupted, so that there is no spectrum.
    #[error("the current scan was interrupted (error 15)")]
    ScanInterrupted,
    /// 100: an encrypted message could not be decrypted.
    #[error("the device could not decrypt the message (error 100)")]
    Decryption,
    /// 101: the layout of the firmware to be loaded is invalid.
    #[error("the firmware layout is invalid (error 101)")]
    FirmwareLayout,
    /// 102: a packet of a firmware update did not have 64 bytes.
    #[error("the packet was not 64 bytes (error 102)")]
    PacketSize,
    /// 103: the firmware is not made for this revision of the hardware.
    #[error("the firmware does not fit the hardware revision (error 103)")]
    HardwareRevision,
    /// 104: the flash map of the firmware is incompatible with the one in the device.
    #[error("the flash map is incompatible (error 104)")]
    FlashMap,
    /// 255: neither yes nor no. The device needs more time, and the real answer comes later to the same request.
    #[error("the device needs more time (error 255)")]
    Deferred,
    /// A number that no public sheet names, given here; 0 where a NACK came without one.
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

    /// The error that a number on the wire stands for; [`Unknown`](Self::Unknown) where no sheet names it.
    pub fn from_number(number: u16) -> Self {
        let known = Self::NUMBERED.into_iter().find(|&(candidate, _)| candidate == number);
        known.map_or(Self::Unknown(number), |(_, error)| error)
    }

    /// The number on the wire, little endian there.
    pub fn number(self) -> u16 {
        if let Self::Unknown(number) = self {
            return number;
        }
        let known = Self::NUMBERED.into_iter().find(|&(_, error)| error == self);
        known.map_or(0, |(number, _)| number)
    }
}

/// How a frame protects its bytes: byte 22 of its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// 0: not at all; the checksum field is 16 zeros.
    None,
    /// 1: MD5 of header and payload, all bytes before the checksum.
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

/// One frame, from the host or from the device.
///
/// ```text
/// offset size field              offset size field
///      0    2 start C1 C0            22    1 checksum type: 0 none, 1 MD5
///      2    2 protocol version       23    1 length of immediate data, 0..=16
///      4    2 flags                  24   16 immediate data, unused bytes 0
///      6    2 error number           40    4 bytes remaining: payload length + 20
///      8    4 message type           44    n payload, only without immediate data
///     12    4 regarding            44+n   16 MD5 of bytes 0..44+n, or zeros
///     16    6 reserved, 0          60+n    4 footer C5 C4 C3 C2
/// ```
/// Numbers are little endian. Whether data travels as immediate data or as payload follows from its length and is not the
/// caller's concern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The version its sender speaks; a device answers in the version it was asked in.
    pub version: ProtocolVersion,
    /// Who speaks, and whether it went well.
    pub flags: Flags,
    /// 0 in requests and where nothing went wrong; [`DeviceError::from_number`] names the others.
    pub error_number: u16,
    /// What is asked; the answer repeats it.
    pub message_type: MessageType,
    /// A free value of the host's, which the device copies into its answer. Counted up, it tells an answer from a late one to an
    /// earlier request.
    pub regarding: u32,
    /// How the bytes are protected. Decoding has checked it; encoding computes it.
    pub checksum: Checksum,
    /// The message's data, at most [`PAYLOAD_LEN_MAX`] bytes: immediate data or payload, whichever the frame has.
    pub data: Vec<u8>,
}

impl Frame {
    /// The bytes on the wire, reserved and unused ones zero: [`FRAME_LEN_MIN`] of them, and those of the payload where the data is
    /// longer than [`IMMEDIATE_LEN_MAX`].
    ///
    /// # Errors
    /// [`FrameError::DataTooLong`] when the data is longer than [`PAYLOAD_LEN_MAX`].
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

    /// The frame that `bytes` are, from the first to the last of them. [`Framer`](crate::Framer) finds frames in a stream.
    ///
    /// Reserved bytes and unknown flags may have any value. A frame without checksum is refused where its checksum field holds
    /// the very MD5 it should have: then the byte that says "none" is what was damaged.
    ///
    /// # Errors
    /// When the bytes are not one whole, undamaged frame; the variants of [`FrameError`] say in which way.
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
            version: ProtocolVersion::from_number(u16_at(header, VERSION_AT)?)?,
            flags: Flags::from_bits(u16_at(header, FLAGS_AT)?),
            error_number: u16_at(header, ERROR_AT)?,
            message_type: MessageType::new(u32_at(header, MESSAGE_TYPE_AT)?),
            regarding: u32_at(header, REGARDING_AT)?,
            checksum,
            data: if immediate.is_empty() { payload.to_vec() } else { immediate.to_vec() },
        })
    }

    /// What the device says went wrong; `None` for a frame that reports nothing. A frame with [`Flags::NACK`] carries no
    /// answer; one with [`Flags::EXCEPTION`] does, which may be spoilt.
    pub fn device_error(&self) -> Option<DeviceError> {
        (self.error_number != 0 || self.flags.contains(Flags::NACK))
            .then(|| DeviceError::from_number(self.error_number))
    }
}

/// The whole length of the frame that `bytes` begin with, once its header is there and believable.
///
/// # Errors
/// [`FrameError::TooShort`] while the header is incomplete; any other variant when this is no header.
pub(crate) fn announced_len(bytes: &[u8]) -> Result<usize, FrameError> {
    let header = bytes.get(..HEADER_LEN).ok_or(FrameError::TooShort { expected: HEADER_LEN, found: bytes.len() })?;
    if !header.starts_with(&START) {
        return Err(FrameError::Start);
    }
    ProtocolVersion::from_number(u16_at(header, VERSION_AT)?)?;
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
