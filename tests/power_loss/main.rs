//! The power fails in the middle of `ramand model install` or `rollback`: whatever the medium holds then, the old model or
//! the new one runs, and the next installation goes on.
//!
//! strace writes down every call that changes the store. After each of them every state is made which the medium may be in.

mod medium;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/root.rs"]
mod root;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ramand::update::signature::SigningKey;
use ramand::update::{Keyring, Package, Store, Trust};

use medium::{CALLS, Medium};
use program::program;
use root::root;

const MODEL: &str = "oil-type";

/// A station with a key, a configuration and archives; the store is alone in a folder of its own.
struct Station {
    folder: tempfile::TempDir,
}

impl Station {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["keys", "disk"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let public = root().join("tests/fixtures/update/rfc8032-1.pem");
        fs::copy(public, folder.path().join("keys/one.pem")).expect("copied");
        let station = Self { folder };
        let (store, keys) = (station.store(), station.path("keys"));
        let text = format!(
            "[spectrometer]\nport = \"/nowhere\"\n[journal]\npath = {:?}\n[mqtt]\nenabled = false\n[updates]\n\
             store = {store:?}\nkeys = {keys:?}\n[[model]]\npath = {:?}\nprobability_min = 0.5\n",
            station.path("journal.sqlite"),
            store.join(MODEL).join("current"),
        );
        fs::write(station.path("ramand.toml"), text).expect("written");
        station
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("disk/models")
    }

    fn archive(&self, version: &str) -> PathBuf {
        let (archive, made) = (self.path(&format!("{version}.tar")), self.path(version));
        if !archive.exists() {
            fs::create_dir(&made).expect("a folder");
            for entry in fs::read_dir(root().join("models").join(MODEL)).expect("a bundle") {
                let entry = entry.expect("an entry");
                fs::copy(entry.path(), made.join(entry.file_name())).expect("copied");
            }
            let manifest = made.join("manifest.toml");
            let text = fs::read_to_string(&manifest).expect("text");
            let own = text.lines().find(|line| line.starts_with("version = ")).expect("a version");
            fs::write(&manifest, text.replacen(own, &format!("version = {version:?}"), 1)).expect("written");
            let key = fs::read(root().join("tests/fixtures/update/rfc8032-1.key.pem")).expect("a key");
            let key = SigningKey::from_pem(&key).expect("a key");
            fs::write(&archive, Package::pack(&made, &key).expect("a bundle").1).expect("written");
        }
        archive
    }

    fn install(&self, version: &str) -> Vec<String> {
        let archive = self.archive(version);
        vec!["install".into(), archive.to_str().expect("UTF-8").into(), "--yes".into()]
    }

    /// Runs `ramand model` and gives what strace saw; `None`, with a reason, where strace cannot do that.
    fn traced(&self, arguments: &[String]) -> Option<String> {
        let trace = self.path("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-s", "0", "-e", &format!("trace={CALLS}"), "-o"]).arg(&trace);
        strace.arg(program()).arg("model").args(arguments).arg("--config").arg(self.path("ramand.toml"));
        let output = match strace.output() {
            Ok(output) => output,
            Err(error) => {
                eprintln!("skipped: strace does not run here: {error}");
                return None;
            }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("ptrace") {
            eprintln!("skipped: strace may not follow programs here: {said}");
            return None;
        }
        assert!(output.status.success(), "{arguments:?}: {said}");
        Some(fs::read_to_string(trace).expect("a trace"))
    }
}

/// The version that runs from a store; `None` where the store leads to none.
fn running(store: &Path, keys: &Path) -> Option<String> {
    let current = store.join(MODEL).join("current");
    if fs::symlink_metadata(&current).is_err() {
        return None;
    }
    let model = Trust::new(store, keys).open(&current).expect("what the store leads to may run");
    Some(model.identity().version.clone())
}

/// Prepares a station, changes its store, and looks at every state on the way from `old` to `new`.
fn check(prepare: &[&str], change: impl Fn(&Station) -> Vec<String>, old: Option<&str>, new: &str) {
    let station = Station::new();
    for version in prepare {
        let Some(_) = station.traced(&station.install(version)) else { return };
    }
    let (disk, keys) = (station.path("disk"), station.path("keys"));
    let mut medium = Medium::new(&disk);
    let Some(trace) = station.traced(&change(&station)) else { return };
    let mut states: BTreeSet<_> = medium.states().into_iter().collect();
    for call in medium::calls(&trace) {
        if medium.take(&call) {
            states.extend(medium.states());
        }
    }
    let contents = medium.contents();
    let made = |state| {
        let folder = tempfile::tempdir().expect("a folder");
        medium::write(state, &contents, folder.path());
        folder
    };
    let at_the_end = medium.states().swap_remove(0);
    let folder = made(&at_the_end);
    assert_eq!(running(&folder.path().join("models"), &keys).as_deref(), Some(new), "what was reported is kept");

    let next = fs::read(station.archive("9.9.9")).expect("an archive");
    let next = Package::read(&next, &Keyring::read(&keys).expect("keys")).expect("signed");
    let mut seen = BTreeSet::new();
    for state in &states {
        let folder = made(state);
        let store = folder.path().join("models");
        let version = running(&store, &keys);
        assert!(version.as_deref() == old || version.as_deref() == Some(new), "{version:?} runs of {state:#?}");
        seen.insert(version);
        let open = Store::open(&store, |_| ()).expect("a store");
        open.stage(&next).expect("staged");
        open.admit(&next).expect("admitted");
        open.switch(MODEL, "9.9.9").expect("switched");
        assert_eq!(running(&store, &keys).as_deref(), Some("9.9.9"), "after {state:#?}");
    }
    println!("{prepare:?} to {new}: {} states", states.len());
    assert_eq!(seen.len(), 2, "both were met: {seen:?}");
}

#[test]
fn an_installation_is_there_or_not() {
    check(&["8.0.0"], |station| station.install("8.1.0"), Some("8.0.0"), "8.1.0");
}

#[test]
fn so_is_the_first_one() {
    check(&[], |station| station.install("8.0.0"), None, "8.0.0");
}

#[test]
fn so_is_the_way_back() {
    let back = |_: &Station| vec!["rollback".into(), MODEL.into()];
    check(&["8.0.0", "8.1.0"], back, Some("8.1.0"), "8.0.0");
}
