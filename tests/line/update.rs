//! `ramand model pack`, `install`, `rollback` and `list`, with keys made by openssl, beside a running daemon.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::pty::openpty;
use nix::sys::signal::Signal;
use ramand::journal::{HistoryQuery, JournalReader, Window};
use ramand::update::SIGNATURE;
use ramand_core::record::{PartKind, PartKinds, Seq};
use ramand_core::signature::{DOMAIN, PublicKey};
use serde_json::Value;

use crate::common::{Process, mosquitto, subscriber};
use crate::missing::missing;
use crate::program::program;
use crate::{STOP_WITHIN, bundle, configuration, copy, run, simulator};

/// Results that are waited for before something else is tried.
const SOME: usize = 3;
/// Results within which a switch is noticed: one would do, were the machine quiet.
const NOTICED_WITHIN: usize = 500;

/// Runs openssl; `None`, with a reason, where there is none.
fn openssl(arguments: &[&str], folder: &Path) -> Option<()> {
    match Command::new("openssl").args(arguments).current_dir(folder).output() {
        Ok(output) => {
            assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            Some(())
        }
        Err(error) => {
            missing("program", &format!("openssl does not run here, {error}: apt-get install openssl"));
            None
        }
    }
}

/// A folder with a key pair, the public half trusted.
fn station(folder: &Path) -> Option<()> {
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", "key.pem"], folder)?;
    fs::create_dir(folder.join("keys")).expect("a folder");
    openssl(&["pkey", "-in", "key.pem", "-pubout", "-out", "keys/plant.pem"], folder)
}

/// A copy of the oil-type bundle under another version.
fn version(folder: &Path, version: &str) -> PathBuf {
    let made = folder.join(format!("oil-type-{version}"));
    copy(&bundle("oil-type"), &made);
    let manifest = made.join("manifest.toml");
    let text = fs::read_to_string(&manifest).expect("text");
    let own = text.lines().find(|line| line.starts_with("version = ")).expect("a version");
    fs::write(&manifest, text.replacen(own, &format!("version = \"{version}\""), 1)).expect("written");
    made
}

fn model(folder: &Path, arguments: &[&str]) -> Process {
    let arguments = arguments.iter().map(|argument| argument.replace("FOLDER", folder.to_str().expect("UTF-8")));
    Process::ramand(std::iter::once(OsString::from("model")).chain(arguments.map(OsString::from)))
}

/// Runs a command that succeeds, and gives its lines.
fn succeeds(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let mut process = model(folder, arguments);
    let lines = process.rest();
    assert!(process.wait().0.success(), "{arguments:?}: {}", process.diagnostics());
    lines
}

