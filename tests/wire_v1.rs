//! Wire contract v1, frozen: what is published is compared byte for byte with the files in `wire_v1`, which must not be
//! edited, and CBOR is read back by a decoder that is not ours.

#[path = "support/missing.rs"]
mod missing;
#[path = "support/root.rs"]
mod root;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use missing::missing;
use proptest::prelude::*;
use ramand::publish::wire::{
    self, Alarm, AlarmState, Clock, Event, Health, Ne107, PaDimReadings, Presence, Stamp, Status, decode_spectrum,
};
use ramand_core::outcome::{
    Applicability, Attribution, Band, BandContribution, Completeness, Conclusion, Decision, Explained, Finding,
    Inspection, Interval, LabelSet, ModelIdentity, Prediction, Reason, Timings, Verdict,
};
use ramand_core::record::{Gap, Loss, LossReason, PartKind, PartKinds, Seq};
use ramand_core::spectrum::{
    Acquisition, Celsius, Counts, Instrument, IntegrationTime, Laser, LineStatistics, Nonlinearity, Origin, RamanShift,
    RawSpectrum, ShiftAxis, Wavelength, WavelengthCalibration,
};
use root::root;

/// 2026-11-23T08:00:00.123456Z.
fn time() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_795_420_800_123_456)
}

fn stamp() -> Stamp {
    Stamp { seq: Seq::new(42), time: time(), clock: Clock::Synchronised }
}

fn acquisition() -> Acquisition {
    Acquisition {
        instrument: Arc::new(Instrument {
            model: "QE Pro".into(),
            serial: "QEP01234".into(),
            firmware: Some("1.2.3".into()),
            pixels: 6,
            active: 1..5,
            calibration: WavelengthCalibration {
                coefficients: vec![785.5, 0.13, -7.5e-6, 0.0],
                laser: Wavelength::from_nm(785.1),
            },
            nonlinearity: Some(Nonlinearity { coefficients: vec![1.0, 1e-7] }),
            saturation: Counts::new(200_000.0),
        }),
        taken: time(),
        integration: IntegrationTime::from_micros(100_000),
        scans: 1,
        laser: Laser::On,
        saturated_pixels: 0,
        dark_noise: Some(Counts::new(3.1)),
        detector_temperature: Some(Celsius::new(-10.0)),
        took: std::time::Duration::ZERO,
        device_exception: None,
        line: LineStatistics { retries: 1, stale_frames: 2, damaged_frames: 3 },
    }
}

fn measured() -> RawSpectrum {
    let acquisition = acquisition();
    let axis = acquisition.instrument.calibration.axis(acquisition.instrument.active.clone()).expect("calibrated");
    let light = vec![1523.25, 1533.0, 16_777_216.0, 1.0];
    RawSpectrum::new(Arc::new(axis), light, Some(vec![1500.0, 1501.5, 1499.0, 0.1]), Origin::Measured(acquisition))
        .expect("four points each")
}

fn recorded() -> RawSpectrum {
    let axis = ShiftAxis::new(vec![800.0, 802.5, 805.0]).expect("increasing");
    let origin = Origin::Recorded { id: "s1-a".into() };
    RawSpectrum::new(Arc::new(axis), vec![-0.5, 0.25, 1.5], None, origin).expect("three points")
}

fn band(name: &str, from: f64, to: f64, contribution: f32, share: Option<f32>, gross_share: f32) -> BandContribution {
    let band = Band { name: name.into(), from: RamanShift::from_per_cm(from), to: RamanShift::from_per_cm(to) };
    BandContribution { band: Arc::new(band), contribution, share, gross_share }
}

fn finding(name: &str, conclusion: Option<Conclusion>, decision: Decision, reasons: Vec<Reason>) -> Finding {
    let identity = ModelIdentity {
        name: name.into(),
        version: "1.0.0".into(),
        sha256: "ab".repeat(32),
        claim: "trained on simulated spectra".into(),
    };
    Finding { model: Arc::new(identity), conclusion, verdict: Verdict { decision, reasons } }
}

