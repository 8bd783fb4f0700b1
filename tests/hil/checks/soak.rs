//! The daemon itself for a while: every number it gave is accounted for, produced = delivered + gaps.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ramand::acquire::AcquireError;
use ramand::acquire::capture::{self, Conversation};
use ramand::journal::{HistoryQuery, JournalReader, Window};
use ramand_core::record::{PartKind, PartKinds, Seq};
use ramand_core::spectrum::RawSpectrum;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde_json::{Value, json};

use super::deadlines::longest_on_line;
use super::{CheckFinding, CheckTrouble, laser_allowed};
use crate::bench::InstrumentBench;
use crate::program::program;

/// For the first result to come.
const FIRST_WITHIN: Duration = Duration::from_secs(30);

/// For the daemon to switch the laser off, keep and deliver.
const END_WITHIN: Duration = Duration::from_secs(30);

/// How often a process or a subscriber is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Beside the journal.
const CONVERSATION: &str = "conversation.txt";

/// Of the results that the period asks for, this part must come: dark frames take their time too.
const RESULTS_MIN: f64 = 0.4;

/// A daemon that is killed where nobody has ended it.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // SIGTERM first: it switches the laser off.
        let _ = self.end();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn end(&mut self) -> Result<bool, CheckTrouble> {
        let until = Instant::now() + END_WITHIN;
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("process numbers are small"));
        if self.0.try_wait()?.is_none() {
            kill(pid, Signal::SIGTERM).map_err(std::io::Error::from)?;
        }
        while Instant::now() < until {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status.success());
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Err(CheckTrouble::Fail("the daemon did not end when asked".to_owned()))
    }
}

pub(super) fn check(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    laser_allowed(bench)?;
    let soak = &bench.rig.soak;
    if soak.lasts.is_zero() {
        return Err(CheckTrouble::Skip("soak.lasts is 0".to_owned()));
    }
    let (host, port) = match &soak.broker {
        Some(broker) => (broker.host.clone(), broker.port),
        None => ("127.0.0.1".to_owned(), TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()),
    };
    let folder = tempfile::tempdir_in(bench.folder.path())?;
    let journal = folder.path().join("journal.sqlite");
    let config = configuration(bench, folder.path(), &journal, &host, port)?;
    let log = std::fs::File::create(folder.path().join("log.txt"))?;
    let mut command = Command::new(program());
    command.args(["run", "--config"]).arg(&config).env("RUST_LOG", "info").env_remove("NOTIFY_SOCKET");
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
    let mut daemon = Daemon(child);
    let heard = Heard::subscribe(&host, port, &bench.rig.name)?;
    let said = || std::fs::read_to_string(folder.path().join("log.txt")).unwrap_or_default();
    let stop = bench.stop();
    let wait = |until: Instant, enough: &dyn Fn() -> bool| -> Result<(), CheckTrouble> {
        while Instant::now() < until && !enough() {
            if stop.requested_within(LOOK_EVERY) {
                return Err(CheckTrouble::Fail("stopped on request".to_owned()));
            }
        }
        Ok(())
    };
    wait(Instant::now() + FIRST_WITHIN, &|| heard.number() > 0)?;
    if heard.number() == 0 {
        let last = said().lines().last().unwrap_or_default().to_owned();
        return Err(CheckTrouble::Fail(format!(
            "no result within {} s; the daemon's last words: {last}",
            FIRST_WITHIN.as_secs()
        )));
    }
    wait(Instant::now() + soak.lasts, &|| false)?;
    let ended_well = daemon.end()?;
    let path = folder.path().join(CONVERSATION);
    let conversation =
        Conversation::read(&path).map_err(|error| CheckTrouble::Fail(format!("the conversation: {error}")))?;
    let each = soak.period.max(bench.rig.spectrometer.exposure_min + longest_on_line(&conversation.moments));
    let wanted = RESULTS_MIN * soak.lasts.as_secs_f64() / each.as_secs_f64();
    let found = account(&journal, &heard.seqs(), wanted)?;
    let end = if ended_well { "" } else { "; the daemon ended with an error" };
    let says = format!("{}{end}; {}", found.says, replayed(&conversation)?);
    Ok(CheckFinding { passed: found.passed && ended_well, says, ..found })
}

