//! The command line: one file per command. Data goes to stdout, diagnostics to stderr, the exit code says what to do.

mod capture;
mod check;
#[cfg(feature = "broker")]
mod demo;
#[cfg(feature = "lab")]
mod description;
mod doctor;
mod error;
#[cfg(feature = "lab")]
mod evaluate;
mod explain;
mod history;
#[cfg(feature = "lab")]
mod inputs;
#[cfg(not(all(feature = "lab", feature = "broker")))]
mod left_out;
mod logging;
mod model;
mod network;
mod probe;
#[cfg(feature = "lab")]
mod progress;
mod recorded;
mod replay;
mod run;
mod sim;
mod spectra;
#[cfg(feature = "lab")]
mod train;
mod version;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::error::CommandError;

/// Reads a Raman spectrometer beside the line, names the oil, says why, and loses nothing on the way to MQTT.
#[derive(Debug, Parser)]
#[command(version, long_version = version::LONG, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Capture(capture::CaptureArgs),
    Check(check::CheckArgs),
    #[cfg(feature = "broker")]
    Demo(demo::DemoArgs),
    #[cfg(not(feature = "broker"))]
    Demo(left_out::LeftOutArgs),
    Doctor(doctor::DoctorArgs),
    #[cfg(feature = "lab")]
    Evaluate(Box<evaluate::EvaluateCommand>),
    #[cfg(not(feature = "lab"))]
    Evaluate(left_out::LeftOutArgs),
    History(history::HistoryArgs),
    Explain(explain::ExplainArgs),
    Model(model::ModelArgs),
    Probe(probe::ProbeArgs),
    Replay(replay::ReplayArgs),
    Run(run::RunArgs),
    Sim(sim::SimArgs),
    #[cfg(feature = "lab")]
    Train(Box<train::TrainArgs>),
    #[cfg(not(feature = "lab"))]
    Train(left_out::LeftOutArgs),
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
        #[cfg(feature = "broker")]
        Command::Demo(args) => demo::run(&args),
        #[cfg(not(feature = "broker"))]
        Command::Demo(_) => Err(left_out::refused("demo", "broker")),
        Command::Doctor(args) => doctor::run(&args),
        #[cfg(feature = "lab")]
        Command::Evaluate(args) => evaluate::run(&args),
        #[cfg(not(feature = "lab"))]
        Command::Evaluate(_) => Err(left_out::refused("evaluate", "lab")),
        Command::History(args) => history::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Sim(args) => sim::run(&args),
        #[cfg(feature = "lab")]
        Command::Train(args) => train::run(&args),
        #[cfg(not(feature = "lab"))]
        Command::Train(_) => Err(left_out::refused("train", "lab")),
    }
}
