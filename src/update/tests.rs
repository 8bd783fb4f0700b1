//! Archives, signatures, the store and what may run from it, with hostile and interrupted ones.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bundles::{draft, spectrum};
use nix::sys::signal::{Signal, raise};
use ramand_core::archive;
use ramand_core::failure::{self, Failure};
use ramand_core::signature::{PublicKey, SigningKey};
use ramand_model::manifest::Manifest;
use tempfile::TempDir;

use super::audit::{self, Action, Outcome, Subject};
use super::*;
use crate::missing::missing;

const ONE: &[u8] = include_bytes!("../../tests/fixtures/update/rfc8032-1.key.pem");
const ONE_PUBLIC: &[u8] = include_bytes!("../../tests/fixtures/update/rfc8032-1.pem");
const TWO: &[u8] = include_bytes!("../../tests/fixtures/update/rfc8032-2.key.pem");
const TWO_PUBLIC: &[u8] = include_bytes!("../../tests/fixtures/update/rfc8032-2.pem");

/// `openssl pkey -pubin -in rfc8032-1.pem -outform DER | sha256sum`, its first 8 bytes.
const KEY_ID: &str = "06e3fd8fda29bb60";
/// The first key's seed, from RFC 8032.
#[rustfmt::skip]
const SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
    0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
/// A key of another algorithm.
const P256_PUBLIC: &[u8] = b"-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEIPdZs4rjvL+8MsAeHFpDUSAKInF
5DKAXsh4tbtKZHMsYDv419X9NrrBIHKaLmXgGklcXlHoy18w38D2oVpv8g==
-----END PUBLIC KEY-----
";

/// A station: a store, a folder of keys with the first key, and bundles that somebody made elsewhere.
pub(crate) struct Station {
    folder: TempDir,
}

