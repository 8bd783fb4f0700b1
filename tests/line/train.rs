//! `ramand train`, through the binary: from a folder of spectra to a bundle that verifies, and nothing left behind by an end
//! before time.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::Process;

/// A folder of JCAMP-DX files, two of each sample, whose band at 1160 cm-1 grows with the fraction, and their labels.
fn folder(root: &Path, samples: usize) {
    std::fs::create_dir(root.join("spectra")).expect("created");
    let mut table = "file,sample,fraction\n".to_owned();
    for sample in 0..samples {
        let fraction = sample as f64 / samples as f64;
        for replicate in 0..2 {
            // No randomness is needed: replicates differ by a little slope, samples by the phase of a little wave as well.
            let mut text = "##TITLE= s\n##JCAMP-DX= 4.24\n##XUNITS= 1/CM\n##XYPOINTS= (XY..XY)\n".to_owned();
            for point in 0..60 {
                let shift = 1000.0 + 4.0 * f64::from(point);
                let band = |centre: f64| (-0.5 * ((shift - centre) / 12.0).powi(2)).exp();
                let disturbance = 0.02 * (shift / 9.0 + 2.4 * sample as f64).sin() + 1e-4 * replicate as f64 * shift;
                let value = band(1060.0) * (1.0 - fraction) + band(1160.0) * fraction + disturbance;
                writeln!(text, "{shift}, {value:.6}").expect("a string");
            }
            let name = format!("s{sample}-{replicate}.jdx");
            std::fs::write(root.join("spectra").join(&name), text + "##END=\n").expect("written");
            writeln!(table, "{name},s{sample},{}", 100.0 * fraction).expect("a string");
        }
    }
    std::fs::write(root.join("labels.csv"), table).expect("written");
}

fn train(root: &Path, more: &[&str]) -> Process {
    let path = |name: &str| root.join(name).into_os_string();
    let mut arguments: Vec<OsString> = ["train".into(), path("spectra"), "--labels".into(), path("labels.csv")].into();
    arguments.extend(["--out".into(), path("bundle"), "--json".into()]);
    let rest = "--task regression --target fraction --unit % --axis 1000:1236:60 --folds 3";
    arguments.extend(rest.split(' ').chain(more.iter().copied()).map(OsString::from));
    Process::ramand(arguments)
}

#[test]
fn a_folder_of_spectra_becomes_a_bundle_that_verifies() {
    let root = tempfile::tempdir().expect("a temporary folder");
    folder(root.path(), 12);
    let mut training = train(root.path(), &["--group", "sample", "--seeds", "2", "--family", "pls+network"]);
    let line = training.line();
    assert!(training.wait().0.success(), "{line}");
    let summary: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!((&summary["samples"], &summary["spectra"]), (&12.into(), &24.into()), "{summary}");
    let metric = |key: &str| summary["metrics"][key].as_f64().unwrap_or_else(|| panic!("no {key} in {summary}"));
    assert!(metric("rmsecv") < 0.3 * metric("rmsecv_mean"), "{summary}");
    assert!(metric("rmsecv_permuted") > 0.8 * metric("rmsecv_mean"), "{summary}");
    assert!(metric("rmsecv_kernel_ridge") > 0.0 && metric("rmsecv_ratio") > 0.0, "{summary}");
    assert_eq!(summary["metrics"]["networks"].as_array().map(Vec::len), Some(2), "{summary}");
    assert_eq!(summary["metrics"]["interval"]["rmsecv"].as_array().map(Vec::len), Some(2), "{summary}");
    let bundle = root.path().join("bundle").into_os_string();
    let mut verify = Process::ramand(["model".into(), "verify".into(), bundle]);
    assert!(verify.wait().0.success(), "{}", verify.diagnostics());
}

#[test]
fn an_end_before_time_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let root = tempfile::tempdir().expect("a temporary folder");
        folder(root.path(), 12);
        let mut training = train(root.path(), &["--group", "sample", "--repeats", "100"]);
        training.until("training");
        training.signal(signal);
        assert_eq!(training.wait().0.code(), Some(78), "{}", training.diagnostics());
        assert!(training.diagnostics().contains("interrupted; nothing was written"), "{}", training.diagnostics());
        let mut left: Vec<OsString> =
            root.path().read_dir().expect("listed").map(|entry| entry.expect("listed").file_name()).collect();
        left.sort();
        assert_eq!(left, ["labels.csv", "spectra"], "{signal}");
    }
}

