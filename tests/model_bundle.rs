//! `ramand model bundle`, `verify` and `inspect` as somebody with an exported network meets them, up to the maps.

#[path = "support/program.rs"]
mod program;
#[path = "support/root.rs"]
mod root;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use onnx_gradient::onnx::{GraphProto, ModelProto};
use onnx_gradient::proto::{self, floats, int, ints, node, value};
use program::program;
use ramand::journal::{Journal, JournalSettings};
use ramand::publish::wire::{self, Clock, Stamp};
use ramand_core::record::{Audience, Entry, Part, PartKind, Seq};
use ramand_core::spectrum::{
    Acquisition, Counts, Instrument, IntegrationTime, Laser, LineStatistics, Origin, RawSpectrum, Wavelength,
    WavelengthCalibration,
};
use root::root;
use serde_json::Value;

/// The exit code for what somebody must mend.
const OPERATOR: i32 = 78;

fn ramand(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().expect("starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fixture(name: &str) -> String {
    let folder = root().join("tests/fixtures/gradient");
    folder.join(format!("{name}.onnx")).to_str().expect("text").to_owned()
}

/// A folder with reference spectra, a pipeline and a band table.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let shifts: Vec<f64> = (0..260).map(|place| 780.0 + 4.0 * f64::from(place)).collect();
        let mut csv = "id,oil".to_owned();
        shifts.iter().for_each(|shift| write!(csv, ",{shift}").expect("memory"));
        for row in 0..24 {
            let share = f64::from(row) / 24.0;
            write!(csv, "\ns{row},{}", if row % 4 == 0 { "olive" } else { "palm" }).expect("memory");
            for (place, shift) in shifts.iter().enumerate() {
                let band = |centre: f64| 50.0 * (-((shift - centre) / 20.0).powi(2)).exp();
                let noise = (f64::from(row) * 12.9 + place as f64 * 78.2).sin();
                write!(csv, ",{}", 20.0 + share * band(1656.0) + (1.0 - share) * band(1267.0) + noise).expect("memory");
            }
        }
        bench.put("spectra.csv", &csv);
        bench.put(
            "pipeline.toml",
            "[[pipeline]]\nstep = \"resample\"\n[[pipeline]]\nstep = \"normalise\"\nmethod = \"snv\"\n",
        );
        bench.put("bands.toml", "[[band]]\nname = \"C=C stretch\"\nfrom = 1640.0\nto = 1672.0\n");
        bench
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).to_str().expect("text").to_owned()
    }

    fn put(&self, file: &str, content: &str) {
        fs::write(self.folder.path().join(file), content).expect("writable");
    }

    fn put_network(&self, file: &str, model: &ModelProto) -> String {
        fs::write(self.folder.path().join(file), proto::encode(model)).expect("writable");
        self.path(file)
    }

    fn bundle(&self, network: &str, points: usize, more: &[&str]) -> Output {
        let (axis, out) = (format!("800:1800:{points}"), self.path("out"));
        let (spectra, pipeline, bands) =
            (self.path("spectra.csv"), self.path("pipeline.toml"), self.path("bands.toml"));
        let mut arguments =
            vec!["model", "bundle", network, "--axis", &axis, "--reference", &spectra, "--bands", &bands];
        arguments.extend(["--out", &out]);
        if !more.contains(&"--pipeline") {
            arguments.extend(["--pipeline", &pipeline]);
        }
        arguments.extend(more);
        ramand(&arguments)
    }
}

