//! Each check fails with the fault it is there for, and with that fault alone.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ramand::acquire::Spectrometer;
use ramand::supervise::StopSignal;
use ramand_core::spectrum::Laser;

use crate::bench::{At, InstrumentBench, PlantedFault};
use crate::checks::{BenchCheck, CHECKS, CheckFinding, CheckTrouble, CheckVerdict, LASER_OFF};
use crate::rig::Unplug;
use crate::root::root;
use crate::{run, simulated};

/// Whether bytes take the time that they take on the line.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    Immediate,
    OfTheLine,
}

/// A sound instrument at once.
fn quick_bench() -> InstrumentBench {
    bench(Pace::Immediate, &[], None)
}

/// A bench with a short soak.
fn bench(pace: Pace, faults: &[&str], planted: Option<PlantedFault>) -> InstrumentBench {
    let mut rig = simulated();
    let simulator = rig.simulator.as_mut().expect("sim.toml has one");
    simulator.paced = pace == Pace::OfTheLine;
    simulator.faults = faults.iter().map(|fault| (*fault).to_owned()).collect();
    rig.soak.lasts = Duration::from_secs(2);
    InstrumentBench { planted, ..InstrumentBench::new(rig, StopSignal::new()).expect("a pseudo-terminal") }
}

/// The names of the checks that fail are exactly `expected`.
fn check(pace: Pace, faults: &[&str], planted: Option<PlantedFault>, expected: &str) {
    let bench = bench(pace, faults, planted);
    let report = run(&bench, CHECKS);
    let failed: Vec<&str> = (report.outcomes.iter())
        .filter(|outcome| outcome.verdict != CheckVerdict::Passed)
        .map(|outcome| outcome.name)
        .collect();
    let fault = planted.map_or(faults.join(" "), |planted| planted.fault.to_owned());
    assert_eq!(failed, [expected], "{fault}: {}", report.failures());
    println!("fault {fault}: {}", report.failures());
}

/// From the start to the end.
fn lasting(fault: &str, expected: &str) {
    check(Pace::Immediate, &[fault], None, expected);
}

fn passing(at: At, fault: &'static str, undo: &'static str, expected: &str) {
    check(Pace::Immediate, &[], Some(PlantedFault { at, fault, undo }), expected);
}

#[test]
fn another_instrument_fails_identification() {
    passing(At::Before("identify"), "serial-number=4711", "serial-number=1", "identify");
}

#[test]
fn a_slow_line_fails_the_deadlines() {
    let planted = PlantedFault { at: At::Before("deadlines"), fault: "slow-line=4", undo: "slow-line=1" };
    check(Pace::OfTheLine, &[], Some(planted), "deadlines");
}

#[test]
fn a_hot_pixel_fails_the_dark_statistics() {
    lasting("hot-pixel=500", "dark");
}

#[test]
fn a_noisy_amplifier_fails_the_dark_statistics() {
    lasting("read-noise=3", "dark");
}

#[test]
fn an_amplifier_of_twice_the_gain_fails_the_photon_transfer() {
    lasting("gain=2", "gain");
}

#[test]
fn a_detector_that_bends_fails_linearity() {
    lasting("compression=0.4", "linearity");
}

#[test]
fn a_wrong_coefficient_fails_the_axis() {
    lasting("axis-error=0.2", "axis");
}

#[test]
fn another_instrument_at_the_plug_fails_the_unplug_test() {
    passing(At::Unplugged, "serial-number=4711", "serial-number=1", "unplug");
}

#[test]
fn an_instrument_that_is_gone_fails_the_soak() {
    passing(At::Before("soak"), "hang-up=0", "come-back", "soak");
}

#[test]
fn a_laser_that_does_not_go_off_fails_the_last_check() {
    passing(At::Before(LASER_OFF), "laser-stuck", "laser-released", LASER_OFF);
}

fn light(bench: &InstrumentBench) -> Result<(), CheckTrouble> {
    let mut driver = bench.open()?;
    driver.measure()?;
    assert_eq!(bench.simulator.as_ref().map(|simulator| simulator.laser()), Some(Laser::On));
    // The driver is let go of on the way out, by an error or a panic.
    bench.stop.request("as Ctrl-C does");
    driver.measure()?;
    Ok(())
}

fn panics(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    let mut driver = bench.open()?;
    driver.measure()?;
    assert_ne!(driver.laser(), Laser::On, "the laser is on, and this check panics");
    Err(CheckTrouble::Fail("the laser was off".to_owned()))
}

fn stopped(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    light(bench)?;
    Err(CheckTrouble::Fail("nobody stopped".to_owned()))
}