impl Station {
    pub(crate) fn new() -> Self {
        let station = Self { folder: tempfile::tempdir().expect("a folder") };
        fs::create_dir(station.keys()).expect("a folder");
        fs::write(station.keys().join("one.pem"), ONE_PUBLIC).expect("written");
        station
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("models")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn keyring(&self) -> Keyring {
        Keyring::read(&self.keys()).expect("keys")
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::new(&self.store(), &self.keys())
    }

    fn open(&self) -> Store {
        Store::open(&self.store(), |_| ()).expect("a store")
    }

    /// The folder of a bundle with that version and so many outputs, outside the store.
    fn bundle_of(&self, version: &str, outputs: usize) -> PathBuf {
        let folder = self.folder.path().join(format!("made-{version}"));
        if !folder.exists() {
            let mut draft = draft(outputs);
            draft.manifest.version = version.to_owned();
            draft.write(&folder);
        }
        folder
    }

    fn bundle(&self, version: &str) -> PathBuf {
        self.bundle_of(version, 1)
    }

    fn package(&self, version: &str) -> Package {
        let key = SigningKey::from_pem(ONE).expect("a key");
        Package::pack(&self.bundle(version), &key).expect("a bundle").0
    }

    /// Installs a version as `ramand model install` does.
    pub(crate) fn install(&self, version: &str) {
        let (store, package) = (self.open(), self.package(version));
        store.stage(&package).expect("staged");
        store.admit(&package).expect("admitted");
        store.switch("random", version).expect("switched");
    }

    /// Installs a model of three classes, without the checks that would refuse it.
    pub(crate) fn install_classes(&self, version: &str) {
        self.bundle_of(version, 3);
        self.install(version);
    }

    /// Goes back as `ramand model rollback` does.
    pub(crate) fn roll_back(&self) {
        let store = self.open();
        let version = store.way_back("random", None).expect("a version before");
        store.roll_back("random", &version).expect("rolled back");
    }

    pub(crate) fn link(&self) -> PathBuf {
        self.store().join("random/current")
    }

    fn current(&self) -> String {
        self.trust().open(&self.link()).expect("it may run and runs").identity().version.clone()
    }
}

#[test]
fn a_damaged_version_is_mended_by_installing_it_again() {
    let station = Station::new();
    station.install("1.0.0");
    let folder = station.store().join("random/1.0.0");
    let network = folder.join("model.onnx");
    let mut bytes = fs::read(&network).expect("readable");
    bytes[100] ^= 1;
    fs::write(&network, &bytes).expect("written");
    assert!(station.trust().open(&station.link()).is_err(), "it is rotten");
    station.install("1.0.0");
    assert_eq!(station.current(), "1.0.0");
    let aside = station.store().join("random/.damaged-1.0.0");
    assert_eq!(fs::read(aside.join("model.onnx")).expect("set aside"), bytes);

    // And once more: the older damage makes way.
    fs::remove_file(&network).expect("there");
    station.install("1.0.0");
    assert_eq!(station.current(), "1.0.0");
    assert!(!aside.join("model.onnx").exists(), "the newest damage is what is kept");
}

fn links(store: &Store) -> (Option<String>, Option<String>) {
    (store.current("random"), store.previous("random"))
}

/// What an attacker does to the files of an archive.
type PackageChange<'a> = &'a dyn Fn(&mut BTreeMap<String, Vec<u8>>);

fn signed(archive: &[u8], station: &Station) -> Result<Package, String> {
    Package::read(archive, &station.keyring()).map_err(|error| failure::chain(&error))
}

#[test]
fn the_same_bundle_and_key_give_the_same_bytes_and_read_back() {
    let station = Station::new();
    let key = SigningKey::from_pem(ONE).expect("a key");
    let (package, bytes) = Package::pack(&station.bundle("1.0.0"), &key).expect("a bundle");
    let (_, again) = Package::pack(&station.bundle("1.0.0"), &key).expect("a bundle");
    assert_eq!(bytes, again);
    let read = signed(&bytes, &station).expect("as packed");
    assert_eq!((read.files, read.sha256, read.key), (package.files, package.sha256, key.public().id()));
}

#[test]
fn the_id_of_a_key_is_that_of_its_der() {
    let key = PublicKey::from_pem(ONE_PUBLIC).expect("a key");
    assert_eq!(key.id().to_string(), KEY_ID);
    assert_eq!(SigningKey::from_pem(ONE).expect("a key").public(), key);
    for (pem, expected) in [
        (ONE, "no public key"),
        (b"".as_slice(), "no public key"),
        (&[ONE_PUBLIC, TWO_PUBLIC].concat(), "more than one"),
        (P256_PUBLIC, "not an ed25519 key"),
    ] {
        let error = PublicKey::from_pem(pem).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(SigningKey::from_pem(ONE_PUBLIC).is_err());
}

#[test]
fn only_an_archive_that_a_known_key_signed_and_nobody_changed_is_read() {
    let station = Station::new();
    let good = station.package("1.0.0").files;
    let check = |change: PackageChange<'_>, expected: &[&str]| {
        let mut files = good.clone();
        change(&mut files);
        let bytes = archive::write(&files).expect("an archive");
        let error = signed(&bytes, &station).expect_err(expected[0]);
        for part in expected {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    };
    let other = SigningKey::from_pem(TWO).expect("a key").sign(&good[MANIFEST]);
    let version = |files: &mut BTreeMap<String, Vec<u8>>| {
        let text = String::from_utf8(files[MANIFEST].clone()).expect("text").replace("1.0.0", "1.0.1");
        files.insert(MANIFEST.into(), text.into_bytes());
    };
    check(&|files| drop(files.remove(SIGNATURE)), &["not signed"]);
    check(&|files| drop(files.insert(SIGNATURE.into(), other.clone())), &["none of the keys", KEY_ID, "one.pem"]);
    check(&|files| drop(files.insert(SIGNATURE.into(), vec![0; 64])), &["none of the keys"]);
    check(&|files| files.get_mut(SIGNATURE).expect("signed").truncate(63), &["none of the keys"]);
    check(&version, &["none of the keys"]);
    check(&|files| drop(files.insert("more.txt".into(), b"x".to_vec())), &["'more.txt' is not in the manifest"]);
    check(&|files| drop(files.remove("gate.npy")), &["gate.npy", "not there"]);
    check(&|files| files.get_mut("gate.npy").expect("a file")[200] ^= 1, &["'gate.npy': its SHA-256 is"]);
    check(&|files| files.get_mut("folds.csv").expect("a file").push(b'x'), &["'folds.csv': its SHA-256 is"]);
    check(&|files| drop(files.remove(MANIFEST)), &["manifest.toml", "not there"]);
    // Signed without the domain: the same key's signature of the same bytes for another purpose.
    let plain = ring::signature::Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a key").sign(&good[MANIFEST]);
    check(&|files| drop(files.insert(SIGNATURE.into(), plain.as_ref().to_vec())), &["none of the keys"]);
}

#[test]
fn nothing_unsigned_runs_below_the_store_whatever_leads_there() {
    let station = Station::new();
    station.install("1.0.0");
    let (trust, bundle) = (station.trust(), station.bundle("1.1.0"));
    let refused = |path: &Path, expected: &str| {
        let error = failure::chain(&trust.open(path).expect_err(expected));
        assert!(error.contains(expected), "{expected:?} is not in: {error}");
    };
    assert_eq!(station.current(), "1.0.0");
    trust.open(&bundle).expect("elsewhere, permissions decide");

    // A link out of the store, a folder put there by hand, a way in by another name.
    let model = station.store().join("random");
    let out = model.join("out");
    symlink(&bundle, &out).expect("a link");
    refused(&out, "not signed");
    fs::create_dir(model.join("by-hand")).expect("a folder");
    for entry in fs::read_dir(&bundle).expect("a folder") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, model.join("by-hand").join(path.file_name().expect("a name"))).expect("copied");
    }
    refused(&model.join("by-hand"), "not signed");
    let alias = station.folder.path().join("alias");
    symlink(model.join("by-hand"), &alias).expect("a link");
    refused(&alias, "not signed");
    let around = station.folder.path().join("around");
    symlink(station.store(), &around).expect("a link");
    refused(&around.join("random/by-hand"), "not signed");
    refused(&around.join("random/out"), "not signed");