/// Two convolutions, a flat head for three kinds and a softmax; 64 points.
fn network() -> ModelProto {
    let weights = |count: usize| (0..count).map(|index| (index as f32 * 0.7).sin()).collect::<Vec<f32>>();
    let conv = |input: &str, layer: &str| {
        let attributes = vec![ints("strides", &[2]), ints("pads", &[1, 1])];
        node("Conv", &[input, &format!("{layer}.weight")], layer, attributes)
    };
    proto::model(GraphProto {
        node: vec![
            conv("x", "first"),
            node("Relu", &["first"], "first.relu", vec![]),
            conv("first.relu", "second"),
            node("Relu", &["second"], "second.relu", vec![]),
            node("Flatten", &["second.relu"], "features", vec![]),
            node("Gemm", &["features", "head.weight"], "logits", vec![int("transB", 1)]),
            node("Softmax", &["logits"], "p", vec![int("axis", 1)]),
        ],
        initializer: vec![
            floats("first.weight", &[4, 1, 3], &weights(12)),
            floats("second.weight", &[6, 4, 3], &weights(72)),
            floats("head.weight", &[3, 96], &weights(288)),
        ],
        name: "network".into(),
        input: vec![value("x", &[1, 1, 64])],
        output: vec![value("p", &[1, 3])],
        ..GraphProto::default()
    })
}

/// Bundle, verify, explain: the maps have the axis's shape and add up where the bundle says so.
fn check(name: &str, network: &str, points: usize, more: &[&str], completeness: &str) {
    let bench = Bench::new();
    let made = bench.bundle(network, points, &[more, &["--json"]].concat());
    assert!(made.status.success(), "{name}: {}", text(&made.stderr));
    let report: Value = serde_json::from_slice(&made.stdout).expect("one JSON object");
    assert_eq!(report["completeness"], completeness, "{name}: {report}");
    assert_eq!(report["adopted"]["evaluation"], "not evaluated here");
    let out = bench.path("out");
    let verified = ramand(&["model", "verify", &out]);
    let said = text(&verified.stdout);
    assert!(verified.status.success() && said.contains("self-test"), "{name}: {said}");
    let explained = ramand(&["explain", &bench.path("spectra.csv"), "--model", &out, "--json", "--maps"]);
    assert!(explained.status.success(), "{name}: {}", text(&explained.stderr));
    let lines: Vec<Value> =
        text(&explained.stdout).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 24, "{name}");
    let map = |line: &Value| -> Vec<f64> {
        line["maps"]["map"].as_array().expect("a map").iter().filter_map(Value::as_f64).collect()
    };
    assert!(map(&lines[0]) != map(&lines[20]), "{name}: another spectrum, another map");
    for line in &lines {
        assert_eq!(map(line).len(), points, "{name}");
        assert_eq!(line["maps"]["axis_cm"].as_array().map(Vec::len), Some(points), "{name}");
        assert!(line["applicability"].is_object(), "{name}: 24 spectra make a gate");
        let said = &line["explanation"]["completeness"];
        assert_eq!(said == "reported", completeness == "reported", "{name}: {line}");
        assert_eq!(line["verdict"]["decision"], "accept", "{name}: {}", line["verdict"]);
    }
}

#[test]
fn an_exported_network_is_bundled_verified_and_explained() {
    let bench = Bench::new();
    let file = bench.put_network("network.onnx", &network());
    let kinds = ["--task", "classification", "--labels", "corn,olive,palm"];
    check("flat head", &file, 64, &kinds, "exact");
    let early = [&kinds[..], &["--layer", "first.relu"]].concat();
    check("earlier layer", &file, 64, &early, "reported");
}

