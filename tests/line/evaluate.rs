//! `ramand evaluate` through the binary: a bundle that ships on the measured spectra it was trained on, in every format; on simulated
//! ones after what goes wrong on a line; and ended before time.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Process, shared_data};
use crate::missing::missing;
use crate::root::root;

/// Slopes are sums of f64, of maps that were rounded to f32.
const IDENTITY_ERROR_MAX: f64 = 1e-6;

#[test]
fn measured_emulsions_are_reported_in_every_format() {
    let Some(csv) = shared_data("emulsions_raman.csv") else { return };
    let bundle = root().join("models/emulsion-pufa");
    let folder = tempfile::tempdir().expect("a folder");
    let reports = ["report.html", "report.md", "report.json"].map(|name| folder.path().join(name));
    let mut arguments: Vec<&OsStr> = vec!["evaluate".as_ref(), csv.as_os_str(), "--model".as_ref(), bundle.as_os_str()];
    arguments.extend(["--label", "pufa_pct_of_fat", "--json"].map(OsStr::new));
    for report in &reports {
        arguments.extend([OsStr::new("--report"), report.as_os_str()]);
    }
    let mut process = Process::ramand(&arguments);
    let printed = process.rest().join("\n");
    assert!(process.wait().0.success(), "{}", process.diagnostics());
    let printed: Value = serde_json::from_str(&printed).expect("JSON on stdout");
    let [html, markdown, json] = reports.each_ref().map(|path| std::fs::read_to_string(path).expect("written"));
    assert_eq!(serde_json::from_str::<Value>(&json).expect("JSON"), printed);

    let sections = &printed["sections"];
    assert!(sections["subject"]["notes"].to_string().contains("this is not a test"), "{}", sections["subject"]);
    let slopes = sections["linearity"]["tables"]["linearity"].as_array().expect("a table");
    let slope = |row: &Value| row["slope"].as_f64().expect("a number");
    let (prediction, bands) = slopes.split_last().expect("rows");
    let sum: f64 = bands.iter().map(slope).sum();
    assert!((sum / slope(prediction) - 1.0).abs() < IDENTITY_ERROR_MAX, "{sum} is not {}", slope(prediction));
    assert!(
        sections["precision"]["not_computed"].as_str().is_some_and(|why| why.contains("no sample has two spectra"))
    );
    assert!(markdown.contains("Maps explain the network, not the chemistry."));
    assert!(html.matches("<svg").count() >= 3 && !html.contains("<script"), "drawings, and nothing that runs");
    opens_without_complaint(&reports[0], folder.path());

    let mut refused =
        Process::ramand(arguments[..4].iter().copied().chain(["--report".as_ref(), "report.pdf".as_ref()]));
    assert_eq!(refused.wait().0.code(), Some(78));
    assert!(refused.diagnostics().contains("a report's name ends in .html, .md or .json"));
}

/// An oil that the bundle was never shown: nearly all its spectra are refused.
const UNKNOWN_REFUSED_MIN: f64 = 0.9;
/// Drawings in the documentation are of the same kind, and pages must open quickly.
const FIGURE_BYTES_MAX: u64 = 60_000;

fn models() -> PathBuf {
    root().join("models")
}

/// Simulated oils, one spectrum of each sample.
fn simulated(folder: &Path, recipe: &OsStr, samples: usize, seed: &str) -> PathBuf {
    let csv = folder.join(format!("oils-{seed}.csv"));
    let samples = samples.to_string();
    let rest = ["--samples", &samples, "--replicates", "1", "--seed", seed].map(OsStr::new);
    let mut sim = Process::ramand(
        ["sim".as_ref(), "--dataset".as_ref(), csv.as_os_str(), "--recipe".as_ref(), recipe].into_iter().chain(rest),
    );
    assert!(sim.wait().0.success(), "{}", sim.diagnostics());
    csv
}