/// With a check that ends badly while the laser is on, and what it says.
fn ends_badly(bad: BenchCheck, expected: &str) {
    let bench = quick_bench();
    let last = *CHECKS.last().expect("the laser");
    let report = run(&bench, &[("bad", bad), last]);
    assert!(report.outcomes[0].says.contains(expected), "{}", report.outcomes[0].says);
    assert_eq!(report.outcomes[0].verdict, CheckVerdict::Failed);
    assert_eq!(report.outcomes[1].verdict, CheckVerdict::Passed, "{}", report.outcomes[1].says);
    assert_eq!(bench.simulator.as_ref().map(|simulator| simulator.laser()), Some(Laser::Off));
}

#[test]
fn the_laser_is_off_after_a_panic() {
    ends_badly(panics, "the laser is on, and this check panics");
}

#[test]
fn the_laser_is_off_after_a_stop_request_and_not_switched_on_again() {
    ends_badly(stopped, "stopped on request");
}

#[test]
fn ctrl_c_ends_the_checks_with_the_laser_off_and_a_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "rig", "--nocapture"])
        .env(crate::RIG, root().join("tests/hil/sim.toml"))
        .env(crate::REPORT, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "checking linearity"), "it gets so far");
    let pid = i32::try_from(child.id()).expect("process numbers are small");
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("running");
    let rest: Vec<String> = lines.collect();
    let told = |check: &str, text: &str| rest.iter().any(|line| line.contains(check) && line.contains(text));
    assert!(told("linearity", "stopped on request"), "{rest:#?}");
    assert!(told("soak", "stopped on request before it was done"), "{rest:#?}");
    assert!(told("laser-off", "off now, read back anew"), "{rest:#?}");
    assert!(!child.wait().expect("ended").success(), "what was not done has not passed");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2, "Markdown and JSON");
}

/// The check of that name.
fn named(name: &str) -> (&'static str, BenchCheck) {
    CHECKS.iter().copied().find(|(found, _)| *found == name).expect("a check")
}

#[test]
fn a_plug_that_a_command_pulled_is_put_back_after_ctrl_c() {
    let folder = tempfile::tempdir().expect("a folder");
    let [off, on] = ["off", "on"].map(|name| folder.path().join(name));
    let touch = |path: &std::path::Path| vec!["touch".to_owned(), path.display().to_string()];
    let mut bench = quick_bench();
    bench.rig.unplug = Unplug::Command { off: touch(&off), on: touch(&on) };
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            let stop = bench.stop();
            let pause = || stop.requested_within(Duration::from_millis(10));
            assert!((0..3_000).any(|_| off.exists() || pause()), "the plug was not pulled within 30 s");
            bench.stop.request("as Ctrl-C does");
        });
        run(&bench, &[named("unplug"), named(LASER_OFF)])
    });
    assert!(report.outcomes[0].says.contains("stopped on request"), "{}", report.outcomes[0].says);
    assert!(on.exists(), "the plug is back");
    assert_eq!(report.outcomes[1].verdict, CheckVerdict::Passed, "{}", report.outcomes[1].says);
}

#[test]
fn nobody_pulls_a_plug_while_the_laser_is_on() {
    let bench = quick_bench();
    let report = run(&bench, &[named("unplug")]);
    assert_eq!(report.outcomes[0].verdict, CheckVerdict::Passed, "{}", report.outcomes[0].says);
    assert!(bench.simulator.as_ref().expect("simulated").served().is_empty(), "no light frame");
}

#[test]
fn an_instrument_that_is_just_coming_back_is_waited_for_and_its_laser_looked_after() {
    let bench = quick_bench();
    let simulator = bench.simulator.as_ref().expect("simulated");
    simulator.inject("hang-up=1000".parse().expect("a fault"));
    let report = run(&bench, &[named(LASER_OFF)]);
    assert_eq!(report.outcomes[0].verdict, CheckVerdict::Passed, "{}", report.outcomes[0].says);
}

#[test]
fn a_laser_that_does_not_go_on_fails_the_last_check_and_is_read_back_all_the_same() {
    let bench = bench(Pace::Immediate, &["interlock-open"], None);
    let report = run(&bench, &[named(LASER_OFF)]);
    let outcome = &report.outcomes[0];
    assert_eq!(outcome.verdict, CheckVerdict::Failed);
    assert!(outcome.says.contains("off now, read back anew") && outcome.says.contains("interlock"), "{}", outcome.says);
}

