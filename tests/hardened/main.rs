//! The daemon under the restrictions of its unit, without a systemd: bubblewrap gives it the same files, devices and identity, and a
//! filter made from the same lines the same system calls.
//!
//! Not the same: devices are left out instead of being refused by the control group, processes of others are in another
//! namespace instead of being hidden, and the port belongs to the user instead of the group dialout.

#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/root.rs"]
mod root;
#[path = "../support/stretched.rs"]
mod stretched;

#[path = "../line/common.rs"]
#[expect(dead_code, reason = "the end-to-end tests use all of it")]
mod common;
#[cfg(target_arch = "x86_64")]
mod filter;
mod probe;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Process, mosquitto, patience, subscriber};
use missing::missing;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::program;
use root::root;
use serde_json::Value;

/// The identity that systemd would give the user `ramand`: any that owns nothing.
const USER: &str = "990";

/// The lines of a unit and its drop-in that restrict it.
pub(crate) struct Directives(Vec<(String, String)>);

impl Directives {
    fn of(files: &[&str]) -> Self {
        let text = |file: &&str| fs::read_to_string(root().join(file)).expect(file);
        let text: String = files.iter().map(text).collect();
        let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
        Self(lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect())
    }

    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn only<'a>(&'a self, key: &'a str) -> &'a str {
        let found: Vec<&str> = self.all(key).collect();
        assert_eq!(found.len(), 1, "{key}: {found:?}");
        found[0]
    }
}

/// Where the service finds what it has, in a folder of the test's.
struct Sandbox {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    umask: String,
}

impl Sandbox {
    /// The sandbox for the unit, or `None` with a printed reason; `port` is the instrument's.
    fn new(port: Option<&Path>) -> Option<Self> {
        let directives = Directives::of(&["systemd/ramand.service", "systemd/hardening.conf", "systemd/secrets.conf"]);
        #[cfg(target_arch = "x86_64")]
        let filter = filter::filter(&directives);
        #[cfg(not(target_arch = "x86_64"))]
        let filter = Err::<Vec<u8>, _>("the system-call filter is made for x86-64 only");
        let kind = if cfg!(target_arch = "x86_64") { "program" } else { "processor" };
        let filter = filter.map_err(|reason| missing(kind, &format!("no filter of system calls: {reason}"))).ok()?;
        let works = Command::new("bwrap").args(["--unshare-all", "--ro-bind", "/", "/", "true"]).status();
        if !works.is_ok_and(|status| status.success()) {
            missing("program", "bubblewrap does not run here: apt-get install bubblewrap, and let it make namespaces");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let arguments = arguments(&directives, folder.path(), port);
        fs::write(folder.path().join("filter"), filter).expect("written");
        Some(Self { folder, arguments, umask: directives.only("UMask").to_owned() })
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside.trim_start_matches('/'))
    }

    /// Starts `program` as `command` inside; its process number outside comes to `started`.
    fn start(&self, program: &Path, command: &str, environment: &[(&str, &str)]) -> Process {
        let mut bwrap = Command::new("sh");
        // bubblewrap reads the filter from one descriptor and says which process it started on another.
        let script = "umask \"$1\"; cd \"$2\"; shift 2; exec bwrap \"$@\" 8>started 9<filter";
        bwrap.args(["-c", script, "sh", &self.umask]).arg(self.folder.path()).args(&self.arguments);
        for (name, value) in environment {
            bwrap.args(["--setenv", name, value]);
        }
        let mut words = command.split(' ');
        let name = words.next().expect("a program");
        bwrap.arg("--ro-bind").arg(program).arg(name).args(["--remount-ro", "/", "--", name]).args(words);
        Process::spawn(bwrap)
    }

    fn signal(&self, signal: Signal) {
        let started = fs::read_to_string(self.path("started")).expect("bubblewrap says what it started");
        let started: Value = serde_json::from_str(&started).expect("JSON");
        let number = started["child-pid"].as_i64().and_then(|number| i32::try_from(number).ok()).expect("a number");
        kill(Pid::from_raw(number), signal).expect("it runs");
    }
}