fn refused(folder: &Path, arguments: &[&str], expected: &[&str]) {
    let mut process = model(folder, arguments);
    let lines = process.rest();
    assert_eq!(process.wait().0.code(), Some(78), "{arguments:?}: {lines:?}");
    let said = process.diagnostics();
    for part in expected {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

fn pack(folder: &Path, made: &str) {
    version(folder, made);
    let (from, to) = (format!("FOLDER/oil-type-{made}"), format!("FOLDER/{made}.tar"));
    succeeds(folder, &["pack", &from, "--key", "FOLDER/key.pem", "--out", &to]);
}

/// The same of a bundle that answers another question under the name of this one.
fn pack_other(folder: &Path, version: &str) {
    let made = folder.join(format!("other-{version}"));
    copy(&bundle("olive-adulteration"), &made);
    let manifest = made.join("manifest.toml");
    let text = fs::read_to_string(&manifest).expect("text");
    let own = text.lines().find(|line| line.starts_with("version = ")).expect("a version");
    let text = text.replacen("name = \"olive-adulteration\"", "name = \"oil-type\"", 1);
    fs::write(&manifest, text.replacen(own, &format!("version = \"{version}\""), 1)).expect("written");
    let (from, to) = (format!("FOLDER/other-{version}"), format!("FOLDER/{version}.tar"));
    succeeds(folder, &["pack", &from, "--key", "FOLDER/key.pem", "--out", &to]);
}

fn updates(folder: &Path) -> String {
    format!(
        "[updates]\nstore = {:?}\nkeys = {:?}\n[[model]]\npath = {:?}\nprobability_min = 0.5\n",
        folder.join("store"),
        folder.join("keys"),
        folder.join("store/oil-type/current")
    )
}

fn trail(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("store/audit.jsonl")).expect("a trail");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn openssl_and_ramand_understand_each_others_signatures() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    if station(folder).is_none() {
        return;
    }
    pack(folder, "1.0.0-a");
    let files = ramand_core::archive::read(fs::File::open(folder.join("1.0.0-a.tar")).expect("a file"));
    let files = files.expect("an archive");
    let manifest = &files["manifest.toml"];
    fs::write(folder.join("message"), [DOMAIN, manifest.as_slice()].concat()).expect("written");
    fs::write(folder.join("signature"), &files[SIGNATURE]).expect("written");
    let verify = "pkeyutl -verify -pubin -inkey keys/plant.pem -rawin -in message -sigfile signature";
    openssl(&verify.split(' ').collect::<Vec<_>>(), folder).expect("it ran before");
    let sign = "pkeyutl -sign -inkey key.pem -rawin -in message -out theirs";
    openssl(&sign.split(' ').collect::<Vec<_>>(), folder).expect("it ran before");
    let key = PublicKey::from_pem(&fs::read(folder.join("keys/plant.pem")).expect("a file")).expect("a key");
    let theirs = fs::read(folder.join("theirs")).expect("a file");
    assert!(key.verifies(manifest, &theirs));
    assert!(!key.verifies(&[manifest.as_slice(), b" "].concat(), &theirs));
    // What tar says is in it is what ramand says is in it.
    let listed = Command::new("tar").arg("-tf").arg(folder.join("1.0.0-a.tar")).output().expect("tar runs");
    let listed = String::from_utf8(listed.stdout).expect("names");
    assert_eq!(listed.lines().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
}

/// Another version and back, while spectra are measured back to back: the plant sees both changes, and every number.
#[test]
fn a_model_is_replaced_while_the_line_runs_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let Some((mut broker, port)) = mosquitto(folder) else { return };
    if station(folder).is_none() {
        return;
    }
    let mut results = subscriber(port, "ramand/v1/+/+/+/result");
    broker.until("Received SUBSCRIBE");
    let mut events = subscriber(port, "ramand/v1/+/+/+/event");
    broker.until("Received SUBSCRIBE");
    let (_simulator, link) = simulator(folder, &[]);
    let rest = format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {port}\n{}", updates(folder));
    let config = configuration(folder, &link, &rest);
    let config = config.to_str().expect("UTF-8");
    for version in ["8.0.0", "8.1.0"] {
        pack(folder, version);
    }
    let install = |version: &str| {
        let archive = format!("FOLDER/{version}.tar");
        let lines = succeeds(folder, &["install", &archive, "--config", config, "--yes", "--json"]);
        serde_json::from_str::<Value>(lines.last().expect("a line")).expect("JSON")
    };
    let first = install("8.0.0");
    assert_eq!((&first["outcome"], &first["replaces"]), (&"switched".into(), &Value::Null), "{first}");

    let mut daemon = run(Path::new(config));
    let mut until = |version: &str, count: usize| {
        let mut seen = 0;
        for _ in 0..NOTICED_WITHIN {
            let line = results.line();
            let (_, payload) = line.split_once(' ').expect("topic and payload");
            let result: Value = serde_json::from_str(payload).expect("JSON");
            seen += usize::from(result["models"][0]["version"] == version);
            if seen == count {
                return;
            }
        }
        panic!("no {count} results of {version} among {NOTICED_WITHIN}");
    };
    until("8.0.0", SOME);
    let second = install("8.1.0");
    assert_eq!(second["replaces"]["version"], "8.0.0", "{second}");
    assert!(second["shadow"]["spectra"].as_u64() >= Some(SOME as u64), "{second}");
    assert_eq!(second["shadow"]["changed"], 0, "the same weights say the same: {second}");
    until("8.1.0", SOME);
    succeeds(folder, &["rollback", "oil-type", "--config", config]);
    until("8.0.0", SOME);
    daemon.signal(Signal::SIGTERM);
    let (status, took) = daemon.wait();
    assert!(status.success() && took < STOP_WITHIN, "{status} after {took:?}");

    for (new, old) in [("8.1.0", "8.0.0"), ("8.0.0", "8.1.0")] {
        let event = events.until("model_switched");
        assert!(event.contains(&format!("oil-type: {new} (sha256 ")), "{event}");
        assert!(event.contains(&format!(" replaces {old} (sha256 ")), "{event}");
    }

    let reader = JournalReader::open(&folder.join("journal.sqlite")).expect("a journal");
    let query =
        HistoryQuery { window: Window::From(Seq::new(1)), limit: 10_000, kinds: PartKind::ALL.into_iter().collect() };
    let records = reader.history(&query).expect("readable");
    let mut running = "8.0.0";
    let mut switches = 0;
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.seq.number(), index as u64 + 1, "no number is missing");
        let kinds: PartKinds = record.parts.iter().map(|part| part.kind).collect();
        assert!(!kinds.contains(PartKind::Gap), "nothing is declared lost");
        assert_eq!(kinds.contains(PartKind::Result), kinds.contains(PartKind::Spectrum), "{}", record.id);
        for part in record.parts.iter().filter(|part| [PartKind::Result, PartKind::Event].contains(&part.kind)) {
            let payload: Value = serde_json::from_slice(&part.payload).expect("JSON");
            if payload["code"] == "model_switched" {
                switches += 1;
                running = if running == "8.0.0" { "8.1.0" } else { "8.0.0" };
            }
            if part.kind == PartKind::Result {
                assert_eq!(payload["models"][0]["version"], running, "the event stands between their results");
            }
        }
    }
    assert_eq!(switches, 2);

    let listed = succeeds(folder, &["list", "--config", config]);
    assert!(
        listed[0].contains("8.0.0") && listed[0].contains("current") && listed[0].contains("signed by"),
        "{listed:?}"
    );
    assert!(listed[1].contains("8.1.0") && !listed[1].contains("previous"), "{listed:?}");

    // Another task, with a limit that fits the new model alone.
    let text = fs::read_to_string(config).expect("text").replace("probability_min = 0.5", "above = 25.0");
    fs::write(config, text).expect("written");
    pack_other(folder, "9.0.0");
    let other =
        succeeds(folder, &["install", "FOLDER/9.0.0.tar", "--config", config, "--change-output", "--yes", "--json"]);
    let other: Value = serde_json::from_str(other.last().expect("a line")).expect("JSON");
    assert!(other["shadow"]["spectra"].as_u64() >= Some(SOME as u64), "{other}");
    let outcomes: Vec<Value> = trail(folder).iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["approved", "switched"].repeat(4));
}

