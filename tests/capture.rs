//! Recorded conversations: what the driver makes of the recording is what it made of the instrument, whatever went wrong
//! on the line; and a file that is no recording says on which line.

#[path = "support/program.rs"]
mod program;
#[path = "support/station.rs"]
mod station;
#[path = "support/stretched.rs"]
mod stretched;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::program;
use ramand::acquire::capture::{Act, CaptureError, CaptureEvent, Conversation, Way, digest, recorded, replay};
use ramand::acquire::{AcquireError, AcquisitionSettings, BaudRate, Driver, Spectrometer, StationEvent};
use ramand::supervise::Stop;
use ramand::{acquire, supervise};
use ramand_core::failure;
use ramand_core::spectrum::{Acquisition, IntegrationTime, Laser, RawSpectrum};
use ramand_sim::faults::Fault;
use ramand_sim::profile::InstrumentFamily;
use ramand_sim::{Pacing, Simulator};
use station::RunningStation;
use stretched::stretched;

/// Only a failing test waits so long.
fn patience() -> Duration {
    stretched(Duration::from_secs(60))
}

struct CaptureBench {
    simulator: Simulator,
    folder: tempfile::TempDir,
}

impl CaptureBench {
    fn new(profile: InstrumentFamily, baud: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let link = folder.path().join("spectrometer");
        let settings = ramand_sim::SimulatorSettings {
            baud,
            pacing: Pacing::Immediate,
            ..ramand_sim::SimulatorSettings::new(profile, link)
        };
        Self { simulator: Simulator::start(settings).expect("a pseudo-terminal"), folder }
    }

    fn settings(&self) -> AcquisitionSettings {
        AcquisitionSettings {
            baud: BaudRate::Fixed(115_200),
            integration: IntegrationTime::from_micros(20_000),
            laser_warmup: Duration::from_millis(20),
            ..AcquisitionSettings::new(self.simulator.link())
        }
    }

    fn recorded(&self, settings: AcquisitionSettings) -> AcquisitionSettings {
        recorded(settings, &self.path()).expect("created")
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("capture.txt")
    }

    fn conversation(&self) -> Conversation {
        Conversation::read(&self.path()).expect("a capture")
    }
}

/// Everything that a spectrum or a failure is told apart by, but for the path of the port.
fn told(outcome: Result<&RawSpectrum, &AcquireError>, port: &str) -> String {
    match outcome {
        Ok(spectrum) => {
            let Acquisition { line, laser, saturated_pixels, detector_temperature, .. } =
                spectrum.acquisition().expect("measured");
            let digest = digest(spectrum);
            format!("{digest:?} {line:?} {laser:?} {saturated_pixels} {detector_temperature:?} {:?}", spectrum.axis())
        }
        Err(error) => failure::chain(error).replace(port, "PORT"),
    }
}

fn played(conversation: &Conversation) -> (Vec<String>, Result<(), AcquireError>) {
    let port = conversation.settings.port.display().to_string();
    let mut heard = Vec::new();
    let outcome = replay(conversation, |outcome| heard.push(told(outcome, &port)));
    (heard, outcome)
}

/// With this fault before the second spectrum.
fn check(profile: InstrumentFamily, fault: &str) {
    let bench = CaptureBench::new(profile, 115_200);
    let settings = bench.recorded(bench.settings());
    let port = settings.port.display().to_string();
    let mut heard = Vec::new();
    let mut driver = Driver::open(settings, &Stop::never()).expect("a good device");
    heard.push(told(driver.measure().as_ref(), &port));
    bench.simulator.inject(fault.parse::<Fault>().expect(fault));
    let second = driver.measure();
    heard.push(told(second.as_ref(), &port));
    if second.is_ok() {
        driver.set_exposure(IntegrationTime::from_micros(30_000), 2).expect("within the limits");
        heard.push(told(driver.measure_dark().as_ref(), &port));
        heard.push(told(driver.measure().as_ref(), &port));
        driver.laser_off().expect("a good device");
    }
    drop(driver);
    let (again, outcome) = played(&bench.conversation());
    assert!(outcome.is_ok(), "{} {fault}: {}", profile.name(), outcome.expect_err("printed"));
    assert_eq!(again, heard, "{} {fault}", profile.name());
}

#[test]
fn whatever_happened_on_the_line_happens_again() {
    let faults = [
        "cosmic-rays=0",
        "nack=7@3",
        "nack=13",
        "deferred=300",
        "wrong-regarding",
        "leftover",
        "stall=1500",
        "silence",
        "silence@3",
        "flip-byte=70",
        "drop-byte=500",
        "noise=200",
        "fragment=61@5",
        "exception@9",
        "brown-out",
        "interlock-open",
        "hang-up=0",
    ];
    for profile in InstrumentFamily::ALL {
        std::thread::scope(|scope| {
            for fault in faults {
                scope.spawn(move || check(profile, fault));
            }
        });
    }
    check(InstrumentFamily::QePro, "stale-buffer");
}

