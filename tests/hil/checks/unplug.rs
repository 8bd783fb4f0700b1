//! The plug is pulled and put back: the loss is noticed, and the same instrument measures again by itself.
//!
//! With the laser off: nobody could switch it off at an instrument that has power of its own and no plug.

use std::io::BufRead;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{getpgrp, tcgetpgrp};
use ramand::acquire::{AcquisitionSettings, LaserSwitching, StationEvent};
use serde_json::json;

use super::{CheckFinding, CheckTrouble};
use crate::bench::{At, InstrumentBench};
use crate::rig::Unplug;
use crate::say;
use crate::station::RunningStation;

/// For somebody to walk to the bench.
const PROMPT_PATIENCE: Duration = Duration::from_secs(120);

/// For a loss to be noticed, and a device to be found again: the station looks every 5 s at the latest.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks whether somebody wants to stop, while the terminal is waited for, ms.
const BEAT: u16 = 100;

pub(super) fn check(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    let how = &bench.rig.unplug;
    let patience = match how {
        Unplug::None => return Err(CheckTrouble::Skip("this rig has nobody and nothing to pull the plug".to_owned())),
        Unplug::Prompt => PROMPT_PATIENCE,
        Unplug::Command { .. } | Unplug::Simulated => PATIENCE,
    };
    let station =
        RunningStation::start(AcquisitionSettings { laser_switch: LaserSwitching::Elsewhere, ..bench.settings() });
    spectrum(bench, &station, PATIENCE)?;
    let plug = Pulled::pull(bench, how)?;
    let pulled = Instant::now();
    wait_for(bench, &station, patience, "the loss was not noticed", |event| {
        matches!(event, StationEvent::Lost { .. })
    })?;
    let noticed = pulled.elapsed();
    while station.measured.spectra.try_recv().is_ok() {}
    bench.plant(At::Unplugged);
    plug.put_back()?;
    let back = Instant::now();
    let recovered = |event: &StationEvent| matches!(event, StationEvent::Recovered { .. });
    let found = wait_for(bench, &station, patience, "the instrument was not found again", recovered);
    let found = found.and_then(|()| spectrum(bench, &station, PATIENCE));
    let took = back.elapsed();
    station.stop();
    let ended = station.join();
    found?;
    ended?;
    let says = format!("noticed after {} ms, measuring again after {} ms", noticed.as_millis(), took.as_millis());
    let figures = json!({ "noticed_ms": noticed.as_millis() as u64, "measuring_again_ms": took.as_millis() as u64 });
    Ok(CheckFinding { passed: true, says, figures, table: Vec::new() })
}

/// A plug that is out. It is put back by whoever lets go of it: without it the laser cannot be looked after.
struct Pulled<'a> {
    bench: &'a InstrumentBench,
    how: &'a Unplug,
    out: bool,
}

impl<'a> Pulled<'a> {
    fn pull(bench: &'a InstrumentBench, how: &'a Unplug) -> Result<Self, CheckTrouble> {
        // Out from the first attempt on: a command that failed may have done half of it.
        let pulled = Self { bench, how, out: true };
        match (how, &bench.simulator) {
            (Unplug::Simulated, Some(simulator)) => simulator.hang_up(),
            (Unplug::Command { off, .. }, _) => command(off)?,
            _ => prompt(bench, "Pull the spectrometer's plug now, then press Enter.")?,
        }
        Ok(pulled)
    }

    fn put_back(mut self) -> Result<(), CheckTrouble> {
        self.out = false;
        match (self.how, &self.bench.simulator) {
            (Unplug::Simulated, Some(simulator)) => simulator.come_back(),
            (Unplug::Command { on, .. }, _) => command(on)?,
            _ => prompt(self.bench, "Put the plug back now, then press Enter.")?,
        }
        Ok(())
    }
}

impl Drop for Pulled<'_> {
    fn drop(&mut self) {
        match (self.out, self.how, &self.bench.simulator) {
            (false, ..) => {}
            (true, Unplug::Simulated, Some(simulator)) => simulator.come_back(),
            (true, Unplug::Command { on, .. }, _) => {
                if let Err(CheckTrouble::Fail(why) | CheckTrouble::Skip(why)) = command(on) {
                    say(&format!("THE PLUG IS OUT: {why}"));
                }
            }
            (true, ..) => say("If the plug is out, put it back: the laser is looked after at the end."),
        }
    }
}

fn command(words: &[String]) -> Result<(), CheckTrouble> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| CheckTrouble::Fail("unplug: an empty command".to_owned()))?;
    let status = Command::new(program).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(CheckTrouble::Fail(format!("{program}: {status}"))) }
}

/// From the terminal itself: test runners redirect standard input.
fn prompt(bench: &InstrumentBench, text: &str) -> Result<(), CheckTrouble> {
    let nobody = |why: &str| CheckTrouble::Skip(format!("nobody can be asked to pull the plug: {why}"));
    let terminal = std::fs::File::open("/dev/tty").map_err(|error| nobody(&format!("/dev/tty: {error}")))?;
    // Whoever reads a terminal from its background is stopped there, and would look after nothing any more.
    if tcgetpgrp(&terminal) != Ok(getpgrp()) {
        return Err(nobody("this program runs in the background of its terminal"));
    }
    say(text);
    while poll(&mut [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)], BEAT).map_err(std::io::Error::from)? == 0 {
        if bench.stop().is_requested() {
            return Err(CheckTrouble::Fail("stopped on request".to_owned()));
        }
    }
    std::io::BufReader::new(terminal).read_line(&mut String::new())?;
    Ok(())
}

fn spectrum(bench: &InstrumentBench, station: &RunningStation, patience: Duration) -> Result<(), CheckTrouble> {
    let stop = bench.stop();
    let waited = crossbeam_channel::select! {
        recv(station.measured.spectra) -> spectrum => spectrum.is_ok(),
        recv(stop.channel()) -> _ => false,
        default(patience) => false,
    };
    if waited { Ok(()) } else { Err(CheckTrouble::Fail("no spectrum came".to_owned())) }
}

fn wait_for(
    bench: &InstrumentBench,
    station: &RunningStation,
    patience: Duration,
    otherwise: &str,
    wanted: impl Fn(&StationEvent) -> bool,
) -> Result<(), CheckTrouble> {
    let (stop, until) = (bench.stop(), Instant::now() + patience);
    loop {
        crossbeam_channel::select! {
            recv(station.measured.events) -> event => match event {
                Ok(event) if wanted(&event) => return Ok(()),
                Ok(_) => {}
                Err(_) => return Err(CheckTrouble::Fail(format!("{otherwise}: acquisition ended"))),
            },
            recv(stop.channel()) -> _ => return Err(CheckTrouble::Fail("stopped on request".to_owned())),
            default(until.saturating_duration_since(Instant::now())) => return Err(CheckTrouble::Fail(otherwise.to_owned())),
        }
    }
}