/// A spectrum of 20 counts and one band, as the line has it in its journal.
fn seen_on_the_line(path: &Path) {
    let settings = JournalSettings {
        bytes_max: 1 << 30,
        age_max: Duration::from_secs(1 << 20),
        first_seq: Seq::new(1),
        encode_gap: wire::gap,
        gap_audience: Audience::Subscribers,
    };
    let calibration = WavelengthCalibration { coefficients: vec![830.0, 0.1], laser: Wavelength::from_nm(785.0) };
    let axis = calibration.axis(0..1024).expect("a calibration");
    let counts: Vec<f32> =
        axis.per_cm().iter().map(|shift| 2000.0 + 5000.0 * (-((shift - 1267.0) / 20.0).powi(2)).exp() as f32).collect();
    let instrument = Instrument {
        model: "QE Pro".into(),
        serial: "QEP00001".into(),
        firmware: None,
        pixels: counts.len(),
        active: 0..counts.len(),
        calibration,
        nonlinearity: None,
        saturation: Counts::new(200_000.0),
    };
    let acquisition = Acquisition {
        instrument: Arc::new(instrument),
        taken: UNIX_EPOCH,
        integration: IntegrationTime::from_micros(200_000),
        scans: 1,
        laser: Laser::On,
        saturated_pixels: 0,
        dark_noise: Some(Counts::new(3.0)),
        detector_temperature: None,
        took: Duration::ZERO,
        device_exception: None,
        line: LineStatistics::default(),
    };
    let spectrum =
        RawSpectrum::new(axis.into(), counts, None, Origin::Measured(acquisition)).expect("as many as the axis");
    let append = |seq: Seq| {
        let stamp = Stamp { seq, time: UNIX_EPOCH, clock: Clock::Synchronised };
        let parts = vec![Part::owed(PartKind::Spectrum, wire::spectrum(&stamp, &spectrum))];
        Entry { id: format!("QEP00001-{seq}"), time: UNIX_EPOCH, clock: stamp.clock, parts }
    };
    Journal::open(path, settings).expect("opens").append(append).expect("room");
}