fn attribution(explained: Explained, output: f32, bands: Vec<BandContribution>) -> Attribution {
    Attribution {
        explained,
        axis: Arc::new(ShiftAxis::new(vec![800.0, 804.0, 808.0]).expect("increasing")),
        map: vec![0.25, -0.125, 0.1],
        difference: vec![0.5, 0.0, -0.3],
        output,
        reference_output: 0.02,
        bands,
        off_band: 0.2,
        completeness_error: 1.2e-7,
        completeness: Completeness::Exact,
        linear_share: Some(0.6),
        receptive_field: 28.0,
    }
}

fn inspection() -> Inspection {
    let class = Conclusion {
        prediction: Prediction::Class {
            labels: ["corn".to_owned(), "olive".to_owned(), "peanut".to_owned()].into(),
            scores: vec![0.02, 1.01, 0.1],
            probabilities: vec![0.001, 0.98, 0.019],
            best: 1,
            runner_up: 2,
            set: Some(LabelSet { members: vec![1], confidence: 0.9 }),
        },
        attribution: attribution(
            Explained::Contrast { class: 1, against: 2 },
            0.91,
            vec![
                band("C-C stretch", 1040.0, 1140.0, 0.02, None, 0.05),
                band("C=C stretch, cis", 1640.0, 1672.5, -0.31, Some(-0.34), 0.2),
            ],
        ),
        applicability: Some(Applicability {
            t2: 3.1,
            t2_limit: 21.0,
            q: 0.2,
            q_limit: 0.8,
            p_value: Some(0.43),
            significance: 0.01,
        }),
    };
    let value = Conclusion {
        prediction: Prediction::Value {
            value: 7.2,
            unit: "% sunflower oil".into(),
            interval: Some(Interval { lower: 5.1, upper: 9.3, confidence: 0.95 }),
        },
        attribution: attribution(Explained::Value, 7.2, vec![]),
        applicability: None,
    };
    let above = Reason::Above { value: 7.2, limit: 5.0, unit: "% sunflower oil".into() };
    Inspection {
        spectrum: Arc::new(measured()),
        findings: vec![
            finding("oil-type", Some(class), Decision::Accept, vec![]),
            finding("olive-adulteration", Some(value), Decision::Reject, vec![above, Reason::NotGated]),
        ],
        timings: Timings {
            acquire: Duration::from_micros(120_000),
            preprocess: Duration::from_micros(300),
            infer: Duration::from_micros(90),
            decide: Duration::from_micros(10),
        },
    }
}

fn every_reason() -> Inspection {
    let unit: Arc<str> = "%".into();
    let reasons = vec![
        Reason::Saturated { pixels: 3 },
        Reason::TooDark { signal: 12.5, minimum: 100.0 },
        Reason::TooNoisy { signal_to_noise: 4.0, minimum: 20.0 },
        Reason::LaserNotOn { laser: Laser::Unknown },
        Reason::DeviceException { number: 7 },
        Reason::AxisNotCovered { measured: (800.0, 1700.0), needed: (800.0, 1800.0) },
        Reason::NotPreprocessed { why: "the baseline did not converge".into() },
        Reason::UnusualSample { t2: 30.0, limit: 21.0 },
        Reason::UnknownSample { q: 1.5, limit: 0.8 },
        Reason::NotGated,
        Reason::Above { value: 7.5, limit: 5.0, unit: unit.clone() },
        Reason::Below { value: 0.5, limit: 1.0, unit },
        Reason::WrongClass { found: "palm".into(), allowed: vec!["olive".into(), "sesame".into()] },
        Reason::Unsure { probability: 0.5, minimum: 0.9 },
        Reason::Incomplete { error: 0.5 },
        Reason::LimitNotApplicable { limit: "upper limit 5".into() },
    ];
    let findings = vec![finding("oil-type", None, Decision::Invalid, reasons)];
    Inspection { spectrum: Arc::new(recorded()), findings, timings: Timings::default() }
}

