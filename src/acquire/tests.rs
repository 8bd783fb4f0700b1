//! The driver and the station against a scripted device on a pseudo-terminal.

mod peer;
#[path = "../../tests/support/station.rs"]
mod station_thread;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use ocean_binary_protocol::{MessageType, Profile};
use peer::{DARK, Deed, SIGNAL, ScriptedDevice};
use ramand_core::failure::{Failure, Kind};
use ramand_core::spectrum::{IntegrationTime, Laser};
use station_thread::RunningStation;

use super::link::SerialLink;
use super::*;
use crate::supervise::Stop;
use crate::{acquire, supervise};

/// For an event that takes a time-out of the driver's and a pause of the station's; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

fn settings(peer: &ScriptedDevice) -> AcquisitionSettings {
    AcquisitionSettings {
        baud: BaudRate::Fixed(230_400),
        integration: IntegrationTime::from_micros(10_000),
        laser_warmup: Duration::ZERO,
        ..AcquisitionSettings::new(peer.path())
    }
}

fn open(peer: &ScriptedDevice) -> Result<Driver, AcquireError> {
    Driver::open(settings(peer), &Stop::never())
}

#[test]
fn a_spectrum_is_light_and_dark_and_its_circumstances() {
    for profile in Profile::ALL {
        let peer = ScriptedDevice::new(profile);
        let mut driver = open(&peer).expect("a good device");
        assert_eq!(peer.world().laser_log, [false], "whatever was on is off first");
        let spectrum = driver.measure().expect("a good device");
        assert_eq!(spectrum.light().len(), profile.active.len());
        let first = (DARK + (profile.active.start % 7) as u32) as f32;
        assert_eq!(spectrum.light()[0], first + SIGNAL as f32);
        assert_eq!(spectrum.dark().expect("taken")[0], first);
        let acquisition = spectrum.acquisition().expect("measured");
        assert_eq!(acquisition.laser, Laser::On);
        assert_eq!(acquisition.saturated_pixels, 0);
        assert_eq!(acquisition.device_exception, None);
        assert_eq!(acquisition.line.retries, 0);
        assert_eq!(acquisition.instrument.serial, "TEST0001");
        assert_eq!(acquisition.instrument.firmware.as_deref(), Some("1.23"));
        assert_eq!(acquisition.instrument.nonlinearity, None, "all-zero coefficients are no calibration");
        assert_eq!(acquisition.instrument.model, profile.model);
        let degrees = acquisition.detector_temperature.map(|temperature| temperature.degrees());
        assert_eq!(degrees, Some(if profile.cooled { -10.0 } else { 31.0 }));
        // 790 nm + 0.15 nm per pixel against 785 nm, by hand for the first active pixel.
        let lambda_nm = 790.0 + 0.15 * profile.active.start as f64;
        assert!((spectrum.axis().first().per_cm() - 1e7 * (1.0 / 785.0 - 1.0 / lambda_nm)).abs() < 0.01);

        let dark_frames = peer.world().spectra_sent;
        driver.measure().expect("a good device");
        assert_eq!(peer.world().spectra_sent, dark_frames + 1, "the dark frame still holds and the laser stayed on");
        driver.laser_off().expect("a good device");
        assert_eq!(driver.laser(), Laser::Off);
        drop(driver);
        assert_eq!(peer.world().laser_log, [false, true, false]);
    }
}

/// A fault while measuring: what comes of it, and that the laser is off afterwards whatever came.
fn check(profile: &'static Profile, on: MessageType, deed: Deed, times: u32, expected: &str) {
    let peer = ScriptedDevice::new(profile);
    let mut driver = open(&peer).expect("a good device");
    peer.add_fault(on, deed, times);
    let outcome = match driver.measure() {
        Ok(spectrum) => {
            let acquisition = spectrum.acquisition().expect("measured");
            let line = acquisition.line;
            format!(
                "retries {} stale {} damaged {} exception {:?}",
                line.retries, line.stale_frames, line.damaged_frames, acquisition.device_exception
            )
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Device, "{error}");
            error.to_string()
        }
    };
    assert!(outcome.contains(expected), "{on} {deed:?} {times}: {outcome}");
    drop(driver);
    if deed != Deed::Hangup {
        assert!(!peer.world().laser, "{on} {deed:?} {times}: the laser is on");
    }
}