#[test]
fn a_rate_that_was_looked_for_is_looked_for_again_without_waiting() {
    let bench = CaptureBench::new(InstrumentFamily::QePro, 57_600);
    let settings = bench.recorded(AcquisitionSettings { baud: BaudRate::Negotiate(230_400), ..bench.settings() });
    drop(Driver::open(settings, &Stop::never()).expect("found"));
    let conversation = bench.conversation();
    let bauds: Vec<u32> = (conversation.moments.iter())
        .filter_map(|moment| if let CaptureEvent::Baud(baud) = moment.event { Some(baud) } else { None })
        .collect();
    assert!(bauds.ends_with(&[57_600, 230_400]), "{bauds:?}");
    let (heard, outcome) = played(&conversation);
    assert!(outcome.is_ok() && heard.is_empty());
}

#[test]
fn nobody_at_the_other_end_is_nobody_again() {
    let bench = CaptureBench::new(InstrumentFamily::Sts, 115_200);
    let settings = bench.recorded(AcquisitionSettings { baud: BaudRate::Fixed(9_600), ..bench.settings() });
    let port = settings.port.display().to_string();
    let error = Driver::open(settings, &Stop::never()).expect_err("another rate");
    assert_eq!(played(&bench.conversation()).0, [told(Err(&error), &port)]);
}

#[test]
fn a_station_that_lost_its_device_and_was_stopped_while_exposing_replays() {
    let bench = CaptureBench::new(InstrumentFamily::QePro, 115_200);
    let station = RunningStation::start(bench.recorded(bench.settings()));
    let first = station.measured.spectra.recv_timeout(patience()).expect("a spectrum");
    bench.simulator.hang_up();
    wait_for(&station, |event| matches!(event, StationEvent::Lost { .. }));
    bench.simulator.come_back();
    wait_for(&station, |event| matches!(event, StationEvent::Recovered { .. }));
    assert!(bench.simulator.wait_for_laser(Laser::On, patience()));
    station.stop();
    station.join().expect("stopped");
    let conversation = bench.conversation();
    let happened = |wanted: fn(&CaptureEvent) -> bool| conversation.moments.iter().any(|moment| wanted(&moment.event));
    assert!(happened(|event| matches!(event, CaptureEvent::Lost(Way::Reading | Way::Writing, _))));
    assert!(happened(|event| *event == CaptureEvent::Do(Act::Close)));
    let (heard, outcome) = played(&conversation);
    assert!(outcome.is_ok(), "{}", outcome.expect_err("printed"));
    assert_eq!(heard[0], told(Ok(&first), ""));
}

fn wait_for(station: &RunningStation, wanted: impl Fn(&StationEvent) -> bool) {
    while station.measured.spectra.try_recv().is_ok() {}
    loop {
        if wanted(&station.measured.events.recv_timeout(patience()).expect("the event comes in time")) {
            return;
        }
    }
}

fn captured() -> String {
    let bench = CaptureBench::new(InstrumentFamily::Sts, 115_200);
    let mut driver = Driver::open(bench.recorded(bench.settings()), &Stop::never()).expect("a good device");
    driver.measure().expect("a good device");
    driver.laser_off().expect("a good device");
    drop(driver);
    let text = std::fs::read_to_string(bench.path()).expect("written");
    assert!(!text.contains(&bench.folder.path().display().to_string()), "no path of this machine");
    assert!(text.contains(&format!("device STS {} ", bench.simulator.serial())), "who it was");
    text
}

#[test]
fn a_damaged_capture_says_on_which_line() {
    let whole = captured();
    let conversation = Conversation::parse(&whole).expect("a capture");
    assert_eq!(conversation.encode(), whole, "what was read is what was written");
    let check = |from: &str, to: &str, expected: &str| {
        let text = whole.replacen(from, to, 1);
        assert_ne!(text, whole, "{from}");
        let message = match Conversation::parse(&text) {
            Err(error) => error.to_string(),
            Ok(conversation) => failure::chain(&played(&conversation).1.expect_err(expected)),
        };
        assert!(message.contains(expected), "{from} -> {to}: {message}");
    };
    check("ramand-capture 1", "ramand-capture 2", "line 1 of the capture: a capture begins with");
    check("baud 115200", "baud fast", "line 5 of the capture: 'baud' must be");
    check("laser-nm 785", "laser-nm NaN", "line 9 of the capture: 'laser-nm' must be");
    check("checksum md5\n\n", "checksum md5\n", "an empty line ends the header");
    check("\n\n0.", "\n\nzero.", "the time is not seconds");
    check(" clear\n", " clear now\n", "'clear' stands alone");
    check(" > C1", " > C", "pairs of hexadecimal digits");
    check(" clear\n", " shout\n", "there is no such event");
    check("do measure\n", "do nothing\n", "nothing that could be done");
    check(" clear\n", " baud 300\n", "recorded is 'baud 300', but now comes 'clear'");
    check("do measure\n", "do measure-dark\n", "recorded is request");
    check("integration-us 20000", "integration-us 21000", "line ");
    // A spectrum with a pixel changed is found by its digest where the frame carries no MD5, and by the MD5 where it does.
    let cut = whole.rfind(" < ").expect("an answer");
    let cut = &whole[..whole[..cut].rfind('\n').expect("a line")];
    let error = played(&Conversation::parse(cut).expect("still a capture")).1.expect_err("cut");
    assert!(matches!(error, AcquireError::Capture(CaptureError::Ended { .. })), "{error}");
}

