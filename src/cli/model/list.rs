//! `ramand model list`: what the store holds, and whether it may run.

use std::path::PathBuf;

use clap::Args;
use ramand_core::failure;
use serde::Serialize;

use super::candidate;
use crate::cli::error::CommandError;
use crate::config::Config;
use crate::daemon;
use crate::update::audit::ModelRecord;
use crate::update::{Version, versions};

/// List the models in the store, which version runs, which ran before, and who signed them
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The configuration of the line
    #[arg(long, default_value = "/etc/ramand/ramand.toml", value_name = "FILE")]
    config: PathBuf,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// A line of `--json`.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    name: &'a str,
    version: &'a str,
    current: bool,
    previous: bool,
    /// `None` where it does not run.
    model: Option<ModelRecord>,
    key: Option<String>,
    refused: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When the configuration or the store cannot be read. A version that may not run is a line like any other.
pub(super) fn run(args: &ListArgs) -> Result<(), CommandError> {
    let config = Config::read(&args.config)?;
    let trust = daemon::trust(&config);
    let versions = versions(&config.updates.store)?;
    for Version { name, version, folder, current, previous } in &versions {
        let opened = trust.open_signed(folder);
        let (model, key, refused) = match &opened {
            Ok((model, key)) => (Some(candidate::record(model)), key.map(|key| key.to_string()), None),
            Err(error) => (None, None, Some(failure::chain(error))),
        };
        let (current, previous) = (*current, *previous);
        if args.json {
            let line = Listed { name, version, current, previous, model, key, refused };
            println!("{}", serde_json::to_string(&line).expect("records have text keys"));
            continue;
        }
        let place = if current {
            "current"
        } else if previous {
            "previous"
        } else {
            ""
        };
        let state = match (model, key, refused) {
            (Some(model), Some(key), _) => format!("sha256 {}, signed by {key}", model.sha256),
            (.., refused) => format!("does not run: {}", refused.unwrap_or_default()),
        };
        println!("{name:<24} {version:<12} {place:<9} {state}");
    }
    if versions.is_empty() {
        eprintln!("{} holds no models", config.updates.store.display());
    }
    Ok(())
}