    // Changed after it was installed.
    let signature = model.join("1.0.0").join(SIGNATURE);
    let kept = fs::read(&signature).expect("signed");
    fs::write(&signature, SigningKey::from_pem(TWO).expect("a key").sign(b"")).expect("written");
    refused(&station.link(), "none of the keys");
    fs::write(&signature, &kept).expect("written");
    let manifest = model.join("1.0.0").join(MANIFEST);
    let text = fs::read_to_string(&manifest).expect("text");
    fs::write(&manifest, text.replace("random weights", "better weights")).expect("written");
    refused(&station.link(), "none of the keys");
    fs::write(&manifest, &text).expect("written");
    let onnx = model.join("1.0.0/model.onnx");
    let mut bytes = fs::read(&onnx).expect("a file");
    bytes[100] ^= 1;
    fs::write(&onnx, &bytes).expect("written");
    refused(&station.link(), "SHA-256");
    bytes[100] ^= 1;
    fs::write(&onnx, &bytes).expect("written");
    assert_eq!(station.current(), "1.0.0");

    // The key is not trusted any more, or nobody knows who put it there.
    let key = station.keys().join("one.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o666)).expect("ours");
    refused(&station.link(), "chmod o-w");
    fs::write(station.keys().join("two.pem"), TWO_PUBLIC).expect("written");
    fs::remove_file(&key).expect("removed");
    refused(&station.link(), "two.pem");
    fs::remove_dir_all(station.keys()).expect("removed");
    refused(&station.link(), "there are none");
}

#[test]
fn versions_follow_each_other_and_the_way_back_leads_back_once() {
    let station = Station::new();
    station.install("1.0.0");
    assert_eq!(station.open().way_back("random", None).expect_err("the first").kind(), failure::Kind::Operator);
    station.install("1.1.0");
    station.install("1.1.0");
    assert_eq!(links(&station.open()), (Some("1.1.0".into()), Some("1.0.0".into())));
    station.roll_back();
    assert_eq!(station.current(), "1.0.0");
    let store = station.open();
    let error = store.way_back("random", None).expect_err("not forward again").to_string();
    assert!(error.contains("1.0.0, 1.1.0"), "{error}");
    assert_eq!(store.way_back("random", Some("1.1.0")).expect("named"), "1.1.0");
    assert!(store.way_back("random", Some("../1.1.0")).is_err());
    drop(store);
    station.install("1.2.0");
    station.install("1.1.0");
    let store = station.open();
    assert_eq!(links(&store), (Some("1.1.0".into()), Some("1.2.0".into())));
    store.roll_back("random", "1.0.0").expect("named");
    assert!(store.way_back("random", None).is_err(), "what ran before a named version is not the way back from it");
    let listed = versions(&station.store()).expect("a store");
    let listed: Vec<_> = listed.iter().map(|v| (v.version.as_str(), v.current, v.previous)).collect();
    assert_eq!(listed, [("1.0.0", true, false), ("1.1.0", false, false), ("1.2.0", false, false)]);
    for path in ["random", "random/1.0.0", "random/1.0.0/model.onnx"] {
        let mode = fs::metadata(station.store().join(path)).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, if path.ends_with("onnx") { 0o644 } else { 0o755 }, "{path}");
    }
}

