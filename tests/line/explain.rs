//! `ramand explain` and `ramand model`, through the binary, on the bundles that ship.

use serde_json::Value;

use crate::common::{Process, shared_data};
use crate::root::root;

#[test]
fn explain_says_value_verdict_bands_and_maps_that_add_up() {
    let Some(csv) = shared_data("emulsions_raman.csv") else { return };
    let bundle = root().join("models/emulsion-pufa");
    let mut explain = Process::ramand([
        std::ffi::OsStr::new("explain"),
        csv.as_os_str(),
        "--model".as_ref(),
        bundle.as_os_str(),
        "--json".as_ref(),
        "--maps".as_ref(),
    ]);
    let lines = explain.rest();
    assert!(explain.wait().0.success());
    assert_eq!(lines.len(), 69, "one line a row");
    for line in &lines {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no number in {line}"));
        assert!(line["id"].as_str().is_some_and(|id| id.starts_with("em_")), "{line}");
        let explanation = &line["explanation"];
        let expected = number(&line["prediction"]["value"]) - number(&explanation["reference_output"]);
        let map = line["maps"]["difference"].as_array().expect("a map");
        let sum: f64 = map.iter().map(number).sum();
        assert!((sum - expected).abs() < 1e-3, "the difference map adds up to {sum}, not {expected}");
        assert!(!explanation["bands"].as_array().expect("bands").is_empty());
        assert_eq!(line["verdict"]["decision"], "accept", "no limits are set: {line}");
        assert_eq!(line["name"], "emulsion-pufa");
    }
    assert!(explain.diagnostics().contains("measured emulsions"), "the claim stands beside the figures");
}

#[test]
fn every_bundle_that_ships_keeps_its_promises() {
    for name in ["oil-type", "olive-adulteration", "emulsion-pufa"] {
        let bundle = root().join("models").join(name);
        let mut verify = Process::ramand(["model".as_ref(), "verify".as_ref(), bundle.as_os_str()]);
        let lines = verify.rest();
        let (status, _) = verify.wait();
        assert!(status.success() && lines.len() >= 7, "{name}: {lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("ok ")), "{name}: {lines:?}");
        let mut inspect =
            Process::ramand(["model".as_ref(), "inspect".as_ref(), bundle.as_os_str(), "--json".as_ref()]);
        let text = inspect.rest().join("\n");
        let record: Value = serde_json::from_str(&text).expect("JSON");
        assert!(record.to_string().contains("dYdA0"), "{name}: the gradient is an output: {text}");
    }
}
