//! The plug is pulled and put back: the loss is noticed, and the same instrument measures again by itself.

use std::io::BufRead;
use std::process::Command;
use std::time::{Duration, Instant};

use ramand::acquire::{Event, Station};
use serde_json::json;

use super::{Found, Trouble};
use crate::bench::{At, Bench};
use crate::rig::Unplug;

/// For somebody to walk to the bench.
const PROMPT_PATIENCE: Duration = Duration::from_secs(120);

/// For a loss to be noticed, and a device to be found again: the station looks every 5 s at the latest.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn check(bench: &Bench) -> Result<Found, Trouble> {
    let how = &bench.rig.unplug;
    let patience = match how {
        Unplug::None => return Err(Trouble::Skip("this rig has nobody and nothing to pull the plug".to_owned())),
        Unplug::Prompt => PROMPT_PATIENCE,
        Unplug::Command { .. } | Unplug::Simulated => PATIENCE,
    };
    let station = Station::start(bench.settings())?;
    spectrum(bench, &station, PATIENCE)?;
    pull(bench, how)?;
    let pulled = Instant::now();
    wait_for(bench, &station, patience, "the loss was not noticed", |event| matches!(event, Event::Lost { .. }))?;
    let noticed = pulled.elapsed();
    while station.spectra.try_recv().is_ok() {}
    bench.plant(At::Unplugged);
    put_back(bench, how)?;
    let back = Instant::now();
    let recovered = |event: &Event| matches!(event, Event::Recovered { .. });
    let found = wait_for(bench, &station, patience, "the instrument was not found again", recovered);
    let found = found.and_then(|()| spectrum(bench, &station, PATIENCE));
    let took = back.elapsed();
    station.stop();
    let ended = station.join();
    found?;
    ended?;
    let says = format!("noticed after {} ms, measuring again after {} ms", noticed.as_millis(), took.as_millis());
    let figures = json!({ "noticed_ms": noticed.as_millis() as u64, "measuring_again_ms": took.as_millis() as u64 });
    Ok(Found { passed: true, says, figures, table: Vec::new() })
}

fn pull(bench: &Bench, how: &Unplug) -> Result<(), Trouble> {
    match (how, &bench.simulator) {
        (Unplug::Simulated, Some(simulator)) => simulator.hang_up(),
        (Unplug::Command { off, .. }, _) => command(off)?,
        _ => prompt("Pull the spectrometer's plug now, then press Enter.")?,
    }
    Ok(())
}

fn put_back(bench: &Bench, how: &Unplug) -> Result<(), Trouble> {
    match (how, &bench.simulator) {
        (Unplug::Simulated, Some(simulator)) => simulator.come_back(),
        (Unplug::Command { on, .. }, _) => command(on)?,
        _ => prompt("Put the plug back now, then press Enter.")?,
    }
    Ok(())
}

fn command(words: &[String]) -> Result<(), Trouble> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| Trouble::Fail("unplug: an empty command".to_owned()))?;
    let status = Command::new(program).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(Trouble::Fail(format!("{program}: {status}"))) }
}

/// From the terminal itself: test runners redirect standard input.
fn prompt(text: &str) -> Result<(), Trouble> {
    let terminal = std::fs::File::open("/dev/tty")
        .map_err(|error| Trouble::Skip(format!("nobody can be asked to pull the plug: /dev/tty: {error}")))?;
    println!("{text}");
    std::io::BufReader::new(terminal).read_line(&mut String::new())?;
    Ok(())
}

fn spectrum(bench: &Bench, station: &Station, patience: Duration) -> Result<(), Trouble> {
    let stop = bench.stop();
    let waited = crossbeam_channel::select! {
        recv(station.spectra) -> spectrum => spectrum.is_ok(),
        recv(stop.channel()) -> _ => false,
        default(patience) => false,
    };
    if waited { Ok(()) } else { Err(Trouble::Fail("no spectrum came".to_owned())) }
}

fn wait_for(
    bench: &Bench,
    station: &Station,
    patience: Duration,
    otherwise: &str,
    wanted: impl Fn(&Event) -> bool,
) -> Result<(), Trouble> {
    let (stop, until) = (bench.stop(), Instant::now() + patience);
    loop {
        crossbeam_channel::select! {
            recv(station.events) -> event => match event {
                Ok(event) if wanted(&event) => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(Trouble::Fail(format!("{otherwise}: acquisition ended"))),
            },
            recv(stop.channel()) -> _ => return Err(Trouble::Fail("stopped on request".to_owned())),
            default(until.saturating_duration_since(Instant::now())) => return Err(Trouble::Fail(otherwise.to_owned())),
        }
    }
}