/// An oil the models were not trained on, and every reason that calibration gives.
fn unknown() -> Inspection {
    let unit: Arc<str> = "% sunflower oil".into();
    let mut inspection = inspection();
    let [class, value] = inspection.findings.as_mut_slice() else { panic!("two findings") };
    let conclusion = class.conclusion.as_mut().expect("there");
    if let Prediction::Class { set, .. } = &mut conclusion.prediction {
        *set = Some(LabelSet { members: vec![], confidence: 0.9 });
    }
    conclusion.applicability = conclusion.applicability.map(|gate| Applicability { p_value: Some(0.002), ..gate });
    class.verdict = Verdict {
        decision: Decision::Invalid,
        reasons: vec![
            Reason::ImprobableSample { p_value: 0.002, significance: 0.01 },
            Reason::UnknownClass { conforming: 0, confidence: 0.9 },
            Reason::Ambiguous { labels: vec!["olive".into(), "peanut".into()] },
        ],
    };
    let near = Reason::NearLimit { lower: 5.1, upper: 9.3, confidence: 0.95, limit: 6.0, unit };
    value.verdict = Verdict {
        decision: Decision::Accept,
        reasons: vec![near, Reason::NotGated, Reason::NotCalibrated { missing: "p-value" }],
    };
    inspection
}

fn gap() -> Gap {
    let mut gap = Gap::default();
    let kinds = PartKinds::from_iter([PartKind::Result, PartKind::Spectrum]);
    gap.add(Loss { seqs: Seq::new(3)..=Seq::new(40), kinds, reason: LossReason::Capacity });
    let kinds = PartKinds::default().with(PartKind::Alarm);
    gap.add(Loss { seqs: Seq::new(41)..=Seq::new(41), kinds, reason: LossReason::NotWritten });
    gap
}

fn status(presence: Presence, last_seen: SystemTime) -> Status<'static> {
    Status { presence, since: time(), last_seen, version: "0.1.0" }
}

/// Each payload with the files it was frozen in, the oldest first: a later one has gained keys.
fn payloads() -> Vec<(Vec<&'static str>, Vec<u8>)> {
    let stamp = stamp();
    let free = Stamp { clock: Clock::Free, ..stamp };
    let event = Event { code: "spectrometer_identified".into(), text: "QE Pro QEP01234 on the line".into() };
    let alarm = Alarm {
        code: "spectrometer_unreachable".into(),
        text: "no answer for 5 s".into(),
        category: Ne107::Failure,
        state: AlarmState::Raised,
    };
    let readings = PaDimReadings::from(&inspection());
    let health = Health { state: Ne107::OutOfSpecification, reasons: vec!["the detector is warm".into()], readings };
    let later = time() + Duration::from_secs(1);
    vec![
        (vec!["result.json", "result_claim.json", "result_calibrated.json"], wire::result(&stamp, &inspection())),
        (vec!["result_invalid.json", "result_invalid_claim.json"], wire::result(&free, &every_reason())),
        (vec!["result_unknown.json"], wire::result(&stamp, &unknown())),
        (vec!["status_online.json"], wire::status(&status(Presence::Online, later))),
        (vec!["status_lost.json"], wire::status(&status(Presence::Lost, time()))),
        (vec!["health.json"], wire::health(time(), Clock::Synchronised, &health)),
        (vec!["event.json"], wire::event(&stamp, &event)),
        (vec!["alarm.json"], wire::alarm(&free, &alarm)),
        (vec!["gap.json"], wire::gap(Seq::new(42), time(), &gap())),
        (vec!["cam.cbor"], wire::cam(&stamp, &inspection())),
        (vec!["spectrum_measured.cbor"], wire::spectrum(&stamp, &measured())),
        (vec!["spectrum_recorded.cbor"], wire::spectrum(&free, &recorded())),
    ]
}

