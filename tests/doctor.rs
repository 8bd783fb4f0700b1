//! `ramand doctor`: diagnoses provoked with made-up trees, and a real run beside a simulated spectrometer and a real broker.

#[path = "support/missing.rs"]
mod missing;
#[path = "support/program.rs"]
mod program;
#[path = "support/root.rs"]
mod root;

use std::path::Path;
use std::process::Command;

use missing::missing;
use program::program;
use ramand::config::Config;
use ramand::doctor::{Diagnosis, Root, State, examine, gravest};
use ramand_core::failure::Kind;
use root::root;
#[cfg(feature = "broker")]
use {
    ramand::publish::broker,
    ramand_core::spectrum::Laser,
    ramand_sim::{Pacing, Simulator, profile::InstrumentFamily},
};

fn word(state: State) -> &'static str {
    match state {
        State::Good => "ok",
        State::Noted => "note",
        State::Mend(_) => "mend",
    }
}

/// In a tree of these files, with this configuration, one line of that topic and state contains the text.
fn check(files: &[(&str, &str)], config: &str, topic: &str, state: &str, text: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, content) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("below the tree")).expect("made");
        std::fs::write(path, content).expect("written");
    }
    let config = Config::parse(Path::new("ramand.toml"), config).expect(config);
    let diagnoses = examine(&config, &Root::at(folder.path()));
    let found = diagnoses
        .iter()
        .any(|diagnosis| diagnosis.topic == topic && word(diagnosis.state) == state && diagnosis.says.contains(text));
    assert!(found, "no '{state} {topic} ...{text}' in {diagnoses:#?}");
}

/// As it is installed.
const SECRETS: &str = include_str!("../systemd/secrets.conf");

const QUIET: &str = "[mqtt]\nenabled = false\n";

#[test]
fn boards_say_how_warm_and_how_slow_they_are() {
    let zone = |millidegrees| {
        [
            ("sys/class/thermal/thermal_zone0/temp", millidegrees),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ]
    };
    check(&zone("47236\n"), QUIET, "temperature", "ok", "cpu-thermal is at 47 °C");
    check(&zone("85000\n"), QUIET, "temperature", "mend", "cool the board");
    check(&zone("-274000\n"), QUIET, "temperature", "note", "not known here");
    check(&[], QUIET, "temperature", "note", "not known here");
    check(&[], QUIET, "throttling", "note", "not known here");
    let pi = "sys/devices/platform/soc/soc:firmware/get_throttled";
    check(&[(pi, "0\n")], QUIET, "throttling", "ok", "never");
    check(&[(pi, "50005\n")], QUIET, "throttling", "mend", "now: under-voltage");
    check(&[(pi, "0x80000\n")], QUIET, "throttling", "mend", "since the start: the soft temperature limit");
    check(&[(pi, "much\n")], QUIET, "throttling", "note", "'much'");
    let jetson =
        |count| [("sys/class/hwmon/hwmon2/oc1_event_cnt", "0\n"), ("sys/class/hwmon/hwmon2/oc3_event_cnt", count)];
    check(&jetson("0\n"), QUIET, "throttling", "ok", "never");
    check(&jetson("7\n"), QUIET, "throttling", "mend", "oc3_event_cnt 7 times");
    let pc = "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count";
    check(&[(pc, "3\n")], QUIET, "throttling", "mend", "cpu1 3 times");
    check(&[], QUIET, "kernels", "ok", "(convolution)");
}

#[test]
fn ports_and_their_neighbours() {
    let at = |port: &str| format!("{QUIET}[spectrometer]\nport = \"{port}\"\n");
    check(&[], &at("/dev/ttyUSB7"), "port", "mend", "nothing is connected");
    let other = [("dev/serial/by-id/usb-FTDI", "")];
    check(&other, &at("/dev/serial/by-id/usb-SET"), "port", "mend", "below /dev/serial/by-id: usb-FTDI");
    check(&[("dev/ttyS0", "")], &at("/dev/ttyS0"), "port", "mend", "is not a serial port");
    check(&[], QUIET, "others", "ok", "ModemManager does not run");
    check(&[("proc/41/comm", "ModemManager\n")], QUIET, "others", "mend", "ModemManager runs and sends AT commands");
    check(&[("proc/41/comm", "brltty\n")], QUIET, "others", "mend", "braille");
    let rules = ("usr/lib/udev/rules.d/90-ramand.rules", "");
    check(&[("proc/41/comm", "brltty\n"), rules], QUIET, "others", "ok", "leaves this port alone");
    check(&[("proc/self/comm", "brltty\n")], QUIET, "others", "ok", "brltty does not run");
    check(&[], QUIET, "laser", "mend", "serial_number is not set");
    let known = format!("{QUIET}[spectrometer]\nserial_number = \"QEP01234\"\n");
    check(&[], &known, "laser", "ok", "on QEP01234 only");
}