/// bubblewrap's arguments for each directive of the unit. A directive that is not known here fails the test.
fn arguments(directives: &Directives, folder: &Path, port: Option<&Path>) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
    let own = |inside: &str| {
        let path = folder.join(inside.trim_start_matches('/'));
        fs::create_dir_all(&path).expect("a folder");
        path.to_str().expect("UTF-8").to_owned()
    };
    add(&["--die-with-parent", "--as-pid-1", "--unshare-pid", "--clearenv", "--seccomp", "9", "--info-fd", "8"]);
    for lasting in ["/usr/lib", "/usr/lib64", "/usr/share/zoneinfo", "/etc/localtime", "/etc/passwd", "/etc/hosts"] {
        add(&["--ro-bind-try", lasting, lasting]);
    }
    add(&["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc"]);
    let models = root().join("models");
    add(&["--ro-bind", models.to_str().expect("UTF-8"), "/usr/share/ramand/models"]);
    for (key, value) in &directives.0 {
        match key.as_str() {
            "User" => add(&["--unshare-user", "--uid", USER, "--gid", USER]),
            "StateDirectory" => {
                let inside = format!("/var/lib/{value}");
                add(&["--bind", &own(&inside), &inside, "--setenv", "STATE_DIRECTORY", &inside]);
            }
            "ConfigurationDirectory" => {
                let inside = format!("/etc/{value}");
                add(&["--ro-bind", &own(&inside), &inside, "--setenv", "CONFIGURATION_DIRECTORY", &inside]);
            }
            "LoadCredential" => {
                let inside = "/run/credentials/ramand.service";
                add(&["--ro-bind", &own(inside), inside, "--setenv", "CREDENTIALS_DIRECTORY", inside]);
            }
            "NotifyAccess" => {
                add(&["--ro-bind", &own("/run/systemd"), "/run/systemd"]);
                add(&["--setenv", "NOTIFY_SOCKET", "/run/systemd/notify", "--setenv", "WATCHDOG_USEC", "60000000"]);
            }
            "PrivateTmp" => add(&["--tmpfs", "/tmp", "--tmpfs", "/var/tmp"]),
            "ProtectHome" => add(&["--tmpfs", "/home", "--tmpfs", "/root"]),
            "DevicePolicy" => {
                add(&["--dev", "/dev"]);
                if let Some(port) = port {
                    add(&["--dev-bind", port.to_str().expect("UTF-8"), "/dev/ttyUSB0"]);
                }
            }
            "ProtectKernelTunables" => add(&["--ro-bind", "/sys", "/sys"]),
            "ProtectHostname" => add(&["--unshare-uts"]),
            "RemoveIPC" => add(&["--unshare-ipc"]),
            "CapabilityBoundingSet" => add(&["--cap-drop", "ALL"]),
            // The file system is put together from parts, all read-only; bubblewrap never grants privileges.
            "ProtectSystem" | "ProtectControlGroups" | "PrivateMounts" | "ProtectProc" | "NoNewPrivileges" => {}
            // The port above is the one device.
            "DeviceAllow" | "SupplementaryGroups" => {}
            // In the filter of system calls, or not possible without capabilities and calls that are refused.
            "RestrictAddressFamilies" | "RestrictNamespaces" | "RestrictRealtime" | "RestrictSUIDSGID" => {}
            "LockPersonality" | "MemoryDenyWriteExecute" | "ProtectKernelModules" | "ProtectKernelLogs" => {}
            "SystemCallArchitectures" | "SystemCallFilter" | "SystemCallErrorNumber" | "UMask" => {}
            // What a service manager does with the service, not what it may do.
            "Description" | "Documentation" | "Wants" | "After" | "Type" | "ExecStart" | "WantedBy" => {}
            "StartLimitIntervalSec" | "TimeoutStartSec" | "WatchdogSec" | "Restart" | "RestartSec" => {}
            "RestartPreventExitStatus" | "TimeoutStopSec" => {}
            other => panic!("the sandbox does not know {other}={value}"),
        }
    }
    arguments
}

#[test]
fn the_service_does_its_work_under_the_restrictions_of_its_unit() {
    let outside = tempfile::tempdir().expect("a folder");
    let Some((mut broker, broker_port)) = mosquitto(outside.path()) else { return };
    let link = outside.path().join("spectrometer");
    let link_text = link.to_str().expect("UTF-8");
    let mut device = Process::ramand(["sim", "--profile", "qepro", "--link", link_text]);
    assert_eq!(device.line(), link_text, "the simulator says where it is");
    let port = fs::canonicalize(&link).expect("a pseudo-terminal");
    let Some(sandbox) = Sandbox::new(Some(&port)) else { return };

    let configuration = format!(
        "[spectrometer]\nport = \"/dev/ttyUSB0\"\nperiod = \"0 s\"\nlaser_warm_up = \"50 ms\"\n\
         [[model]]\npath = \"/usr/share/ramand/models/oil-type\"\nallow_ungated = true\n[web]\nlisten = \"127.0.0.1:0\"\n\
         [mqtt]\nhost = \"127.0.0.1\"\nport = {broker_port}\nusername = \"ramand\"\n\
         password_file = \"/run/credentials/ramand.service/secret_mqtt\"\n[log]\nformat = \"text\"\n"
    );
    fs::write(sandbox.path("/etc/ramand/ramand.toml"), configuration).expect("written");
    fs::write(sandbox.path("/run/credentials/ramand.service/secret_mqtt"), "secret\n").expect("written");
    let notified = UnixDatagram::bind(sandbox.path("/run/systemd/notify")).expect("bound");
    notified.set_read_timeout(Some(patience())).expect("set");

    let mut listener = subscriber(broker_port, "ramand/v1/+/+/+/result");
    broker.until("Received SUBSCRIBE");
    let unit = Directives::of(&["systemd/ramand.service"]);
    let mut daemon = sandbox.start(&program(), unit.only("ExecStart"), &[]);
    daemon.until("laser_on");
    // Signs of life may come before.
    let mut message = [0; 1024];
    let mut ready = false;
    while !ready {
        let length = notified.recv(&mut message).expect("the daemon says that it is ready");
        ready = message[..length].starts_with(b"READY=1");
    }
    let line = listener.line();
    let (_, result) = line.split_once(' ').expect("topic and payload");
    let result: Value = serde_json::from_str(result).expect("JSON");
    assert!(result["models"][0]["prediction"].is_object(), "{result}");

    sandbox.signal(Signal::SIGTERM);
    let (status, took) = daemon.wait();
    let diagnostics = daemon.diagnostics();
    assert!(status.success(), "{status} after {took:?}\n{diagnostics}");
    assert!(diagnostics.contains("stopped: laser off"), "{diagnostics}");
    assert!(sandbox.path("/var/lib/ramand/journal.sqlite").is_file(), "the journal is in the state directory");
}

#[test]
fn what_the_unit_forbids_is_refused() {
    if probe::asked() {
        return probe::answer();
    }
    let Some(sandbox) = Sandbox::new(None) else { return };
    let own = std::env::current_exe().expect("this test's own file");
    let command = "/usr/bin/probe --exact what_the_unit_forbids_is_refused --nocapture --test-threads 1";
    let mut process = sandbox.start(&own, command, &[(probe::ROLE, "1")]);
    let (status, _) = process.wait();
    assert!(status.success(), "{}\n{}", process.rest().join("\n"), process.diagnostics());
}
