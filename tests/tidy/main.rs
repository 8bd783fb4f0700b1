//! What a reader may rely on in every file, as far as the compiler does not see it: circles of imports, the program's layers, clocks,
//! size and first lines. ARCHITECTURE.md says why; `dev.d/unused` finds public items that only tests use.

mod imports;
mod purity;
#[path = "../support/root.rs"]
mod root;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use root::root;
use tree::{packages, rust_files};

/// A file longer than this is two things.
const LINES_MAX: usize = 500;

/// Every source file with its text, by its path in the tree.
fn sources() -> BTreeMap<String, String> {
    let root = root();
    let crates = fs::read_dir(root.join("crates")).expect("the crates");
    let folders = crates.map(|entry| entry.expect("an entry").path().join("src")).chain([root.join("src")]);
    // Generated from the definition of the ONNX format.
    let files = folders.flat_map(|folder| rust_files(&folder)).filter(|path| !path.ends_with("onnx/generated.rs"));
    let name = |path: &Path| path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
    files.map(|path| (name(&path), fs::read_to_string(&path).expect("UTF-8"))).collect()
}

#[test]
fn files_of_a_package_do_not_need_each_other_in_a_circle() {
    let faults: Vec<String> = packages(&root()).iter().flat_map(imports::circles_of).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn parts_of_the_program_use_lower_layers_only() {
    let packages = packages(&root());
    let program = packages.iter().find(|package| package.name == "ramand").expect("the program");
    let faults = imports::layer_faults(program);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn one_package_knows_tract() {
    let mut users = Vec::new();
    for entry in fs::read_dir(root().join("crates")).expect("the crates") {
        let folder = entry.expect("an entry").path();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        if dependencies(&manifest).contains("tract") {
            users.push(folder.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    let program = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    assert!(!dependencies(&program).contains("tract"), "the program itself uses tract");
    assert_eq!(users, ["ramand-model"]);
}

/// The `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> &str {
    let from = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    from.split("\n[").next().unwrap_or_default()
}

#[test]
fn pure_packages_have_no_clock_and_no_io() {
    let packages = packages(&root());
    let pure = packages.iter().filter(|package| purity::PURE.contains(&package.name.as_str()));
    let faults: Vec<String> = pure.flat_map(purity::impurities).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn files_say_what_they_are_for_and_are_one_thing() {
    let mut faults = Vec::new();
    for (file, text) in sources() {
        if !text.starts_with("//! ") {
            faults.push(format!("{file}: the first line must say what the module is for (`//! ...`)"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{file}: {lines} lines are two things; the limit is {LINES_MAX}"));
        }
        for word in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "#[allow(", "FIXME", "XXX"] {
            if text.contains(word) {
                faults.push(format!("{file}: {word} left behind"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn tests_do_not_sleep() {
    let root = root();
    for path in ["tests", "crates"].iter().flat_map(|folder| rust_files(&root.join(folder))) {
        let text = fs::read_to_string(&path).expect("UTF-8");
        if path.ends_with("tidy/main.rs") || path.components().any(|part| part.as_os_str() == "src") {
            continue;
        }
        assert!(!text.contains("::sleep("), "{}: wait for the event with a deadline instead", path.display());
    }
}

/// A drawing must not make a page slow.
const FIGURE_BYTES_MAX: u64 = 60_000;
/// What makes the drawings; a page that shows one names it.
const FIGURES_MADE_BY: &str = "models/figures";

#[test]
fn drawings_of_the_documentation_exist_are_small_and_say_what_made_them() {
    let docs = root().join("docs");
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    };
    let script = fs::read_to_string(docs.join("..").join(FIGURES_MADE_BY)).expect("the command exists");
    let mut shown = Vec::new();
    let mut faults = Vec::new();
    for page in entries(&docs).iter().filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let text = fs::read_to_string(page).expect("UTF-8");
        let linked: Vec<&str> =
            text.split("](figures/").skip(1).filter_map(|rest| rest.split_once(')').map(|(name, _)| name)).collect();
        if !linked.is_empty() && !text.contains(&format!("`{FIGURES_MADE_BY}`")) {
            faults.push(format!("{}: does not say that `{FIGURES_MADE_BY}` made its drawings", page.display()));
        }
        for name in linked {
            match fs::metadata(docs.join("figures").join(name)) {
                Err(_) => faults.push(format!("{}: there is no figures/{name}", page.display())),
                Ok(file) if file.len() > FIGURE_BYTES_MAX => faults.push(format!("{name}: {} bytes", file.len())),
                Ok(_) if !script.contains(&format!("docs/figures/{name}")) => {
                    faults.push(format!("{name}: {FIGURES_MADE_BY} does not make it"));
                }
                Ok(_) => shown.push(name.to_owned()),
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let drawn = entries(&docs.join("figures"));
    let unused: Vec<_> = drawn.iter().filter(|path| !shown.iter().any(|name| path.ends_with(name))).collect();
    assert!(unused.is_empty() && !shown.is_empty(), "drawn and shown nowhere: {unused:?}");
}

#[test]
fn what_an_emulator_leaves_out_are_tests_with_a_reason() {
    let root = root();
    let files: Vec<PathBuf> =
        ["src", "crates", "tests"].iter().flat_map(|folder| rust_files(&root.join(folder))).collect();
    let texts: Vec<String> = files.iter().map(|path| fs::read_to_string(path).expect("UTF-8")).collect();
    let list = fs::read_to_string(root.join("tests/emulated.txt")).expect("the list");
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (name, reason) = line.split_once(' ').unwrap_or_else(|| panic!("{line} has no reason"));
        let found = texts.iter().filter(|text| text.contains(&format!("fn {name}()"))).count();
        assert!(found == 1 && !reason.trim().is_empty(), "{found} tests of the name {name}");
    }
}