#[test]
fn a_version_never_changes_and_the_stores_own_names_are_taken() {
    let station = Station::new();
    station.install("1.0.0");
    let store = station.open();
    let mut other = station.package("1.0.0");
    other.sha256 = "0".repeat(64);
    let error = store.stage(&other).expect_err("other content").to_string();
    assert!(error.contains("installed with other content"), "{error}");
    for (name, version) in [("audit.jsonl", "1"), ("random", "current"), ("random", "previous")] {
        let mut reserved = station.package("1.0.0");
        (reserved.manifest.name, reserved.manifest.version) = (name.into(), version.into());
        assert!(matches!(store.stage(&reserved), Err(UpdateError::Reserved { .. })), "{name} {version}");
    }
    assert!(matches!(Store::open(&station.store(), |_| ()), Err(UpdateError::Busy { .. })), "one at a time");
    // What is damaged where it lies is not made current by its archive, which brings its own.
    let gate = station.store().join("random/1.0.0/gate.npy");
    fs::write(&gate, b"x").expect("written");
    let package = station.package("1.0.0");
    store.stage(&package).expect("staged");
    store.admit(&package).expect("admitted");
    assert_eq!(fs::read(&gate).expect("readable"), package.files["gate.npy"]);
}

#[test]
fn root_does_not_follow_the_owner_of_a_folder() {
    let station = Station::new();
    let nobody = Some(65_534);
    if let Err(error) = chown(station.folder.path(), nobody, nobody) {
        missing("privilege", &format!("only root can try this: {error}"));
        return;
    }
    let error = Store::open(&station.store(), |_| ()).err().expect("somebody else's folder").to_string();
    assert!(error.contains("65534") && error.contains("sudo -u"), "{error}");
    assert!(!station.store().exists());
    chown(station.folder.path(), Some(0), Some(0)).expect("we are root");
    station.install("1.0.0");
    chown(station.store(), nobody, nobody).expect("we are root");
    assert!(matches!(Store::open(&station.store(), |_| ()), Err(UpdateError::NotTheOwner { owner: 65_534, .. })));
}

/// The process of the test below that ends itself after one of these steps.
const KILL_AFTER: &str = "RAMAND_TEST_KILL_AFTER";
const KILL_IN: &str = "RAMAND_TEST_KILL_IN";

fn die_after(step: StoreStep) {
    if std::env::var(KILL_AFTER).is_ok_and(|last| last == format!("{step:?}")) {
        raise(Signal::SIGKILL).expect("a signal to oneself");
    }
}

/// What the child does in the parent's folder: the version before runs again.
fn go_back(folder: &Path) {
    let store = Store::open(&folder.join("models"), die_after).expect("a store");
    let version = store.way_back("random", None).expect("a version before");
    store.roll_back("random", &version).expect("rolled back");
}

/// What the child does in the parent's folder: the version of the package that lies there runs.
fn go_forward(folder: &Path) {
    let keys = Keyring::read(&folder.join("keys")).expect("keys");
    let package = Package::read(&fs::read(folder.join("new.tar")).expect("an archive"), &keys).expect("signed");
    let store = Store::open(&folder.join("models"), die_after).expect("a store");
    store.stage(&package).expect("staged");
    store.admit(&package).expect("admitted");
    store.switch("random", &package.manifest.version).expect("switched");
}

#[test]
fn whatever_kills_a_switch_leaves_the_old_or_the_new_version_and_a_store_that_goes_on() {
    if let Ok(folder) = std::env::var(KILL_IN) {
        let folder = Path::new(&folder);
        let change = if std::env::var("RAMAND_TEST_BACK").is_ok() { go_back } else { go_forward };
        return change(folder);
    }
    let forward = [StoreStep::Written, StoreStep::Admitted, StoreStep::Remembered, StoreStep::Switched];
    let backward = [StoreStep::Switched, StoreStep::Forgotten];
    let cases = forward.iter().map(|step| (*step, false)).chain(backward.iter().map(|step| (*step, true)));
    for (step, back) in cases {
        let station = Station::new();
        station.install("1.0.0");
        let archive = archive::write(&station.package("1.1.0").files).expect("an archive");
        fs::write(station.folder.path().join("new.tar"), archive).expect("written");
        if back {
            station.install("1.1.0");
        }
        let before = station.current();
        let mut child = Command::new(std::env::current_exe().expect("this test"));
        let name = "update::tests::whatever_kills_a_switch_leaves_the_old_or_the_new_version_and_a_store_that_goes_on";
        child.args(["--exact", name]).env(KILL_IN, station.folder.path()).env(KILL_AFTER, format!("{step:?}"));
        if back {
            child.env("RAMAND_TEST_BACK", "1");
        }
        let output = child.output().expect("it runs");
        assert_eq!(output.status.signal(), Some(Signal::SIGKILL as i32), "{step:?} {back}: {output:?}");

        let (old, new) = if back { ("1.1.0", "1.0.0") } else { ("1.0.0", "1.1.0") };
        assert_eq!(before, old);
        let switched = matches!(step, StoreStep::Switched | StoreStep::Forgotten);
        assert_eq!(station.current(), if switched { new } else { old }, "{step:?}");
        let (current, previous) = links(&station.open());
        assert!(current.is_some() && previous != current, "{step:?}");
        // The lock of the dead is no lock, and what it left is no obstacle.
        station.install("1.1.0");
        assert_eq!(station.current(), "1.1.0", "{step:?}");
        station.install("1.2.0");
        assert_eq!(station.open().previous("random").as_deref(), Some("1.1.0"), "{step:?}");
    }
}

