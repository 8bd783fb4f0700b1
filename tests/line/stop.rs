//! How the daemon ends, with the instrument in this process: what it says about the laser is what the laser is, however badly
//! the moment is chosen, and what was measured is in the journal.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use ramand_core::spectrum::Laser;
use ramand_sim::faults::Fault;
use ramand_sim::profile::InstrumentFamily;
use ramand_sim::{Pacing, Simulator, SimulatorSettings};
use rusqlite::Connection;

use crate::common::{Process, patience};
use crate::program::program;
use crate::{configuration, run};

/// Said only where the device was asked.
const LASER_OFF: &str = "stopped: laser off";

/// Said where nobody knows.
const UNCONFIRMED: &str = "the laser could not be confirmed off";

struct Station {
    simulator: Simulator,
    config: PathBuf,
    folder: tempfile::TempDir,
}

impl Station {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("spectrometer");
        let config = configuration(folder.path(), &link, "[mqtt]\nenabled = false\n");
        let settings =
            SimulatorSettings { pacing: Pacing::Immediate, ..SimulatorSettings::new(InstrumentFamily::QePro, link) };
        Self { simulator: Simulator::start(settings).expect("a pseudo-terminal"), config, folder }
    }

    fn inject(&self, fault: &str) {
        self.simulator.inject(fault.parse::<Fault>().expect(fault));
    }

    fn configure(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(&self.config).expect("readable");
        assert!(text.contains(from), "{from:?} is not in {text}");
        std::fs::write(&self.config, text.replacen(from, to, 1)).expect("written");
    }
}

/// Stops, and compares what was said with what is.
fn check(station: &Station, mut daemon: Process, code: i32, expected: &str) -> String {
    daemon.signal(Signal::SIGTERM);
    let (status, _) = daemon.wait();
    let diagnostics = daemon.diagnostics();
    assert_eq!(status.code(), Some(code), "{diagnostics}");
    assert!(diagnostics.contains(expected), "{expected:?} is not in: {diagnostics}");
    let said_off = diagnostics.contains(LASER_OFF);
    assert_eq!(said_off, station.simulator.laser() == Laser::Off, "what is said is what is: {diagnostics}");
    diagnostics
}

#[test]
fn a_stop_during_identification_switches_off_what_the_run_before_left_on() {
    let station = Station::new();
    let mut killed = run(&station.config);
    killed.until("laser on");
    killed.signal(Signal::SIGKILL);
    killed.wait();
    assert_eq!(station.simulator.laser(), Laser::On, "nobody could switch it off");
    station.inject("silence");
    let mut daemon = run(&station.config);
    daemon.until("looking for the spectrometer");
    check(&station, daemon, 0, LASER_OFF);
}

#[test]
fn a_stop_while_the_instrument_is_gone_does_not_say_that_the_laser_is_off() {
    let station = Station::new();
    let mut daemon = run(&station.config);
    daemon.until("laser on");
    station.simulator.hang_up();
    daemon.until("spectrometer_lost");
    check(&station, daemon, 69, UNCONFIRMED);
}

#[test]
fn a_stop_right_after_the_instrument_came_back_switches_its_laser_off() {
    let station = Station::new();
    let mut daemon = run(&station.config);
    daemon.until("laser on");
    station.simulator.hang_up();
    daemon.until("spectrometer_lost");
    station.simulator.come_back();
    assert_eq!(station.simulator.laser(), Laser::On, "the device does not notice its cable");
    check(&station, daemon, 0, LASER_OFF);
}

#[test]
fn a_laser_that_does_not_obey_is_said_to_be_on() {
    let station = Station::new();
    let mut daemon = run(&station.config);
    daemon.until("laser on");
    station.inject("laser-stuck");
    check(&station, daemon, 69, "THE LASER IS STILL ON");
}

