//! How the daemon ends, with the instrument in this process: what it says about the laser is what the laser is, however badly
//! the moment is chosen, and what was measured is in the journal.

use std::path::PathBuf;

use nix::sys::signal::Signal;
use ramand::sim::faults::Fault;
use ramand::sim::profile::Profile;
use ramand::sim::{Pacing, Settings, Simulator};
use ramand::spectrum::Laser;

use crate::common::Process;
use crate::{configuration, run};

/// Said only where the device was asked.
const LASER_OFF: &str = "stopped: laser off";

/// Said where nobody knows.
const UNCONFIRMED: &str = "the laser could not be confirmed off";

struct Station {
    simulator: Simulator,
    config: PathBuf,
    _folder: tempfile::TempDir,
}

impl Station {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("spectrometer");
        let config = configuration(folder.path(), &link, "[mqtt]\nenabled = false\n");
        let settings = Settings { pacing: Pacing::Immediate, ..Settings::new(Profile::QePro, link) };
        Self { simulator: Simulator::start(settings).expect("a pseudo-terminal"), config, _folder: folder }
    }

    fn inject(&self, fault: &str) {
        self.simulator.inject(fault.parse::<Fault>().expect(fault));
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
