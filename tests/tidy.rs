//! What a reader may rely on in every file: layers, clocks, size and first lines. ARCHITECTURE.md says why.

#[path = "support/root.rs"]
mod root;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use root::root;

/// A file longer than this is two things.
const LINES_MAX: usize = 500;

/// Which modules a module may import: everything of the layers below, plus what is named here.
///
/// The first number is the layer. Two entries may share a first component: the longer path wins.
const LAYERS: &[(&str, u8, &[&str])] = &[
    ("failure", 0, &[]),
    ("spectrum", 0, &[]),
    ("outcome", 0, &["spectrum"]),
    ("record", 0, &[]),
    ("axis_check", 1, &[]),
    ("obp", 1, &[]),
    ("preprocess", 1, &[]),
    ("gradient", 1, &[]),
    ("decide", 1, &[]),
    ("infer::cam", 1, &[]),
    ("infer::npy", 1, &[]),
    ("publish::forwarder", 1, &[]),
    ("update::archive", 1, &[]),
    ("update::signature", 1, &[]),
    ("acquire", 2, &["supervise"]),
    ("evaluate", 2, &["infer", "recording", "sim", "train"]),
    ("infer", 2, &["infer::cam", "infer::npy"]),
    ("journal", 2, &[]),
    ("publish", 2, &["publish::forwarder", "journal"]),
    ("recording", 2, &[]),
    ("sim", 2, &["recording"]),
    ("supervise", 2, &[]),
    ("train", 2, &["infer", "recording"]),
    ("update", 2, &["infer"]),
    ("web", 2, &[]),
    ("inspect", 3, &[]),
    ("delivery", 3, &[]),
    ("config", 3, &["inspect"]),
    ("daemon", 3, &["inspect", "delivery", "config"]),
    ("doctor", 3, &["config", "daemon"]),
    ("cli", 3, &["inspect", "delivery", "config", "daemon", "doctor"]),
];

/// Modules that must not read a clock: time is an argument there.
const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];

/// What a pure module must not touch.
const IMPURE: &[&str] =
    &["std::fs", "std::net", "std::thread", "std::process", "std::env", "serde::", "tracing::", "tokio::"];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the source folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> BTreeMap<String, String> {
    let root = root().join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let name = |path: &Path| path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
    files.iter().map(|path| (name(path), fs::read_to_string(path).expect("UTF-8"))).collect()
}

/// `acquire/link.rs` -> `acquire::link`, `obp/mod.rs` -> `obp`.
fn module_of(file: &str) -> String {
    file.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::")
}

/// The most specific entry of the table that holds `module`.
fn entry_of(module: &str) -> Option<&'static (&'static str, u8, &'static [&'static str])> {
    let holds = |path: &str| module == path || module.strip_prefix(path).is_some_and(|rest| rest.starts_with("::"));
    LAYERS.iter().filter(|(path, ..)| holds(path)).max_by_key(|(path, ..)| path.len())
}

/// The part of a file before its unit tests: tests may use what they like.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// Every `crate::a::b` in code, not in comments.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
        for tail in line.split("crate::").skip(1) {
            let path: String = tail.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
            found.push(path.trim_end_matches(':').to_owned());
        }
    }
    found
}

#[test]
fn layers_import_downwards_only() {
    let mut faults = Vec::new();
    for (file, text) in sources() {
        if file == "lib.rs" || file == "main.rs" {
            continue;
        }
        let module = module_of(&file);
        let Some((owner, layer, beside)) = entry_of(&module) else {
            faults.push(format!(
                "{file}: module {module} is in no layer; add it to the table in tests/tidy.rs and to ARCHITECTURE.md"
            ));
            continue;
        };
        for import in imports(without_tests(&text)) {
            let Some((target, target_layer, _)) = entry_of(&import) else { continue };
            let itself = target == owner || target.starts_with(&format!("{owner}::"));
            if !(itself || target_layer < layer || beside.contains(target)) {
                faults.push(format!("{file}: {owner} (layer {layer}) must not import {target} (layer {target_layer})"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn pure_modules_have_no_clock_and_no_io() {
    let mut faults = Vec::new();
    for (file, text) in sources() {
        if entry_of(&module_of(&file)).is_none_or(|(_, layer, _)| *layer > 1) {
            continue;
        }
        let code = without_tests(&text)
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        for word in CLOCKS.iter().chain(IMPURE).filter(|word| code.contains(**word)) {
            faults.push(format!("{file}: {word} in a pure module"));
        }
    }
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
    let mut files = Vec::new();
    rust_files(&root().join("tests"), &mut files);
    for path in files.iter().filter(|path| !path.ends_with("tidy.rs")) {
        let text = fs::read_to_string(path).expect("UTF-8");
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
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        rust_files(&root().join(folder), &mut files);
    }
    let texts: Vec<String> = files.iter().map(|path| fs::read_to_string(path).expect("UTF-8")).collect();
    let list = fs::read_to_string(root().join("tests/emulated.txt")).expect("the list");
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (name, reason) = line.split_once(' ').unwrap_or_else(|| panic!("{line} has no reason"));
        let found = texts.iter().filter(|text| text.contains(&format!("fn {name}()"))).count();
        assert!(found == 1 && !reason.trim().is_empty(), "{found} tests of the name {name}");
    }
}