#[test]
fn the_journal_its_disk_and_its_secrets() {
    check(&[], QUIET, "journal", "mend", "does not exist");
    let folder = [("var/lib/ramand/.keep", "")];
    check(&folder, QUIET, "journal", "note", "will be made");
    check(&folder, QUIET, "folder", "ok", "can be written");
    let greedy = format!("{QUIET}[journal]\ncapacity = \"900 PiB\"\n");
    check(&folder, &greedy, "disk", "mend", "make room");
    let modest = format!("{QUIET}[journal]\ncapacity = \"2 MiB\"\n");
    check(&folder, &modest, "disk", "ok", "free");
    check(&[("var/lib/ramand/journal.sqlite", "not a journal at all")], QUIET, "journal", "mend", "journal");
    let secret = |path: &str| format!("{QUIET}username = \"u\"\npassword_file = \"{path}\"\n");
    let handed = secret("/run/credentials/ramand.service/secret_mqtt");
    check(&[], &handed, "credentials", "mend", "/etc/ramand/secrets/mqtt");
    let put = ("etc/ramand/secrets/mqtt", "p");
    check(&[put], &handed, "credentials", "mend", "LoadCredential=secret_mqtt:/etc/ramand/secrets/mqtt");
    let drop_in = ("etc/systemd/system/ramand.service.d/secrets.conf", SECRETS);
    check(&[put, drop_in], &handed, "credentials", "ok", "will be handed over");
    let second = secret("/run/credentials/ramand@line-2.service/secret_mqtt");
    check(&[put, drop_in], &second, "credentials", "mend", "/etc/systemd/system/ramand@line-2.service.d");
    let of_all = ("etc/systemd/system/ramand@.service.d/secrets.conf", SECRETS);
    check(&[put, of_all], &second, "credentials", "ok", "will be handed over");
    let of_one = ("etc/systemd/system/ramand@line-2.service.d/secrets.conf", SECRETS);
    check(&[put, of_one], &second, "credentials", "ok", "will be handed over");
    let odd = secret("/run/credentials/ramand.service/mqtt");
    check(&[], &odd, "credentials", "mend", "no unit hands over");
    check(&[("etc/p", "p")], &secret("/etc/p"), "credentials", "mend", "can be read by everybody");
    check(&[], &secret("/etc/p"), "credentials", "mend", "put it there");
}

#[test]
fn models_and_brokers() {
    check(&[], QUIET, "model", "note", "nothing is concluded");
    let bundle = |folder: &str, rest: &str| {
        let path = root().join(folder);
        format!("{QUIET}[[model]]\npath = {path:?}\n{rest}")
    };
    check(&[], &bundle("models/oil-type", ""), "model", "ok", "oil-type");
    check(&[], &bundle("models/no-such", ""), "model", "mend", "no-such");
    check(&[], &bundle("models/oil-type", "above = 3.0\n"), "model", "mend", "oil-type");
    check(&[], QUIET, "broker", "note", "nothing is published");
    #[cfg(feature = "broker")]
    check(&[], "[broker]\nenabled = true\n", "broker", "note", "the embedded one");
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr()).expect("a port").port();
    check(&[], &format!("[mqtt]\nhost = \"127.0.0.1\"\nport = {closed}\n"), "broker", "mend", "the connection failed");
    let secret = format!(
        "[mqtt]\nhost = \"127.0.0.1\"\nport = {closed}\nusername = \"u\"\n\
         password_file = \"/run/credentials/ramand.service/secret_mqtt\"\n"
    );
    check(&[("etc/ramand/secrets/mqtt", "p")], &secret, "broker", "note", "while the service runs");
}

#[test]
fn the_gravest_finding_says_the_exit_code() {
    let diagnosis = |state| Diagnosis { topic: "t", state, says: String::new() };
    let of = |states: &[State]| gravest(&states.iter().copied().map(diagnosis).collect::<Vec<_>>());
    assert_eq!(of(&[State::Good, State::Noted]), None);
    assert_eq!(of(&[State::Mend(Kind::Transient), State::Mend(Kind::Device)]), Some(Kind::Device));
    assert_eq!(of(&[State::Mend(Kind::Device), State::Mend(Kind::Operator), State::Good]), Some(Kind::Operator));
}

