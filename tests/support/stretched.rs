//! Deadlines that tests wait for.

use std::time::Duration;

/// A deadline for this machine's processor, so many times longer as `RAMAND_TEST_PATIENCE` says: an emulated one is slower.
pub(crate) fn stretched(deadline: Duration) -> Duration {
    let times = std::env::var("RAMAND_TEST_PATIENCE").ok().map(|times| times.parse().expect("a whole number"));
    deadline * times.unwrap_or(1)
}
