//! How long exchanges really take, beside the time of their bytes on the line and the deadline the driver gives them.

use std::collections::BTreeMap;
use std::time::Duration;

use ocean_binary_protocol::deadline::{deadline, line_time};
use ocean_binary_protocol::{Frame, MessageType};
use ramand::acquire::capture::{CaptureEvent, CaptureMoment, Conversation, recorded};
use ramand::acquire::{Driver, Spectrometer};
use ramand_core::spectrum::IntegrationTime;
use serde_json::json;

use super::{CheckFinding, CheckTrouble};
use crate::bench::InstrumentBench;

/// Frames that are timed.
const FRAMES: usize = 4;

/// Bytes may take this many times their time on the line: devices pause between bytes.
const LINE_FACTOR: f64 = 1.25;

/// One request and all that came until the next.
struct Exchange {
    message_type: MessageType,
    bytes: usize,
    took: Duration,
}

pub(super) fn check(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    let path = bench.folder.path().join("deadlines.txt");
    let settings = recorded(bench.settings(), &path).map_err(|error| CheckTrouble::Fail(error.to_string()))?;
    let integration = settings.integration;
    let mut driver = Driver::open(settings, &bench.stop())?;
    let mut repeated = 0;
    for _ in 0..FRAMES {
        let spectrum = driver.measure_dark()?;
        repeated += spectrum.acquisition().map_or(0, |acquisition| acquisition.line.retries);
    }
    driver.laser_off()?;
    drop(driver);
    let conversation = Conversation::read(&path).map_err(|error| CheckTrouble::Fail(error.to_string()))?;
    judge(bench, &exchanges(&conversation.moments), baud(&conversation.moments), integration, repeated)
}

/// The last one.
fn baud(moments: &[CaptureMoment]) -> u32 {
    let baud = moments.iter().rev().find_map(|moment| match moment.event {
        CaptureEvent::Open(baud) | CaptureEvent::Baud(baud) => Some(baud),
        _ => None,
    });
    baud.unwrap_or(1)
}

/// The time on the line of the longest exchange, which is a spectrum's.
pub(super) fn longest_on_line(moments: &[CaptureMoment]) -> Duration {
    let bytes = exchanges(moments).iter().map(|exchange| exchange.bytes).max();
    line_time(bytes.unwrap_or(0), baud(moments))
}

fn judge(
    bench: &InstrumentBench,
    exchanges: &[Exchange],
    baud: u32,
    integration: IntegrationTime,
    repeated: u32,
) -> Result<CheckFinding, CheckTrouble> {
    let mut slowest: BTreeMap<u32, (&Exchange, usize)> = BTreeMap::new();
    for exchange in exchanges {
        let entry = slowest.entry(exchange.message_type.number()).or_insert((exchange, 0));
        entry.1 += 1;
        if exchange.took > entry.0.took {
            entry.0 = exchange;
        }
    }
    let head = ["message", "exchanges", "bytes", "line ms", "slowest ms", "limit ms", "deadline ms"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let (mut late, mut headroom) = (Vec::new(), f64::INFINITY);
    for (exchange, number) in slowest.values() {
        let exposes =
            [MessageType::CORRECTED_SPECTRUM, MessageType::BUFFERED_SPECTRUM].contains(&exchange.message_type);
        let exposure = if exposes { integration } else { IntegrationTime::from_micros(0) };
        let line = line_time(exchange.bytes, baud);
        // Twice, as for the deadline: an exposure of a free-running detector may just have begun.
        let limit =
            2 * Duration::from_micros(exposure.micros()) + line.mul_f64(LINE_FACTOR) + bench.rig.limits.line_allowance;
        let until =
            deadline(ocean_binary_protocol::IntegrationTime::from_micros(exposure.micros()), 1, exchange.bytes, baud);
        headroom = headroom.min(1.0 - exchange.took.as_secs_f64() / until.as_secs_f64());
        if exchange.took > limit {
            late.push(exchange.message_type.to_string());
        }
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        table.push(vec![
            exchange.message_type.to_string(),
            number.to_string(),
            exchange.bytes.to_string(),
            ms(line),
            ms(exchange.took),
            ms(limit),
            ms(until),
        ]);
    }
    let number = exchanges.len();
    let says = if late.is_empty() {
        format!(
            "{number} exchanges at {baud} baud, {repeated} repeated, at least {:.0} % of each deadline left",
            100.0 * headroom
        )
    } else {
        format!("late at {baud} baud: {}", late.join(", "))
    };
    let figures =
        json!({ "baud": baud, "exchanges": number, "repeated": repeated, "headroom": headroom, "late": late });
    Ok(CheckFinding { passed: late.is_empty() && repeated == 0 && number > 0, says, figures, table })
}

fn exchanges(moments: &[CaptureMoment]) -> Vec<Exchange> {
    let mut found: Vec<Exchange> = Vec::new();
    let mut sent_at = Duration::ZERO;
    for moment in moments {
        match &moment.event {
            CaptureEvent::Sent(bytes) => {
                if let Ok(frame) = Frame::decode(bytes) {
                    sent_at = moment.at;
                    let (message_type, bytes) = (frame.message_type, bytes.len());
                    found.push(Exchange { message_type, bytes, took: Duration::ZERO });
                }
            }
            CaptureEvent::Received(bytes) => {
                if let Some(last) = found.last_mut() {
                    last.bytes += bytes.len();
                    last.took = moment.at.saturating_sub(sent_at);
                }
            }
            _ => {}
        }
    }
    found
}
