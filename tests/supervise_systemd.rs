//! Readiness and watchdog as systemd sees them: a process with NOTIFY_SOCKET and WATCHDOG_USEC in its environment, and a
//! datagram socket that listens. The test runs itself as that process.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ramand::supervise::{Supervisor, Systemd};

/// Set in the process that plays the service: how long its part lives before it hangs.
const ROLE: &str = "RAMAND_TEST_SERVICE";
const TEST: &str = "systemd_sees_readiness_signs_of_life_and_their_end";
const WATCHDOG: Duration = Duration::from_millis(400);
/// How long the part of the service may be silent: shorter than the watchdog's interval, so that systemd acts for it.
const SILENCE_MAX: Duration = Duration::from_millis(300);
/// How many signs of life the part gives before it hangs.
const BEATS: u32 = 30;
/// Far longer than the service needs for anything.
const NEVER: Duration = Duration::from_secs(60);

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn systemd_sees_readiness_signs_of_life_and_their_end() {
    if std::env::var_os(ROLE).is_some() {
        return serve();
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(NEVER)).expect("set");
    let service = Command::new(std::env::current_exe().expect("this test's own file"))
        .args(["--exact", TEST])
        .env(ROLE, "1")
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
        .env_remove("WATCHDOG_PID")
        .stdout(Stdio::null())
        .spawn();
    let service = Service(service.expect("started"));

    let receive = || {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).expect("the service says something in time");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(receive(), "READY=1\nSTATUS=spectrometer and journal are up\n");

    // Signs of life come about every half interval while the part lives; then only the reason why there are none.
    let mut signs = 0;
    let mut last_sign = Instant::now();
    let reason = loop {
        let message = receive();
        if message != "WATCHDOG=1\n" {
            break message;
        }
        signs += 1;
        last_sign = Instant::now();
    };
    assert!(signs >= 2, "a part that lives keeps the watchdog content, {signs} signs came");
    assert!(reason.starts_with("STATUS=acquire has been silent for "), "{reason}");
    while last_sign.elapsed() < 2 * WATCHDOG {
        let message = receive();
        assert!(
            message.starts_with("STATUS=acquire has been silent"),
            "no sign of life of a part that hangs: {message}"
        );
    }
    drop(service);
}

/// The service: one part that lives for a while, then hangs until it is killed.
fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let supervisor = Supervisor::new();
    let acquire = |part: ramand::supervise::PartHandle| {
        for _ in 0..BEATS {
            part.pulse.beat();
            part.stop.requested_within(SILENCE_MAX / 10);
        }
        // Asleep without a sign of life; the test kills this process.
        part.stop.requested_within(NEVER);
    };
    supervisor.spawn_thread("acquire", SILENCE_MAX, acquire).expect("started");
    let systemd = Systemd::from_environment();
    systemd.ready("spectrometer and journal are up").expect("notified");
    runtime
        .block_on(async { tokio::time::timeout(NEVER, supervisor.watch(systemd)).await })
        .expect_err("killed before");
}
