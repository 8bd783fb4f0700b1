//! A real Mosquitto on loopback, and what it writes about every record that arrives.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tokio::sync::mpsc;

use super::missing::missing;
use super::{RECORD_BYTES, within};

/// Mosquitto's path, or the reason to skip.
pub(super) fn mosquitto() -> Option<PathBuf> {
    let path = std::env::var_os("RAMAND_TEST_MOSQUITTO").map_or_else(|| "/usr/sbin/mosquitto".into(), PathBuf::from);
    if !path.exists() {
        missing(
            "program",
            &format!("there is no {}: apt-get install mosquitto, or set RAMAND_TEST_MOSQUITTO", path.display()),
        );
        return None;
    }
    Some(path)
}

/// A running process and its lines; killed at the end.
pub(super) struct Lines {
    pub(super) child: Child,
    pub(super) lines: mpsc::UnboundedReceiver<String>,
}

impl Lines {
    pub(super) fn of_output(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("starts");
        let output = child.stdout.take().expect("piped");
        Self::read(child, output)
    }

    fn of_log(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
        let log = child.stderr.take().expect("piped");
        Self::read(child, log)
    }

    fn read(child: Child, from: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        let from = BufReader::new(from);
        std::thread::spawn(move || from.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    pub(super) async fn wait_for(&mut self, what: &str) -> String {
        within(what, async {
            loop {
                let line = self.lines.recv().await.unwrap_or_else(|| panic!("ended before {what}"));
                if line.contains(what) {
                    return line;
                }
            }
        })
        .await
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().expect("killable");
        self.child.wait().expect("a child");
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) struct Mosquitto {
    pub(super) program: PathBuf,
    pub(super) folder: tempfile::TempDir,
    pub(super) port: u16,
    pub(super) process: Lines,
}

impl Mosquitto {
    pub(super) async fn start(program: PathBuf, folder: tempfile::TempDir, options: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).expect("a free port").port();
        let config = format!(
            "listener {port} 127.0.0.1\nuser root\nlog_dest stderr\nlog_type all\nconnection_messages true\n\
             persistence_location {}/\nmax_queued_messages 0\n{options}\n",
            folder.path().display()
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).expect("written");
        let process = Self::run(&program, folder.path()).await;
        Self { program, folder, port, process }
    }

    pub(super) async fn run(program: &Path, folder: &Path) -> Lines {
        let mut process = Lines::of_log(Command::new(program).arg("-c").arg(folder.join("mosquitto.conf")));
        process.wait_for("running").await;
        process
    }

    /// Notes as well what arrived before the kill and was not read yet.
    pub(super) async fn kill_and_restart(&mut self, arrived: &mut Vec<u64>) {
        self.process.kill();
        while let Some(line) = within("the end of the log", self.process.lines.recv()).await {
            arrived.extend(record_number(&line));
        }
        self.process = Self::run(&self.program, self.folder.path()).await;
    }

    /// Reads the log until record `last` has arrived, and notes the numbers of all records on the way.
    pub(super) async fn records_until(&mut self, last: u64, arrived: &mut Vec<u64>) {
        within("records", async {
            while arrived.last() < Some(&last) {
                let line = self.process.lines.recv().await.expect("the broker runs");
                arrived.extend(record_number(&line));
            }
        })
        .await;
    }

    pub(super) fn subscribe(&self, topic: &str) -> Lines {
        let port = self.port.to_string();
        Lines::of_output(Command::new("mosquitto_sub").args(["-p", &port, "-t", topic, "-F", "%r %t %p"]))
    }
}

/// `Received PUBLISH from x (d0, q1, r0, m3, 'ramand/v1/mill/line-1/QEP1/result', ... (2003 bytes))`
pub(super) fn record_number(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("Received PUBLISH")?;
    let (_, rest) = rest.split_once("/result', ... (")?;
    let (bytes, _) = rest.split_once(" bytes")?;
    Some(bytes.parse::<u64>().expect("a size") - RECORD_BYTES as u64)
}