fn folder() -> PathBuf {
    root().join("tests/wire_v1")
}

#[test]
fn payloads_are_what_they_always_were() {
    let payloads = payloads();
    for (files, payload) in &payloads {
        let (newest, older) = files.split_last().expect("frozen at least once");
        let read = |file: &str| std::fs::read(folder().join(file)).expect(file);
        let (frozen, text) = (read(newest), |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned());
        assert!(&frozen == payload, "{newest}\nfrozen    {}\npublished {}", text(&frozen), text(payload));
        let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).expect("JSON");
        older.iter().for_each(|file| contains(file, &json(&read(file)), &json(payload)));
    }
    let files = std::fs::read_dir(folder()).expect("there").map(|file| file.expect("readable").file_name());
    let files: BTreeSet<String> = files.map(|name| name.to_string_lossy().into_owned()).collect();
    let known = payloads.iter().flat_map(|(files, _)| files).map(ToString::to_string).chain(["README.md".to_owned()]);
    assert_eq!(files, known.collect(), "every frozen file is compared");
}

/// Whether every key a subscriber may know is still there with the value it had.
fn contains(path: &str, frozen: &serde_json::Value, published: &serde_json::Value) {
    match (frozen, published) {
        (serde_json::Value::Object(frozen), serde_json::Value::Object(published)) => {
            for (key, value) in frozen {
                let found = published.get(key).unwrap_or_else(|| panic!("{path}/{key} is no longer published"));
                contains(&format!("{path}/{key}"), value, found);
            }
        }
        (serde_json::Value::Array(frozen), serde_json::Value::Array(published)) => {
            assert_eq!(frozen.len(), published.len(), "{path}");
            let pairs = frozen.iter().zip(published).enumerate();
            pairs.for_each(|(index, (frozen, published))| contains(&format!("{path}/{index}"), frozen, published));
        }
        _ => assert_eq!(frozen, published, "{path}"),
    }
}

