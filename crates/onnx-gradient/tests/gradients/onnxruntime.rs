//! Every operator's gradient in ONNX Runtime, and before ONNX's own checker.

use std::path::Path;
use std::process::Command;

use super::judge::F32_RELATIVE_ERROR_MAX;
use super::missing::missing;
use super::operators::trials_for_every_runtime;
use onnx_gradient::{Tensor, proto};

/// Reads `N.onnx` and the raw little-endian f32 of `N.in.K` and `N.out.K`; prints a line for each fault.
const SCRIPT: &str = r#"
import sys, pathlib, numpy, onnx, onnxruntime
folder, allowed, count = pathlib.Path(sys.argv[1]), float(sys.argv[2]), 0
for path in sorted(folder.glob("*.onnx")):
    count += 1
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        feeds = {}
        for index, given in enumerate(session.get_inputs()):
            feeds[given.name] = numpy.fromfile(folder / f"{path.stem}.in.{index}", "<f4").reshape(given.shape)
        for index, found in enumerate(session.run(["y", "A0", "dYdA0"], feeds)):
            expected = numpy.fromfile(folder / f"{path.stem}.out.{index}", "<f4")
            error = numpy.abs(found.ravel() - expected).max() / max(1e-12, numpy.abs(expected).max())
            if not error <= allowed:
                print(path.stem, "output", index, "is off by", error)
    except Exception as fault:
        print(path.stem, str(fault).replace("\n", " ")[:400])
print("done", count)
"#;

fn write(folder: &Path, name: &str, tensor: &Tensor) {
    let bytes: Vec<u8> = tensor.to_f32().iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::write(folder.join(name), bytes).expect("the folder can be written");
}

#[test]
fn onnx_runtime_computes_the_same() {
    let Ok(python) = std::env::var("RAMAND_TEST_PYTHON") else {
        missing("program", "RAMAND_TEST_PYTHON names no Python with onnx and onnxruntime: `./dev setup` makes one");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut names = Vec::new();
    for (name, trial) in trials_for_every_runtime() {
        let number = names.len();
        std::fs::write(folder.path().join(format!("{number}.onnx")), proto::encode(&trial.model)).expect("written");
        for (index, (_, value)) in trial.inputs.iter().enumerate() {
            write(folder.path(), &format!("{number}.in.{index}"), value);
        }
        for (index, (_, value)) in trial.outputs.iter().enumerate() {
            write(folder.path(), &format!("{number}.out.{index}"), value);
        }
        names.push(name);
    }
    let arguments =
        [folder.path().as_os_str(), F32_RELATIVE_ERROR_MAX.to_string().as_ref()].map(std::ffi::OsStr::to_owned);
    let output = Command::new(python).args(["-c", SCRIPT]).args(arguments).output().expect("RAMAND_TEST_PYTHON starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let named = |line: &str| -> String {
        let number = line.split(' ').next().and_then(|number| number.parse::<usize>().ok());
        number.and_then(|number| names.get(number)).map_or(line.into(), |name| format!("{name}: {line}"))
    };
    let faults: Vec<String> = text.lines().filter(|line| !line.starts_with("done")).map(named).collect();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    let done = format!("done {}\n", names.len());
    assert!(text.ends_with(&done), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