#[test]
fn every_fault_has_its_answer_and_leaves_the_laser_off() {
    let (sts, qepro) = (&Profile::STS, &Profile::QEPRO);
    let (pixels, buffered) = (MessageType::CORRECTED_SPECTRUM, MessageType::BUFFERED_SPECTRUM);
    let enable = MessageType::ENABLE_LIGHT_SOURCE;
    let lost = "no answer to message 0x00101000 within";
    std::thread::scope(|scope| {
        let cases = [
            (sts, pixels, Deed::Ignore, 1, "retries 1 stale 0 damaged 0"),
            (sts, pixels, Deed::Ignore, 3, lost),
            (sts, pixels, Deed::Stall, 1, "retries 1 stale 0 damaged 0"),
            (sts, pixels, Deed::FlipByte, 1, "retries 1 stale 0 damaged 1"),
            (sts, pixels, Deed::Nack(7), 3, "retries 3 "),
            (sts, pixels, Deed::Nack(7), u32::MAX, "message 0x00101000 was refused"),
            (sts, pixels, Deed::Nack(3), 2, "retries 2 "),
            (sts, pixels, Deed::Nack(13), 1, "message 0x00101000 was refused"),
            (sts, pixels, Deed::Defer, 2, "retries 0 stale 0 damaged 0"),
            (sts, pixels, Deed::AnswerOther, 1, "retries 0 stale 1 damaged 0"),
            (sts, pixels, Deed::WrongLength, 1, "retries 1 "),
            (sts, pixels, Deed::WrongLength, 3, "the device answers nonsense"),
            (sts, pixels, Deed::Exception(9), u32::MAX, "exception Some(9)"),
            (sts, pixels, Deed::OldVersion, u32::MAX, "retries 0 stale 0 damaged 0"),
            (sts, pixels, Deed::Hangup, 1, "lost "),
            (qepro, buffered, Deed::Nack(7), 2, "retries 2 "),
            (qepro, buffered, Deed::FlipByte, 1, "retries 1 stale 0 damaged 1"),
            (qepro, enable, Deed::AckWithoutResponseBit, u32::MAX, "retries 0 stale 0 damaged 0"),
            (qepro, enable, Deed::Ignore, 1, "retries 1 "),
            // More often than three requests can be repeated in their time, and less often than the laser is switched off.
            (qepro, enable, Deed::Nack(7), 100, "the laser does not switch on"),
        ];
        for (profile, on, deed, times, expected) in cases {
            scope.spawn(move || check(profile, on, deed, times, expected));
        }
    });
}

#[test]
fn an_open_interlock_is_named_and_the_laser_stays_off() {
    let peer = ScriptedDevice::new(&Profile::QEPRO);
    let mut driver = open(&peer).expect("a good device");
    peer.world().interlock_open = true;
    let error = driver.measure().expect_err("no light");
    assert!(error.to_string().contains("is the interlock closed?"), "{error}");
    assert!(!peer.world().laser_log.contains(&true));
}

#[test]
fn a_laser_that_the_interlock_switched_off_is_told_so_too() {
    let peer = ScriptedDevice::new(&Profile::QEPRO);
    let mut driver = open(&peer).expect("a good device");
    driver.measure().expect("a good device");
    // As long as the interlock is open, the device says that there is no light.
    peer.world().laser = false;
    driver.measure().expect("the exposure itself succeeds");
    assert_eq!(driver.laser(), Laser::Off);
    drop(driver);
    assert_eq!(peer.world().laser_log, [false, true, false], "and stays off when it closes");
}

#[test]
fn spectra_of_an_older_exposure_are_discarded_and_not_for_ever() {
    let peer = ScriptedDevice::new(&Profile::QEPRO);
    let mut driver = open(&peer).expect("a good device");
    peer.world().old_spectra = 2;
    driver.measure().expect("the third is good");
    assert_eq!(peer.world().spectra_sent, 4, "two old ones, one dark, one light");
    peer.world().old_spectra = 100;
    assert!(matches!(driver.measure(), Err(AcquireError::OldSpectra { discarded: 4, .. })));
    assert!(!peer.world().laser);
}

#[test]
fn the_first_spectrum_on_demand_after_any_change_is_thrown_away() {
    let peer = ScriptedDevice::new(&Profile::STS);
    let mut driver = open(&peer).expect("a good device");
    driver.measure().expect("a good device");
    assert_eq!(peer.world().spectra_sent, 4, "one thrown away and one kept, without and with the laser");
}

#[test]
fn a_panic_that_unwinds_switches_the_laser_off() {
    let peer = ScriptedDevice::new(&Profile::QEPRO);
    let mut driver = open(&peer).expect("a good device");
    driver.measure().expect("a good device");
    assert!(peer.world().laser);
    let outcome = catch_unwind(AssertUnwindSafe(move || {
        let _driver = driver;
        panic!("for the test");
    }));
    assert!(outcome.is_err());
    assert!(!peer.world().laser);
}

