//! ONNX files made to exhaust whoever reads them: `ramand model` answers within a limit of memory and of computing time.

#[path = "support/program.rs"]
mod program;

use std::fs;
use std::process::Command;

use onnx_gradient::onnx::tensor_proto::DataType;
use onnx_gradient::onnx::{GraphProto, ModelProto, NodeProto, TensorProto};
use onnx_gradient::proto::{self, floats, int, integers, ints, node, value};
use program::program;

/// Address space of the process, program and libraries included: 256 MB of weights as f64 and the file itself fit.
const MEMORY_KIB_MAX: usize = 1 << 20;
/// Computing time, unoptimised.
const CPU_SECONDS_MAX: usize = 60;
/// The largest file the program opens.
const FILE_BYTES: usize = 16 << 20;
/// The exit code for what somebody must mend.
const OPERATOR: i32 = 78;

/// What the program may answer.
enum Answer {
    /// An error that says so.
    Refuses(&'static str),
    /// It does what it is asked.
    Serves,
}

fn check(name: &str, file: &[u8], answer: &Answer) {
    assert!(file.len() <= FILE_BYTES, "{name}: {} bytes would not be opened at all", file.len());
    let folder = tempfile::tempdir().expect("a folder");
    let (input, out) = (folder.path().join("in.onnx"), folder.path().join("out.onnx"));
    fs::write(&input, file).expect("writable");
    let limited = format!("ulimit -v {MEMORY_KIB_MAX} && ulimit -t {CPU_SECONDS_MAX} && exec \"$0\" \"$@\"");
    let commands: [&[&str]; 3] = [&["attach"], &["attach", "--seed", "all"], &["inspect"]];
    // A file that is not read at all is refused alike by all.
    let tried = if matches!(answer, Answer::Serves) { 3 } else { 1 };
    for command in commands.into_iter().take(tried) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &limited]).arg(program()).arg("model").args(command).arg(&input);
        if command[0] == "attach" {
            shell.args([out.as_os_str(), "--force".as_ref()]);
        }
        let started = std::time::Instant::now();
        let output = shell.output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        eprintln!("{name}, {command:?}: {:?} in {:.1} s", output.status.code(), started.elapsed().as_secs_f64());
        match answer {
            Answer::Refuses(why) => {
                assert_eq!(output.status.code(), Some(OPERATOR), "{name}, {command:?}: {said}");
                assert!(said.contains(why), "{name}, {command:?}: {said}");
            }
            Answer::Serves => assert!(output.status.success(), "{name}, {command:?}: {} {said}", output.status),
        }
    }
}

/// A model of nodes between `x`, [1, 2, 16], and `y`, [1, 1]: `last` of as many elements goes into a linear head.
fn model(mut nodes: Vec<NodeProto>, mut initializer: Vec<TensorProto>, last: &str) -> Vec<u8> {
    nodes.push(node("Flatten", &[last], "features", vec![]));
    nodes.push(node("MatMul", &["features", "head"], "y", vec![]));
    initializer.push(floats("head", &[32, 1], &[0.5; 32]));
    initializer.push(floats("kernel", &[2, 2, 3], &[0.1; 12]));
    proto::encode(&of_graph(nodes, initializer))
}

fn of_graph(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let (input, output) = (vec![value("x", &[1, 2, 16])], vec![value("y", &[1, 1])]);
    proto::model(GraphProto { node, initializer, input, output, ..GraphProto::default() })
}

fn conv(input: &str, output: &str) -> NodeProto {
    node("Conv", &[input, "kernel"], output, vec![ints("pads", &[1, 1])])
}

/// `count` nodes, each of which reads the one before it, behind a convolution `v0`.
fn chain(count: usize, next: impl Fn(&str, &str) -> NodeProto) -> Vec<u8> {
    let name = |index: usize| format!("v{index}");
    let mut nodes = vec![conv("x", "v0")];
    nodes.extend((1..=count).map(|index| next(&name(index - 1), &name(index))));
    model(nodes, vec![], &name(count))
}

/// A message with one field after the other.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut varint in [usize::from(number) << 3 | 2, content.len()] {
        while varint > 0x7f {
            bytes.push(varint as u8 | 0x80);
            varint >>= 7;
        }
        bytes.push(varint as u8);
    }
    bytes.extend(content);
    bytes
}

/// A file that is little but a field of a record, empty and as often as the file's size allows.
fn repeated(path: &[u8]) -> Vec<u8> {
    let (last, outer) = path.split_last().expect("a field");
    let one = field(*last, &[]);
    let many = one.repeat((FILE_BYTES - 64) / one.len());
    outer.iter().rev().fold(many, |content, &number| field(number, &content))
}

