//! The driver against the simulated spectrometer: real bytes on a pseudo-terminal, real line speeds, faults as data, and the
//! state of the laser after each of them as the device sees it.

#[path = "support/station.rs"]
mod station;
#[path = "support/stretched.rs"]
mod stretched;

use std::time::{Duration, Instant};

use ramand::acquire::{
    AcquireError, AcquisitionSettings, BaudRate, Driver, Spectrometer, StationEvent, Survey, survey,
};
use ramand::supervise::Stop;
use ramand::{acquire, supervise};
use ramand_core::failure::{Failure, Kind};
use ramand_core::spectrum::{Acquisition, IntegrationTime, Laser, RawSpectrum};
use ramand_sim::faults::Fault;
use ramand_sim::profile::InstrumentFamily;
use ramand_sim::{Pacing, Simulator};
use station::RunningStation;
use stretched::stretched;

/// Long enough for three time-outs of the driver on a busy machine; only a failing test waits so long.
fn patience() -> Duration {
    stretched(Duration::from_secs(30))
}

struct SimulatorBench {
    simulator: Simulator,
    _folder: tempfile::TempDir,
}

fn bench(profile: InstrumentFamily, baud: u32) -> SimulatorBench {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let link = folder.path().join("spectrometer");
    let settings = ramand_sim::SimulatorSettings {
        baud,
        pacing: Pacing::Immediate,
        ..ramand_sim::SimulatorSettings::new(profile, link)
    };
    SimulatorBench { simulator: Simulator::start(settings).expect("a pseudo-terminal"), _folder: folder }
}

impl SimulatorBench {
    fn settings(&self) -> AcquisitionSettings {
        AcquisitionSettings {
            baud: BaudRate::Fixed(115_200),
            integration: IntegrationTime::from_micros(20_000),
            laser_warmup: Duration::ZERO,
            ..AcquisitionSettings::new(self.simulator.link())
        }
    }

    fn open(&self) -> Driver {
        Driver::open(self.settings(), &Stop::never()).expect("a good device")
    }

    fn inject(&self, fault: &str) {
        self.simulator.inject(fault.parse::<Fault>().expect(fault));
    }
}

fn acquisition(spectrum: &RawSpectrum) -> &Acquisition {
    spectrum.acquisition().expect("measured")
}

#[test]
fn both_models_are_identified_and_measured() {
    for profile in InstrumentFamily::ALL {
        let bench = bench(profile, 115_200);
        let mut driver = bench.open();
        let spectrum = driver.measure().expect("a good device");
        let Acquisition { instrument, laser, integration, .. } = acquisition(&spectrum);
        assert_eq!(instrument.serial, bench.simulator.serial());
        assert_eq!(*laser, Laser::On);
        assert_eq!(integration.micros(), 20_000);
        let dark = spectrum.dark().expect("taken");
        let (light_sum, dark_sum): (f32, f32) = (spectrum.light().iter().sum(), dark.iter().sum());
        assert!(light_sum > dark_sum, "{}: the sample scatters", profile.name());
        assert_eq!(bench.simulator.laser(), Laser::On);
        drop(driver);
        assert_eq!(bench.simulator.laser(), Laser::Off);
    }
}

#[test]
fn a_survey_reads_and_does_not_touch() {
    let bench = bench(InstrumentFamily::QePro, 115_200);
    let Survey { serial, axis, laser_on, tec_setpoint, .. } =
        survey(&bench.settings(), &Stop::never()).expect("a good device");
    assert_eq!(serial, bench.simulator.serial());
    assert!(axis.first().per_cm() < 800.0 && axis.last().per_cm() > 1800.0);
    assert_eq!(laser_on, Some(false));
    assert!(tec_setpoint.is_some());
}