#[test]
fn a_device_that_is_deaf_for_a_while_is_asked_until_it_says_off() {
    let station = Station::new();
    let mut daemon = run(&station.config);
    daemon.until("laser on");
    station.inject("silence@8");
    check(&station, daemon, 0, LASER_OFF);
}

/// How long the disk stands still after the stop request: longer than the threads had before it counted as hung, and with what
/// came before it within the 5 s that a write waits for its turn.
const STALL: Duration = Duration::from_secs(3);

/// The light frame that the stop request cuts short.
const CUT_SHORT: i64 = 1;

#[test]
fn a_disk_that_stalls_around_a_stop_costs_no_measured_spectrum() {
    let station = Station::new();
    station.configure("integration = \"200 ms\"", "integration = \"10 ms\"");
    let mut daemon = run(&station.config);
    daemon.until("laser_on");
    let journal = Connection::open(station.folder.path().join("journal.sqlite")).expect("a journal");
    journal.execute_batch("BEGIN IMMEDIATE").expect("the write lock");
    daemon.until("spectra are not taken as fast as they are measured");
    daemon.signal(Signal::SIGTERM);
    assert!(!daemon.ends_within(STALL), "it waits for the disk: {}", daemon.diagnostics());
    journal.execute_batch("COMMIT").expect("nothing was written");
    check(&station, daemon, 0, LASER_OFF);

    let number = |sql| journal.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("readable");
    let kept = number("SELECT count(*) FROM part JOIN kind ON code = kind WHERE name = 'spectrum'");
    let told = number("SELECT coalesce(sum(last - first + 1), 0) FROM loss");
    let measured = i64::try_from(station.simulator.served().len()).expect("few");
    assert!(kept + told >= measured - CUT_SHORT, "{measured} light frames, {kept} kept, {told} said to be lost");
}

/// systemd's end of the notification socket.
struct Notified(UnixDatagram);

impl Notified {
    /// The daemon, and what it tells systemd.
    fn run(station: &Station) -> (Process, Self) {
        let path = station.folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_read_timeout(Some(patience())).expect("set");
        let mut command = Command::new(program());
        command.args(["run", "--config"]).arg(&station.config).env("RUST_LOG", "info").env("NOTIFY_SOCKET", &path);
        (Process::spawn(command), Self(socket))
    }

    /// The next message that holds `text`.
    fn until(&self, text: &str) -> String {
        loop {
            let mut buffer = [0; 1024];
            let length = self.0.recv(&mut buffer).unwrap_or_else(|error| panic!("nothing with {text:?}: {error}"));
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.contains(text) {
                return message;
            }
        }
    }
}

#[test]
fn systemd_is_asked_for_as_long_as_an_exposure_may_hold_the_laser() {
    let station = Station::new();
    station.configure("integration = \"200 ms\"", "integration = \"60 s\"");
    let (mut daemon, notified) = Notified::run(&station);
    daemon.until("identified");
    daemon.signal(Signal::SIGTERM);
    let stopping = notified.until("STOPPING=1");
    let asked = stopping.lines().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="));
    let asked = Duration::from_micros(asked.unwrap_or_else(|| panic!("{stopping}")).parse().expect("microseconds"));
    assert!(asked >= Duration::from_secs(120), "an exposure may have begun, and another must end: {asked:?}");
    check(&station, daemon, 0, LASER_OFF);
}

#[test]
fn systemd_is_told_that_the_daemon_is_ready_before_there_is_an_instrument() {
    let station = Station::new();
    station.simulator.hang_up();
    let (mut daemon, notified) = Notified::run(&station);
    let ready = notified.until("READY=1");
    assert!(ready.contains("STATUS=looking for the spectrometer"), "{ready}");
    station.simulator.come_back();
    notified.until("STATUS=measuring");
    daemon.until("laser on");
    station.simulator.hang_up();
    notified.until("STATUS=lost the spectrometer");
    check(&station, daemon, 69, UNCONFIRMED);
}
