//! The whole line, from photons to subscribers: the real binary, a simulated spectrometer on a real pseudo-terminal, a real
//! Mosquitto, measured spectra where they are present.

#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/root.rs"]
mod root;
#[path = "../support/stretched.rs"]
mod stretched;

mod common;
#[cfg(feature = "lab")]
mod evaluate;
mod explain;
mod stop;
#[cfg(feature = "lab")]
mod train;
mod update;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Process, mosquitto, shared_data, subscriber};
use nix::sys::signal::Signal;
use ramand_recording::Recording;
use root::root;
use serde_json::Value;

/// A stop request is obeyed within this.
const STOP_WITHIN: Duration = Duration::from_secs(5);

fn bundle(name: &str) -> PathBuf {
    root().join("models").join(name)
}

/// A simulated QE Pro in a process of its own.
fn simulator(folder: &Path, arguments: &[&str]) -> (Process, PathBuf) {
    simulator_of("qepro", folder, arguments)
}

fn simulator_of(profile: &str, folder: &Path, arguments: &[&str]) -> (Process, PathBuf) {
    let link = folder.join("spectrometer");
    let link_text = link.to_str().expect("UTF-8").to_owned();
    let mut process = Process::ramand(["sim", "--profile", profile, "--link", &link_text].iter().chain(arguments));
    assert_eq!(process.line(), link_text, "the simulator says where it is");
    (process, link)
}

/// A configuration for the daemon; `rest` is appended.
fn configuration(folder: &Path, link: &Path, rest: &str) -> PathBuf {
    let path = folder.join("ramand.toml");
    let text = format!(
        "[spectrometer]\nport = {link:?}\nperiod = \"0 s\"\nlaser_warm_up = \"50 ms\"\nintegration = \"200 ms\"\n\
         [journal]\npath = {journal:?}\n[web]\nenabled = false\n[log]\nformat = \"text\"\n{rest}",
        journal = folder.join("journal.sqlite"),
    );
    std::fs::write(&path, text).expect("written");
    path
}

fn run(config: &Path) -> Process {
    Process::ramand([std::ffi::OsStr::new("run"), "--config".as_ref(), config.as_os_str()])
}

#[cfg(feature = "broker")]
#[test]
fn the_demo_ends_after_its_results_with_the_laser_off() {
    let models = bundle("");
    let models = models.to_str().expect("UTF-8");
    let mut demo = Process::ramand(["demo", "--count", "20", "--json", "--models", models]);
    let results: Vec<Value> = demo
        .rest()
        .iter()
        .map(|line| serde_json::from_str(line).expect("stdout is one result payload a line"))
        .collect();
    let (status, _) = demo.wait();
    let diagnostics = demo.diagnostics();
    assert!(status.success(), "{diagnostics}");
    assert_eq!(results.len(), 20);
    for pair in results.windows(2) {
        assert!(pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64());
    }
    let named = results.iter().filter(|result| result["models"][0]["verdict"]["decision"] == "accept").count();
    assert!(named >= 16, "oil-type speaks about most samples, not about {named} of 20 only: {diagnostics}");
    for result in &results {
        for model in result["models"].as_array().expect("models") {
            let error = model["explanation"]["completeness_error"].as_f64();
            assert!(error.is_none_or(|error| error < 1e-4), "maps add up: {error:?}");
        }
    }
    assert!(diagnostics.contains("laser off     confirmed by the device"), "{diagnostics}");
    assert!(diagnostics.contains("mosquitto_sub -p "), "{diagnostics}");
}

/// Light frames a driver may discard before the first result: after a change of exposure, and while the laser warms up.
const DISCARDED_MAX: usize = 8;

/// Real spectra through the real path: recorded emulsions, served by the simulator as counts on a detector's pixels, come
/// back as predictions on MQTT. The bundle has seen these samples in training, so this tests the path, not the model: the
/// out-of-fold error in its manifest is the honest figure, and the path must not add to it.
#[test]
fn recorded_spectra_travel_the_whole_path() {
    let Some(csv) = shared_data("emulsions_raman.csv") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let Some((mut broker, port)) = mosquitto(folder.path()) else { return };
    let mut listener = subscriber(port, "ramand/v1/+/+/+/result");
    broker.until("Received SUBSCRIBE");

    let recording = Recording::read(&csv).expect("readable");
    let truths = recording.number_column("pufa_pct_of_fat").expect("a label");
    let (_simulator, link) = simulator(folder.path(), &["--replay", csv.to_str().expect("UTF-8")]);
    let model = bundle("emulsion-pufa");
    let rest = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\n[[model]]\npath = {model:?}\n");
    let mut daemon = run(&configuration(folder.path(), &link, &rest));

    let mut values = Vec::new();
    while values.len() < truths.len() {
        let line = listener.line();
        let Some((topic, payload)) = line.split_once(' ').filter(|(topic, _)| topic.ends_with("/result")) else {
            continue;
        };
        assert_eq!(topic, "ramand/v1/plant/line-1/oil-1/result");
        let result: Value = serde_json::from_str(payload).expect("JSON");
        values.push(
            result["models"][0]["prediction"]["value"].as_f64().unwrap_or_else(|| panic!("no value in {payload}")),
        );
    }
    daemon.signal(Signal::SIGTERM);
    let (status, took) = daemon.wait();
    assert!(status.success() && took < STOP_WITHIN, "{status} after {took:?}");

    // Rows are served in turn, one a light frame; only how many frames the driver discarded first is not known.
    let rmse = |discarded: usize| {
        let rows = truths.iter().cycle().skip(discarded);
        let squares = values.iter().zip(rows).map(|(value, truth)| (value - truth).powi(2));
        (squares.sum::<f64>() / values.len() as f64).sqrt()
    };
    let rmse = (0..DISCARDED_MAX).map(rmse).fold(f64::INFINITY, f64::min);
    let manifest = std::fs::read_to_string(model.join("manifest.toml")).expect("readable");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let rmsecv = manifest["metrics"]["rmsecv"].as_float().expect("a number");
    println!("RMSE on the path {rmse:.3}, out of fold {rmsecv:.3} % PUFA of fat");
    assert!(rmse <= rmsecv, "the path must not add to the error: {rmse:.3} above {rmsecv:.3}");
}