#[test]
fn the_baud_rate_is_found_changed_and_kept() {
    let bench = bench(InstrumentFamily::QePro, 57_600);
    let with = |baud| AcquisitionSettings { baud, ..bench.settings() };
    let baud = |settings| survey(&settings, &Stop::never()).map(|survey| survey.baud);
    assert_eq!(baud(with(BaudRate::Probe)).expect("found"), 57_600);
    let wrong = baud(with(BaudRate::Fixed(38_400))).expect_err("another rate");
    assert!(wrong.to_string().contains("at 38400 baud"), "{wrong}");
    assert_eq!(wrong.kind(), Kind::Device);
    assert_eq!(baud(with(BaudRate::Negotiate(230_400))).expect("changed"), 230_400);
    assert_eq!(baud(with(BaudRate::Fixed(230_400))).expect("kept"), 230_400);
}

/// A fault before a measurement, what comes of it, and the laser afterwards.
fn check(profile: InstrumentFamily, fault: &str, expected: &str) {
    let bench = bench(profile, 115_200);
    let mut driver = bench.open();
    bench.inject(fault);
    let outcome = match driver.measure() {
        Ok(spectrum) => {
            let Acquisition { line, device_exception, saturated_pixels, .. } = acquisition(&spectrum);
            let saturated = if *saturated_pixels > 0 { " saturated" } else { "" };
            let exception = if device_exception.is_some() { " exception" } else { "" };
            let (retries, stale, damaged) = (line.retries, line.stale_frames, line.damaged_frames);
            format!("measured: retries {retries} stale {stale} damaged {damaged}{saturated}{exception}")
        }
        Err(error) => {
            assert_eq!(bench.simulator.laser(), Laser::Off, "{fault}: after the error {error}");
            assert_eq!(error.kind(), Kind::Device, "{fault}: {error}");
            error.to_string()
        }
    };
    assert!(outcome.contains(expected), "{} {fault}: {outcome}", profile.name());
    drop(driver);
    assert_eq!(bench.simulator.laser(), Laser::Off, "{} {fault}", profile.name());
}

#[test]
fn every_fault_has_its_answer_and_leaves_the_laser_off() {
    let cases = [
        ("nack=7@3", "measured: retries 3 stale 0 damaged 0"),
        ("nack=3@2", "measured: retries 2 stale 0 damaged 0"),
        ("nack=13", "was refused"),
        ("deferred=300", "measured: retries 0 stale 0 damaged 0"),
        ("wrong-regarding", "measured: retries 1 stale 1 damaged 0"),
        ("leftover", "measured: retries 0 stale 1 damaged 0"),
        ("stall=1500", "measured: retries "),
        ("silence", "measured: retries 1 stale 0 damaged 0"),
        ("silence@3", "no answer to message"),
        ("flip-byte=70", "measured: retries 1 stale 0 damaged 1"),
        ("drop-byte=500", "measured: retries 1 "),
        ("duplicate-byte=500", "measured: retries 1 "),
        ("noise=200", "measured: retries 0 stale 0 damaged 0"),
        ("fragment=61@5", "measured: retries 0 stale 0 damaged 0"),
        ("duplicate-reply", "measured: retries 0 stale 1 damaged 0"),
        ("bare-ack", "measured: retries 0 stale 0 damaged 0"),
        ("old-version@5", "measured: retries 0 stale 0 damaged 0"),
        ("short-data", "measured: retries 1 "),
        ("exception@9", "measured: retries 0 stale 0 damaged 0 exception"),
        // Twice, because the STS has its first spectrum with the laser on thrown away.
        ("saturation@2", "saturated"),
        ("brown-out", "was refused"),
        ("interlock-open", "is the interlock closed?"),
    ];
    for profile in InstrumentFamily::ALL {
        std::thread::scope(|scope| {
            for (fault, expected) in cases {
                scope.spawn(move || check(profile, fault, expected));
            }
        });
    }
    check(InstrumentFamily::QePro, "stale-buffer", "measured: retries 0 stale 0 damaged 0");
}

