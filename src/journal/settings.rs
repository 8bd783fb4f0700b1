//! How a journal is kept, and its limits.

use std::time::{Duration, SystemTime};

use ramand_core::record::{Audience, Gap, Seq};

/// The largest part: a spectrum of 100,000 pixels with its maps is below a tenth of it.
pub const PART_BYTES_MAX: usize = 16 << 20;

/// The smallest capacity: below it a single inspection could not be kept until it is sent.
pub const CAPACITY_BYTES_MIN: u64 = 1 << 20;

/// How a journal is kept.
#[derive(Debug, Clone)]
pub struct JournalSettings {
    /// Room for records, bytes, the log beside the file (16 MiB at rest) not counted. At least [`CAPACITY_BYTES_MIN`].
    pub bytes_max: u64,
    /// Records that nobody is owed any more are deleted when they are older than this, by a clock that can be believed.
    pub age_max: Duration,
    /// Where the numbers start in a file that does not exist yet.
    pub first_seq: Seq,
    /// How a gap record is written down for its subscribers.
    pub encode_gap: EncodeGap,
    /// Whether gap records are owed to subscribers, or only kept: where nothing is published, nobody acknowledges.
    pub gap_audience: Audience,
}

/// Turns a gap record with its number and time into the payload of its part.
pub type EncodeGap = fn(Seq, SystemTime, &Gap) -> Vec<u8>;
