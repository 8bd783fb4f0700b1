//! `ramand run`: the daemon.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;

use super::error::CommandError;
use super::logging;
use crate::config::Config;
use crate::daemon;

/// Measure, judge, keep and publish until told to stop.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The configuration; its reference is printed by `ramand check --reference`
    #[arg(long, default_value = "/etc/ramand/ramand.toml")]
    config: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is unusable, or the daemon does not start or ends by itself.
pub(super) fn run(args: &RunArgs) -> Result<(), CommandError> {
    let config = Config::read(&args.config)?;
    logging::install(&config.log)?;
    let started = |started: &daemon::Started| {
        let shown = |address: Option<std::net::SocketAddr>| address.map_or("off".into(), |address| address.to_string());
        tracing::info!(
            web = shown(started.web),
            broker = shown(started.broker),
            topics = started.topics.all(),
            "started; looking for the spectrometer"
        );
    };
    Ok(daemon::run(&config, started, Box::new(|_, _| ControlFlow::Continue(())))?)
}
