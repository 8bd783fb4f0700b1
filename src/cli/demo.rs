//! `ramand demo`: simulator, daemon and broker in one process; one line per result.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ramand_core::outcome::{Decision, Inspection, Prediction};
use ramand_core::spectrum::Laser;
use ramand_sim::profile::InstrumentFamily;
use ramand_sim::{self as sim, Simulator};

use super::error::CommandError;
use super::logging;
use crate::config::{Broker, Config, Journal, Log, LogFormat, ModelEntry, Mqtt, Place, Spectrometer, Web};
use crate::daemon;

/// Where bundles are looked for, after `--models` and RAMAND_MODELS.
const MODEL_FOLDERS: [&str; 2] = ["models", "/usr/share/ramand/models"];

/// The bundles of the demo.
const MODELS: [&str; 2] = ["oil-type", "olive-adulteration"];

/// More adulteration than this is rejected in the demo, % other oil: three times the model's cross-validated error, since
/// the natural spread of pure olive oils reads as a few per cent.
const ADULTERATION_MAX: f32 = 25.0;

/// Within the range the bundles were trained on.
const EXPOSURE: Duration = Duration::from_millis(300);

/// For the simulated device to confirm that its laser is off.
const LASER_PATIENCE: Duration = Duration::from_secs(2);

/// Watch a simulated spectrometer identify oils and say why.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End after this many results; without it, on Ctrl-C
    #[arg(long)]
    count: Option<u64>,
    /// Print the `result` payload of each result, one a line
    #[arg(long)]
    json: bool,
    /// Port of the live page on loopback; 0 is any free one
    #[arg(long, default_value_t = 0)]
    port_http: u16,
    /// Port of the broker on loopback; 0 is any free one
    #[arg(long, default_value_t = 0)]
    port_mqtt: u16,
    /// Everything random follows from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder that holds the bundles oil-type and olive-adulteration
    #[arg(long, env = "RAMAND_MODELS")]
    models: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When a bundle is missing, a port is taken, or the simulator or the daemon does not start.
pub(super) fn run(args: &DemoArgs) -> Result<(), CommandError> {
    logging::install(&Log { level: std::env::var("RUST_LOG").unwrap_or("warn".into()), format: LogFormat::Text })?;
    let models = model_folder(args.models.as_deref())?;
    let place = tempfile::Builder::new().prefix("ramand-demo-").tempdir();
    let place = place.map_err(|error| CommandError::operator(format!("failed to make a temporary folder: {error}")))?;

    let link = place.path().join("spectrometer");
    let settings =
        sim::SimulatorSettings { seed: args.seed, ..sim::SimulatorSettings::new(InstrumentFamily::QePro, &link) };
    let simulator = Simulator::start(settings)?;
    let config = config(args, &models, &link, place.path());

    let started = |started: &daemon::Started| {
        eprintln!("spectrometer  simulated {} on {}", simulator.serial(), link.display());
        if let Some(web) = started.web {
            eprintln!("live page     http://{web}/");
        }
        if let Some(broker) = started.broker {
            eprintln!("subscribe     mosquitto_sub -p {} -t '{}' -v", broker.port(), started.topics.all());
        }
        eprintln!("stop          Ctrl-C");
        eprintln!("Simulated spectra, and models trained on simulated spectra: never validated on measured oil.");
    };
    let (json, count) = (args.json, args.count);
    let mut seen = 0;
    let observer: daemon::Observer = Box::new(move |inspection, payload| {
        let mut stdout = std::io::stdout().lock();
        let printed = if json {
            stdout.write_all(payload).and_then(|()| writeln!(stdout))
        } else {
            writeln!(stdout, "{}", line(inspection))
        };
        seen += 1;
        // Whoever read the lines has gone: so may we.
        if printed.is_err() || count.is_some_and(|count| seen >= count) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    let outcome = if count == Some(0) { Ok(()) } else { daemon::run(&config, started, observer) };

    if simulator.wait_for_laser(Laser::Off, LASER_PATIENCE) {
        eprintln!("laser off     confirmed by the device");
    } else {
        eprintln!("laser ON      the device does not say that it is off");
    }
    Ok(outcome?)
}

fn model_folder(asked: Option<&Path>) -> Result<PathBuf, CommandError> {
    let complete = |folder: &Path| MODELS.iter().all(|model| folder.join(model).join("manifest.toml").exists());
    let candidates: Vec<PathBuf> = match asked {
        Some(folder) => vec![folder.to_owned()],
        None => MODEL_FOLDERS.iter().map(PathBuf::from).collect(),
    };
    candidates.iter().find(|folder| complete(folder)).cloned().ok_or_else(|| {
        let looked = candidates.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" and ");
        let wanted = MODELS.join(" and ");
        CommandError::operator(format!("there are no bundles {wanted} in {looked}: say where by --models FOLDER"))
    })
}

fn config(args: &DemoArgs, models: &Path, link: &Path, place: &Path) -> Config {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // Nothing depends on the demo: a bundle without calibration may speak, and says so in its results.
    let model = |name: &str, above| ModelEntry { above, ..ModelEntry::at(&models.join(name)) };
    Config {
        place: Place { site: "demo".into(), line: "bench".into(), device: "simulated".into() },
        spectrometer: Spectrometer {
            port: link.to_owned(),
            laser_warm_up: Duration::from_millis(100),
            integration: EXPOSURE,
            period: Duration::ZERO,
            ..Spectrometer::default()
        },
        models: vec![model(MODELS[0], None), model(MODELS[1], Some(ADULTERATION_MAX))],
        journal: Journal { path: place.join("journal.sqlite"), ..Journal::default() },
        mqtt: Mqtt { client_id: "ramand-demo".into(), ..Mqtt::default() },
        broker: Broker { enabled: true, listen: loopback(args.port_mqtt) },
        web: Web { listen: loopback(args.port_http), ..Web::default() },
        ..Config::default()
    }
}

/// Time, what each model says, the verdict, and the two bands that speak loudest for the last model that may speak.
fn line(inspection: &Inspection) -> String {
    let time =
        inspection.spectrum.acquisition().and_then(|acquisition| jiff::Timestamp::try_from(acquisition.taken).ok());
    let time = time.map_or_else(String::new, |time| time.strftime("%H:%M:%S%.3f").to_string());
    let stands = |decision| decision != Decision::Invalid;
    let mut says = Vec::new();
    let mut bands = String::new();
    for finding in &inspection.findings {
        let Some(conclusion) = finding.conclusion.as_ref().filter(|_| stands(finding.verdict.decision)) else {
            says.push(format!("{:<28}", "-"));
            continue;
        };
        says.push(match &conclusion.prediction {
            Prediction::Class { probabilities, best, .. } => match finding.named() {
                Some(label) => format!("{label:<12} {:>5.1} %", 100.0 * probabilities[*best]),
                None => format!("{:<20}", finding.possible().join(" or ")),
            },
            Prediction::Value { value, unit, .. } => format!("{:<28}", format!("{value:5.1} {unit}")),
        });
        let spoken = conclusion.attribution.loudest().into_iter().take(2).map(|band| {
            let (from, to) = (band.band.from.per_cm(), band.band.to.per_cm());
            format!("{:+.2} {} ({from:.0}-{to:.0})", band.contribution, band.band.name)
        });
        bands = spoken.collect::<Vec<_>>().join(", ");
    }
    // As in the result: one model that may not speak is enough to look twice.
    let verdict = match Decision::overall(&inspection.findings) {
        Decision::Reject => "REJECT",
        decision => decision.name(),
    };
    format!("{time}  {}  {verdict:<7}  {bands}", says.join("  "))
}
