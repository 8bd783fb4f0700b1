"""ONNX Runtime's side of benches/peer/gradient.py, on one thread.

Reads from stdin lines `COUNT FILE...`, runs the files in turn so many times each on the same numbers, and answers with one JSON
line: for each file the seconds of every run.
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort

sessions = {}


def load(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    values = np.sin(np.arange(np.prod(source.shape)) * 0.37).astype(np.float32).reshape(source.shape)
    return session, {source.name: values}


def seconds(path):
    session, inputs = sessions[path]
    start = time.perf_counter()
    session.run(None, inputs)
    return time.perf_counter() - start


print("ready", flush=True)
for line in sys.stdin:
    count, *paths = line.split()
    for path in paths:
        if path not in sessions:
            sessions[path] = load(path)
            seconds(path)
    taken = {path: [] for path in paths}
    for _ in range(int(count)):
        for path in paths:
            taken[path].append(seconds(path))
    print(json.dumps(taken), flush=True)
