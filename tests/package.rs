//! What the Debian package is made from: every file is there, units and manual agree with the program.
//! `./dev deb --test` installs, upgrades and purges one.

#[path = "support/root.rs"]
mod root;

#[path = "../examples/manual.rs"]
#[expect(dead_code, reason = "its main belongs to the example")]
mod manual;

use std::fs;

use root::root;

/// Source and destination of every file in the package.
fn assets() -> Vec<(String, String)> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().expect("assets");
    let text = |asset: &toml::Value, index: usize| asset[index].as_str().expect("text").to_owned();
    assets.iter().map(|asset| (text(asset, 0), text(asset, 1))).collect()
}

/// Whether every `*` of a pattern's last part stands for at least one file.
fn exists(pattern: &str) -> bool {
    let path = root().join(pattern);
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    let Some(ending) = name.strip_prefix('*') else { return path.is_file() };
    let entries = fs::read_dir(path.parent().expect("a folder")).map(|entries| entries.flatten().collect::<Vec<_>>());
    entries.is_ok_and(|entries| entries.iter().any(|entry| entry.file_name().to_string_lossy().ends_with(ending)))
}

#[test]
fn every_file_of_the_package_exists() {
    let missing: Vec<_> =
        assets().into_iter().filter(|(source, _)| !source.starts_with("target/") && !exists(source)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_bundle_and_unit_is_in_the_package() {
    let assets = assets();
    let holds = |source: String| assets.iter().any(|(found, _)| *found == source);
    for entry in fs::read_dir(root().join("models")).expect("models").flatten() {
        if entry.path().join("manifest.toml").is_file() {
            let name = entry.file_name().into_string().expect("UTF-8");
            assert!(holds(format!("models/{name}/*")), "the bundle {name} is not in the package");
        }
    }
    for folder in ["systemd", "systemd/sysusers.d", "systemd/tmpfiles.d"] {
        for entry in fs::read_dir(root().join(folder)).expect(folder).flatten() {
            let name = entry.file_name().into_string().expect("UTF-8");
            assert!(
                entry.path().is_dir() || holds(format!("{folder}/{name}")),
                "{folder}/{name} is not in the package"
            );
            let drop_in = format!("usr/lib/systemd/system/{name}.d/");
            let hardened = assets.iter().any(|(source, place)| source == "systemd/hardening.conf" && *place == drop_in);
            assert_eq!(hardened, name.ends_with(".service"), "hardening of {name}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page_and_is_completed() {
    let folder = tempfile::tempdir().expect("a folder");
    manual::write(folder.path()).expect("written");
    let read =
        |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let completions = [read("ramand.bash"), read("_ramand"), read("ramand.fish")];
    for command in ramand::cli::command().get_subcommands() {
        let name = command.get_name();
        let page = read(&format!("ramand-{name}.1"));
        let about = command.get_about().unwrap_or_else(|| panic!("{name} does not say what it is for")).to_string();
        let first = about.split_whitespace().next().expect("a word");
        assert!(page.contains(first), "{name}: {page}");
        assert!(completions.iter().all(|completion| completion.contains(name)), "{name} is not completed");
    }
    assert!(read("ramand.1").contains("ramand\\-run(1)"), "the first page names the others");
}
