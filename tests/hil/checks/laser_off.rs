//! At the end, whatever happened before: the laser obeys, and is off.

use std::time::Duration;

use backon::{BlockingRetryable, ConstantBuilder};
use ramand::acquire::{AcquireError, AcquisitionSettings, Driver, Spectrometer, Survey, survey};
use ramand::supervise::Stop;
use ramand_core::failure::{self, Failure, Kind};
use ramand_core::spectrum::Laser;
use serde_json::json;

use super::{CheckFinding, CheckTrouble};
use crate::bench::InstrumentBench;
use crate::say;

/// An instrument whose plug was just put back, or that another process just let go of, is there within seconds.
const LOOKS: usize = 12;

/// Between two of them.
const PAUSE: Duration = Duration::from_secs(5);

pub(super) fn check(bench: &InstrumentBench) -> Result<CheckFinding, CheckTrouble> {
    let settings = bench.settings_for_off();
    // After a stop request it is not switched on again, and the request must not keep anybody from switching it off.
    let proof = bench.rig.laser.allowed && !bench.stop().is_requested();
    let obeyed = obeys(&settings, proof);
    // Asked anew, by whoever has switched nothing, and however that went.
    let Survey { laser_on, laser_control, .. } = survey(&settings, &Stop::never()).map_err(|error| {
        CheckTrouble::Fail(format!("SEE TO THE LASER BY HAND: it was not read back: {}", failure::chain(&error)))
    })?;
    let why_not = match (laser_on, laser_control) {
        (Some(true), _) => Some("THE LASER IS ON: switch it off at the key".to_owned()),
        (Some(false), _) => {
            obeyed.err().map(|error| format!("off now, read back anew, but before that: {}", failure::chain(&error)))
        }
        // Switched by this program, and nobody knows.
        (None, Some(_)) if proof => Some("SEE TO THE LASER BY HAND: it cannot be asked whether it is off".to_owned()),
        // Nothing went wrong, and nothing was shown either.
        (None, _) => {
            return Err(CheckTrouble::Skip(
                "this instrument has no laser that can be asked: see to it by hand".to_owned(),
            ));
        }
    };
    let says = match (&why_not, proof) {
        (Some(why), _) => why,
        (None, true) => "went on and off as asked; off now, read back anew",
        (None, false) => "off now, read back anew",
    };
    let figures = json!({ "laser_on": laser_on });
    Ok(CheckFinding { passed: why_not.is_none(), says: says.to_owned(), figures, table: Vec::new() })
}

fn open(settings: &AcquisitionSettings) -> Result<Driver, AcquireError> {
    (|| Driver::open(settings.clone(), &Stop::never()))
        .retry(ConstantBuilder::default().with_delay(PAUSE).with_max_times(LOOKS))
        .sleep(std::thread::sleep)
        .when(|error| error.kind() == Kind::Device)
        .notify(|error, _| say(&format!("the laser cannot be looked after yet: {}", failure::chain(error))))
        .call()
}

/// With `proof` it goes on first. Off is asked for in any case.
fn obeys(settings: &AcquisitionSettings, proof: bool) -> Result<(), AcquireError> {
    let mut driver = open(settings)?;
    let on = if proof { goes_on(&mut driver) } else { Ok(()) };
    let off = driver.laser_off();
    on.and(off)
}

fn goes_on(driver: &mut Driver) -> Result<(), AcquireError> {
    driver.measure()?;
    if driver.laser() == Laser::On { Ok(()) } else { Err(AcquireError::LaserNotOn { source: None }) }
}
