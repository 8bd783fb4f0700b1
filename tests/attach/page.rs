//! docs/gradient.md: its commands run, and its table of rules is the code's.

use std::collections::BTreeSet;
use std::process::Command;

use crate::files::file;
use crate::program::program;
use crate::root::root;

/// What the page calls the program, and the file it starts from.
const EXAMPLE: &str = "resnet-dynamo-18";
/// What stands in for matplotlib where it is not installed: it draws nothing, and insists on numbers.
const STAND_IN: &str = "
def bar(x, heights, width):
    assert len(x) == len(heights) == 16 and (heights != 0).any()
def plot(y, color):
    assert len(y) == 128
def title(text):
    assert text
def savefig(path):
    open(path, 'wb').close()
";

fn page() -> String {
    std::fs::read_to_string(root().join("docs/gradient.md")).expect("the page is there")
}

/// The code block after a marker.
fn block(page: &str, marker: &str) -> String {
    let rest = page.split(marker).nth(1).unwrap_or_else(|| panic!("the page has '{marker}'"));
    let code = rest.split("```").nth(1).expect("a code block");
    code.split_once('\n').expect("a language").1.to_owned()
}

#[test]
fn the_commands_of_the_page_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = page();
    std::fs::copy(file(EXAMPLE).path(), folder.path().join("network.onnx")).expect("copied");
    std::fs::write(folder.path().join("plot.py"), block(&page, "<!-- plot.py")).expect("written");
    let python = std::env::var_os("RAMAND_TEST_PYTHON");
    if python.is_none() {
        eprintln!("skipped in part: RAMAND_TEST_PYTHON does not name a Python with onnxruntime, so nothing is plotted");
    }
    let mut ran = 0;
    for line in block(&page, "<!-- commands").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = match (words[0], &python) {
            ("ramand", _) => Command::new(program()),
            ("python", Some(python)) => Command::new(python),
            ("python", None) => continue,
            (other, _) => panic!("the page uses '{other}'"),
        };
        if words[0] == "python" {
            let stand_in = folder.path().join("stand_in/matplotlib");
            std::fs::create_dir_all(&stand_in).expect("a folder");
            std::fs::write(stand_in.join("__init__.py"), "").expect("written");
            std::fs::write(stand_in.join("pyplot.py"), STAND_IN).expect("written");
            command.env("PYTHONPATH", folder.path().join("stand_in"));
        }
        let output = command.args(&words[1..]).current_dir(folder.path()).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}:\n{said}");
        if line.contains("attach") {
            // What the page's script takes for granted.
            assert!(said.contains("around point 0 + 8 i of the input"), "{said}");
        }
        ran += 1;
    }
    assert_eq!(ran, if python.is_some() { 4 } else { 3 }, "every command of the page");
    assert_eq!(folder.path().join("map.png").exists(), python.is_some(), "the map is drawn");
}

/// The names in quotes before `=>` in a match of operators.
fn ruled(source: &str) -> BTreeSet<String> {
    let arms = source.lines().filter_map(|line| line.split_once("=> &")).map(|(names, _)| names);
    let names = arms.flat_map(|names| names.split('"').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

#[test]
fn the_table_of_rules_is_the_codes() {
    let source = |name: &str| {
        std::fs::read_to_string(root().join("crates/onnx-gradient/src/ops").join(name)).expect("the source")
    };
    let code: BTreeSet<String> = ["mod.rs", "fold.rs"].into_iter().flat_map(|name| ruled(&source(name))).collect();
    let page = page();
    let table = page.split("| operators | rule |").nth(1).expect("the page has the table").split("\n\n").next();
    let rows = table.expect("a table").lines().filter_map(|row| row.split('|').nth(1));
    let written: BTreeSet<String> =
        rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    let missing: Vec<&String> = code.difference(&written).collect();
    let invented: Vec<&String> = written.difference(&code).collect();
    assert!(missing.is_empty() && invented.is_empty(), "not on the page: {missing:?}; not in the code: {invented:?}");
}