/// The exit code of an installation on a terminal where somebody types that.
fn answer(folder: &Path, config: &str, version: &str, typed: &str) -> Option<i32> {
    let terminal = openpty(None, None).expect("a pseudo-terminal");
    fs::File::from(terminal.master.try_clone().expect("a descriptor")).write_all(typed.as_bytes()).expect("typed");
    let mut command = Command::new(program());
    command.args(["model", "install", "--config", config]).arg(folder.join(format!("{version}.tar")));
    let output = command.stdin(terminal.slave).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("? [y/N]"), "{said}");
    output.status.code()
}

#[test]
fn on_a_terminal_somebody_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    if station(folder).is_none() {
        return;
    }
    let config = configuration(folder, Path::new("/nowhere"), &format!("[mqtt]\nenabled = false\n{}", updates(folder)));
    let config = config.to_str().expect("UTF-8");
    pack(folder, "8.0.0");
    for typed in ["n\n", "\n", "yesterday\n"] {
        assert_eq!(answer(folder, config, "8.0.0", typed), Some(78), "{typed:?}");
        assert!(!folder.join("store/oil-type").exists() && !folder.join("store/.incoming").exists(), "{typed:?}");
    }
    assert_eq!(answer(folder, config, "8.0.0", "y\n"), Some(0));
    let outcomes: Vec<Value> = trail(folder).iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["declined", "declined", "declined", "approved", "switched"]);
}

