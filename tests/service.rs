//! The systemd unit, the documented exit codes and the code agree.

use std::fs;
use std::path::Path;

use ramand::failure::Kind;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

fn value_of<'a>(unit: &'a str, key: &str) -> &'a str {
    let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("the unit has no {key}"))
}

#[test]
fn systemd_does_not_restart_what_only_an_operator_can_mend() {
    let unit = read("systemd/ramand.service");
    assert_eq!(value_of(&unit, "RestartPreventExitStatus"), Kind::Operator.exit_code().to_string());
    assert_eq!(value_of(&unit, "Type"), "notify");
}

#[test]
fn every_exit_code_is_documented() {
    let page = read("docs/exit-codes.md");
    for kind in [Kind::Transient, Kind::Device, Kind::Operator, Kind::Bug] {
        let row = format!("| {} |", kind.exit_code());
        let restarts = if kind == Kind::Operator { "does not restart |" } else { "restarts |" };
        let documented = page.lines().any(|line| line.starts_with(&row) && line.ends_with(restarts));
        assert!(documented, "docs/exit-codes.md has no row '{row} ... {restarts}' for {kind:?}");
    }
}
