//! `ramand sim`: a simulated spectrometer on a pseudo-terminal, or a data set from the same physics.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args};
use ramand_recording::Recording;
use ramand_sim::dataset::Recipe;
use ramand_sim::faults::Fault;
use ramand_sim::profile::InstrumentFamily;
use ramand_sim::scenario::Scenario;
use ramand_sim::{Pacing, ReplayNoise, Simulator, SimulatorSettings, StageSource};

use super::error::CommandError;

/// How often the light frames served since are reported.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Simulate a Raman spectrometer on a pseudo-terminal, or write a training set made by its physics.
///
/// What it simulates and what it leaves out stands in docs/simulator.md. Simulated spectra are not measurements.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["link", "dataset"])))]
pub(super) struct SimArgs {
    /// Serve the device under this name, a symbolic link to the pseudo-terminal
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,
    /// The family of instruments
    #[arg(long, default_value = "qepro", value_parser = PossibleValuesParser::new(InstrumentFamily::ALL.map(InstrumentFamily::name)))]
    profile: String,
    /// The line's speed; a host that opens the port with another one gets no answer
    #[arg(long, default_value_t = 115_200)]
    baud: u32,
    /// What lies on the stage and what goes wrong, as a timed list (docs/simulator.md)
    #[arg(long, value_name = "FILE.toml", conflicts_with_all = ["replay", "dataset"])]
    scenario: Option<PathBuf>,
    /// Serve the spectra of this file, row by row, instead of simulated samples
    #[arg(long, value_name = "SPECTRA.csv", conflicts_with = "dataset")]
    replay: Option<PathBuf>,
    /// Light frames each recorded row is served for
    #[arg(long, default_value_t = 1, requires = "replay", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Add the simulated detector's noise to recorded spectra
    #[arg(long, requires = "replay")]
    replay_noise: bool,
    /// Something that goes wrong: name[=value][@count], as in flip-byte=70@3; may be given more than once
    #[arg(long, value_name = "FAULT", conflicts_with = "dataset")]
    fault: Vec<Fault>,
    /// Send answers at once instead of at the line's speed
    #[arg(long, conflicts_with = "dataset")]
    no_pacing: bool,
    /// Write a labelled, simulated training set to this CSV file instead of serving a device
    #[arg(long, value_name = "OUT.csv", requires = "recipe")]
    dataset: Option<PathBuf>,
    /// What the training set holds: oil-type, olive-adulteration, olive-sunflower, or a TOML file like models/recipes/oil-type.toml
    #[arg(long, requires = "dataset", conflicts_with = "link")]
    recipe: Option<String>,
    /// Independent samples in the training set, instead of the recipe's number
    #[arg(long, requires = "dataset")]
    samples: Option<usize>,
    /// Exposures of each sample, instead of the recipe's number
    #[arg(long, requires = "dataset")]
    replicates: Option<usize>,
    /// Everything random follows from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the command.
///
/// # Errors
/// When a file, the port's name or a value cannot be used.
pub(super) fn run(args: &SimArgs) -> Result<(), CommandError> {
    match (&args.dataset, &args.link) {
        (Some(path), _) => write_dataset(args, path),
        (None, Some(link)) => serve(args, link),
        (None, None) => Err(CommandError::operator("either --link or --dataset says what to do")),
    }
}

fn write_dataset(args: &SimArgs, path: &Path) -> Result<(), CommandError> {
    let name = args.recipe.as_deref().unwrap_or_default();
    let mut recipe = Recipe::load(name)?;
    recipe.samples = args.samples.unwrap_or(recipe.samples);
    recipe.replicates = args.replicates.unwrap_or(recipe.replicates);
    Ok(recipe.write(path, args.seed)?)
}

fn serve(args: &SimArgs, link: &Path) -> Result<(), CommandError> {
    let profile = InstrumentFamily::named(&args.profile)
        .ok_or_else(|| CommandError::operator(format!("there is no profile '{}'", args.profile)))?;
    let source = match (&args.replay, &args.scenario) {
        (Some(path), _) => StageSource::Replay {
            recording: Arc::new(Recording::read(path)?),
            repeat: args.repeat,
            noise: if args.replay_noise { ReplayNoise::On } else { ReplayNoise::Off },
        },
        (None, Some(path)) => StageSource::Scenario(Scenario::read(path)?),
        (None, None) => StageSource::Scenario(Scenario::default()),
    };
    let settings = SimulatorSettings {
        baud: args.baud,
        seed: args.seed,
        source,
        pacing: if args.no_pacing { Pacing::Immediate } else { Pacing::Line },
        faults: args.fault.clone(),
        ..SimulatorSettings::new(profile, link)
    };
    let simulator = Simulator::start(settings)?;
    println!("{}", simulator.link().display());
    eprintln!("simulated {} {} at {} baud; Ctrl-C ends it", profile.name(), simulator.serial(), args.baud);
    report_until_asked_to_end(&simulator)?;
    simulator.stop();
    Ok(())
}

/// A line per light frame on stderr, until SIGINT or SIGTERM.
fn report_until_asked_to_end(simulator: &Simulator) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| CommandError::operator(format!("failed to wait for a signal: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let mut terminated =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(failed)?;
        let mut report = tokio::time::interval(REPORT_EVERY);
        let mut next = 0;
        loop {
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => return interrupted.map_err(failed),
                _ = terminated.recv() => return Ok(()),
                _ = report.tick() => {
                    for served in simulator.served_from(next, Duration::ZERO) {
                        eprintln!("light frame {}: {}", served.light_frame, served.on_stage);
                        next = served.light_frame + 1;
                    }
                }
            }
        }
    })
}