#[test]
fn ctrl_c_at_the_question_is_a_no() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    if station(folder).is_none() {
        return;
    }
    let config = configuration(folder, Path::new("/nowhere"), &format!("[mqtt]\nenabled = false\n{}", updates(folder)));
    pack(folder, "8.0.0");
    let terminal = openpty(None, None).expect("a pseudo-terminal");
    // A session of its own, so that Ctrl-C on its terminal is a signal.
    let mut child = Command::new("setsid")
        .arg("--ctty")
        .arg(program())
        .args(["model", "install", "--config"])
        .arg(config)
        .arg(folder.join("8.0.0.tar"))
        .stdin(terminal.slave)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut said = Vec::new();
    let mut diagnostics = BufReader::new(child.stderr.take().expect("piped"));
    while !said.ends_with(b"? [y/N]") {
        assert!(diagnostics.read_until(b']', &mut said).expect("readable") > 0, "{}", String::from_utf8_lossy(&said));
    }
    fs::File::from(terminal.master.try_clone().expect("a descriptor")).write_all(b"\x03").expect("typed");
    assert_eq!(child.wait().expect("ended").code(), Some(78));
    assert_eq!(trail(folder).last().expect("a line")["outcome"], "declined");
    assert!(!folder.join("store/.incoming").exists(), "nothing is left of it");
}

#[test]
fn what_does_not_fit_the_line_is_refused_and_the_trail_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    if station(folder).is_none() {
        return;
    }
    let config = configuration(folder, Path::new("/nowhere"), &format!("[mqtt]\nenabled = false\n{}", updates(folder)));
    let config = config.to_str().expect("UTF-8");
    for version in ["8.0.0", "8.1.0"] {
        pack(folder, version);
    }
    refused(folder, &["install", "FOLDER/8.0.0.tar", "--config", config], &["--yes"]);
    succeeds(folder, &["install", "FOLDER/8.0.0.tar", "--config", config, "--yes"]);
    refused(folder, &["rollback", "oil-type", "--config", config], &["no version of oil-type to go back to"]);

    // An unsigned folder in a tar, a bundle of another kind, another laser.
    let mut tar = Command::new("tar");
    tar.args(["-cf", "unsigned.tar", "-C", "oil-type-8.1.0", "manifest.toml", "model.onnx"]).current_dir(folder);
    assert!(tar.status().expect("tar runs").success());
    refused(folder, &["install", "FOLDER/unsigned.tar", "--config", config, "--yes"], &["not signed"]);
    pack_other(folder, "8.0.0");
    refused(folder, &["install", "FOLDER/8.0.0.tar", "--config", config, "--yes"], &["other content"]);
    pack_other(folder, "9.0.0");
    let other = ["install", "FOLDER/9.0.0.tar", "--config", config, "--yes"];
    refused(folder, &other, &["task: regression", "--change-output"]);
    let changed: Vec<&str> = other.iter().copied().chain(["--change-output"]).collect();
    refused(folder, &changed, &["least probability"]);
    let text = fs::read_to_string(config).expect("text");
    fs::write(config, text.replace("[journal]", "laser_nm = 830.0\n[journal]")).expect("written");
    refused(folder, &["install", "FOLDER/8.1.0.tar", "--config", config, "--yes"], &["785 nm", "830"]);
    fs::write(config, text).expect("written");
    // Nobody trusts the key any more: nothing is installed, and what is installed does not run.
    fs::rename(folder.join("keys/plant.pem"), folder.join("plant.pem")).expect("moved");
    refused(folder, &["install", "FOLDER/8.1.0.tar", "--config", config, "--yes"], &["none of the keys"]);
    let mut daemon = run(Path::new(config));
    assert_eq!(daemon.wait().0.code(), Some(78));
    assert!(daemon.diagnostics().contains("none of the keys"), "{}", daemon.diagnostics());

    let trail = trail(folder);
    let refusals = trail.iter().filter(|line| line["outcome"] == "refused");
    assert!(refusals.clone().all(|line| line["why"].is_string() && line["uid"].is_u64()));
    assert_eq!(refusals.count(), trail.len() - 2, "all but one switch: {trail:?}");
    assert!(!folder.join("store/.incoming").exists(), "what was refused is gone");
    assert_eq!(fs::read_link(folder.join("store/oil-type/current")).expect("a link"), Path::new("8.0.0"));
}
