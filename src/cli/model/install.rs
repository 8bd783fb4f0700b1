//! `ramand model install`: a signed bundle becomes the model that runs, after it was shown what the line has seen.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;

use clap::Args;
use ramand_core::archive::ARCHIVE_BYTES_MAX;
use serde::Serialize;

use super::candidate::{self, Candidate, CandidateLine, CandidateReport, OutputChange, Seat};
use crate::cli::error::CommandError;
use crate::config::Config;
use crate::supervise::stop_on_signals;
use crate::update::audit::{self, Action, ArchiveRecord, ModelRecord, Outcome, Subject};
use crate::update::shadow::{Comparison, Side};
use crate::update::{Keyring, Package, Store, sha256};

/// Spectra of a shadow run at most: some 30 kB each, in memory.
const LAST_MAX: i64 = 2_000;

/// Install a signed bundle and make it the model that runs, without a restart and without losing a spectrum
///
/// Refuses whatever is unsigned, damaged, or does not fit this line; shows both models the newest spectra of the journal;
/// asks; switches. Everything is written to audit.jsonl in the store, refusals too.
#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    /// An archive made by `ramand model pack`
    #[arg(value_name = "BUNDLE.tar")]
    archive: PathBuf,
    /// The configuration of the line
    #[arg(long, default_value = "/etc/ramand/ramand.toml", value_name = "FILE")]
    config: PathBuf,
    /// Show both models the newest so many spectra of the journal
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=LAST_MAX))]
    last: u32,
    /// Switch without asking
    #[arg(long)]
    yes: bool,
    /// Allow another task, unit or other labels than those of the model that runs
    #[arg(long)]
    change_output: bool,
    /// One JSON object at the end; needs --yes
    #[arg(long, requires = "yes")]
    json: bool,
}

/// `--json`, of install and rollback.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    pub(super) action: Action,
    pub(super) outcome: Outcome,
    pub(super) checks: &'a [CandidateLine],
    #[serde(flatten)]
    pub(super) subject: &'a Subject,
}

/// Runs the command.
///
/// # Errors
/// When the bundle is refused or somebody says no: then nothing has changed.
pub(super) fn run(args: &InstallArgs) -> Result<(), CommandError> {
    let config = Config::read(&args.config)?;
    let store = Store::open(&config.updates.store, |step| eprintln!("step    {step}"))?;
    let mut subject = Subject::default();
    let mut report = CandidateReport { lines: Vec::new(), json: args.json };
    let checked = check(args, &config, &store, &mut subject, &mut report);
    let package = match checked.and_then(|package| Ok((approved(args, &subject)?, package))) {
        Ok((true, package)) => package,
        Ok((false, _)) => {
            audit::append(store.root(), Action::Install, Outcome::Declined, None, &subject)?;
            store.discard()?;
            return Err(CommandError::operator("nothing was changed: the answer was not yes"));
        }
        Err(error) => {
            let why = error.to_string();
            audit::append(store.root(), Action::Install, Outcome::Refused, Some(&why), &subject)?;
            store.discard()?;
            return Err(error);
        }
    };
    let (name, version) = (&package.manifest.name, &package.manifest.version);
    finish(&store, Action::Install, &subject, || {
        store.admit(&package)?;
        Ok(store.switch(name, version)?)
    })?;
    report.tell_end(Action::Install, &subject);
    Ok(())
}

/// Writes to the trail what is about to happen, lets it happen, and writes what has happened.
///
/// # Errors
/// When the trail or the store cannot be written.
pub(super) fn finish(
    store: &Store,
    action: Action,
    subject: &Subject,
    change: impl FnOnce() -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    audit::append(store.root(), action, Outcome::Approved, None, subject)?;
    if let Err(error) = change() {
        audit::append(store.root(), action, Outcome::Failed, Some(&error.to_string()), subject)?;
        return Err(error);
    }
    Ok(audit::append(store.root(), action, Outcome::Switched, None, subject)?)
}

impl CandidateReport {
    /// The last line, or the whole as JSON.
    pub(super) fn tell_end(&self, action: Action, subject: &Subject) {
        if self.json {
            let summary = Summary { action, outcome: Outcome::Switched, checks: &self.lines, subject };
            println!("{}", serde_json::to_string(&summary).expect("records have text keys"));
        } else if let Some(ModelRecord { name, version, sha256 }) = &subject.model {
            println!("done    {name} {version} (sha256 {sha256}) is current; a daemon that follows it takes it now");
        }
    }
}