#[test]
fn an_interlock_that_opens_while_the_laser_is_on_shows_in_the_spectrum_or_as_an_error() {
    let bench = bench(InstrumentFamily::QePro, 115_200);
    let mut driver = bench.open();
    driver.measure().expect("a good device");
    bench.inject("interlock-open");
    let dark = driver.measure().expect("the exposure itself succeeds");
    assert_eq!(acquisition(&dark).laser, Laser::Off);
    assert!(matches!(driver.measure(), Err(AcquireError::LaserNotOn { source: Some(_) })));
    bench.inject("interlock-closed");
    assert_eq!(acquisition(&driver.measure().expect("closed again")).laser, Laser::On);
}

#[test]
fn a_pulled_plug_is_noticed_and_the_device_found_again() {
    let bench = bench(InstrumentFamily::QePro, 115_200);
    let station = RunningStation::start(bench.settings());
    station.measured.spectra.recv_timeout(patience()).expect("a spectrum");
    bench.simulator.hang_up();
    wait_for(&station, |event| matches!(event, StationEvent::Lost { .. }));
    while station.measured.spectra.try_recv().is_ok() {}
    bench.simulator.come_back();
    wait_for(&station, |event| matches!(event, StationEvent::Recovered { .. }));
    station.measured.spectra.recv_timeout(patience()).expect("a spectrum");
    station.stop();
    station.join().expect("stopped");
    assert_eq!(bench.simulator.laser(), Laser::Off);
}

#[test]
fn a_device_that_restarts_gets_all_its_settings_again() {
    let bench = bench(InstrumentFamily::Sts, 115_200);
    let station = RunningStation::start(bench.settings());
    station.measured.spectra.recv_timeout(patience()).expect("a spectrum");
    bench.inject("brown-out");
    wait_for(&station, |event| matches!(event, StationEvent::Lost { why } if why.contains("error 9")));
    while station.measured.spectra.try_recv().is_ok() {}
    let spectrum = station.measured.spectra.recv_timeout(patience()).expect("a spectrum");
    assert_eq!(acquisition(&spectrum).integration.micros(), 20_000);
    drop(station);
    assert_eq!(bench.simulator.laser(), Laser::Off);
}

/// Stops in the middle of a long light frame; how long the station took to end.
fn stop_while_exposing(profile: InstrumentFamily, integration: Duration) -> Duration {
    let bench = bench(profile, 115_200);
    let micros = u64::try_from(integration.as_micros()).expect("short");
    let settings = AcquisitionSettings { integration: IntegrationTime::from_micros(micros), ..bench.settings() };
    let station = RunningStation::start(settings);
    assert!(bench.simulator.wait_for_laser(Laser::On, patience()));
    let asked = Instant::now();
    station.stop();
    // 200 ms by contract, and room for a machine that is busy with other tests.
    assert!(bench.simulator.wait_for_laser(Laser::Off, Duration::from_millis(1_000)), "{}", profile.name());
    station.join().expect("stopped, and the laser confirmed off");
    assert_eq!(bench.simulator.laser(), Laser::Off);
    asked.elapsed()
}

#[test]
fn a_stop_does_not_wait_for_an_exposure_that_can_be_aborted() {
    let exposure = Duration::from_secs(8);
    assert!(stop_while_exposing(InstrumentFamily::QePro, exposure) < exposure / 2);
}

#[test]
fn a_stop_switches_the_laser_off_at_once_where_the_exposure_has_to_end_by_itself() {
    let exposure = Duration::from_secs(2);
    assert!(stop_while_exposing(InstrumentFamily::Sts, exposure) < 3 * exposure);
}

fn wait_for(station: &RunningStation, wanted: impl Fn(&StationEvent) -> bool) {
    let start = Instant::now();
    loop {
        let event = station.measured.events.recv_timeout(patience().saturating_sub(start.elapsed()));
        if wanted(&event.expect("the event comes in time")) {
            return;
        }
    }
}
