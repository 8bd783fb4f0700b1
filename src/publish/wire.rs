//! Wire contract v1: what is said on which topic, byte for byte as docs/wire.md has it and `tests/wire_v1` freezes it.
//!
//! Records are types of their own, made from the domain's by `From`; a domain type can change without a word on the wire
//! changing. Numbers that are not finite are `null`.

mod cbor;
mod notice;
mod result;

use std::time::SystemTime;

use ramand_core::record::Seq;
use ramand_core::spectrum::Origin;
use serde::Serialize;

pub use cbor::{DecodeError, cam, decode_spectrum, spectrum};
pub use notice::{
    Alarm, AlarmState, Event, Health, Ne107, PaDimReadings, Presence, Status, alarm, event, gap, health, status,
};
pub use ramand_core::record::Clock;
pub use result::{FindingRecord, ResultRecord, laser_state, result};

/// The version of the contract, in every payload as `v`.
pub const VERSION: u8 = 1;

/// Number and time of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub seq: Seq,
    /// Wall clock.
    pub time: SystemTime,
    /// Whether that clock was set by somebody who knows the time.
    pub clock: Clock,
}

/// The name of a record: the instrument's serial number (or the recording's row) and the number.
pub fn record_id(seq: Seq, origin: &Origin) -> String {
    let source = match origin {
        Origin::Measured(acquisition) => &acquisition.instrument.serial,
        Origin::Recorded { id } => id,
    };
    format!("{source}-{:08}", seq.number())
}

/// RFC 3339 in UTC with microseconds; times that no calendar has are 1970.
fn time_text(time: SystemTime) -> String {
    let timestamp = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{timestamp:.6}")
}

fn json(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("records have text keys and are written to memory")
}