#[test]
fn what_goes_wrong_on_a_line_is_shown_with_what_becomes_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let known = simulated(folder.path(), "oil-type".as_ref(), 64, "12");
    let recipe = models().join("recipes/oils-not-in-training.toml");
    let unknown = simulated(folder.path(), recipe.as_os_str(), 30, "13");
    let (bundle, report) = (models().join("oil-type"), folder.path().join("shift.md"));
    let words = |words: &'static [&'static str]| words.iter().map(OsStr::new);
    let mut arguments: Vec<&OsStr> =
        vec!["evaluate".as_ref(), known.as_os_str(), "--model".as_ref(), bundle.as_os_str()];
    arguments.extend(words(&["--label", "oil", "--group", "sample", "--shift", "--unknown"]));
    arguments.extend([unknown.as_os_str(), "--report".as_ref(), report.as_os_str()]);
    arguments.extend(["--figures".as_ref(), folder.path().as_os_str(), "--json".as_ref()]);
    let mut process = Process::ramand(&arguments);
    let printed = process.rest().join("\n");
    assert!(process.wait().0.success(), "{}", process.diagnostics());

    let printed: Value = serde_json::from_str(&printed).expect("JSON on stdout");
    let tables = &printed["sections"]["shift"]["tables"];
    let rows = tables["shift"].as_array().expect("a table");
    let row = |change: &str| rows.iter().find(|row| row["change"] == change).unwrap_or_else(|| panic!("no {change}"));
    let share = |change: &str, column: &str| row(change)[column].as_f64().expect("a share");
    assert_eq!(row("as they are")["samples"], 64);
    assert!(share("as they are", "refused") < 0.2, "{}", row("as they are"));
    assert!(share("as they are", "coverage") > 0.85, "{}", row("as they are"));
    for oil in ["cottonseed", "flaxseed", "safflower"] {
        let change = format!("not in the training: {oil}");
        assert!(share(&change, "refused") > UNKNOWN_REFUSED_MIN, "{}", row(&change));
        assert_eq!((&row(&change)["spectra"], &row(&change)["coverage"]), (&10.into(), &Value::Null));
    }
    assert_eq!(share("laser +1 nm, axis not told (+16.2 cm-1)", "refused"), 1.0);
    // The plane has the unchanged spectra and the unknown ones.
    assert_eq!(tables["plane"].as_array().map(Vec::len), Some(64 + 30));
    assert!(std::fs::read_to_string(&report).expect("written").contains("| not in the training: flaxseed | 10 | 10 |"));
    for figure in ["shift-plane.svg", "shift-refused.svg"] {
        let path = folder.path().join(figure);
        let svg = std::fs::read_to_string(&path).expect("drawn");
        assert!(svg.starts_with("<svg") && (svg.len() as u64) < FIGURE_BYTES_MAX, "{figure}: {} bytes", svg.len());
    }
}

#[test]
fn an_end_before_time_writes_no_report() {
    for (signal, shift) in [(Signal::SIGINT, true), (Signal::SIGTERM, false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let csv = simulated(folder.path(), "oil-type".as_ref(), 2000, "14");
        let (bundle, report) = (models().join("oil-type"), folder.path().join("report.json"));
        let mut arguments: Vec<&OsStr> =
            vec!["evaluate".as_ref(), csv.as_os_str(), "--model".as_ref(), bundle.as_os_str()];
        arguments.extend(["--report".as_ref(), report.as_os_str(), "--figures".as_ref(), folder.path().as_os_str()]);
        arguments.extend(shift.then_some(OsStr::new("--shift")));
        let mut process = Process::ramand(&arguments);
        process.until("Ctrl-C ends it");
        process.signal(signal);
        assert_eq!(process.wait().0.code(), Some(78), "{}", process.diagnostics());
        assert!(process.diagnostics().contains("interrupted"), "{}", process.diagnostics());
        assert!(process.rest().is_empty(), "nothing on stdout");
        let left: Vec<_> =
            folder.path().read_dir().expect("listed").map(|entry| entry.expect("listed").file_name()).collect();
        assert_eq!(left, [OsStr::new("oils-14.csv")], "{signal}");
    }
}

/// In a browser, where there is one: it logs every complaint of a page's console on stderr.
fn opens_without_complaint(report: &Path, profile: &Path) {
    let browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=2000"])
        .arg(format!("--user-data-dir={}", profile.join("browser").display()))
        .args(["--dump-dom".as_ref(), report.as_os_str()])
        .stdin(Stdio::null())
        .output();
    let Ok(browser) = browser else {
        missing("program", "there is no chromium to open the report: apt-get install chromium");
        return;
    };
    let (dom, complaints) = (String::from_utf8_lossy(&browser.stdout), String::from_utf8_lossy(&browser.stderr));
    assert!(dom.contains("<h2>Occlusion audit (D9)</h2>") && dom.contains("<figcaption>"), "{complaints}");
    assert!(!complaints.contains("CONSOLE"), "{complaints}");
}