/// What the daemon said on the line, played back: the driver must do the same again and come to the same spectra.
fn replayed(conversation: &Conversation) -> Result<String, CheckTrouble> {
    if conversation.moments.last().is_some_and(|last| last.event == capture::CaptureEvent::Full) {
        return Ok("the conversation is longer than its file".to_owned());
    }
    let mut spectra = 0;
    let counted = |outcome: Result<&RawSpectrum, &AcquireError>| spectra += usize::from(outcome.is_ok());
    capture::replay(conversation, counted)
        .map_err(|error| CheckTrouble::Fail(format!("the conversation does not replay: {error}")))?;
    Ok(format!("{spectra} spectra replayed from the conversation"))
}

fn configuration(
    bench: &InstrumentBench,
    folder: &Path,
    journal: &Path,
    host: &str,
    port: u16,
) -> Result<PathBuf, CheckTrouble> {
    let (rig, soak) = (&bench.rig, &bench.rig.soak);
    let embedded = soak.broker.is_none();
    let text = format!(
        "[place]\nsite = \"hil\"\nline = \"bench\"\ndevice = \"soak\"\n\
         [spectrometer]\nport = {port_name:?}\nprofile = {profile:?}\nserial_number = {serial:?}\nlaser_nm = {laser_nm:?}\n\
         laser = {laser:?}\nlaser_warm_up = \"{warm_up} ms\"\nintegration = \"{exposure} ms\"\nperiod = \"{period} ms\"\n{baud}\
         capture_file = {conversation:?}\n\
         [journal]\npath = {journal:?}\n[web]\nenabled = false\n[log]\nformat = \"text\"\n\
         [broker]\nenabled = {embedded}\nlisten = \"127.0.0.1:{port}\"\n\
         [mqtt]\nenabled = true\nhost = {host:?}\nport = {port}\nclient_id = \"ramand-hil-soak\"\n",
        conversation = folder.join(CONVERSATION),
        port_name = bench.port,
        profile = rig.spectrometer.profile,
        serial = rig.spectrometer.serial_number,
        laser_nm = rig.spectrometer.laser_nm,
        laser = if rig.laser.lamp_line { "lamp-line" } else { "profile" },
        warm_up = rig.laser.warm_up.as_millis(),
        exposure = rig.spectrometer.exposure_min.as_millis(),
        period = soak.period.as_millis(),
        baud = rig.spectrometer.baud.map(|baud| format!("baud = {baud}\n")).unwrap_or_default(),
    );
    let path = folder.join("ramand.toml");
    std::fs::write(&path, text)?;
    Ok(path)
}

/// The numbers of the results that a subscriber has heard.
struct Heard {
    seqs: Arc<Mutex<BTreeSet<u64>>>,
    _end: tokio::sync::oneshot::Sender<()>,
}

