//! `ramand model attach` as somebody at a terminal and as a program meets it.

#[path = "support/program.rs"]
mod program;
#[path = "support/root.rs"]
mod root;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use onnx_gradient::Graph;
use onnx_gradient::onnx::{GraphProto, ModelProto};
use onnx_gradient::proto::{self, floats, int, ints, node, value};
use program::program;
use root::root;
use serde_json::Value;

/// The exit code for what somebody must mend.
const OPERATOR: i32 = 78;

fn attach(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(["model", "attach"]).args(arguments).output().expect("starts")
}

/// Two convolutions, a global average, a linear head and a softmax: the network whose maps never change.
fn network() -> ModelProto {
    let weights = |count: usize| (0..count).map(|index| (index as f32 * 0.7).sin()).collect::<Vec<f32>>();
    let conv = |input: &str, layer: &str, stride: i64| {
        let attributes = vec![ints("strides", &[stride]), ints("pads", &[1, 1])];
        node("Conv", &[input, &format!("{layer}.weight")], layer, attributes)
    };
    proto::model(GraphProto {
        node: vec![
            conv("x", "first", 2),
            node("Relu", &["first"], "first.relu", vec![]),
            conv("first.relu", "second", 2),
            node("Relu", &["second"], "second.relu", vec![]),
            node("GlobalAveragePool", &["second.relu"], "pooled", vec![]),
            node("Flatten", &["pooled"], "features", vec![]),
            node("Gemm", &["features", "head.weight"], "logits", vec![int("transB", 1)]),
            node("Softmax", &["logits"], "p", vec![int("axis", 1)]),
        ],
        initializer: vec![
            floats("first.weight", &[4, 1, 3], &weights(12)),
            floats("second.weight", &[6, 4, 3], &weights(72)),
            floats("head.weight", &[3, 6], &weights(18)),
        ],
        name: "network".into(),
        input: vec![value("x", &[1, 1, 64])],
        output: vec![value("p", &[1, 3])],
        ..GraphProto::default()
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn path(folder: &Path, file: &str) -> String {
    folder.join(file).to_str().expect("text").to_owned()
}

#[test]
fn people_and_programs_are_told_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, out) = (path(folder.path(), "in.onnx"), path(folder.path(), "out.onnx"));
    fs::write(&input, proto::encode(&network())).expect("writable");
    let output = attach(&[&input, &out, "--json"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    for expected in [
        "explains 'logits', the logit before the Softmax of 'p'",
        "layer 'second.relu' [1, 6, 16]",
        "cell i sees 7 points around point 0 + 4 i of the input",
        "the gradient is the same at every cell",
        "--layer 'first.relu'",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(report["explained"], "logits");
    assert_eq!(report["layer"]["gradient"], "same-at-every-cell");
    assert_eq!(report["layer"]["earlier"], "first.relu");
    let names: Vec<&str> =
        report["outputs"].as_array().expect("a list").iter().map(|o| &o["name"]).flat_map(Value::as_str).collect();
    assert_eq!(names, ["p", "grad/activation", "grad/gradient"]);
    let attached = proto::decode(&fs::read(&out).expect("written")).expect("ONNX");
    assert_eq!(Graph::new(&attached).expect("valid").shape("grad/gradient"), Ok(&[1, 6, 16][..]));
    let files = fs::read_dir(folder.path()).expect("readable").count();
    assert_eq!(files, 2, "nothing is left beside the two files");
}

#[test]
fn every_seed_says_what_it_asks_for_and_gives() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, out) = (path(folder.path(), "in.onnx"), path(folder.path(), "out.onnx"));
    fs::write(&input, proto::encode(&network())).expect("writable");
    /// Seed, inputs, outputs, shape of the last output.
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [usize]);
    let cases: [Case<'_>; 6] = [
        ("argmax", &["x"], &["p", "grad/activation", "grad/gradient"], &[1, 4, 32]),
        ("class-index", &["x", "class_index"], &["p", "grad/activation", "grad/gradient"], &[1, 4, 32]),
        ("cotangent", &["x", "cotangent"], &["p", "grad/activation", "grad/gradient"], &[1, 4, 32]),
        ("all", &["x"], &["p", "grad/activation", "grad/gradient"], &[3, 4, 32]),
        ("linear", &["x"], &["p", "grad/map"], &[1, 16]),
        ("linear-all", &["x"], &["p", "grad/map"], &[3, 16]),
    ];
    for (seed, inputs, outputs, shape) in cases {
        let layer = if seed.starts_with("linear") { "auto" } else { "first.relu" };
        let output = attach(&[&input, &out, "--seed", seed, "--layer", layer, "--force"]);
        assert!(output.status.success() && output.stdout.is_empty(), "{seed}: {}", text(&output.stderr));
        let attached = proto::decode(&fs::read(&out).expect("written")).expect("ONNX");
        let graph = Graph::new(&attached).expect("valid");
        assert_eq!((graph.inputs(), graph.outputs()), (owned(inputs).as_slice(), owned(outputs).as_slice()), "{seed}");
        assert_eq!(graph.shape(outputs.last().expect("some")), Ok(shape), "{seed}");
    }
}

/// PyTorch writes the weights of larger networks to a second file.
#[test]
fn weights_beside_the_file_are_read_and_written_into_the_one_that_is_made() {
    let fixtures = root().join("tests/fixtures/gradient");
    let (network, weights) = ("resnet-dynamo-20-external.onnx", "resnet-dynamo-20-external.onnx.data");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, out) = (path(folder.path(), network), path(folder.path(), "out.onnx"));
    fs::copy(fixtures.join(network), &input).expect("copied");
    let refused = |expected: &str| {
        let output = attach(&[&input, &out]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(OPERATOR), "{said}");
        assert!(said.contains(expected) && said.contains(weights) && !Path::new(&out).exists(), "{said}");
    };
    refused("which is not there");
    let secret = folder.path().join("secret");
    fs::copy(fixtures.join(weights), &secret).expect("copied");
    std::os::unix::fs::symlink(&secret, folder.path().join(weights)).expect("linked");
    refused("is no file");
    fs::remove_file(folder.path().join(weights)).expect("there");
    let long = fs::File::create(folder.path().join(weights)).expect("made");
    long.set_len(1 << 40).expect("a file with a hole");
    refused("exceed");
    fs::copy(&secret, folder.path().join(weights)).expect("copied");
    let output = attach(&[&input, &out, "--layer", "stages.0.0.conv2.weight"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::remove_file(folder.path().join(weights)).expect("there");
    let verified = Command::new(program()).args(["model", "verify", &out]).output().expect("starts");
    assert!(verified.status.success(), "{}{}", text(&verified.stdout), text(&verified.stderr));
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn refusals_say_what_to_mend_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, out, broken) =
        (path(folder.path(), "in.onnx"), path(folder.path(), "out.onnx"), path(folder.path(), "broken.onnx"));
    let bytes = proto::encode(&network());
    fs::write(&input, &bytes).expect("writable");
    fs::write(&broken, &bytes[..bytes.len() / 2]).expect("writable");
    let cases: [(&[&str], i32, &str); 8] = [
        (&[&input, &input, "--force"], OPERATOR, "is the network itself"),
        (&["missing.onnx", &out], OPERATOR, "missing.onnx"),
        (&[&broken, &out], OPERATOR, "not an ONNX file"),
        (&[&input, &out, "--layer", "frst"], OPERATOR, "there is no layer 'frst'; the nearest names are first"),
        (&[&input, &out, "--output", "3"], OPERATOR, "there is no output '3'; the nearest names are p"),
        (&[&input, &out, "--shape", "1,1,32"], OPERATOR, "its shape is [1, 1, 64]"),
        (
            &[&input, &out, "--seed", "linear", "--layer", "first.relu"],
            OPERATOR,
            "node 'second.relu' (Relu) makes the gradient",
        ),
        (&[&input, &out, "--seed", "best"], 2, "possible values"),
    ];
    for (arguments, code, expected) in cases {
        let output = attach(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(expected) && output.stdout.is_empty(), "{expected}: {said}");
        assert!(!Path::new(&out).exists(), "{arguments:?}");
    }
    assert_eq!(fs::read(&input).expect("there"), bytes, "the network itself is never changed");
    fs::write(&out, "precious").expect("writable");
    let output = attach(&[&input, &out]);
    assert!(output.status.code() == Some(OPERATOR) && text(&output.stderr).contains("--force replaces it"));
    assert_eq!(fs::read(&out).expect("there"), b"precious");
    assert!(attach(&[&input, &out, "--force"]).status.success());
    assert_ne!(fs::read(&out).expect("there"), b"precious");
}
