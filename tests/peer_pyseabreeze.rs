//! An independent client, python-seabreeze's protocol code, drives the simulator: our codec shares no line with it.
//!
//! Needs a Python with `seabreeze[pyseabreeze]` and `pyserial`; the environment variable RAMAND_TEST_PYTHON names it.

#[path = "support/missing.rs"]
mod missing;
#[path = "support/root.rs"]
mod root;

use std::path::{Path, PathBuf};
use std::process::Command;

use missing::missing;
use ramand_sim::profile::InstrumentFamily;
use ramand_sim::{Pacing, Simulator, SimulatorSettings};
use root::root;

/// Ten bits a byte.
const LINE_BITS: f64 = 10.0;

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("RAMAND_TEST_PYTHON").map(PathBuf::from);
    if python.is_none() {
        missing(
            "program",
            "RAMAND_TEST_PYTHON names no Python with seabreeze[pyseabreeze] and pyserial: `./dev setup` makes one",
        );
    }
    python
}

/// Runs the client against a fresh simulator; what it has seen.
fn check(python: &Path, profile: InstrumentFamily, baud: u32, pacing: Pacing) -> serde_json::Value {
    let folder = tempfile::tempdir().expect("a folder");
    let settings =
        SimulatorSettings { baud, pacing, ..SimulatorSettings::new(profile, folder.path().join("spectrometer")) };
    let simulator = Simulator::start(settings).expect("a pseudo-terminal");
    let script = root().join("tests/peer/pyseabreeze_peer.py");
    let client = Command::new(python)
        .arg(script)
        .arg(simulator.link())
        .args([profile.name(), &baud.to_string()])
        .output()
        .expect("the client starts");
    let said = String::from_utf8_lossy(&client.stderr);
    assert!(client.status.success(), "{} at {baud}, {pacing:?}:\n{said}", profile.name());
    let seen: serde_json::Value = serde_json::from_slice(&client.stdout).expect("one JSON object");
    assert_eq!(seen["serial"], simulator.serial());
    assert_eq!(simulator.served().len(), 1, "one light frame was asked for");
    seen
}

#[test]
fn pyseabreeze_reads_a_qe_pro_and_an_sts_as_fast_as_the_machine_allows() {
    let Some(python) = python() else { return };
    for profile in InstrumentFamily::ALL {
        check(&python, profile, 115_200, Pacing::Immediate);
    }
}

#[test]
fn pyseabreeze_reads_both_at_the_speed_of_a_real_line() {
    let Some(python) = python() else { return };
    for (profile, frame_len) in [(InstrumentFamily::QePro, 4272.0), (InstrumentFamily::Sts, 2112.0)] {
        let seen = check(&python, profile, 115_200, Pacing::Line);
        let seconds = seen["seconds_per_spectrum"].as_f64().expect("a number");
        assert!(seconds > frame_len * LINE_BITS / 115_200.0, "{profile:?}: {seconds} s is faster than the line");
    }
}
