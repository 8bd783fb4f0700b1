//! The model cards in docs/models are what the bundles in models/ say of themselves.

#[path = "support/program.rs"]
mod program;
#[path = "support/root.rs"]
mod root;

use std::path::Path;
use std::process::Command;

use program::program;
use root::root;

/// Bundles that come with the program.
const BUNDLES: [&str; 3] = ["emulsion-pufa", "oil-type", "olive-adulteration"];

fn card(folder: &Path) -> String {
    let output = Command::new(program()).args(["model", "card"]).arg(folder).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_cards_in_the_documentation_are_those_of_the_bundles() {
    let repository = root();
    for name in BUNDLES {
        let page = std::fs::read_to_string(repository.join("docs/models").join(name).with_extension("md"));
        let printed = card(&repository.join("models").join(name));
        assert_eq!(page.expect("a card"), printed, "{name}: models/make writes the cards");
        for part in ["**Meant for.**", "**Must not be used for:**", "nested PLS", "| licence |", "| refuses spectra"] {
            assert!(printed.contains(part), "{name}: {part}");
        }
    }
}

#[test]
fn a_folder_that_is_no_bundle_has_no_card() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(program()).args(["model", "card"]).arg(folder.path()).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(78));
    assert!(output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains("manifest.toml"));
}
