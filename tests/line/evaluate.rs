//! `ramand evaluate` through the binary: a bundle that ships on the measured spectra it was trained on, in every format.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{Process, shared_data};

/// Slopes are sums of f64, of maps that were rounded to f32.
const IDENTITY_ERROR_MAX: f64 = 1e-6;

#[test]
fn measured_emulsions_are_reported_in_every_format() {
    let Some(csv) = shared_data("emulsions_raman.csv") else { return };
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/emulsion-pufa");
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

/// In a browser, where there is one: it logs every complaint of a page's console on stderr.
fn opens_without_complaint(report: &Path, profile: &Path) {
    let browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=2000"])
        .arg(format!("--user-data-dir={}", profile.join("browser").display()))
        .args(["--dump-dom".as_ref(), report.as_os_str()])
        .stdin(Stdio::null())
        .output();
    let Ok(browser) = browser else {
        println!("skipped: no chromium");
        return;
    };
    let (dom, complaints) = (String::from_utf8_lossy(&browser.stdout), String::from_utf8_lossy(&browser.stderr));
    assert!(dom.contains("<h2>Occlusion audit (D9)</h2>") && dom.contains("<figcaption>"), "{complaints}");
    assert!(!complaints.contains("CONSOLE"), "{complaints}");
}