#[test]
fn a_fault_in_a_file_names_the_file_and_the_line() {
    let root = tempfile::tempdir().expect("a temporary folder");
    folder(root.path(), 6);
    let damaged = root.path().join("spectra/s2-1.jdx");
    let text = std::fs::read_to_string(&damaged).expect("written above");
    std::fs::write(&damaged, text.replace("1100, ", "1100, ?")).expect("written");
    let mut training = train(root.path(), &["--group", "sample"]);
    assert_eq!(training.wait().0.code(), Some(78));
    let said = training.diagnostics();
    assert!(said.contains("s2-1.jdx") && said.contains("line 30") && said.contains("a value is missing"), "{said}");
}

/// The folder's labels, each row with an animal of its own for every four samples.
fn with_animals(root: &Path) {
    let path = root.join("labels.csv");
    let text = std::fs::read_to_string(&path).expect("written above");
    let row = |(place, line): (usize, &str)| match place {
        0 => format!("{line},animal\n"),
        _ => format!("{line},a{}\n", (place - 1) / 8),
    };
    std::fs::write(path, text.lines().enumerate().map(row).collect::<String>()).expect("written");
}

#[test]
fn blocks_and_what_is_left_out_are_in_the_json_and_on_the_card() {
    let root = tempfile::tempdir().expect("a temporary folder");
    folder(root.path(), 24);
    with_animals(root.path());
    let mut training = Process::ramand({
        let path = |name: &str| root.path().join(name).into_os_string();
        let mut arguments: Vec<OsString> =
            ["train".into(), path("spectra"), "--labels".into(), path("labels.csv")].into();
        arguments.extend(["--out".into(), path("bundle"), "--json".into()]);
        let rest = "--task regression --target fraction --unit % --axis 1000:1236:60 --family pls --group sample --block animal \
                    --folds block --leave-out s3-0.jdx,s3-1.jdx";
        arguments.extend(rest.split_whitespace().map(OsString::from));
        arguments
    });
    let line = training.line();
    assert!(training.wait().0.success(), "{line}");
    let summary: Value = serde_json::from_str(&line).expect("one line of JSON");
    assert_eq!(summary["split"], "leave one block of column 'animal' out, 6 blocks, 1 repeat", "{summary}");
    assert_eq!((&summary["samples"], &summary["block"]), (&23.into(), &"animal".into()), "{summary}");
    assert_eq!(summary["left_out"], serde_json::json!(["s3-0.jdx", "s3-1.jdx"]), "{summary}");
    assert!(summary["suspects"].is_array(), "{summary}");
    let mut card = Process::ramand(["model".into(), "card".into(), root.path().join("bundle").into_os_string()]);
    let mut page = String::new();
    while !page.contains("left out on request") {
        page += &(card.line() + "\n");
    }
    assert!(page.contains("| held out together | samples of one 'animal' |"), "{page}");
    assert!(page.contains("| left out on request | s3-0.jdx, s3-1.jdx |"), "{page}");
}

#[test]
fn a_mistyped_label_is_named_with_its_line() {
    let root = tempfile::tempdir().expect("a temporary folder");
    folder(root.path(), 24);
    let path = root.path().join("labels.csv");
    let text = std::fs::read_to_string(&path).expect("written above");
    std::fs::write(&path, text.replace("s18,75", "s18,750")).expect("written");
    let mut training = train(root.path(), &["--group", "sample", "--family", "pls", "--permutations", "0"]);
    let line = training.line();
    assert!(training.wait().0.success(), "{line}");
    let summary: Value = serde_json::from_str(&line).expect("one line of JSON");
    let suspect = summary["suspects"].as_array().and_then(|all| all.iter().find(|one| one["label"] == "750"));
    let suspect = suspect.unwrap_or_else(|| panic!("{summary}"));
    assert_eq!(suspect["lines"], serde_json::json!([38, 39]), "{summary}");
    let said = training.diagnostics();
    assert!(said.contains("labels.csv: line 38, id 's18-0.jdx'; line 39"), "{said}");
    assert!(said.contains("were not left out"), "{said}");
}

#[test]
fn rows_that_look_like_replicates_are_refused_before_anything_is_fitted() {
    let root = tempfile::tempdir().expect("a temporary folder");
    folder(root.path(), 24);
    for sample in 0..24 {
        // The second spectrum is the first one again, with a little more offset at the end.
        let file = |replicate: usize| root.path().join(format!("spectra/s{sample}-{replicate}.jdx"));
        let text = std::fs::read_to_string(file(0)).expect("written above");
        std::fs::write(file(1), text.replace("1236, ", "1236, 0.001\n1240, ")).expect("written");
    }
    let mut training = train(root.path(), &["--family", "pls"]);
    assert_eq!(training.wait().0.code(), Some(78));
    let said = training.diagnostics();
    assert!(said.contains("'sample' would fit") && said.contains("--independent"), "{said}");
    assert!(!root.path().join("bundle").exists());
}