/// Everything before the question. What was found out stands in `subject`, however it ends.
fn check(
    args: &InstallArgs,
    config: &Config,
    store: &Store,
    subject: &mut Subject,
    report: &mut CandidateReport,
) -> Result<Package, CommandError> {
    let file = args.archive.display().to_string();
    let failed = |error| CommandError::operator(format!("failed to read {file}: {error}"));
    let mut bytes = Vec::new();
    let archive = std::fs::File::open(&args.archive).map_err(failed)?;
    // One byte more than the limit is enough to be refused by it.
    archive.take(ARCHIVE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    subject.archive = Some(ArchiveRecord { file: file.clone(), sha256: sha256(&bytes) });
    let package = Package::read(&bytes, &Keyring::read(&config.updates.keys)?)
        .map_err(|error| CommandError::from(error).context(file))?;
    drop(bytes);
    let manifest = &package.manifest;
    subject.key = Some(package.key.to_string());
    subject.model = Some(ModelRecord {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        sha256: package.sha256.clone(),
    });
    let signed = format!("{} {}, sha256 {}, by key {}", manifest.name, manifest.version, package.sha256, package.key);
    report.ok("signature", signed);

    let seat = Seat::of(&manifest.name, config);
    subject.replaces = seat.old.as_deref().map(candidate::record);
    let staged = store.stage(&package)?;
    let journal = candidate::journal(config, report);
    let (model, _) = candidate::open(&staged, config, report)?;
    let outputs = if args.change_output { OutputChange::Allowed } else { OutputChange::Refused };
    let candidate = Candidate { model, folder: &staged, seat: &seat, config };
    candidate.check(outputs, journal.as_ref(), report)?;
    seat.tell(&manifest.name, config, report);
    if let Some(journal) = journal.filter(|_| args.last > 0) {
        let comparison = candidate.shadow(&journal, args.last as usize)?;
        subject.shadow = Some((&comparison).into());
        if !report.json {
            show(&comparison, &mut std::io::stdout().lock())
                .map_err(|error| CommandError::operator(format!("failed to write: {error}")))?;
        }
    }
    Ok(package)
}

/// Whether somebody wants it.
fn approved(args: &InstallArgs, subject: &Subject) -> Result<bool, CommandError> {
    if args.yes {
        return Ok(true);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(CommandError::operator("nobody can be asked here: --yes switches without asking"));
    }
    let named = |model: &Option<ModelRecord>| {
        model.as_ref().map_or("nothing".to_owned(), |model| format!("{} {}", model.name, model.version))
    };
    let stop = stop_on_signals()?;
    eprint!("switch from {} to {}? [y/N] ", named(&subject.replaces), named(&subject.model));
    let (answered, answer) = crossbeam_channel::bounded(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stderr().flush().and_then(|()| stdin.lock().read_line(&mut line));
        // Nobody waits for it any more after Ctrl-C.
        let _ = answered.send(read.map(|_| line));
    });
    crossbeam_channel::select! {
        recv(answer) -> read => {
            let read = read.unwrap_or_else(|_| Err(std::io::ErrorKind::UnexpectedEof.into()));
            let line = read.map_err(|error| CommandError::operator(format!("failed to ask: {error}")))?;
            Ok(["y", "yes"].contains(&line.trim().to_lowercase().as_str()))
        }
        // Ctrl-C and a closed terminal are a no like any other, and the trail has it.
        recv(stop.token().channel()) -> _ => Ok(false),
    }
}

/// The comparison as a table.
fn show(comparison: &Comparison, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "shadow  the newest {} spectra of the journal", comparison.spectra)?;
    let sides = [("now", comparison.old.as_ref()), ("new", Some(&comparison.new))];
    writeln!(
        out,
        "        {:<6}{:>9}{:>9}{:>9}{:>16}{:>12}",
        "model", "accept", "reject", "invalid", "not applicable", "median us"
    )?;
    for (word, side) in sides {
        let Some(Side { decisions: [accept, reject, invalid], gate_refusals, .. }) = side else { continue };
        let median = side.and_then(Side::median).map_or("-".to_owned(), |median| median.as_micros().to_string());
        writeln!(out, "        {word:<6}{accept:>9}{reject:>9}{invalid:>9}{gate_refusals:>16}{median:>12}")?;
    }
    if comparison.old.is_some() {
        writeln!(out, "        {} spectra have another verdict or class", comparison.changed)?;
    }
    if let Some((mean, largest)) = comparison.difference() {
        writeln!(out, "        new - now: mean {mean:+.3}, largest {largest:.3}")?;
    }
    for change in &comparison.changes {
        writeln!(out, "        record {}: now {}; new {}", change.seq, change.old, change.new)?;
    }
    Ok(())
}