#[cfg(feature = "broker")]
#[test]
fn a_real_run_names_the_instrument_and_the_broker_and_leaves_the_laser_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("spectrometer");
    let settings = ramand_sim::SimulatorSettings {
        pacing: Pacing::Immediate,
        ..ramand_sim::SimulatorSettings::new(InstrumentFamily::QePro, &link)
    };
    let simulator = Simulator::start(settings).expect("a pseudo-terminal");
    let broker = broker::start("127.0.0.1:0".parse().expect("an address")).expect("listens");
    let config = folder.path().join("ramand.toml");
    let text = format!(
        "[spectrometer]\nport = {link:?}\nbaud = 115200\nserial_number = \"{}\"\n[journal]\npath = {:?}\n\
         capacity = \"2 MiB\"\n[mqtt]\nhost = \"127.0.0.1\"\nport = {}\n[[model]]\npath = {:?}\n",
        simulator.serial(),
        folder.path().join("journal.sqlite"),
        broker.port(),
        root().join("models/oil-type"),
    );
    std::fs::write(&config, text).expect("written");
    let doctor = |arguments: &[&str]| {
        let mut command = Command::new(program());
        command.args(["doctor", "--config"]).arg(&config).args(arguments).output().expect("runs")
    };
    let output = doctor(&["--json"]);
    let lines: Vec<serde_json::Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("one object a line"))
        .collect();
    let is = |topic: &str, text: &str| {
        let good = |line: &&serde_json::Value| line["topic"] == topic && line["state"] == "ok";
        lines.iter().filter(good).any(|line| line["says"].as_str().is_some_and(|says| says.contains(text)))
    };
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(is("instrument", &format!("{} answers at 115200 baud", simulator.serial())), "{told}");
    assert!(is("instrument", "laser off"), "{told}");
    assert!(
        is("broker", "takes the connection") && is("model", "oil-type") && is("folder", "can be written"),
        "{told}"
    );
    let gravest = lines.iter().filter_map(|line| line["exit_code"].as_i64()).collect::<Vec<_>>();
    let expected = [70, 78, 69, 75].into_iter().find(|code| gravest.contains(code)).unwrap_or(0);
    assert_eq!(output.status.code(), Some(expected as i32), "{told}");
    assert!(simulator.served().is_empty() && simulator.laser() == Laser::Off, "no light frame");

    // A port that somebody has is not asked.
    let held = ramand::acquire::Driver::open(
        ramand::acquire::AcquisitionSettings {
            baud: ramand::acquire::BaudRate::Fixed(115_200),
            ..ramand::acquire::AcquisitionSettings::new(&link)
        },
        &ramand::supervise::Stop::never(),
    );
    let told = String::from_utf8_lossy(&doctor(&[]).stdout).into_owned();
    assert!(told.contains("not asked: another program has the port"), "{told}");
    drop(held);
}

#[test]
fn a_check_goes_on_where_systemd_hands_over_the_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("ramand.toml");
    let text = "[mqtt]\nusername = \"u\"\npassword_file = \"/run/credentials/ramand.service/secret_mqtt\"\n";
    std::fs::write(&config, text).expect("written");
    let drop_in = root().join("systemd/secrets.conf");
    let drop_in = drop_in.display();
    // An /etc of its own, with and without the file that systemd would take.
    let check = |prepare: &str| {
        let script = format!("mount -t tmpfs tmpfs /etc; mkdir -p /etc/ramand/secrets; {prepare}; exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", &script, "sh"]).arg(program()).args(["check", "--config"]);
        let output = command.arg(&config).output();
        let Some(output) = output.ok().filter(|output| output.stdout.starts_with(b"ok ")) else {
            missing("privilege", "nothing can be mounted here: it takes root");
            return None;
        };
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Some((output.status.code(), said.into_owned()))
    };
    let Some((code, said)) = check(&format!(
        "echo p >/etc/ramand/secrets/mqtt; D=/etc/systemd/system/ramand.service.d; mkdir -p $D; cp {drop_in} $D"
    )) else {
        return;
    };
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("/etc/ramand/secrets/mqtt will be handed over by systemd"), "{said}");
    assert!(said.contains("results go to"), "everything after it is looked at too: {said}");
    let (code, said) = check("true").expect("as before");
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("/etc/ramand/secrets/mqtt: No such file"), "it says where to put it: {said}");
}
