//! `ramand check`: everything the configuration names, without touching the instrument.

use std::path::PathBuf;

use clap::Args;

use super::error::CommandError;
use super::logging;
use crate::config::{Config, REFERENCE};
use crate::daemon;
use crate::doctor::{self, Diagnosis, Root, State};
use crate::publish::Topics;

/// Check a configuration: its keys and values, the bundles, the port's path.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration
    #[arg(long, default_value = "/etc/ramand/ramand.toml")]
    config: PathBuf,
    /// Print the commented reference configuration instead
    #[arg(long)]
    reference: bool,
}

/// Runs the command.
///
/// # Errors
/// At the first thing that would keep the daemon from starting.
pub(super) fn run(args: &CheckArgs) -> Result<(), CommandError> {
    if args.reference {
        print!("{REFERENCE}");
        return Ok(());
    }
    let config = Config::read(&args.config)?;
    println!("ok      {}: every key is known, every value can be used", args.config.display());
    daemon::instrument(&config)?;
    let port = &config.spectrometer.port;
    if port.exists() {
        println!("ok      {} is there", port.display());
    } else {
        println!("note    {} is not there now; the daemon waits for it", port.display());
    }
    if config.spectrometer.serial_number.is_none() {
        println!("note    spectrometer.serial_number is not set: any instrument at that port is accepted");
    }
    let inspector = daemon::inspector(&config)?;
    for model in inspector.models() {
        let identity = model.identity();
        println!("ok      {} {}: {}", identity.name, identity.version, model.manifest().claim);
        let lacks = model.lacks();
        if !lacks.is_empty() {
            println!("note    {} has no {}: every result says so", identity.name, lacks.join(" and no "));
        }
    }
    if config.models.is_empty() {
        println!("note    there is no [[model]]: spectra are kept and published, nothing is concluded");
    }
    logging::filter(&config.log.level)?;
    let mqtt = &config.mqtt;
    let secrets = [&mqtt.ca_file, &mqtt.client_certificate_file, &mqtt.client_key_file, &mqtt.password_file];
    for file in secrets.into_iter().flatten() {
        match doctor::handed_over(file, &Root::default()) {
            Some(Diagnosis { state: State::Mend(_), says, .. }) => return Err(CommandError::operator(says)),
            Some(Diagnosis { says, .. }) => {
                println!("note    {says}");
                continue;
            }
            None => {}
        }
        std::fs::File::open(file)
            .map_err(|error| CommandError::operator(format!("failed to read {}: {error}", file.display())))?;
        println!("ok      {} can be read", file.display());
    }
    let topics = Topics::new(&config.place.site, &config.place.line, &config.place.device)
        .map_err(|error| CommandError::from(error).context("[place]"))?;
    println!("ok      results go to {}", topics.all());
    let folder = config.journal.path.parent().map(PathBuf::from).unwrap_or_default();
    if !folder.exists() {
        println!("note    {} does not exist; systemd makes it (StateDirectory), otherwise make it", folder.display());
    }
    Ok(())
}
