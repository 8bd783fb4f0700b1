//! The power fails in the middle of `ramand model install` or `rollback`: whatever the medium holds then, the old model or
//! the new one runs, and the next installation goes on.
//!
//! strace writes down every call that changes the store. After each of them every state is made which the medium may be in.

mod medium;
#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/root.rs"]
mod root;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use medium::{CALLS, Call, Medium};
use missing::missing;
use program::program;
use ramand::update::{Keyring, Package, Store, Trust, UpdateError};
use ramand_core::signature::SigningKey;
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
                missing("program", &format!("strace does not run here, {error}: apt-get install strace"));
                return None;
            }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("ptrace") {
            missing("privilege", &format!("strace may not follow programs here: {said}"));
            return None;
        }
        assert!(output.status.success(), "{arguments:?}: {said}");
        Some(fs::read_to_string(trace).expect("a trace"))
    }
}

/// The version that runs from a store; `None` where the store leads to none.
fn running(store: &Path, keys: &Path) -> Result<Option<String>, String> {
    let current = store.join(MODEL).join("current");
    if fs::symlink_metadata(&current).is_err() {
        return Ok(None);
    }
    let model = Trust::new(store, keys).open(&current).map_err(|error| error.to_string())?;
    Ok(Some(model.identity().version.clone()))
}

/// Makes a package the current version of a store.
fn install(store: &Path, next: &Package) -> Result<(), String> {
    let text = |error: UpdateError| error.to_string();
    let store = Store::open(store, |_| ()).map_err(text)?;
    store.stage(next).map_err(text)?;
    store.admit(next).map_err(text)?;
    store.switch(MODEL, "9.9.9").map_err(text)
}

/// A change of a station's store, with the versions that may run.
struct StoreChange<'a> {
    station: &'a Station,
    before: Medium,
    calls: Vec<Call>,
    old: Option<&'a str>,
    new: &'a str,
}

impl<'a> StoreChange<'a> {
    /// Installs some versions, then does `change`; `None`, with a reason, where strace cannot do that.
    fn new(
        station: &'a Station,
        installed: &[&str],
        change: &[String],
        old: Option<&'a str>,
        new: &'a str,
    ) -> Option<Self> {
        for version in installed {
            station.traced(&station.install(version))?;
        }
        let before = Medium::new(&station.path("disk"));
        let calls = medium::calls(&station.traced(change)?);
        Some(Self { station, before, calls, old, new })
    }

    /// Looks at every state on the way that the medium may be in, were only `calls` made; what is wrong with them.
    fn faults<'b>(&self, calls: impl Iterator<Item = &'b Call>) -> Vec<String> {
        let (mut medium, mut found) = (self.before.clone(), Vec::new());
        let mut states: BTreeSet<_> = medium.states().into_iter().collect();
        for call in calls {
            if medium.take(call) {
                states.extend(medium.states());
            }
        }
        let contents = medium.contents();
        let keys = self.station.path("keys");
        let next = fs::read(self.station.archive("9.9.9")).expect("an archive");
        let next = Package::read(&next, &Keyring::read(&keys).expect("keys")).expect("signed");
        let mut met = BTreeSet::new();
        for state in &states {
            let folder = tempfile::tempdir().expect("a folder");
            medium::write(state, &contents, folder.path());
            let store = folder.path().join("models");
            match running(&store, &keys) {
                Ok(version) if version.as_deref() == self.old || version.as_deref() == Some(self.new) => {
                    met.insert(version);
                }
                other => {
                    found.push(format!("{other:?} runs of {state:#?}"));
                    continue;
                }
            }
            let version = install(&store, &next).and_then(|()| running(&store, &keys));
            if version != Ok(Some("9.9.9".to_owned())) {
                found.push(format!("the next installation ends with {version:?} on {state:#?}"));
            }
        }
        let folder = tempfile::tempdir().expect("a folder");
        medium::write(&medium.states()[0], &contents, folder.path());
        let kept = running(&folder.path().join("models"), &keys);
        if kept != Ok(Some(self.new.to_owned())) {
            found.push(format!("what was reported as done is lost: {kept:?}"));
        }
        println!("{:?} to {}: {} states, {} of them wrong", self.old, self.new, states.len(), found.len());
        if found.is_empty() {
            assert_eq!(met.len(), 2, "both were met: {met:?}");
        }
        found
    }

    fn check(&self) {
        let faults = self.faults(self.calls.iter());
        assert!(faults.is_empty(), "{}", faults[0]);
    }

    /// That a program is noticed which does not sync, for the last time, a path that ends in `path`.
    fn check_without(&self, path: &str) {
        let missing =
            self.calls.iter().rposition(|call| call.syncs(path)).unwrap_or_else(|| panic!("{path} is synced"));
        let others = self.calls.iter().enumerate().filter(|(number, _)| *number != missing).map(|(_, call)| call);
        assert!(!self.faults(others).is_empty(), "nobody would notice that {path} is not synced");
    }
}

#[test]
fn an_installation_is_there_or_not() {
    let station = Station::new();
    let change = StoreChange::new(&station, &["8.0.0"], &station.install("8.1.0"), Some("8.0.0"), "8.1.0");
    let Some(change) = change else { return };
    change.check();
    for path in ["models/.incoming/model.onnx", "models/.incoming", "models/oil-type"] {
        change.check_without(path);
    }
}

#[test]
fn so_is_the_first_one() {
    let station = Station::new();
    let change = StoreChange::new(&station, &[], &station.install("8.0.0"), None, "8.0.0");
    let Some(change) = change else { return };
    change.check();
}

#[test]
fn so_is_the_way_back() {
    let station = Station::new();
    let back = ["rollback".to_owned(), MODEL.to_owned()];
    let Some(change) = StoreChange::new(&station, &["8.0.0", "8.1.0"], &back, Some("8.1.0"), "8.0.0") else { return };
    change.check();
}
