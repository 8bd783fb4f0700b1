//! Hardware in the loop: a bench with an instrument on it, described by a TOML file, goes through every check; the report
//! says what was found. docs/hil.md says how to run it on a board.
//!
//! Without a bench the simulator takes its place, and each check is shown to fail when the simulator has the matching fault.

#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/root.rs"]
mod root;
#[path = "../support/station.rs"]
mod station;

mod bench;
mod checks;
mod faults;
mod report;
mod rig;
mod statistics;

use std::path::PathBuf;

use bench::InstrumentBench;
use checks::{BenchCheck, CHECKS, CheckVerdict};
use missing::missing;
use ramand::supervise::{StopSignal, stop_on_signals};
use ramand::{acquire, supervise};
use report::BenchReport;
use rig::Rig;
use root::root;

/// Names the rig's file; without it no instrument is touched.
const RIG: &str = "RAMAND_HIL_RIG";

/// The folder the report is written to.
const REPORT: &str = "RAMAND_HIL_REPORT";

/// The bench that is a simulator.
fn simulated() -> Rig {
    Rig::read(&root().join("tests/hil/sim.toml")).expect("part of the repository")
}

/// Prints a line, or nothing: where the terminal is gone, `println!` panics, and the laser would never be looked after.
fn say(line: &str) {
    let _ = std::panic::catch_unwind(|| println!("{line}"));
}

/// Every check in its order; the last one switches the laser off, whatever happened to the others.
fn run(bench: &InstrumentBench, checks: &[(&'static str, BenchCheck)]) -> BenchReport {
    let mut report = BenchReport::new(bench);
    for (name, check) in checks {
        say(&format!("checking {name}"));
        bench.before(name);
        let outcome = checks::guarded(bench, name, *check);
        bench.after(name);
        say(&outcome.line());
        report.outcomes.push(outcome);
    }
    report
}

#[test]
fn rig() {
    let Some(path) = std::env::var_os(RIG).map(PathBuf::from) else {
        missing("instrument", &format!("{RIG} names no rig: `./dev hil --rig FILE` sets it, docs/hil.md"));
        return;
    };
    let rig = Rig::read(&path).unwrap_or_else(|error| panic!("{error}"));
    let stop = stop_on_signals().expect("signal handlers");
    let bench = InstrumentBench::new(rig, stop).expect("a bench");
    let report = run(&bench, CHECKS);
    let folder = std::env::var_os(REPORT).map_or_else(std::env::temp_dir, PathBuf::from);
    let [markdown, json] = report.write(&folder).expect("the report is written");
    println!("report: {} and {}", markdown.display(), json.display());
    assert!(report.passed(), "{}", report.failures());
}

#[test]
fn without_faults_the_simulated_rig_passes_at_the_speed_of_a_real_line() {
    let bench = InstrumentBench::new(simulated(), StopSignal::new()).expect("a pseudo-terminal");
    let report = run(&bench, CHECKS);
    assert!(report.passed(), "{}", report.failures());
    assert!(report.outcomes.iter().all(|outcome| outcome.verdict == CheckVerdict::Passed), "nothing is left out");
    let folder = tempfile::tempdir().expect("a folder");
    let [markdown, json] = report.write(folder.path()).expect("written");
    let markdown = std::fs::read_to_string(markdown).expect("written");
    assert!(markdown.contains("| axis | passed |") && markdown.contains("| 1001.4 |"), "{markdown}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(json).expect("written")).expect("JSON");
    assert_eq!(json["passed"], true);
    assert!(json["checks"][2]["figures"]["read_noise_counts"].as_f64().is_some_and(|noise| noise > 0.0), "{json}");
}

#[test]
fn the_example_is_a_rig_that_may_not_switch_the_laser() {
    let rig = Rig::read(&root().join("tests/hil/example.toml")).expect("a rig");
    assert!(!rig.laser.allowed && rig.simulator.is_none());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rig.toml");
    std::fs::write(&path, "name = \"x\"\nlasr = 1\n").expect("written");
    let error = Rig::read(&path).expect_err("a misspelt key");
    assert!(error.contains("rig.toml") && error.contains("line 2") && error.contains("lasr"), "{error}");
}
