//! At the end, whatever happened before: the laser obeys, and is off.

use ramand::acquire::{Driver, Spectrometer, survey};
use ramand::spectrum::Laser;
use ramand::supervise::Stop;
use serde_json::json;

use super::{Found, Trouble};
use crate::bench::Bench;

pub(super) fn check(bench: &Bench) -> Result<Found, Trouble> {
    let settings = bench.settings_for_off();
    // After a stop request it is not switched on again, and the request must not keep anybody from switching it off.
    let proof = bench.rig.laser.allowed && !bench.stop().is_requested();
    let mut driver = Driver::open(settings.clone(), &Stop::never())?;
    if proof {
        driver.measure()?;
        if driver.laser() != Laser::On {
            return Err(Trouble::Fail("the laser did not go on: is the interlock closed?".to_owned()));
        }
    }
    driver.laser_off()?;
    drop(driver);
    // Asked anew, by whoever has switched nothing.
    let survey = survey(&settings, &Stop::never())?;
    let says = match (survey.laser_on, proof) {
        (Some(true), _) => "THE LASER IS ON: switch it off at the key",
        (Some(false), true) => "went on and off as asked; off now, read back anew",
        (Some(false), false) => "off now, read back anew",
        // Nothing went wrong, and nothing was shown either.
        (None, _) => {
            return Err(Trouble::Skip("this instrument has no laser that can be asked: see to it by hand".to_owned()));
        }
    };
    let passed = survey.laser_on != Some(true);
    Ok(Found { passed, says: says.to_owned(), figures: json!({ "laser_on": survey.laser_on }), table: Vec::new() })
}
