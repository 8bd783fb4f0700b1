//! `ramand history`: what the journal holds, read beside a running daemon or without one.

use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use ramand_core::record::{PartKind, PartKinds, Seq};
use serde_json::{Value, json};

use super::error::CommandError;
use super::replay::class;
use crate::journal::{HISTORY_RECORDS_MAX, HistoryPart, HistoryQuery, HistoryRecord, JournalReader, Window};

/// Shows the results, events, alarms and gaps in a journal
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// The journal's file
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    /// So many records
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=HISTORY_RECORDS_MAX as i64))]
    last: u32,
    /// Starts at this number instead of ending with the newest record
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// One JSON object a line: number, name, time, what is not acknowledged yet, and the payload as published
    #[arg(long)]
    json: bool,
    /// Reads the whole file first and refuses a damaged one
    #[arg(long)]
    verify: bool,
}

pub(super) fn run(args: &HistoryArgs) -> Result<(), CommandError> {
    let reader = JournalReader::open(&args.journal)?;
    if args.verify {
        reader.verify()?;
    }
    let records = reader.history(&HistoryQuery {
        window: args.from.map_or(Window::Newest, |seq| Window::From(Seq::new(seq))),
        limit: args.last as usize,
        kinds: PartKinds::from_iter([PartKind::Result, PartKind::Event, PartKind::Alarm, PartKind::Gap]),
    })?;
    let line = if args.json { json_line } else { text_line };
    let mut out = std::io::stdout().lock();
    for record in &records {
        match writeln!(out, "{}", line(record)) {
            // Whoever read the lines has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|error| CommandError::operator(format!("failed to write: {error}")))?,
        }
    }
    if !args.json {
        let statistics = reader.statistics()?;
        let number = |seq: Option<Seq>| seq.map_or("none".to_owned(), |seq| seq.to_string());
        eprintln!(
            "records {} to {}, {:.1} MB; {} parts not acknowledged{}",
            number(statistics.first),
            number(statistics.last),
            statistics.used_bytes as f64 / 1e6,
            statistics.owed_parts,
            statistics.owed_since.map_or(String::new(), |(seq, time)| format!(", since {seq} of {}", time_text(time))),
        );
    }
    Ok(())
}

fn json_line(record: &HistoryRecord) -> String {
    let owed: Vec<&str> = record.parts.iter().filter(|part| part.owed).map(|part| part.kind.name()).collect();
    let mut line = json!({
        "seq": record.seq.number(), "id": record.id, "time": time_text(record.time), "owed": owed,
    });
    for part in &record.parts {
        line[part.kind.name()] = payload(part);
    }
    line.to_string()
}

fn text_line(record: &HistoryRecord) -> String {
    let parts = record.parts.iter().map(|part| {
        let told = match part.kind {
            PartKind::Result => result_text(&payload(part)),
            PartKind::Event | PartKind::Alarm => notice_text(part.kind, &payload(part)),
            PartKind::Gap => gap_text(&payload(part)),
            PartKind::Cam | PartKind::Spectrum => part.kind.name().to_owned(),
        };
        if part.owed { format!("{told}  (not acknowledged)") } else { told }
    });
    let parts: Vec<String> = parts.collect();
    format!("{:>8}  {}  {}", record.seq, time_text(record.time), parts.join("; "))
}

/// The payload as JSON; null where a journal holds something else.
fn payload(part: &HistoryPart) -> Value {
    serde_json::from_slice(&part.payload).unwrap_or(Value::Null)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or("?")
}

fn result_text(result: &Value) -> String {
    let predictions = result["models"].as_array().into_iter().flatten().map(|model| {
        let prediction = &model["prediction"];
        match prediction["kind"].as_str() {
            Some("class") => {
                let percent = prediction["probability"].as_f64().unwrap_or_default() * 100.0;
                let said = class(prediction, text(&model["verdict"], "decision"));
                if prediction["named"] == false { said } else { format!("{said} {percent:.1} %") }
            }
            Some("value") => {
                let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
                let interval = &prediction["interval"];
                let (lower, upper) = (number(&interval["lower"]), number(&interval["upper"]));
                let interval =
                    if interval.is_object() { format!(" ({lower:.2} to {upper:.2})") } else { String::new() };
                format!("{:.2}{interval} {}", number(&prediction["value"]), text(prediction, "unit"))
            }
            _ => {
                let reasons = model["verdict"]["reasons"].as_array().into_iter().flatten();
                let reasons: Vec<&str> = reasons.map(|reason| text(reason, "text")).collect();
                format!("{}: {}", text(model, "name"), reasons.join(", "))
            }
        }
    });
    let predictions: Vec<String> = predictions.collect();
    format!("{:<7} {}", text(result, "verdict"), predictions.join(", "))
}

fn notice_text(kind: PartKind, notice: &Value) -> String {
    let state = notice["state"].as_str().map(|state| format!(" {state}")).unwrap_or_default();
    format!("{:<7} {}{state}: {}", kind.name(), text(notice, "code"), text(notice, "text"))
}

fn gap_text(gap: &Value) -> String {
    let lost = gap["lost"].as_array().into_iter().flatten();
    let lost: Vec<String> =
        lost.map(|loss| format!("{} to {} ({})", loss["from"], loss["to"], text(loss, "reason"))).collect();
    format!("gap     {} records: {}", gap["records"], lost.join(", "))
}

fn time_text(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "?".to_owned(), |time| format!("{time:.3}"))
}
