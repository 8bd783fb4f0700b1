//! Where log lines go and how they look. Always stderr or the system journal: stdout is for data.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use super::error::CommandError;
use crate::config::{Log, LogFormat};

/// What embedded parts say about their own innards: only worth reading when something is wrong with them.
///
/// The embedded broker reports every client that leaves as an error.
const QUIET: [&str; 3] = ["rumqttd=off", "tract_core=error", "tract_onnx=error"];

/// Installs the subscriber of the process.
///
/// # Errors
/// When the level is no filter, or the system journal was asked for and is not there.
pub(super) fn install(log: &Log) -> Result<(), CommandError> {
    let filter = filter(&std::env::var("RUST_LOG").unwrap_or_else(|_| log.level.clone()))?;
    let layer = match resolve(log.format) {
        LogFormat::Journald => tracing_journald::layer()
            .map_err(|error| CommandError::operator(format!("failed to reach the system journal: {error}")))?
            .boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(std::io::stderr).boxed(),
        LogFormat::Auto | LogFormat::Text => fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .map_err(|error| CommandError::operator(format!("failed to install the log: {error}")))
}

/// For a command without settings for it: only errors are worth a line between its own, a laser that stays on say.
///
/// # Errors
/// When RUST_LOG is no filter.
pub(super) fn install_errors() -> Result<(), CommandError> {
    install(&Log { level: "error".to_owned(), format: LogFormat::Text })
}

/// What `wanted` lets through.
///
/// # Errors
/// When it is no filter.
pub(super) fn filter(wanted: &str) -> Result<EnvFilter, CommandError> {
    EnvFilter::try_new(format!("{},{wanted}", QUIET.join(",")))
        .map_err(|error| CommandError::operator(format!("log.level {wanted:?} is no filter: {error}")))
}

/// systemd sets JOURNAL_STREAM for a service whose stderr goes to the journal.
fn resolve(format: LogFormat) -> LogFormat {
    match format {
        LogFormat::Auto if std::io::stderr().is_terminal() => LogFormat::Text,
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => LogFormat::Journald,
        LogFormat::Auto => LogFormat::Json,
        chosen => chosen,
    }
}