#[test]
fn another_serial_number_is_refused_before_anything_is_switched() {
    let peer = ScriptedDevice::new(&Profile::QEPRO);
    let settings = AcquisitionSettings { serial_number: Some("QEP0".into()), ..settings(&peer) };
    let error = Driver::open(settings, &Stop::never()).expect_err("another one");
    assert_eq!(error.kind(), Kind::Operator);
    assert!(error.to_string().ends_with("leads to serial number TEST0001, configured is QEP0"), "{error}");
    assert!(peer.world().laser_log.is_empty());
}

#[test]
fn settings_a_model_does_not_take_are_the_operators() {
    let peer = ScriptedDevice::new(&Profile::QEPRO);
    let check = |settings: AcquisitionSettings, expected: &str| {
        let error = Driver::open(settings, &Stop::never()).expect_err(expected);
        assert_eq!(error.kind(), Kind::Operator);
        assert!(error.to_string().contains(expected), "{error}");
    };
    let good = || settings(&peer);
    let short = IntegrationTime::from_micros(7_999);
    check(AcquisitionSettings { integration: short, ..good() }, "outside 8000..=1600000000 us of the QE Pro");
    check(AcquisitionSettings { scans: 0, ..good() }, "at least one scan");
    check(
        AcquisitionSettings { model: SpectrometerModel::Profile(&Profile::STS), ..good() },
        "has 1044 pixels, profile sts has 1024",
    );
    let lamp_line = LaserSwitching::By(ocean_binary_protocol::LaserControl::LampLine);
    check(AcquisitionSettings { laser_switch: lamp_line, ..good() }, "has no lamp line");
    let infrared = ramand_core::spectrum::Wavelength::from_nm(0.0);
    check(AcquisitionSettings { laser: infrared, ..good() }, "give no axis of Raman shifts");
}

