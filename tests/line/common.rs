//! What end-to-end tests share: real processes with deadlines, a real broker, measured data where it is present.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};

use crate::missing::missing;
use crate::program::program;
use crate::root::root;
use crate::stretched::stretched;

/// How long anything may take that takes seconds when all is well; generous, because machines are busy.
pub(crate) fn patience() -> Duration {
    stretched(Duration::from_secs(60))
}

/// How long a whole training may take that a test waits for.
const END_WITHIN: Duration = Duration::from_secs(300);

/// A child process whose output is read line by line; killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    /// Everything read so far from stderr, for the message of a failed test.
    seen: Vec<String>,
}

impl Process {
    pub(crate) fn ramand<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(program());
        command.args(arguments).env("RUST_LOG", "info").env_remove("NOTIFY_SOCKET");
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let name = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let stdout = lines(child.stdout.take().expect("piped"));
        let stderr = lines(child.stderr.take().expect("piped"));
        Self { name, child, stdout, stderr, seen: Vec::new() }
    }

    /// The next line of stdout.
    pub(crate) fn line(&mut self) -> String {
        match self.stdout.recv_timeout(patience()) {
            Ok(line) => line,
            Err(error) => self.fail(&format!("no further line on stdout: {error}")),
        }
    }

    /// All further lines of stdout, until it is closed.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        let until = Instant::now() + patience();
        let mut found = Vec::new();
        while let Ok(line) = self.stdout.recv_timeout(until.saturating_duration_since(Instant::now())) {
            found.push(line);
        }
        found
    }

    /// Reads both streams until a line of either contains `text`, and returns that line.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let until = Instant::now() + patience();
        loop {
            crossbeam_channel::select! {
                recv(self.stderr) -> line => match line {
                    Ok(line) => {
                        self.seen.push(line.clone());
                        if line.contains(text) {
                            return line;
                        }
                    }
                    Err(_) => self.fail(&format!("ended without saying {text:?}")),
                },
                recv(self.stdout) -> line => match line {
                    Ok(line) if line.contains(text) => return line,
                    Ok(_) => {}
                    Err(_) => self.fail(&format!("ended without saying {text:?}")),
                },
                default(until.saturating_duration_since(Instant::now())) => {
                    self.fail(&format!("never said {text:?}"));
                }
            }
        }
    }

    /// Everything stderr says until it is closed, with what was read before.
    pub(crate) fn diagnostics(&mut self) -> String {
        while let Ok(line) = self.stderr.recv_timeout(patience()) {
            self.seen.push(line);
        }
        self.seen.join("\n")
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process number");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("the process is there");
    }

    /// Waits for the end and says how long it took.
    pub(crate) fn wait(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        // Output closes when the process ends; reading it until then is how the end is awaited without polling.
        if !self.ends_within(stretched(END_WITHIN)) {
            self.fail("did not end");
        }
        let status = self.child.wait().expect("a child");
        (status, started.elapsed())
    }

    /// Whether it ends within this time.
    pub(crate) fn ends_within(&mut self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            match self.stderr.recv_deadline(until) {
                Ok(line) => self.seen.push(line),
                Err(error) => return error.is_disconnected(),
            }
        }
    }

    fn fail(&mut self, why: &str) -> ! {
        while let Ok(line) = self.stderr.try_recv() {
            self.seen.push(line);
        }
        panic!("{}: {why}\n--- stderr ---\n{}", self.name, self.seen.join("\n"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended, which is fine.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = unbounded();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A loopback port nobody listens on at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
    listener.local_addr().expect("bound").port()
}

/// A file of measured data, or a printed reason for skipping.
pub(crate) fn shared_data(file: &str) -> Option<PathBuf> {
    let beside = root().join("../shared/data");
    let folder = std::env::var_os("RAMAND_SHARED_DATA").map_or(beside, PathBuf::from);
    let path = folder.join(file);
    if path.exists() {
        return Some(path);
    }
    missing("data", &format!("there is no {}: RAMAND_SHARED_DATA names its folder", path.display()));
    None
}

/// A real Mosquitto on a free port, or a printed reason for skipping.
pub(crate) fn mosquitto(folder: &Path) -> Option<(Process, u16)> {
    let binary = std::env::var_os("RAMAND_TEST_MOSQUITTO").map_or("/usr/sbin/mosquitto".into(), PathBuf::from);
    if !binary.exists() {
        missing(
            "program",
            &format!("there is no {}: apt-get install mosquitto, or set RAMAND_TEST_MOSQUITTO", binary.display()),
        );
        return None;
    }
    let port = free_port();
    let config = folder.join("mosquitto.conf");
    std::fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_type all\n"))
        .expect("written");
    let mut command = Command::new(binary);
    command.arg("-c").arg(&config);
    let mut broker = Process::spawn(command);
    broker.until("running");
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the broker listens");
    Some((broker, port))
}

/// An independent subscriber to everything below the root: one `topic payload` line a message.
pub(crate) fn subscriber(port: u16, topic: &str) -> Process {
    let mut command = Command::new("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-v", "-t", topic]);
    Process::spawn(command)
}
