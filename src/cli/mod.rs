//! The command line: one file per command. Data goes to stdout, diagnostics to stderr, the exit code says what to do.

mod capture;
mod check;
mod demo;
mod description;
mod doctor;
mod evaluate;
mod explain;
mod history;
mod logging;
mod model;
mod probe;
mod progress;
mod replay;
mod run;
mod sim;
mod spectra;
mod train;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use ramand_core::failure::{Failure, Kind};

/// Reads a Raman spectrometer beside the line, names the oil, says why, and loses nothing on the way to MQTT.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Capture(capture::CaptureArgs),
    Check(check::CheckArgs),
    Demo(demo::DemoArgs),
    Doctor(doctor::DoctorArgs),
    Evaluate(Box<evaluate::EvaluateCommand>),
    History(history::HistoryArgs),
    Explain(explain::ExplainArgs),
    Model(model::ModelArgs),
    Probe(probe::ProbeArgs),
    Replay(replay::ReplayArgs),
    Run(run::RunArgs),
    Sim(sim::SimArgs),
    Train(Box<train::TrainArgs>),
}

/// A command's failure: its message, and the exit code it asks for.
#[derive(Debug)]
pub struct CommandError {
    kind: Kind,
    source: anyhow::Error,
}

impl CommandError {
    /// A failure that somebody must mend: a wrong argument, a missing file.
    pub fn operator(message: impl Into<String>) -> Self {
        Self { kind: Kind::Operator, source: anyhow::Error::msg(message.into()) }
    }

    /// A failure that has been told on stdout already, and only asks for an exit code.
    pub fn told(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, source: anyhow::Error::msg(message.into()) }
    }

    /// What the failure asks for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The same failure with a sentence before it.
    pub fn context(self, context: impl Into<String>) -> Self {
        Self { kind: self.kind, source: self.source.context(context.into()) }
    }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.source)
    }
}

impl<E: Failure + Send + Sync + 'static> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self { kind: error.kind(), source: anyhow::Error::new(error) }
    }
}

/// Gives SIGPIPE its meaning back, which Rust's runtime takes away: `ramand history | head` ends, without a panic.
fn end_on_closed_pipe() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: the default action is no handler, so no code of ours runs in a signal's context.
    if let Err(error) = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) } {
        tracing::debug!(%error, "SIGPIPE stays ignored");
    }
}

/// The command line as clap knows it: what its manual pages and completions are made from.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments, runs the command, and turns its failure into a message and an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // The long-lived commands handle a reader that goes away themselves; all others end like any filter.
    if !matches!(cli.command, Command::Run(_) | Command::Demo(_) | Command::Sim(_) | Command::Capture(_)) {
        end_on_closed_pipe();
    }
    let logged = match cli.command {
        Command::Run(_) | Command::Demo(_) => Ok(()),
        _ => logging::install_errors(),
    };
    let outcome = logged.and_then(|()| run(cli.command));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Capture(args) => capture::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::History(args) => history::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Train(arguments) => train::run(&arguments),
    }
}