#[test]
fn the_trail_keeps_every_line_and_a_torn_one_apart() {
    let station = Station::new();
    station.install("1.0.0");
    let root = station.store();
    let lines = || {
        let text = fs::read_to_string(root.join(audit::FILE)).expect("a trail");
        text.lines().map(|line| serde_json::from_str(line).ok()).collect::<Vec<Option<serde_json::Value>>>()
    };
    let subject = Subject { key: Some("k".into()), ..Subject::default() };
    audit::append(&root, Action::Install, Outcome::Refused, Some("why"), &subject).expect("written");
    let mut text = fs::read_to_string(root.join(audit::FILE)).expect("a trail");
    text.push_str("{\"v\":1,\"ti");
    fs::write(root.join(audit::FILE), text).expect("written");
    audit::append(&root, Action::Rollback, Outcome::Switched, None, &Subject::default()).expect("written");
    let lines = lines();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[1], None, "torn");
    let (first, last) = (lines[0].as_ref().expect("JSON"), lines[2].as_ref().expect("JSON"));
    assert_eq!(
        (&first["action"], &first["outcome"], &first["why"]),
        (&"install".into(), &"refused".into(), &"why".into())
    );
    assert_eq!((&first["key"], &last["outcome"]), (&"k".into(), &"switched".into()));
    assert!(first["uid"].is_u64() && first["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{first}");
    let elsewhere = station.folder.path().join("elsewhere");
    fs::write(&elsewhere, "").expect("written");
    fs::remove_file(root.join(audit::FILE)).expect("removed");
    symlink(&elsewhere, root.join(audit::FILE)).expect("a link");
    let through = audit::append(&root, Action::Install, Outcome::Switched, None, &subject);
    assert!(through.is_err(), "a link is not followed");
}

#[test]
fn another_question_axis_or_laser_is_named() {
    let manifest = draft(3).manifest;
    let changed = |change: fn(&mut Manifest)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        manifest
    };
    let reversed = changed(|manifest| manifest.output.labels.as_mut().expect("labels").reverse());
    suitability::same_output(&manifest, &reversed).expect("the same labels in another order");
    let other = changed(|manifest| manifest.output.labels.as_mut().expect("labels")[0] = "walnut".into());
    for (new, expected) in [(&other, "labels: oil 1, oil 2, walnut"), (&draft(1).manifest, "task: regression")] {
        let error = suitability::same_output(&manifest, new).expect_err(expected).to_string();
        assert!(error.contains(expected) && error.contains("--change-output"), "{error}");
    }
    let mut other = draft(1).manifest;
    other.output.unit = Some("g".into());
    assert!(suitability::same_output(&draft(1).manifest, &other).is_err(), "another unit");

    let axis = |first, last| spectrum(first, last, 900.0);
    suitability::covered(axis(800.0, 1044.0).axis(), &manifest).expect("just covered");
    assert!(suitability::covered(axis(801.0, 1044.0).axis(), &manifest).is_err());
    assert!(suitability::covered(axis(800.0, 1043.0).axis(), &manifest).is_err());

    suitability::same_laser(785.3, &manifest).expect("as diodes are sold");
    assert!(suitability::same_laser(830.0, &manifest).is_err());
    suitability::same_laser(830.0, &changed(|manifest| manifest.laser_nm = 0.0)).expect("made without a laser");
}