#[test]
fn a_port_that_is_not_there_not_a_port_or_taken_says_so() {
    let peer = ScriptedDevice::new(&Profile::STS);
    let check = |path: &std::path::Path, kind: Kind, expected: &str| {
        let error = SerialLink::open(&SerialLine::Port, path, 9_600, FlowControl::None).expect_err(expected);
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(&peer.folder().join("absent"), Kind::Device, "is the spectrometer plugged in");
    let file = peer.folder().join("file");
    std::fs::write(&file, "text").expect("written");
    check(&file, Kind::Operator, "is not a serial port");
    let _taken = SerialLink::open(&SerialLine::Port, peer.path(), 9_600, FlowControl::None).expect("free");
    check(peer.path(), Kind::Device, "is in use by another program");
}

#[test]
fn a_signal_is_no_lost_line() {
    /// Enough for some to come in the middle of waiting, and at its very end.
    const READS: usize = 50_000;
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler does nothing, and nobody else uses this signal.
    unsafe { libc::signal(libc::SIGUSR1, nothing as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    let peer = ScriptedDevice::new(&Profile::STS);
    let mut link = SerialLink::open(&SerialLine::Port, peer.path(), 9_600, FlowControl::None).expect("free");
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let reader = std::thread::spawn(move || {
        // SAFETY: always succeeds.
        sender.send(unsafe { libc::pthread_self() }).expect("somebody asks");
        (0..READS).try_for_each(|_| link.read(Duration::ZERO).map(|bytes| assert!(bytes.is_empty())))
    });
    let target = receiver.recv().expect("told");
    while !reader.is_finished() {
        // SAFETY: the thread is joined below, so its name is still its own.
        unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
    }
    reader.join().expect("no panic").expect("the line is there all the time");
}

#[test]
fn the_rest_of_an_earlier_spectrum_is_drained_at_open() {
    let mut peer = ScriptedDevice::new(&Profile::STS);
    peer.plug_in(&peer::leftover());
    let mut driver = open(&peer).expect("drained");
    assert_eq!(driver.measure().expect("a good device").acquisition().expect("measured").line.stale_frames, 0);
}

#[test]
fn a_survey_switches_nothing() {
    let peer = ScriptedDevice::new(&Profile::QEPRO);
    let survey = survey(&settings(&peer), &Stop::never()).expect("a good device");
    assert_eq!((survey.model, survey.serial.as_str(), survey.baud), ("QE Pro", "TEST0001", 230_400));
    assert_eq!(survey.laser_on, Some(true));
    assert_eq!(survey.integration_min.micros(), Profile::QEPRO.integration_min.micros());
    assert_eq!(survey.tec_stable, Some(true));
    assert!(peer.world().laser_log.is_empty());
}

#[test]
fn the_station_measures_until_stopped() {
    let peer = ScriptedDevice::new(&Profile::STS);
    let station = RunningStation::start(settings(&peer));
    for _ in 0..6 {
        station.measured.spectra.recv_timeout(PATIENCE).expect("a spectrum");
    }
    station.stop();
    let events: Vec<StationEvent> = station.measured.events.try_iter().collect();
    assert!(
        matches!(events[..], [StationEvent::Connected(_), StationEvent::LaserOff, StationEvent::LaserOn, ..]),
        "{events:?}"
    );
    station.join().expect("stopped");
    assert!(!peer.world().laser);
}

#[test]
fn a_stop_during_a_long_exposure_takes_effect_at_once() {
    let peer = ScriptedDevice::new(&Profile::QEPRO);
    let minute = IntegrationTime::from_micros(60_000_000);
    let station = RunningStation::start(AcquisitionSettings { integration: minute, ..settings(&peer) });
    wait_for(&station, |event| matches!(event, StationEvent::Connected(_)));
    station.measured.spectra.recv_timeout(PATIENCE).expect("the device answers long before a minute has passed");
    peer.add_fault(MessageType::BUFFERED_SPECTRUM, Deed::Ignore, u32::MAX);
    while station.measured.spectra.try_recv().is_ok() {}
    let waiting = Instant::now();
    while peer.world().faults[0].times == u32::MAX {
        assert!(waiting.elapsed() < PATIENCE, "the station asks for the next spectrum");
        std::thread::yield_now();
    }
    assert!(peer.world().laser);
    let asked = Instant::now();
    station.stop();
    station.join().expect("stopped");
    // 200 ms, and as much again for a machine that is busy with other tests.
    assert!(asked.elapsed() < Duration::from_millis(400), "{:?}", asked.elapsed());
    assert!(!peer.world().laser);
}

#[test]
fn a_device_that_comes_back_under_its_path_is_measured_again() {
    let mut peer = ScriptedDevice::new(&Profile::QEPRO);
    let station = RunningStation::start(settings(&peer));
    station.measured.spectra.recv_timeout(PATIENCE).expect("a spectrum");
    peer.unplug();
    while station.measured.spectra.try_recv().is_ok() {}
    wait_for(&station, |event| matches!(event, StationEvent::Lost { .. }));
    wait_for(&station, |event| matches!(event, StationEvent::Lost { why } if why.contains("there is no port")));
    while station.measured.spectra.try_recv().is_ok() {}
    peer.plug_in(&[]);
    wait_for(
        &station,
        |event| matches!(event, StationEvent::Recovered { instrument, .. } if instrument.serial == "TEST0001"),
    );
    station.measured.spectra.recv_timeout(PATIENCE).expect("a spectrum");
    station.stop();
    station.join().expect("stopped");
    assert!(!peer.world().laser);
}

#[test]
fn a_wrong_serial_number_ends_the_station() {
    let peer = ScriptedDevice::new(&Profile::STS);
    let station = RunningStation::start(AcquisitionSettings { serial_number: Some("X".into()), ..settings(&peer) });
    assert!(matches!(station.join(), Err(AcquireError::WrongSerialNumber { .. })));
}

#[test]
fn the_laser_is_off_while_nobody_takes_spectra_and_in_long_pauses() {
    let peer = ScriptedDevice::new(&Profile::STS);
    let station = RunningStation::start(settings(&peer));
    let full = Instant::now();
    while !station.measured.spectra.is_full() || peer.world().laser {
        assert!(full.elapsed() < PATIENCE, "the laser is on although nobody takes spectra");
        std::thread::yield_now();
    }
    drop(station);

    let station = RunningStation::start(AcquisitionSettings { period: Duration::from_secs(3600), ..settings(&peer) });
    station.measured.spectra.recv_timeout(PATIENCE).expect("a spectrum");
    wait_for(&station, |event| *event == StationEvent::LaserOn);
    wait_for(&station, |event| *event == StationEvent::LaserOff);
    assert!(!peer.world().laser);
}

fn wait_for(station: &RunningStation, wanted: impl Fn(&StationEvent) -> bool) {
    let start = Instant::now();
    loop {
        let left = PATIENCE.saturating_sub(start.elapsed());
        let event = station.measured.events.recv_timeout(left).expect("the event comes in time");
        if wanted(&event) {
            return;
        }
    }
}
