//! `ramand replay`: what models say to the spectra in a journal, beside what was said at the time; or what the driver
//! makes of a recorded conversation.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ramand_core::failure;
use ramand_core::record::{PartKind, PartKinds, Seq};
use ramand_core::spectrum::RawSpectrum;
use ramand_model::inspect::Inspector;
use serde::Serialize;
use serde_json::Value;

use super::error::CommandError;
use super::spectra::{AxisArgs, Form, Frames};
use crate::acquire::AcquireError;
use crate::acquire::capture::{self, Conversation};
use crate::config::{Config, ModelEntry};
use crate::daemon;
use crate::journal::{HistoryQuery, JournalReader, Window};
use crate::publish::wire::{Clock, ResultRecord, Stamp, decode_spectrum};

/// Records read at a time: a few megabytes of spectra.
const PAGE: usize = 256;

/// Show the spectra in a journal to models again: to try a new bundle on what the line has really seen. Or play a
/// recorded conversation to the driver: the instrument answers again as it did, and its spectra are printed.
#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The journal, of a running daemon too; or give --capture
    #[arg(long, required_unless_present = "capture", requires = "model", conflicts_with = "axis_check")]
    journal: Option<PathBuf>,
    /// A conversation that `ramand capture` or the daemon has recorded
    #[arg(long, value_name = "FILE", conflicts_with_all = ["journal", "from", "to"])]
    capture: Option<PathBuf>,
    /// Folder of a bundle; may be given several times
    #[arg(long)]
    model: Vec<PathBuf>,
    /// First record
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Last record
    #[arg(long, default_value_t = u64::MAX)]
    to: u64,
    #[command(flatten)]
    axis: AxisArgs,
    /// Print one JSON object a line: `seq`, `then` and `now` as `result` payloads; of a capture, the spectra
    #[arg(long)]
    json: bool,
}

/// One line of `--json`.
#[derive(Debug, Serialize)]
struct Replayed<'a> {
    seq: u64,
    then: Option<Value>,
    now: ResultRecord<'a>,
}

/// Runs the command.
///
/// # Errors
/// When the journal or a bundle cannot be read, or a spectrum in the journal is damaged.
pub(super) fn run(args: &ReplayArgs) -> Result<(), CommandError> {
    // Whoever replays wants to see what the model makes of it; a bundle without gate says so in every line.
    let bundle = |path| ModelEntry { allow_ungated: true, ..ModelEntry::at(path) };
    let models: Vec<ModelEntry> = args.model.iter().map(|path| bundle(path)).collect();
    let mut inspector = daemon::inspector(&Config { models, ..Config::default() })?;
    if let Some(capture) = &args.capture {
        return replay_capture(capture, args, &mut inspector);
    }
    let reader = JournalReader::open(args.journal.as_deref().unwrap_or(Path::new("")))?;
    let kinds = PartKinds::default().with(PartKind::Result).with(PartKind::Spectrum);
    let form = Form::of_switch(args.json);
    let mut next = args.from;
    let mut stdout = std::io::stdout().lock();
    loop {
        let query = HistoryQuery { window: Window::From(Seq::new(next)), limit: PAGE, kinds };
        let page = reader.history(&query)?;
        let Some(last) = page.last() else { return Ok(()) };
        next = last.seq.next().number();
        for record in page.iter().take_while(|record| record.seq.number() <= args.to) {
            let payload = |kind| record.parts.iter().find(|part| part.kind == kind).map(|part| &part.payload);
            let Some(spectrum) = payload(PartKind::Spectrum) else { continue };
            let then = payload(PartKind::Result).and_then(|payload| serde_json::from_slice(payload).ok());
            let line = replay(&mut inspector, record.seq, spectrum, then, form)
                .map_err(|error| error.context(format!("record {}", record.seq)))?;
            if writeln!(stdout, "{line}").is_err() {
                // Whoever read the lines has gone.
                return Ok(());
            }
        }
        if next > args.to {
            return Ok(());
        }
    }
}

