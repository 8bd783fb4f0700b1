//! `ramand doctor`: what keeps this station from measuring, and what to do.

use std::path::PathBuf;

use clap::Args;
use ramand_core::failure::Kind;
use serde::Serialize;

use super::error::CommandError;
use crate::config::Config;
use crate::doctor::{self, Diagnosis, Root, State};

/// Look at port, instrument, clock, disk, broker, models and board, and say of each what to do. Changes nothing; the laser
/// is never switched.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The configuration
    #[arg(long, default_value = "/etc/ramand/ramand.toml")]
    config: PathBuf,
    /// Print one JSON object a line: topic, state, says
    #[arg(long)]
    json: bool,
}

/// One line of `--json`. A key is never renamed; new ones may come.
#[derive(Debug, Serialize)]
struct DoctorLine<'a> {
    topic: &'a str,
    /// `ok`, `note` or `mend`.
    state: &'static str,
    /// The exit code this line asks for, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    says: &'a str,
}

/// Runs the command.
///
/// # Errors
/// When the configuration cannot be read, or something must be mended: the gravest says the exit code.
pub(super) fn run(args: &DoctorArgs) -> Result<(), CommandError> {
    let config = Config::read(&args.config)?;
    let diagnoses = doctor::examine(&config, &Root::default());
    for Diagnosis { topic, state, says } in &diagnoses {
        let (name, kind) = named(*state);
        if args.json {
            let record = DoctorLine { topic, state: name, exit_code: kind.map(Kind::exit_code), says };
            println!("{}", serde_json::to_string(&record).expect("texts and numbers are JSON"));
        } else {
            println!("{name:<5} {topic:<12} {says}");
        }
    }
    let mend = diagnoses.iter().filter(|diagnosis| matches!(diagnosis.state, State::Mend(_))).count();
    match doctor::gravest(&diagnoses) {
        None => Ok(()),
        Some(kind) => Err(CommandError::told(kind, format!("{mend} of {} lines ask for something", diagnoses.len()))),
    }
}

fn named(state: State) -> (&'static str, Option<Kind>) {
    match state {
        State::Good => ("ok", None),
        State::Noted => ("note", None),
        State::Mend(kind) => ("mend", Some(kind)),
    }
}
