//! What systemd is told: readiness, status, and the watchdog's sign of life. Without systemd nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;

use super::{Silence, SuperviseError};

/// How often the parts are looked at where systemd does not ask for a sign of life.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The shortest interval at which parts are looked at: a mistyped WatchdogSec= must not become a busy loop.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(10);

/// The service manager, as the environment describes it (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID).
#[derive(Debug, Clone, Copy)]
pub struct Systemd {
    watchdog: Option<Duration>,
}

impl Systemd {
    /// Reads the environment.
    pub fn from_environment() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled() }
    }

    /// Start-up is finished.
    ///
    /// # Errors
    /// When NOTIFY_SOCKET is set and cannot be written.
    pub fn ready(&self, status: &str) -> Result<(), SuperviseError> {
        send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))])
    }

    /// One line for `systemctl status`.
    ///
    /// # Errors
    /// As [`Systemd::ready`].
    pub fn status(&self, status: &str) -> Result<(), SuperviseError> {
        send(&[NotifyState::Status(&one_line(status))])
    }

    /// The orderly shutdown has begun and may take this long, whatever the unit's `TimeoutStopSec` says.
    ///
    /// # Errors
    /// As [`Systemd::ready`].
    pub fn stopping(&self, status: &str, within: Duration) -> Result<(), SuperviseError> {
        let extension = NotifyState::ExtendTimeoutUsec(u32::try_from(within.as_micros()).unwrap_or(u32::MAX));
        send(&[NotifyState::Stopping, NotifyState::Status(&one_line(status)), extension])
    }

    /// Half the watchdog's interval, so that one late sign does not end the service.
    pub(super) fn look_every(&self) -> Duration {
        self.watchdog.map_or(LOOK_EVERY, |interval| interval / 2).max(LOOK_EVERY_MIN)
    }

    /// A sign of life when every part gave one; otherwise the status says who did not, and systemd's patience runs out.
    pub(super) fn sign_of_life(&self, silent: &[Silence]) -> Result<(), SuperviseError> {
        match (silent, self.watchdog) {
            ([], Some(_)) => send(&[NotifyState::Watchdog]),
            ([], None) => Ok(()),
            (silent, _) => {
                let who: Vec<String> = silent.iter().map(Silence::to_string).collect();
                self.status(&who.join("; "))
            }
        }
    }
}

fn send(states: &[NotifyState]) -> Result<(), SuperviseError> {
    sd_notify::notify(states).map_err(|source| SuperviseError::Notify { source })
}

/// The protocol separates fields by newlines: a status must not bring its own.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_cannot_smuggle_in_a_field() {
        assert_eq!(one_line("oil\nWATCHDOG=trigger"), "oil WATCHDOG=trigger");
    }

    #[test]
    fn parts_are_looked_at_twice_per_watchdog_interval() {
        let check = |watchdog, expected| assert_eq!(Systemd { watchdog }.look_every(), expected);
        check(None, LOOK_EVERY);
        check(Some(Duration::from_secs(30)), Duration::from_secs(15));
        check(Some(Duration::from_micros(1)), LOOK_EVERY_MIN);
    }
}