impl Heard {
    /// On a thread of its own; a broker that is not there yet is tried again.
    fn subscribe(host: &str, port: u16, name: &str) -> Result<Self, CheckTrouble> {
        let seqs = Arc::new(Mutex::new(BTreeSet::new()));
        let (end, mut ended) = tokio::sync::oneshot::channel::<()>();
        let (host, client_id) = (host.to_owned(), format!("hil {name} {}", std::process::id()));
        let heard = seqs.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listen = async move {
            let mut options = MqttOptions::new(client_id, (host.as_str(), port));
            options.set_max_packet_size(16 << 20, 1 << 10);
            let mut again = tokio::time::interval(LOOK_EVERY);
            let (client, mut events) = AsyncClient::builder(options).capacity(8).build();
            loop {
                let event = tokio::select! { event = events.poll() => event, _ = &mut ended => return };
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        let _ = client.subscribe("ramand/v1/hil/bench/soak/result", QoS::AtLeastOnce).await;
                    }
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let payload: Option<Value> = serde_json::from_slice(&publish.payload).ok();
                        let seq = payload.and_then(|payload| payload["seq"].as_u64());
                        heard.lock().unwrap_or_else(PoisonError::into_inner).extend(seq);
                    }
                    Ok(_) => {}
                    Err(_) => drop(again.tick().await),
                }
            }
        };
        std::thread::Builder::new().name("subscriber".to_owned()).spawn(move || runtime.block_on(listen))?;
        Ok(Self { seqs, _end: end })
    }

    fn number(&self) -> usize {
        self.seqs.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn seqs(&self) -> BTreeSet<u64> {
        self.seqs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether what was produced was delivered.
fn account(journal: &Path, heard: &BTreeSet<u64>, wanted: f64) -> Result<CheckFinding, CheckTrouble> {
    let told = |error: ramand::journal::JournalError| CheckTrouble::Fail(ramand_core::failure::chain(&error));
    let reader = JournalReader::open(journal).map_err(told)?;
    let statistics = reader.statistics().map_err(told)?;
    let produced = statistics.last.map_or(0, Seq::number);
    let (mut results, mut gaps, mut kept, mut next) = (BTreeSet::new(), 0, 0, Seq::new(1));
    loop {
        let query = HistoryQuery {
            window: Window::From(next),
            limit: 1_000,
            kinds: PartKind::ALL.into_iter().collect::<PartKinds>(),
        };
        let page = reader.history(&query).map_err(told)?;
        let Some(last) = page.last() else { break };
        next = last.seq.next();
        for record in &page {
            kept += 1;
            let of = |kind| record.parts.iter().any(|part| part.kind == kind);
            gaps += u64::from(of(PartKind::Gap));
            if of(PartKind::Result) {
                results.insert(record.seq.number());
            }
        }
    }
    // A subscriber that came after the first results cannot have heard them: the journal has delivered them all the same.
    let first = heard.first().copied().unwrap_or(u64::MAX);
    let unheard = results.range(first..).filter(|seq| !heard.contains(seq)).count();
    let invented = heard.difference(&results).count();
    let enough = results.len() as f64 >= wanted;
    let complete = kept == produced && unheard == 0 && invented == 0 && statistics.owed_parts == 0;
    let says = format!(
        "{produced} numbers given, {kept} records kept, {} results of which {} heard, {gaps} gaps, {} parts still owed, at least {wanted:.0} results wanted",
        results.len(),
        heard.len(),
        statistics.owed_parts,
    );
    let figures = json!({
        "produced": produced, "kept": kept, "results": results.len(), "heard": heard.len(), "unheard": unheard,
        "gaps": gaps, "owed_parts": statistics.owed_parts,
    });
    Ok(CheckFinding { passed: enough && complete, says, figures, table: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use ramand::journal::{Journal, JournalSettings};
    use ramand::publish::wire;
    use ramand_core::record::{Audience, Clock, Entry, Part, PartKey};

    use super::*;

    /// Whether a journal of five results passes of which those in `owed` are not acknowledged; a subscriber heard `heard`.
    fn passes(owed: &[u64], heard: &[u64], wanted: f64) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.sqlite");
        let settings = JournalSettings {
            bytes_max: 1 << 22,
            age_max: Duration::from_secs(3600),
            first_seq: Seq::new(1),
            encode_gap: wire::gap,
            gap_audience: Audience::Subscribers,
        };
        let journal = Journal::open(&path, settings).expect("opens");
        for _ in 0..5 {
            let entry = |seq: Seq| Entry {
                id: seq.to_string(),
                time: SystemTime::now(),
                clock: Clock::Synchronised,
                parts: vec![Part::owed(PartKind::Result, b"{}".to_vec())],
            };
            let seq = journal.append(entry).expect("there is room");
            if !owed.contains(&seq.number()) {
                journal.acknowledge(&[PartKey { seq, kind: PartKind::Result }]).expect("marked");
            }
        }
        let heard = heard.iter().copied().collect();
        account(&path, &heard, wanted).is_ok_and(|found| found.passed)
    }

    #[test]
    fn what_was_produced_was_delivered_or_the_soak_fails() {
        assert!(passes(&[], &[1, 2, 3, 4, 5], 5.0));
        assert!(passes(&[], &[3, 4, 5], 5.0));
        assert!(!passes(&[], &[1, 2, 4, 5], 5.0));
        assert!(!passes(&[], &[1, 2, 3, 4, 5, 9], 5.0));
        assert!(!passes(&[5], &[1, 2, 3, 4, 5], 5.0));
        assert!(!passes(&[], &[1, 2, 3, 4, 5], 6.0));
    }
}