/// The recorded instrument answers the driver again.
fn replay_capture(path: &Path, args: &ReplayArgs, inspector: &mut Inspector) -> Result<(), CommandError> {
    let conversation = Conversation::read(path).map_err(AcquireError::from)?;
    let form = Form::of_switch(args.json);
    let mut number = 0;
    let mut frames = Frames::default();
    let outcome = capture::replay(&conversation, |outcome| match outcome {
        Ok(spectrum) => {
            number += 1;
            frames.add(spectrum);
            println!("{}", super::capture::shown(number, spectrum, form));
            if !args.model.is_empty() {
                println!("{}", concluded(inspector, spectrum, number, form));
            }
        }
        Err(error) => eprintln!("recorded failure: {}", failure::chain(error)),
    });
    outcome.map_err(|error| CommandError::from(error).context(path.display().to_string()))?;
    frames.check(&args.axis, form)
}

/// What the models say to one spectrum.
fn concluded(inspector: &mut Inspector, spectrum: &RawSpectrum, number: usize, form: Form) -> String {
    let time = spectrum.acquisition().map_or(std::time::SystemTime::UNIX_EPOCH, |acquisition| acquisition.taken);
    let inspection = inspector.inspect(Arc::new(spectrum.clone()));
    let stamp = Stamp { seq: Seq::new(number as u64), time, clock: Clock::Free };
    let record = serde_json::to_value(ResultRecord::new(&stamp, &inspection)).expect("records have text keys");
    if form == Form::Json {
        return record.to_string();
    }
    let models = record["models"].as_array().into_iter().flatten();
    let said = |model: &Value| format!("     {}: {}", model["name"].as_str().unwrap_or_default(), summary(model));
    models.map(said).collect::<Vec<_>>().join("\n")
}

fn replay(
    inspector: &mut Inspector,
    seq: Seq,
    spectrum: &[u8],
    then: Option<Value>,
    form: Form,
) -> Result<String, CommandError> {
    let spectrum = Arc::new(decode_spectrum(spectrum)?);
    let time = spectrum.acquisition().map_or(std::time::SystemTime::UNIX_EPOCH, |acquisition| acquisition.taken);
    let inspection = inspector.inspect(spectrum);
    let now = ResultRecord::new(&Stamp { seq, time, clock: Clock::Free }, &inspection);
    let number = seq.number();
    if form == Form::Json {
        return Ok(serde_json::to_string(&Replayed { seq: number, then, now }).expect("records have text keys"));
    }
    let now = serde_json::to_value(&now).expect("records have text keys");
    let said = |record: &Value, model: &Value| {
        let models = record["models"].as_array().into_iter().flatten();
        let found = models.into_iter().find(|other| other["name"] == model["name"]);
        found.map_or_else(|| "-".to_owned(), summary)
    };
    let models = now["models"].as_array().cloned().unwrap_or_default();
    let columns = models.iter().map(|model| {
        let before = then.as_ref().map_or_else(|| "-".to_owned(), |then| said(then, model));
        format!("{}: then {before}, now {}", model["name"].as_str().unwrap_or_default(), summary(model))
    });
    Ok(format!("{number}  {}", columns.collect::<Vec<_>>().join("; ")))
}

/// `olive (accept)` or `7.2 % sunflower oil (reject)`.
fn summary(model: &Value) -> String {
    let prediction = &model["prediction"];
    let decision = model["verdict"]["decision"].as_str().unwrap_or("-");
    let said = match prediction["kind"].as_str() {
        Some("class") => class(prediction, decision),
        Some("value") => {
            let interval = &prediction["interval"];
            let interval = interval.is_object().then(|| format!(" ({} to {})", interval["lower"], interval["upper"]));
            let unit = prediction["unit"].as_str().unwrap_or_default();
            format!("{}{} {unit}", prediction["value"], interval.unwrap_or_default())
        }
        _ => "nothing".to_owned(),
    };
    format!("{said} ({decision})")
}

/// The class that a `result` payload names, those it leaves possible, or `unknown`; records from before `named` was published
/// always name one.
pub(super) fn class(prediction: &Value, decision: &str) -> String {
    let label = prediction["label"].as_str().unwrap_or("-");
    match prediction["named"].as_bool() {
        None | Some(true) => label.to_owned(),
        Some(false) if decision == "invalid" => "unknown".to_owned(),
        Some(false) => {
            let set = prediction["set"]["labels"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let possible: Vec<&str> = std::iter::once(label).chain(set.filter(|other| *other != label)).collect();
            possible.join(" or ")
        }
    }
}