/// Pulls the plug by ending the simulator, puts it back, and stops: every result is in the journal, numbered without a hole.
#[test]
fn a_lost_spectrometer_is_waited_for_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut device, link) = simulator(folder.path(), &[]);
    let model = bundle("oil-type");
    let config =
        configuration(folder.path(), &link, &format!("[mqtt]\nenabled = false\n[[model]]\npath = {model:?}\n"));
    let mut daemon = run(&config);
    daemon.until("identified");
    daemon.until("laser_on");
    device.signal(Signal::SIGTERM);
    assert!(device.wait().0.success(), "the simulator ends on request");
    daemon.until("spectrometer_lost");
    let (_device, _) = simulator(folder.path(), &[]);
    daemon.until("is back after");
    daemon.until("laser_on");
    daemon.signal(Signal::SIGTERM);
    let (status, took) = daemon.wait();
    let diagnostics = daemon.diagnostics();
    assert!(status.success() && took < STOP_WITHIN, "{status} after {took:?}\n{diagnostics}");
    assert!(diagnostics.contains("laser_off"), "{diagnostics}");

    let journal = folder.path().join("journal.sqlite");
    let mut replay = Process::ramand([
        std::ffi::OsStr::new("replay"),
        "--json".as_ref(),
        "--journal".as_ref(),
        journal.as_os_str(),
        "--model".as_ref(),
        model.as_os_str(),
    ]);
    let lines = replay.rest();
    assert!(!lines.is_empty(), "there are spectra in the journal");
    for line in lines {
        let line: Value = serde_json::from_str(&line).expect("JSON");
        let (then, now) = (&line["then"]["models"][0]["prediction"], &line["now"]["models"][0]["prediction"]);
        assert_eq!(then, now, "the same model says the same to the same spectrum");
    }
}

/// An STS cannot abort an exposure: the stop waits for it, with the laser confirmed off at the end, and so does the end of a
/// session over SSH, whose hang-up must not leave a laser on.
#[test]
fn a_stop_in_the_middle_of_an_exposure_confirms_that_the_laser_is_off() {
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let folder = tempfile::tempdir().expect("a folder");
        let (_device, link) = simulator_of("sts", folder.path(), &["--no-pacing"]);
        let config = configuration(folder.path(), &link, "[mqtt]\nenabled = false\n");
        let text = std::fs::read_to_string(&config).expect("readable");
        let text = text.replace("integration = \"200 ms\"", "integration = \"2 s\"\nprofile = \"sts\"");
        std::fs::write(&config, text).expect("written");
        let mut daemon = run(&config);
        daemon.until("laser on");
        daemon.signal(signal);
        let (status, _) = daemon.wait();
        let diagnostics = daemon.diagnostics();
        assert!(status.success(), "{signal}: {status}\n{diagnostics}");
        assert!(diagnostics.contains("laser_off"), "{signal}: {diagnostics}");
        assert!(diagnostics.contains("stopped: laser off"), "{signal}: {diagnostics}");
    }
}

#[test]
fn what_an_operator_must_mend_is_named_and_not_restarted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_device, link) = simulator(folder.path(), &[]);
    let quiet = "[mqtt]\nenabled = false\n";
    let damaged = folder.path().join("damaged");
    copy(&bundle("oil-type"), &damaged);
    let onnx = damaged.join("model.onnx");
    let mut bytes = std::fs::read(&onnx).expect("readable");
    bytes[100] ^= 1;
    std::fs::write(&onnx, bytes).expect("written");

    let cases = [
        ("[mqtt]\nhots = \"x\"\n".to_owned(), vec!["unknown field `hots`", "ramand.toml"]),
        (format!("{quiet}[[model]]\npath = \"/nowhere\"\n"), vec!["/nowhere", "manifest.toml"]),
        (format!("{quiet}[[model]]\npath = {damaged:?}\n"), vec!["model.onnx", "SHA-256"]),
        (format!("{quiet}[[model]]\npath = {:?}\nabove = 5.0\n", bundle("oil-type")), vec!["oil-type", "upper limit"]),
        (quiet.replace("[mqtt]", "[place]\nsite = \"a/b\"\n[mqtt]"), vec!["site"]),
    ];
    for (rest, expected) in cases {
        let mut daemon = run(&configuration(folder.path(), &link, &rest));
        let (status, _) = daemon.wait();
        let diagnostics = daemon.diagnostics();
        assert_eq!(status.code(), Some(78), "{rest}: {diagnostics}");
        for part in expected {
            assert!(diagnostics.contains(part), "{rest}: {part:?} is not in: {diagnostics}");
        }
    }

    let other = configuration(folder.path(), &link, quiet);
    let text = std::fs::read_to_string(&other).expect("readable");
    std::fs::write(&other, text.replace("[journal]", "serial_number = \"OTHER\"\n[journal]")).expect("written");
    let mut daemon = run(&other);
    let (status, _) = daemon.wait();
    let diagnostics = daemon.diagnostics();
    assert_eq!(status.code(), Some(78), "{diagnostics}");
    assert!(diagnostics.contains("OTHER") && diagnostics.contains("QEP"), "both serial numbers: {diagnostics}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a bundle") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
    }
}