#[test]
fn a_changed_pixel_is_another_spectrum() {
    let bench = CaptureBench::new(InstrumentFamily::Sts, 115_200);
    let settings = AcquisitionSettings { checksum: ocean_binary_protocol::Checksum::None, ..bench.settings() };
    let mut driver = Driver::open(bench.recorded(settings), &Stop::never()).expect("a good device");
    driver.measure().expect("a good device");
    drop(driver);
    let mut conversation = bench.conversation();
    let longest = conversation.moments.iter_mut().rev().find_map(|moment| match &mut moment.event {
        CaptureEvent::Received(bytes) if bytes.len() > 500 => Some(bytes),
        _ => None,
    });
    let pixel = longest.expect("a spectrum").get_mut(400).expect("long enough");
    *pixel ^= 1;
    let error = played(&conversation).1.expect_err("another spectrum");
    assert!(error.to_string().contains("recorded is a spectrum with digest"), "{error}");
}

fn ramand(arguments: &[&str]) -> String {
    let output = Command::new(program()).args(arguments).output().expect("runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_command_line_captures_a_simulated_instrument_and_replays_it_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (link, out, scenario) = (at("spectrometer"), at("capture.txt"), at("scenario.toml"));
    let polystyrene = "unit = \"seconds\"\n[[step]]\nat = 0.0\nsample = { polystyrene = 1 }\n";
    std::fs::write(&scenario, polystyrene).expect("written");
    let mut simulator = Command::new(program())
        .args(["sim", "--profile", "qepro", "--link", &link, "--no-pacing", "--scenario", &scenario])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("runs");
    let mut line = String::new();
    BufReader::new(simulator.stdout.take().expect("piped")).read_line(&mut line).expect("the port's name");
    let measured = ramand(&[
        "capture",
        "--port",
        &link,
        "--baud",
        "115200",
        "--count",
        "2",
        "--integration-ms",
        "20",
        "--laser-warm-up-ms",
        "10",
        "--axis-check",
        "polystyrene",
        "--json",
        &out,
    ]);
    simulator.kill().expect("running");
    simulator.wait().expect("ended");
    assert_eq!(measured.lines().count(), 3, "{measured}");
    assert!(measured.contains("{\"axis_check\":\"polystyrene\""), "{measured}");
    assert!(measured.contains("\"light\":["), "{measured}");
    assert_eq!(ramand(&["replay", "--capture", &out, "--axis-check", "polystyrene", "--json"]), measured);
    let strict = ["replay", "--capture", &out, "--axis-check", "polystyrene", "--axis-rms-max", "0.001"];
    let refused = Command::new(program()).args(strict).output().expect("runs");
    assert_eq!(refused.status.code(), Some(78));
    let table = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(table.contains("1001.4 cm-1  found  100"), "{table}");
    let lines = ramand(&["replay", "--capture", &out]);
    assert!(lines.contains("QEP00001  20 ms x 1  laser on"), "{lines}");
}

/// A capture of one-second exposures; `disturb` is called while the laser is on. Its exit code, and what it says.
fn disturbed(disturb: impl FnOnce(&CaptureBench, Pid)) -> (Option<i32>, String) {
    let bench = CaptureBench::new(InstrumentFamily::QePro, 115_200);
    let (port, out) = (bench.simulator.link().display().to_string(), bench.path().display().to_string());
    let arguments =
        ["capture", "--port", &port, "--baud", "115200", "--integration-ms", "1000", "--laser-warm-up-ms", "0"];
    let capture = Command::new(program())
        .args(arguments)
        .arg(&out)
        .env_remove("RUST_LOG")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    assert!(bench.simulator.wait_for_laser(Laser::On, patience()), "a light frame needs it");
    disturb(&bench, Pid::from_raw(i32::try_from(capture.id()).expect("a process number")));
    let output = capture.wait_with_output().expect("ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_capture_that_cannot_switch_the_laser_off_says_so_whatever_else_there_is_to_say() {
    let inject = |bench: &CaptureBench, fault: &str| bench.simulator.inject(fault.parse::<Fault>().expect(fault));
    let interrupt = |capture| kill(capture, Signal::SIGINT).expect("it runs");
    let still_on = "THE LASER IS STILL ON";

    let (code, said) = disturbed(|_, capture| interrupt(capture));
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("laser"), "nothing to say: {said}");

    let (code, said) = disturbed(|bench, capture| {
        inject(bench, "laser-stuck");
        interrupt(capture);
    });
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains(still_on), "{said}");

    let (code, said) = disturbed(|bench, _| {
        inject(bench, "laser-stuck");
        inject(bench, "nack=13");
    });
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains("was refused") && said.contains(still_on), "both: {said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains(still_on), "what matters most comes last: {said}");
}
