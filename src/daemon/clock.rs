//! Whether the wall clock can be believed.

use crate::publish::wire::Clock;

/// Asks the kernel: time daemons (chrony, ntpd, systemd-timesyncd) clear STA_UNSYNC once they have the time.
pub fn clock() -> Clock {
    // SAFETY: all-zero is a valid `timex`; with `modes` 0 the call only reads, into memory that is ours for its duration.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex.status)
    };
    if state < 0 || state == libc::TIME_ERROR || status & libc::STA_UNSYNC != 0 {
        Clock::Free
    } else {
        Clock::Synchronised
    }
}