#[test]
fn a_bundle_of_a_network_from_elsewhere_runs_on_what_the_line_has_seen() {
    let bench = Bench::new();
    let kinds = ["--task", "classification", "--labels", "corn,olive,palm"];
    let made = bench.bundle(&fixture("resnet-flat-dynamo-20"), 101, &kinds);
    assert!(made.status.success(), "{}", text(&made.stderr));
    seen_on_the_line(&bench.folder.path().join("journal.sqlite"));
    let (journal, out) = (bench.path("journal.sqlite"), bench.path("out"));
    let output = ramand(&["replay", "--journal", &journal, "--model", &out, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let line: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let model = &line["now"]["models"][0];
    assert_eq!(model["name"], "out", "{line}");
    assert!(["corn", "olive", "palm"].contains(&model["prediction"]["label"].as_str().unwrap_or_default()), "{line}");
    let completeness = model["explanation"]["completeness_error"].as_f64();
    assert!(completeness.is_some_and(|error| error.abs() < 1e-5), "{line}");
    assert!(model["explanation"]["bands"].as_array().is_some_and(|bands| bands.len() == 1), "{line}");
}

#[test]
fn files_as_exporters_write_them_are_bundled() {
    let kinds = ["--task", "classification", "--labels", "corn,olive,palm"];
    let quantity = ["--task", "regression", "--unit", "%"];
    // PyTorch with a global average before its head and a length left open, and flat; Keras with the channels last, twice.
    check("GAP", &fixture("resnet-torchscript-13-dynamic"), 128, &kinds, "exact");
    check("flat", &fixture("resnet-flat-dynamo-20"), 101, &kinds, "exact");
    check("Keras", &fixture("keras-resnet-17-dynamic"), 100, &kinds, "exact");
    check("Keras, flat", &fixture("keras-flat-11"), 90, &quantity, "exact");
    // Behind an attention cells have no place, so that an earlier layer is chosen; its outputs cannot share a walk.
    check("attention", &fixture("attention-dynamo-18"), 96, &kinds, "reported");
    check("image", &fixture("keras-image-18-dynamic"), 96, &kinds, "reported");
    check("MATLAB", &fixture("matlab-regression"), 75, &quantity, "exact");
}

#[test]
fn a_gradient_is_verified_and_a_network_without_one_says_what_to_run_first() {
    let bench = Bench::new();
    let file = bench.put_network("network.onnx", &network());
    let forward = ramand(&["model", "verify", &file]);
    let said = text(&forward.stderr);
    assert_eq!(forward.status.code(), Some(OPERATOR));
    assert!(said.contains("ramand model attach"), "{said}");
    let seeds = [("argmax", "first.relu"), ("class-index", "first.relu"), ("all", "auto")];
    for (seed, layer) in seeds.into_iter().chain([("linear", "auto"), ("linear-all", "auto")]) {
        let attached = bench.path(&format!("{seed}.onnx"));
        let made = ramand(&["model", "attach", &file, &attached, "--seed", seed, "--layer", layer]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        let verified = ramand(&["model", "verify", &attached, "--json"]);
        let said = text(&verified.stdout);
        assert!(verified.status.success(), "{seed}: {said}{}", text(&verified.stderr));
        let faults = said.lines().filter(|line| line.contains("self-test")).count();
        assert_eq!(faults, 4, "{seed}: {said}");
    }
}

#[test]
fn inspect_says_what_each_layer_is_worth_and_costs() {
    let bench = Bench::new();
    let file = bench.put_network("network.onnx", &network());
    let output = ramand(&["model", "inspect", &file, "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!((&report["explained"], &report["parameters"]), (&"logits".into(), &372.into()));
    // 4 * 32 * 3 and 6 * 16 * 12 products of the convolutions, as many rectified values, 3 * 96 of the head.
    let forward = 4 * 32 * 3 + 4 * 32 + 6 * 16 * 12 + 6 * 16 + 3 * 96;
    assert_eq!(report["multiplications"], forward);
    let layers = report["layers"].as_array().expect("layers");
    let layer = |name: &str| layers.iter().find(|layer| layer["name"] == name).expect("listed");
    let (first, last) = (layer("first.relu"), layer("second.relu"));
    assert_eq!((&first["auto"], &last["auto"]), (&false.into(), &true.into()));
    assert_eq!((&first["exact"], &last["exact"]), (&false.into(), &true.into()));
    assert_eq!((&last["stride"], &last["receptive_field"], &last["first_cell"]), (&4.into(), &7.into(), &0.0.into()));
    assert_eq!(first["multiplications_behind"], 6 * 16 * 12 + 6 * 16 + 3 * 96);
    let cost = |layer: &Value| layer["cost_in_forward_passes"].as_f64().expect("a cost");
    assert!(cost(last) >= 1.0 && cost(first) > cost(last), "{} and {}", cost(last), cost(first));
    let timed = ramand(&["model", "inspect", &file, "--time"]);
    assert!(text(&timed.stdout).contains("us forward in tract (median)"), "{}", text(&timed.stderr));
    let all = ramand(&["model", "inspect", &file, "--all", "--json"]);
    let all: Value = serde_json::from_slice(&all.stdout).expect("one JSON object");
    assert!(all["layers"].as_array().map(Vec::len) > Some(layers.len()));
    // An operator nobody knows is named, and what lies behind it is still listed.
    let mut strange = network();
    strange.graph.as_option_mut().expect("a graph").node[1].op_type = "Fancy".into();
    strange.graph.as_option_mut().expect("a graph").value_info.push(value("first.relu", &[1, 4, 32]));
    let strange = bench.put_network("strange.onnx", &strange);
    let output = ramand(&["model", "inspect", &strange, "--all"]);
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("no rule for operator Fancy of node 'first.relu'"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("second.relu") && line.contains("the maps add up")), "{said}");
}

#[test]
fn the_linear_part_of_a_bundle_is_told_as_it_is() {
    let bundle = root().join("models/olive-adulteration");
    let output = ramand(&["model", "inspect", bundle.to_str().expect("text")]);
    let said = text(&output.stdout);
    let told = |name: &str| {
        let lines = said.lines().filter(|line| line.starts_with(name));
        lines.map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(told("target A1").contains("gradient the same for every spectrum, the other targets held fixed"), "{said}");
    assert!(told("A1 ").contains("the same for every spectrum: the maps add up, the bundle's other targets"), "{said}");
}

#[test]
fn refusals_say_what_to_mend_and_leave_nothing_behind() {
    let bench = Bench::new();
    let file = bench.put_network("network.onnx", &network());
    bench.put("wrong.toml", "[[pipeline]]\nstep = \"resample\"\n[[pipeline]]\nstep = \"normalise\"\nmethod = \"sn\"\n");
    bench.put("order.toml", "[[pipeline]]\nstep = \"resample\"\n[[pipeline]]\nstep = \"dark\"\n");
    let (wrong, order) = (bench.path("wrong.toml"), bench.path("order.toml"));
    let kinds = ["--task", "classification", "--labels", "corn,olive,palm"];
    let cases: [(usize, Vec<&str>, i32, &str); 8] = [
        (65, kinds.to_vec(), OPERATOR, "'x' has shape [1, 1, 64], but --axis and the pipeline give 1 channel(s) of 65"),
        (64, vec!["--task", "classification", "--labels", "corn,olive"], OPERATOR, "2 labels for the 3 outputs"),
        (64, vec!["--task", "regression", "--unit", "%"], OPERATOR, "'p' ends in Softmax, so it is no quantity"),
        (64, vec!["--task", "regression"], 2, "--unit"),
        (
            64,
            [&kinds[..], &["--pipeline", &wrong]].concat(),
            OPERATOR,
            "wrong.toml: line 3, step 2: unknown variant `sn`",
        ),
        (64, [&kinds[..], &["--pipeline", &order]].concat(), OPERATOR, "order.toml: step 'dark'"),
        (64, [&kinds[..], &["--reference-where", "oil=corn"]].concat(), OPERATOR, "no row has 'corn' in column 'oil'"),
        (
            64,
            [&kinds[..], &["--layer", "frst"]].concat(),
            OPERATOR,
            "there is no layer 'frst'; the nearest names are first",
        ),
    ];
    for (points, more, code, expected) in cases {
        let output = bench.bundle(&file, points, &more);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {said}");
        assert!(said.contains(expected) && output.stdout.is_empty(), "{expected}: {said}");
        assert!(!Path::new(&bench.path("out")).exists(), "{more:?}");
    }
    let narrow = ["--axis", "500:1800:64"];
    let (spectra, pipeline, out) = (bench.path("spectra.csv"), bench.path("pipeline.toml"), bench.path("out"));
    let files = ["--reference", &spectra, "--pipeline", &pipeline, "--out", &out];
    let output = ramand(&[&["model", "bundle", &file], &narrow[..], &files[..], &kinds[..]].concat());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(OPERATOR), "{said}");
    assert!(said.contains("spectra.csv") && said.contains("500"), "{said}");
}

/// The same with one output and no softmax.
fn quantity() -> ModelProto {
    let mut model = network();
    let graph = model.graph.as_option_mut().expect("a graph");
    graph.node.truncate(6);
    let weights = (0..96).map(|index| (index as f32 * 0.7).sin()).collect::<Vec<f32>>();
    *graph.initializer.last_mut().expect("the head") = floats("head.weight", &[1, 96], &weights);
    graph.output = vec![value("logits", &[1, 1])];
    model
}

#[test]
fn a_network_from_elsewhere_is_judged_and_calibrated_on_labelled_spectra() {
    let bench = Bench::new();
    let (spectra, pipeline) = (bench.path("spectra.csv"), bench.path("pipeline.toml"));
    // A truth: the share of one of the two bands, in the order of the rows.
    let given = fs::read_to_string(&spectra).expect("there");
    let with_share = given.lines().enumerate().map(|(line, text)| {
        let mut cells: Vec<String> = text.split(',').map(ToOwned::to_owned).collect();
        let share = if line == 0 { "share".to_owned() } else { (100.0 * (line as f64 - 1.0) / 24.0).to_string() };
        cells.insert(2, share);
        cells.join(",") + "\n"
    });
    let table: String = with_share.collect();
    bench.put("labelled.csv", &table);
    let labelled = bench.path("labelled.csv");

    let train = |network: &str, out: &str, more: &[&str]| {
        let fixed = ["train", &labelled, "--init", network, "--axis", "800:1800:64", "--pipeline", &pipeline];
        ramand(&[&fixed[..], &["--out", out, "--json"], more].concat())
    };
    let quantity = bench.put_network("quantity.onnx", &quantity());
    let of_share = ["--task", "regression", "--target", "share", "--unit", "%"];
    let out = bench.path("value");
    let made = train(&quantity, &out, &of_share);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let summary: Value = serde_json::from_slice(&made.stdout).expect("one JSON object");
    let metrics = &summary["metrics"];
    assert!(metrics["rmse_given"].as_f64().is_some_and(|rmse| rmse > 0.0), "{summary}");
    assert!(metrics.get("rmsecv").is_none() && metrics.get("rmsecv_pls").is_none(), "nothing was fitted: {summary}");
    assert!(metrics["coverage"].as_f64().is_some_and(|share| share > 0.7), "nominal 0.9 of 24 samples: {summary}");
    let half_width = summary["conformal"]["half_width"].as_f64().expect("24 samples are enough");
    let manifest = fs::read_to_string(Path::new(&out).join("manifest.toml")).expect("a bundle");
    assert!(manifest.contains("evaluated on the given spectra, which the network may have seen"), "{manifest}");
    let claim = "claim = \"trained elsewhere, judged here on spectra it may have seen\"";
    assert!(manifest.contains(claim), "nobody said what may be claimed: {manifest}");
    let explained = ramand(&["explain", &spectra, "--model", &out, "--json"]);
    let lines = text(&explained.stdout);
    assert_eq!(lines.lines().count(), 24, "{}", text(&explained.stderr));
    for line in lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        let said = &line["prediction"];
        let [value, upper] =
            [&said["value"], &said["interval"]["upper"]].map(|value| value.as_f64().expect("a number"));
        assert!((upper - value - half_width).abs() < 1e-4 * half_width, "{line}");
        assert!(line["applicability"]["p_value"].as_f64().is_some_and(|p| p > 0.0), "{line}");
    }

    let kinds = bench.put_network("kinds.onnx", &network());
    let of_oil = ["--task", "classification", "--target", "oil", "--classes", "corn,olive,palm"];
    let made = train(&kinds, &bench.path("kind"), &of_oil);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let summary: Value = serde_json::from_slice(&made.stdout).expect("one JSON object");
    assert!(summary["metrics"]["accuracy_given"].is_number(), "{summary}");
    assert_eq!(summary["conformal"]["by_kind"], false, "there is no corn among the spectra: {summary}");

    let faults = [
        (vec!["--family", "network"], "--family does not go with --init"),
        (vec!["--target", "oil"], "is not a finite number"),
        (vec!["--classes", "a,b"], "--classes names the kinds"),
    ];
    for (more, expected) in faults {
        let arguments: Vec<&str> = match more[0] {
            "--target" => ["--task", "regression", "--unit", "%"].into_iter().chain(more).collect(),
            _ => of_share.into_iter().chain(more).collect(),
        };
        let refused = train(&quantity, &bench.path("none"), &arguments);
        let said = text(&refused.stderr);
        assert_eq!((refused.status.code(), said.contains(expected)), (Some(OPERATOR), true), "{expected}: {said}");
    }
    let unknown = ["--task", "classification", "--target", "oil", "--classes", "corn,olive,sesame"];
    let refused = train(&kinds, &bench.path("none"), &unknown);
    let said = text(&refused.stderr);
    assert!(said.contains("column 'oil': 'palm' is none of the network's kinds: corn, olive, sesame"), "{said}");
    assert!(!Path::new(&bench.path("none")).exists(), "nothing half-written");
}
