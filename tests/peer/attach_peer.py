"""What ONNX's own checker and ONNX Runtime say about attached files.

    attach_peer.py FOLDER

FOLDER/cases.json lists the files; for each, runs with inputs and what tract gave for every output, and what captum's
LayerGradientXActivation is by its definition: autograd's dY/dA times A, element by element. One JSON line a file: the
largest distance of an output from tract's, and of the product from captum's, relative to the largest value.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime


def distance(found, wanted):
    wanted = np.asarray(wanted, dtype=np.float64)
    found = np.asarray(found, dtype=np.float64).ravel()
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), np.finfo(float).tiny))


def check(folder, case):
    path = folder / case["file"]
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    worst, captum = {}, 0.0
    for run in case["runs"]:
        given = {name: np.array(value["data"], np.dtype(value["type"])).reshape(value["shape"])
                 for name, value in run["inputs"].items()}
        seen = dict(zip(names, session.run(names, given), strict=True))
        for name, wanted in run["outputs"].items():
            worst[name] = max(worst.get(name, 0.0), distance(seen[name], wanted))
        product = seen["grad/activation"] * seen["grad/gradient"]
        if case["channel_last"]:
            product = np.moveaxis(product, -1, 1)
        captum = max(captum, distance(product, run["captum"]))
    return {"file": case["file"], "distances": worst, "captum": captum}


def main():
    folder = Path(sys.argv[1])
    for case in json.loads((folder / "cases.json").read_text()):
        try:
            answer = check(folder, case)
        except Exception as error:  # One bad file must not hide the others.
            answer = {"file": case["file"], "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
