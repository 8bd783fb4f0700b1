//! How long an answer may take: arithmetic on exposure, scans, bytes and baud rate, never a constant.
//!
//! The protocol itself names no time limit. The figures come from measured answers (20-40 ms for a small query) and from line
//! times: 2.2 s for a spectrum of the STS at 9600 baud, 185 ms for one of the QE Pro at 230400.

use std::time::Duration;

use crate::units::IntegrationTime;

/// What every deadline holds for the device to think and the operating system to schedule; devices answer small queries in
/// 20-40 ms.
pub const ALLOWANCE: Duration = Duration::from_secs(1);

/// The longest deadline ever computed: beyond an hour the settings are wrong, and somebody must be told.
pub const DEADLINE_MAX: Duration = Duration::from_secs(3600);

/// The slowest baud rate in use, bits per second: that of the QE Pro and the STS after power-up. The longest deadlines are those
/// at this rate.
pub const BAUD_MIN: u32 = 9600;

/// The time within which an answer has come, or does not come any more, counted from sending the request:
/// 2 · `integration` · `scans` + 1.2 · 10 · `bytes` / `baud` + [`ALLOWANCE`], at most [`DEADLINE_MAX`].
///
/// `integration` is the exposure of one scan, `bytes` the length of request and answer together, `baud` in bits per second.
/// Twice, because a free-running exposure may have begun just before the request; ten bits a byte, because 8N1 sends a
/// start and a stop bit; 1.2, because devices pause between bytes. The arithmetic saturates: no argument makes it panic.
pub fn deadline(integration: IntegrationTime, scans: u32, bytes: usize, baud: u32) -> Duration {
    let exposure = integration.duration().saturating_mul(scans).saturating_mul(2);
    exposure.saturating_add(line_time(bytes, baud).mul_f64(1.2)).saturating_add(ALLOWANCE).min(DEADLINE_MAX)
}

/// The time that `bytes` take on the line at 8N1, ten bits each, with `baud` bits per second. A rate of 0 counts as 1 baud.
pub fn line_time(bytes: usize, baud: u32) -> Duration {
    let bits = bytes.min(u32::MAX as usize) as u64 * 10;
    Duration::from_micros(bits * 1_000_000 / u64::from(baud.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_times_are_those_of_the_data_sheets() {
        let check = |bytes, baud, ms: u128| assert_eq!(line_time(bytes, baud).as_millis(), ms, "{bytes} at {baud}");
        check(64, 9_600, 66);
        check(64, 115_200, 5);
        check(2_112, 9_600, 2_200);
        check(2_112, 115_200, 183);
        check(4_272, 9_600, 4_450);
        check(4_272, 230_400, 185);
    }

    #[test]
    fn a_deadline_grows_with_exposure_scans_and_bytes_and_has_an_end() {
        let check = |micros, scans, bytes, baud, ms: u128| {
            assert_eq!(deadline(IntegrationTime::from_micros(micros), scans, bytes, baud).as_millis(), ms);
        };
        check(0, 1, 0, 9_600, 1_000);
        check(100_000, 1, 4_336, 115_200, 200 + 451 + 1_000);
        check(100_000, 10, 4_336, 115_200, 2_000 + 451 + 1_000);
        check(u64::MAX, u32::MAX, usize::MAX, 0, DEADLINE_MAX.as_millis());
    }
}
