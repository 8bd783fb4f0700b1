//! `ramand model rollback`: the version that ran before runs again.

use std::path::PathBuf;

use clap::Args;

use super::candidate::{self, Candidate, CandidateReport, OutputChange, Seat};
use super::install::finish;
use crate::cli::error::CommandError;
use crate::config::Config;
use crate::update::Store;
use crate::update::audit::{self, Action, Outcome, Subject};

/// Go back to the version of a model that ran before
///
/// With the checks of install, but for the shadow run. The version it leaves is not remembered as the one before: going back
/// twice does not lead forward again. --to names any version in the store.
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The model's name
    name: String,
    /// The configuration of the line
    #[arg(long, default_value = "/etc/ramand/ramand.toml", value_name = "FILE")]
    config: PathBuf,
    /// This version instead of the one before
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// Allow another task, unit or other labels than those of the model that runs
    #[arg(long)]
    change_output: bool,
    /// One JSON object at the end
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When there is nothing to go back to, or it may not run: then nothing has changed.
pub(super) fn run(args: &RollbackArgs) -> Result<(), CommandError> {
    let config = Config::read(&args.config)?;
    let store = Store::open(&config.updates.store, |step| eprintln!("step    {step}"))?;
    let mut subject = Subject::default();
    let mut report = CandidateReport { lines: Vec::new(), json: args.json };
    let version = match check(args, &config, &store, &mut subject, &mut report) {
        Ok(version) => version,
        Err(error) => {
            let why = format!("{}: {error}", args.name);
            audit::append(store.root(), Action::Rollback, Outcome::Refused, Some(&why), &subject)?;
            return Err(error);
        }
    };
    finish(&store, Action::Rollback, &subject, || Ok(store.roll_back(&args.name, &version)?))?;
    report.tell_end(Action::Rollback, &subject);
    Ok(())
}

/// The version to go back to, after everything was checked.
fn check(
    args: &RollbackArgs,
    config: &Config,
    store: &Store,
    subject: &mut Subject,
    report: &mut CandidateReport,
) -> Result<String, CommandError> {
    let version = store.way_back(&args.name, args.to.as_deref())?;
    let seat = Seat::of(&args.name, config);
    subject.replaces = seat.old.as_deref().map(candidate::record);
    let folder = store.folder(&args.name, &version);
    let (model, key) = candidate::open(&folder, config, report)?;
    subject.model = Some(candidate::record(&model));
    subject.key = key.map(|key| key.to_string());
    let outputs = if args.change_output { OutputChange::Allowed } else { OutputChange::Refused };
    let journal = candidate::journal(config, report);
    let candidate = Candidate { model, folder: &folder, seat: &seat, config };
    candidate.check(outputs, journal.as_ref(), report)?;
    seat.tell(&args.name, config, report);
    Ok(version)
}