#[test]
fn ctrl_c_ends_the_wait_for_somebody_at_the_plug() {
    let folder = tempfile::tempdir().expect("a folder");
    let rig = std::fs::read_to_string(root().join("tests/hil/sim.toml")).expect("a rig");
    let rig = rig.replace("how = \"simulated\"", "how = \"prompt\"").replace("paced = true", "paced = false");
    std::fs::write(folder.path().join("rig.toml"), rig).expect("written");
    let terminal = openpty(None, None).expect("a pseudo-terminal");
    // A session of its own, so that the terminal is this program's, and Ctrl-C on it a signal.
    let mut child = Command::new("setsid")
        .arg("--ctty")
        .arg(std::env::current_exe().expect("this test"))
        .args(["--exact", "rig", "--nocapture"])
        .env(crate::RIG, folder.path().join("rig.toml"))
        .env(crate::REPORT, folder.path())
        .stdin(terminal.slave)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("Pull the spectrometer's plug")), "somebody is asked");
    std::fs::File::from(terminal.master.try_clone().expect("a descriptor")).write_all(b"\x03").expect("typed");
    let rest: Vec<String> = lines.collect();
    let told = |check: &str, text: &str| rest.iter().any(|line| line.contains(check) && line.contains(text));
    assert!(told("unplug", "stopped on request"), "{rest:#?}");
    assert!(told("laser-off", "off now, read back anew"), "{rest:#?}");
    assert!(!child.wait().expect("ended").success(), "what was not done has not passed");
}

/// As after SIGKILL: nobody has the port, and the laser is on.
fn leave_on(bench: &InstrumentBench) -> Option<()> {
    let simulator = bench.simulator.as_ref()?;
    let mut driver = bench.open().ok()?;
    driver.measure().ok()?;
    simulator.inject("laser-stuck".parse().ok()?);
    driver.laser_off().expect_err("it is stuck");
    drop(driver);
    simulator.inject("laser-released".parse().ok()?);
    (simulator.laser() == Laser::On).then_some(())
}

#[test]
fn a_laser_that_somebody_left_on_is_said_and_switched_off_before_anything_else() {
    let mut bench = quick_bench();
    leave_on(&bench).expect("on");
    bench.rig.laser.allowed = false;
    let identify = CHECKS[0];
    let report = run(&bench, &[identify]);
    let outcome = &report.outcomes[0];
    assert!(outcome.verdict == CheckVerdict::Failed && outcome.says.contains("laser WAS ON"), "{}", outcome.says);
    assert_eq!(bench.simulator.as_ref().map(|simulator| simulator.laser()), Some(Laser::Off));
    assert_eq!(run(&bench, &[identify]).outcomes[0].verdict, CheckVerdict::Passed);
}

#[test]
fn a_sample_too_bright_for_two_exposures_is_no_fault_of_the_instrument() {
    let mut bench = quick_bench();
    bench.rig.spectrometer.exposure_min = Duration::from_millis(200);
    let report = run(&bench, &[named("gain"), named("linearity")]);
    for outcome in &report.outcomes {
        assert!(outcome.verdict == CheckVerdict::Skipped && outcome.says.contains("less light"), "{}", outcome.says);
    }
}

#[test]
fn the_laser_is_looked_after_and_a_report_written_where_the_terminal_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "rig", "--nocapture"])
        .env(crate::RIG, root().join("tests/hil/sim.toml"))
        .env(crate::REPORT, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "checking identify"), "it gets so far");
    drop(lines);
    let pid = i32::try_from(child.id()).expect("process numbers are small");
    kill(Pid::from_raw(pid), Signal::SIGHUP).expect("running");
    child.wait().expect("ended");
    let json = folder.path().read_dir().expect("a folder").flatten().map(|entry| entry.path());
    let json = json.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "json"));
    let json = std::fs::read(json.expect("a report")).expect("readable");
    let report: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let last = report["checks"].as_array().and_then(|checks| checks.last()).expect("checks");
    assert!(last["name"] == LASER_OFF && last["verdict"] == "passed", "{report}");
}

#[test]
fn a_rig_that_may_not_switch_the_laser_never_does() {
    let mut rig = simulated();
    rig.laser.allowed = false;
    rig.simulator.as_mut().expect("sim.toml has one").paced = false;
    let bench = InstrumentBench::new(rig, StopSignal::new()).expect("a pseudo-terminal");
    let report = run(&bench, CHECKS);
    assert!(report.passed(), "{}", report.failures());
    let skipped = report.outcomes.iter().filter(|outcome| outcome.verdict == CheckVerdict::Skipped);
    assert_eq!(skipped.map(|outcome| outcome.name).collect::<Vec<_>>(), ["gain", "linearity", "axis", "soak"]);
    assert!(bench.simulator.as_ref().expect("simulated").served().is_empty(), "no light frame");
}