#[test]
fn the_documented_record_has_the_keys_that_are_published() {
    let documented = std::fs::read_to_string(folder().join("../../docs/wire.md")).expect("there");
    let (_, example) = documented.split_once("```json\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let example: serde_json::Value = serde_json::from_str(example).expect("JSON");
    let published: serde_json::Value = serde_json::from_slice(&wire::result(&stamp(), &inspection())).expect("JSON");
    fn check(path: &str, documented: &serde_json::Value, published: &serde_json::Value) {
        if let Some(documented) = documented.as_object() {
            for (key, value) in documented {
                let path = format!("{path}/{key}");
                let published = published.get(key);
                check(&path, value, published.unwrap_or_else(|| panic!("{path} is documented and not published")));
            }
        }
        for (index, value) in documented.as_array().into_iter().flatten().enumerate() {
            if let Some(published) = published.get(index) {
                check(&format!("{path}/{index}"), value, published);
            }
        }
    }
    check("", &example, &published);
}

#[test]
fn numbers_are_short_and_what_is_not_finite_is_null() {
    let mut inspection = inspection();
    let conclusion = inspection.findings[1].conclusion.as_mut().expect("there");
    conclusion.attribution.output = f32::NAN;
    conclusion.attribution.off_band = 0.1;
    let text = String::from_utf8(wire::result(&stamp(), &inspection)).expect("text");
    assert!(text.contains("\"output\":null,\"reference_output\":0.02"), "{text}");
    assert!(text.contains("\"off_band\":0.1,"), "{text}");
}

#[test]
fn a_published_spectrum_comes_back_whole() {
    for spectrum in [measured(), recorded()] {
        assert_eq!(decode_spectrum(&wire::spectrum(&stamp(), &spectrum)).expect("ours"), spectrum);
    }
}

#[test]
fn what_is_no_spectrum_says_why() {
    let whole = wire::spectrum(&stamp(), &recorded());
    let replaced = |from: &[u8], to: &[u8]| {
        let at = whole.windows(from.len()).position(|window| window == from).expect("there");
        [&whole[..at], to, &whole[at + from.len()..]].concat()
    };
    let cases = [
        (vec![], "failed to read 'record'"),
        (b"\xff\xff".to_vec(), "failed to read 'record'"),
        (b"\xa0".to_vec(), "has no 'v'"),
        (b"\xbf\xff".to_vec(), "'record' of a spectrum record does not say how many entries it has"),
        (b"\xb9\xff\xff".to_vec(), "'record' of a spectrum record has 65535 entries"),
        (replaced(b"av\x01", b"av\x02"), "a spectrum record of version 2"),
        (replaced(b"elight\xd8\x55", b"elight\xd8\x56"), "'light' of a spectrum record has tag 86, not 85"),
        (replaced(b"elight\xd8\x55\x4c", b"elight\xd8\x55\x4b"), "'light' of a spectrum record ends with 3 bytes"),
        (replaced(b"elight", b"eLIGHT"), "has no 'light'"),
        (whole[..whole.len() - 1].to_vec(), "failed to read 'recorded'"),
    ];
    for (bytes, expected) in cases {
        let message = decode_spectrum(&bytes).expect_err(expected).to_string();
        assert!(message.contains(expected), "{message}, not {expected}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut payload = wire::spectrum(&stamp(), &measured());
        let at = at.index(payload.len());
        payload[at] = byte;
        let _ = decode_spectrum(&payload);
        let _ = decode_spectrum(&payload[..cut.index(payload.len())]);
    }

    #[test]
    fn neither_do_random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_spectrum(&bytes);
    }
}

/// Python's cbor2 shares no line with our encoder, and knows typed arrays only as tags: the numbers are unpacked here.
#[test]
fn an_independent_decoder_reads_the_arrays() {
    const SCRIPT: &str = r#"
import cbor2, struct, sys
def plain(value):
    if isinstance(value, cbor2.CBORTag):
        size, letter = {85: (4, "f"), 86: (8, "d")}[value.tag]
        return list(struct.unpack("<%d%s" % (len(value.value) // size, letter), value.value))
    if isinstance(value, dict) or hasattr(value, "items"):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value
cam, spectrum = (plain(cbor2.loads(open(name, "rb").read())) for name in sys.argv[1:3])
assert (cam["v"], cam["seq"], cam["id"], cam["time"]) == (1, 42, "QEP01234-00000042", "2026-11-23T08:00:00.123456Z"), cam
oil, adulteration = cam["models"]
assert oil["explained"] == {"kind": "contrast", "class": "olive", "against": "peanut"}, oil
assert adulteration["explained"] == {"kind": "value"}, adulteration
assert oil["axis_cm"] == [800.0, 804.0, 808.0] and oil["difference"][0] == 0.5 and oil["map"][1] == -0.125, oil
assert spectrum["light"] == [1523.25, 1533.0, 16777216.0, 1.0], spectrum
assert spectrum["dark"][:3] == [1500.0, 1501.5, 1499.0], spectrum
assert len(spectrum["axis_cm"]) == 4, spectrum
acquisition = spectrum["acquisition"]
assert acquisition["taken_us"] == 1795420800123456 and acquisition["device_exception"] is None, acquisition
assert acquisition["instrument"]["wavelength_nm"] == [785.5, 0.13, -7.5e-6, 0.0], acquisition
print("decoded")
"#;
    let Some(python) = std::env::var_os("RAMAND_TEST_PYTHON") else {
        missing("program", "RAMAND_TEST_PYTHON names no Python with cbor2: `./dev setup` makes one");
        return;
    };
    let files = ["cam.cbor", "spectrum_measured.cbor"].map(|file| folder().join(file));
    let output = Command::new(python).arg("-c").arg(SCRIPT).args(files).output().expect("starts");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "decoded",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
