//! What a test needs and a machine may lack: said in one form, counted, and a failure where it is required.

use std::io::Write;

/// What can be had on a machine, so that `RAMAND_TEST_REQUIRE` may insist on it.
const CAN_BE_HAD: [&str; 3] = ["program", "data", "privilege"];
/// What nothing installs: another processor, an instrument on a bench.
const CANNOT_BE_HAD: [&str; 2] = ["processor", "instrument"];

/// Says that a test, or the rest of it, is left out, because `what` is missing; `what` names how to get it.
///
/// The line `skipped: ...` is printed, and appended with the name of the test to the file that `RAMAND_TEST_SKIPS` names.
/// Where `RAMAND_TEST_REQUIRE` is `all` (or `1`), what can be had must be there: the test fails. `all-but-data` and
/// `all-but-data,privilege` leave kinds out.
#[track_caller]
pub(crate) fn missing(kind: &str, what: &str) {
    assert!(CAN_BE_HAD.contains(&kind) || CANNOT_BE_HAD.contains(&kind), "'{kind}' is no kind of what may be missing");
    let require = std::env::var("RAMAND_TEST_REQUIRE").unwrap_or_default();
    if CAN_BE_HAD.contains(&kind) && required(&require).contains(&kind) {
        panic!("missing: {what} (RAMAND_TEST_REQUIRE={require}; all-but-{kind} would do without)");
    }
    println!("skipped: {what}");
    let Some(file) = std::env::var_os("RAMAND_TEST_SKIPS").filter(|file| !file.is_empty()) else { return };
    let program = std::env::current_exe().expect("this test runs from a file");
    let program = program.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    let thread = std::thread::current();
    let line = format!("{program} {}: {what}\n", thread.name().unwrap_or("main"));
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(&file);
    let written = opened.and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// The kinds that a value of `RAMAND_TEST_REQUIRE` insists on.
fn required(value: &str) -> Vec<&'static str> {
    let but: Vec<&str> = match value {
        "" | "0" => return Vec::new(),
        "1" | "all" => Vec::new(),
        value => match value.strip_prefix("all-but-") {
            Some(kinds) => kinds.split(',').collect(),
            None => panic!("RAMAND_TEST_REQUIRE={value}: it is all, or all-but- and some of {CAN_BE_HAD:?}"),
        },
    };
    let unknown: Vec<_> = but.iter().filter(|kind| !CAN_BE_HAD.contains(kind)).collect();
    assert!(unknown.is_empty(), "RAMAND_TEST_REQUIRE={value}: {unknown:?} is none of {CAN_BE_HAD:?}");
    CAN_BE_HAD.into_iter().filter(|kind| !but.contains(kind)).collect()
}
