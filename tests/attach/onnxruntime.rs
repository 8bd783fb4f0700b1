//! Independent judges of the attached files: ONNX's own checker, and ONNX Runtime, which must give what tract gives.
//!
//! Needs a Python with `onnx` and `onnxruntime`; the environment variable RAMAND_TEST_PYTHON names it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use onnx_gradient::{Attached, Seed, proto};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::autograd::{F32_DISTANCE_MAX, of_class};
use crate::engine::{Running, attached};
use crate::files::{File, files};
use crate::missing::missing;
use crate::root::root;

/// What the peer says of one file.
#[derive(Deserialize)]
struct Answer {
    file: String,
    error: Option<String>,
    /// Output by output.
    #[serde(default)]
    distances: BTreeMap<String, f64>,
    #[serde(default)]
    captum: f64,
}

/// Writes one attached file, and what tract says of every input.
fn case(folder: &Path, file: &File, index: usize, seed: Seed, attached: &Attached) -> Value {
    let name = format!("{}-{index}-{seed:?}.onnx", file.name);
    std::fs::write(folder.join(&name), proto::encode(&attached.model)).expect("written");
    let mut running = Running::new(&attached.model, &file.input);
    let input = &attached.model.graph.as_option().expect("a graph").input[0].name;
    let runs = file.rows().into_iter().enumerate().map(|(number, row)| {
        let outputs = row.y.len();
        let best = (0..outputs).max_by(|&a, &b| row.y[a].total_cmp(&row.y[b])).expect("an output");
        // Another class for each input, where the file lets it be chosen.
        let class = (seed == Seed::ClassIndex).then_some((best + number) % outputs);
        let mut inputs =
            BTreeMap::from([(input.clone(), json!({ "type": "float32", "shape": file.input, "data": row.x }))]);
        if let Some(class) = class {
            inputs.insert("class_index".into(), json!({ "type": "int64", "shape": [], "data": [class] }));
        }
        let (activation, gradients) = &row.targets[index];
        let gradient = of_class(gradients, class.unwrap_or(best), outputs);
        let captum: Vec<f64> = gradient.iter().zip(activation).map(|(gradient, a)| gradient * a).collect();
        json!({ "inputs": inputs, "outputs": running.run(&row.x, class), "captum": captum })
    });
    let runs: Vec<Value> = runs.collect();
    json!({ "file": name, "channel_last": file.targets[index].channel_last, "runs": runs })
}

#[test]
fn onnx_runtime_gives_what_tract_gives() {
    let Some(python) = std::env::var_os("RAMAND_TEST_PYTHON") else {
        missing("program", "RAMAND_TEST_PYTHON names no Python with onnx and onnxruntime: `./dev setup` makes one");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut cases = Vec::new();
    for file in ["torch", "keras", "matlab"].into_iter().flat_map(files) {
        for (index, target) in file.targets.iter().enumerate() {
            for seed in [Seed::ClassIndex, Seed::ArgMax] {
                cases.push(case(folder.path(), &file, index, seed, &attached(&file, target, seed)));
            }
        }
    }
    std::fs::write(folder.path().join("cases.json"), json!(cases).to_string()).expect("written");
    let script = root().join("tests/peer/attach_peer.py");
    let peer = Command::new(python).arg(script).arg(folder.path()).output().expect("the peer starts");
    assert!(peer.status.success(), "{}", String::from_utf8_lossy(&peer.stderr));
    let answers = String::from_utf8(peer.stdout).expect("UTF-8");
    let answers: Vec<Answer> =
        answers.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect();
    assert_eq!(answers.len(), cases.len(), "an answer for every file");
    let mut failed = Vec::new();
    for Answer { file, error, distances, captum } in answers {
        failed.extend(error.map(|error| format!("{file}: {error}")));
        let outputs = distances.iter().map(|(name, distance)| (name.as_str(), *distance));
        let far = outputs
            .chain([("captum's product", captum)])
            .filter(|(_, distance)| distance.is_nan() || *distance > F32_DISTANCE_MAX);
        failed.extend(far.map(|(name, distance)| format!("{file}: {name} differs by {distance:e}")));
    }
    assert!(failed.is_empty(), "{} problems:\n{}", failed.len(), failed.join("\n"));
}