#[test]
fn sizes_without_measure() {
    let named = |shape: &[i64]| TensorProto {
        name: "large".into(),
        dims: shape.to_vec(),
        data_type: DataType::Float as i32,
        ..TensorProto::default()
    };
    let with = |shape: &[i64]| model(vec![conv("x", "v0")], vec![named(shape)], "v0");
    check("a tensor of 2^62 elements", &with(&[1 << 31, 1 << 31]), &Answer::Refuses("elements of one tensor"));
    check("a tensor of 2^126 elements", &with(&[i64::MAX, i64::MAX]), &Answer::Refuses("elements of one tensor"));
    check("a tensor without its numbers", &with(&[1 << 23]), &Answer::Refuses("0 numbers for the shape"));
    check("a million dimensions", &with(&[1; 1_000_000]), &Answer::Refuses("dimensions"));
    let expand = |size: i64| {
        let nodes = vec![conv("x", "v0"), node("Expand", &["one", "shape"], "wide", vec![])];
        model(nodes, vec![floats("one", &[1], &[1.0]), integers("shape", &[size])], "v0")
    };
    check("one number as 2^40", &expand(1 << 40), &Answer::Refuses("elements of one tensor"));
    let pad = node("Pad", &["v0", "pads"], "wide", vec![]);
    let padded = model(vec![conv("x", "v0"), pad], vec![integers("pads", &[0, 0, 0, 0, 0, 1 << 40])], "v0");
    check("a padding of 2^40", &padded, &Answer::Refuses("wide"));
}

#[test]
fn more_of_everything_than_anybody_needs() {
    // Paths of field numbers: model.graph.node, and so on.
    let bombs: [(&str, &[u8]); 9] = [
        ("nodes", &[7, 1]),
        ("names of operands", &[7, 1, 1]),
        ("attributes", &[7, 1, 5]),
        ("tensors in an attribute", &[7, 1, 5, 10]),
        ("initialisers", &[7, 5]),
        ("inputs", &[7, 11]),
        ("dimensions of an input", &[7, 11, 2, 1, 2, 1]),
        ("places of numbers elsewhere", &[7, 5, 13]),
        ("functions", &[25]),
    ];
    for (name, path) in bombs {
        check(&format!("millions of {name}"), &repeated(path), &Answer::Refuses("records in the file"));
    }
    let small = |index: usize| floats(&format!("i{index}"), &[1], &[0.0]);
    let many = model(vec![conv("x", "v0")], (0..200_000).map(small).collect(), "v0");
    check("200 000 initialisers", &many, &Answer::Refuses("records in the file"));
    let relu = |from: &str, to: &str| node("Relu", &[from], to, vec![]);
    check("25 000 nodes", &chain(25_000, relu), &Answer::Refuses("nodes, at most"));
    let truths = |index: usize| TensorProto {
        name: format!("t{index}"),
        dims: vec![3 << 20],
        data_type: DataType::Bool as i32,
        raw_data: vec![1; 3 << 20],
        ..TensorProto::default()
    };
    let wide = model(vec![conv("x", "v0")], (0..5).map(truths).collect(), "v0");
    check("a truth value a byte", &wide, &Answer::Serves);
}

#[test]
fn graphs_that_are_deep_or_double_at_every_step() {
    // What is attached counts as well.
    let deep = 2_000;
    check("deep", &chain(deep, |from, to| node("Relu", &[from], to, vec![])), &Answer::Serves);
    check("deep in names", &chain(deep, |from, to| node("Identity", &[from], to, vec![])), &Answer::Serves);
    check("deep in layers", &chain(deep, conv), &Answer::Serves);
    check("2^2000 paths", &chain(deep, |from, to| node("Add", &[from, from], to, vec![])), &Answer::Serves);
    check("products of products", &chain(deep, |from, to| node("Mul", &[from, from], to, vec![])), &Answer::Serves);
    let concat = |from: &str, to: &str| node("Concat", &[from, from], to, vec![int("axis", 2)]);
    check("twice as long at every step", &chain(64, concat), &Answer::Refuses("elements of one tensor"));
    // Constants that are calculated when the file is read: each doubles the one before it.
    let mut nodes = vec![conv("x", "v0")];
    nodes.extend((0..64).map(|step| concat(&format!("c{step}"), &format!("c{}", step + 1))));
    let constants = model(nodes, vec![floats("c0", &[1, 1, 1], &[1.0])], "v0");
    check("constants twice as long at every step", &constants, &Answer::Refuses("elements of one tensor"));
    // Large, but each within what one tensor may have.
    let mut nodes = vec![conv("x", "v0")];
    nodes.extend((0..100).map(|index| node("Expand", &["one", "shape"], &format!("e{index}"), vec![])));
    let expanded = model(nodes, vec![floats("one", &[1], &[1.0]), integers("shape", &[1 << 24])], "v0");
    check("a hundred large constants", &expanded, &Answer::Refuses("elements of all tensors together"));
    let mut nodes = vec![conv("x", "v0")];
    nodes.extend((0..500).map(|index| node("MatMul", &["square", "square"], &format!("m{index}"), vec![])));
    let products = model(nodes, vec![floats("square", &[300, 300], &vec![0.01; 90_000])], "v0");
    check("products of constants", &products, &Answer::Serves);
}
