//! The maps of the shipped bundles against an oracle that uses none of their gradients: captum's LayerGradientXActivation by its
//! definition, ∂y/∂A · A, in ONNX Runtime and numpy. What lies behind the layers is cut out of the file and asked for its
//! response to every single activation, which for a linear head is the gradient.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

use super::missing::missing;
use super::networks::Network as Random;
use ramand_core::cam::maps_by_cell;

use ramand_model::{Bundle, Model};

/// f32 in two engines, relative to the largest value of a map.
const RELATIVE_ERROR_MAX: f64 = 1e-5;
/// Spectra for each bundle.
const SPECTRA: usize = 3;

const SCRIPT: &str = "
import json, os, sys, numpy, onnx, onnx.utils, onnxruntime
case = json.load(sys.stdin)
head = os.path.join(case['folder'], 'head.onnx')
onnx.utils.extract_model(case['path'], head, case['layers'], [case['output']])
whole = onnxruntime.InferenceSession(case['path'], providers=['CPUExecutionProvider'])
head = onnxruntime.InferenceSession(head, providers=['CPUExecutionProvider'])
def run(x):
    names = case['layers']
    return dict(zip(names, whole.run(names, {case['input']: x})))
zero = {name: numpy.zeros_like(value) for name, value in run(numpy.array(case['x'][0], numpy.float32)).items()}
behind = lambda given: head.run([case['output']], given)[0].ravel().astype(float)
base, step, gradient = behind(zero), 64.0, {}
for name, nothing in zero.items():
    rows = []
    for place in range(nothing.size):
        one = nothing.copy()
        one.ravel()[place] = step
        rows.append((behind({**zero, name: one}) - base) / step)
    gradient[name] = numpy.array(rows).T.reshape(-1, *nothing.shape[1:])
answer = []
for x in case['x']:
    layers = run(numpy.array(x, numpy.float32))
    answer.append({name: (gradient[name] * layers[name].astype(float)).sum(axis=1).ravel().tolist() for name in layers})
json.dump(answer, sys.stdout)
";

#[test]
fn the_maps_are_gradient_times_activation() {
    let Ok(python) = std::env::var("RAMAND_TEST_PYTHON") else {
        missing("program", "RAMAND_TEST_PYTHON names no Python with onnx and onnxruntime: `./dev setup` makes one");
        return;
    };
    let models = crate::root::root().join("models");
    let bundles = std::fs::read_dir(models).expect("the folder").map(|entry| entry.expect("an entry").path());
    let bundles: Vec<_> = bundles.filter(|path| path.join("manifest.toml").exists()).collect();
    assert!(bundles.len() >= 3, "{bundles:?}");
    for folder in bundles {
        let bundle = Bundle::open(&folder).expect("a shipped bundle");
        let record = bundle.manifest.network.clone();
        let model = Model::new(bundle).expect("it runs");
        let (channels, points) = (model.pipeline().channels(), model.pipeline().axis().len());
        let mut random = Random::new(9);
        let spectra: Vec<Vec<f32>> = (0..SPECTRA).map(|_| random.numbers(channels * points)).collect();
        let rows = |x: &Vec<f32>| vec![x.chunks(points).map(<[f32]>::to_vec).collect::<Vec<_>>()];
        let layers: Vec<&str> = record.targets.iter().map(|target| target.activation.as_str()).collect();
        let temporary = tempfile::tempdir().expect("a folder");
        let case = serde_json::json!({
            "folder": temporary.path(),
            "path": folder.join(&record.file),
            "input": record.input,
            "output": record.output,
            "layers": layers,
            "x": spectra.iter().map(rows).collect::<Vec<_>>(),
        });
        let mut child = Command::new(&python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("RAMAND_TEST_PYTHON starts");
        child.stdin.take().expect("piped").write_all(case.to_string().as_bytes()).expect("written");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}: the peer failed", folder.display());
        let answers: Vec<HashMap<String, Vec<f64>>> = serde_json::from_slice(&output.stdout).expect("JSON");
        let mut session = model.session().expect("buffers");
        let outputs = record.offset.len();
        for (spectrum, expected) in spectra.iter().zip(answers) {
            let values = model.network().run(&mut session, spectrum).expect("it runs");
            for (target, layer) in record.targets.iter().zip(values.layers().expect("layers")) {
                let expected = &expected[&target.activation];
                let found = maps_by_cell(&layer, expected.len() / outputs, outputs);
                let scale = expected.iter().fold(f64::MIN_POSITIVE, |scale, value| scale.max(value.abs()));
                assert_eq!(found.len(), expected.len());
                for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let error = (f64::from(*found) - expected).abs() / scale;
                    assert!(
                        error <= RELATIVE_ERROR_MAX,
                        "{}, {}, {place}: {found} instead of {expected}",
                        folder.display(),
                        target.name
                    );
                }
            }
        }
    }
}

/// What is written is what the exporter before wrote: no bundle's hash changes because its network was read and written again.
#[test]
fn networks_are_written_as_they_were_read() {
    let models = crate::root::root().join("models");
    let folders = std::fs::read_dir(models).expect("the folder").map(|entry| entry.expect("an entry").path());
    let files: Vec<_> = folders.map(|folder| folder.join("model.onnx")).filter(|path| path.exists()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for path in files {
        let bytes = std::fs::read(&path).expect("readable");
        let model = onnx_gradient::proto::decode(&bytes).expect("an ONNX file");
        assert!(onnx_gradient::proto::encode(&model) == bytes, "{} is written otherwise", path.display());
    }
}
