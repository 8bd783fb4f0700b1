"""The stack a user would write today, doing the same work as ramand on the same bundles: numpy, scipy, pybaselines,
ONNX Runtime on one thread, json and cbor2.

    peer.py SPECTRA.csv BUNDLE...

Reads numbers from stdin, computes that many spectra for each, and answers with one JSON line: seconds for each spectrum.
`results` instead of a number prints what was concluded from every spectrum once. Everything that can be computed
before a spectrum is there (resampling weights, smoothing matrices, reference maps) is.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import csv
import json
import sys
import time
import tomllib
from pathlib import Path

import cbor2
import numpy as np
import onnxruntime as ort
from pybaselines import Baseline
from scipy.signal import savgol_filter
from scipy.sparse import csr_array


def spike_end(difference, start, window, limit):
    """Where the spike ends that begins with the jump after `start`, by the rule of ramand_core::preprocess: an opposite
    jump answers within `window` points, leads back, and both are isolated. The published rule cuts the flanks of bands."""
    rise, before = difference[start], abs(difference[start - 1]) if start else 0.0
    if abs(rise) < 2 * before:
        return None
    level, height, found = rise, abs(rise), None
    for end in range(start + 1, min(start + window, len(difference) - 1) + 1):
        fall = difference[end]
        level += fall
        after = abs(difference[end + 1]) if end + 1 < len(difference) else 0.0
        if abs(fall) > limit and fall * rise < 0 and abs(fall) >= 2 * after and abs(level) <= 0.5 * height:
            found = end
        height = max(height, abs(level))
    return found


def despike(y, threshold, window):
    """Whitaker and Hayes 2018, vectorised up to the few jumps found."""
    difference = np.diff(y)
    difference -= np.median(difference)
    limit = threshold * np.median(np.abs(difference)) / 0.6744897501960817
    sound, next_start = np.ones(len(y), bool), 0
    for start in np.flatnonzero(np.abs(difference) > limit):
        end = spike_end(difference, start, window, limit) if start >= next_start else None
        if end is not None:
            sound[start + 1 : end + 1] = False
            next_start = end + 1
    result = y.copy()
    for i in np.flatnonzero(~sound):
        reach = window
        while not sound[max(0, i - reach) : i + reach + 1].any():
            reach += window
        near = slice(max(0, i - reach), i + reach + 1)
        result[i] = y[near][sound[near]].mean()
    return result


def resampling(shifts, axis):
    """Weights of the least-squares line through the points within half a step of each target, read at the target."""
    half = 0.5 * (axis[1] - axis[0])
    rows, columns, weights = [], [], []
    for row, target in enumerate(axis):
        near = np.flatnonzero(np.abs(shifts - target) <= half * (1 + 2e-6))
        if len(near) < 2 or shifts[near[0]] > target or shifts[near[-1]] < target:
            right = min(max(np.searchsorted(shifts, target), 1), len(shifts) - 1)
            near = np.array([right - 1, right])
        x = shifts[near] - target
        line = ((x**2).sum() - x * x.sum()) / (len(x) * (x**2).sum() - x.sum() ** 2)
        rows += [row] * len(near)
        columns += list(near)
        weights += list(line)
    return csr_array((weights, (rows, columns)), shape=(len(axis), len(shifts)))


def spreading(target, points):
    """Takes a map on cells to the points of the axis and keeps its sum: each cell's value in a triangle about it."""
    cells = target["cells"]
    centres = target["first_cell"] + target["stride"] * np.arange(cells)
    distance = np.abs(np.arange(points)[:, None] - centres[None, :]) / target["stride"]
    weights = np.clip(1.0 - distance, 0.0, None)
    return weights / weights.sum(axis=0, keepdims=True)


class Model:
    def __init__(self, folder, shifts):
        self.manifest = tomllib.loads((folder / "manifest.toml").read_text())
        axis = self.manifest["axis"]
        self.axis = np.linspace(axis["first"], axis["last"], axis["points"])
        self.resampling = resampling(shifts, self.axis)
        self.baseline = Baseline(x_data=self.axis)
        self.channels = self.manifest.get("channel") or [{"steps": []}]
        # Bundles that prepare alike share the prepared spectrum.
        self.preparation = json.dumps([axis, self.manifest["pipeline"], self.channels])

        network = self.manifest["network"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        self.session = ort.InferenceSession(folder / network["file"], options, providers=["CPUExecutionProvider"])
        self.input = network["input"]
        self.outputs = [network["output"]]
        self.offset = np.array(network["offset"])
        self.targets = network["target"]
        for target in self.targets:
            self.outputs += [target["activation"], target["gradient"]]
            target["map"] = np.load(folder / target["reference"])
            target["cells"] = target["map"].shape[1]
            target["spread"] = spreading(target, len(self.axis))
        self.reference = np.array(self.manifest["reference"]["output"])
        self.bands = [
            (band["name"], np.flatnonzero((self.axis >= band["from"]) & (self.axis <= band["to"])), band)
            for band in self.manifest.get("band", [])
        ]
        gate = self.manifest["gate"]
        table = np.load(folder / gate["file"]).astype(float)
        self.mean, self.loadings = table[0], table[1:]
        self.eigenvalues = np.array(gate["eigenvalues"])
        self.limits = gate["t2_limit"], gate["q_limit"]

    def step(self, y, dark, step):
        match step["step"]:
            case "dark":
                return y - dark
            case "despike":
                return despike(y, step["threshold"], step["window"])
            case "resample":
                return self.resampling @ y
            case "baseline" if step["method"] == "polynomial":
                return y - np.polynomial.Polynomial.fit(self.axis, y, step["order"])(self.axis)
            case "baseline":
                method = getattr(self.baseline, step["method"])
                return y - method(y, lam=step["lambda"], tol=step["tolerance"], max_iter=step["iterations_max"] - 1)[0]
            case "smooth":
                return savgol_filter(y, step["window"], step["order"], step["derivative"])
            case "normalise" if step["method"] == "snv":
                return (y - y.mean()) / y.std(ddof=1)
            case "normalise":
                return y / (np.abs(y).mean() if step["method"] == "area" else np.abs(y).max())
        raise ValueError(step)

    def prepare(self, light, dark):
        y = light
        for step in self.manifest["pipeline"]:
            y = self.step(y, dark, step)
        rows = []
        for channel in self.channels:
            row = y
            for step in channel["steps"]:
                row = self.step(row, dark, step)
            rows.append(row)
        return np.asarray(rows, np.float32)[None]

    def conclude(self, prepared):
        scores, *tensors = self.session.run(self.outputs, {self.input: prepared})
        scores = scores.reshape(-1).astype(float)
        if self.manifest["task"] == "classification":
            order = np.argsort(scores)
            best, other = order[-1], order[-2]
            seed = np.zeros(len(scores))
            seed[best], seed[other] = 1.0, -1.0
            z = np.exp((scores - scores.max()) / self.manifest["output"].get("temperature", 1.0))
            labels = self.manifest["output"]["labels"]
            prediction = {"label": labels[best], "probabilities": dict(zip(labels, (z / z.sum()).tolist()))}
        else:
            seed = np.ones(1)
            prediction = {"value": scores[0], "unit": self.manifest["output"]["unit"]}

        total, difference, linear = np.zeros(len(self.axis)), np.zeros(len(self.axis)), 0.0
        for target, activation, gradient in zip(self.targets, tensors[::2], tensors[1::2]):
            gradient = gradient.reshape(len(seed), -1)
            cells = (seed @ gradient).reshape(-1, target["cells"]) * activation.reshape(-1, target["cells"])
            cells = cells.sum(axis=0)
            total += target["spread"] @ cells
            on_axis = target["spread"] @ (cells - seed @ target["map"])
            difference += on_axis
            linear += np.abs(on_axis).sum() if target["linear"] else 0.0
        output = seed @ scores
        error = abs(total.sum() - (output - seed @ self.offset)) / max(1.0, abs(output - seed @ self.offset))
        gross, whole = np.abs(difference).sum(), difference.sum()
        bands = [
            {
                "name": name,
                "from_cm": band["from"],
                "to_cm": band["to"],
                "contribution": difference[points].sum(),
                "share": difference[points].sum() / whole,
                "gross_share": np.abs(difference[points]).sum() / gross,
            }
            for name, points, band in self.bands
        ]
        bands.sort(key=lambda band: -abs(band["contribution"]))

        centred = prepared.reshape(-1) - self.mean
        t = self.loadings @ centred
        t2, q = (t**2 / self.eigenvalues).sum(), ((centred - t @ self.loadings) ** 2).sum()
        reasons = [
            {"code": code, "text": f"{value:.3g} is above the limit of {limit:.3g}"}
            for code, value, limit in zip(("unusual-sample", "unknown-sample"), (t2, q), self.limits)
            if not value <= limit
        ]
        result = {
            "name": self.manifest["name"],
            "version": self.manifest["version"],
            "verdict": {"decision": "invalid" if reasons else "accept", "reasons": reasons},
            "prediction": prediction,
            "explanation": {
                "output": output,
                "reference_output": seed @ self.reference,
                "completeness_error": error,
                "off_band": 1.0 - sum(band["gross_share"] for band in bands),
                "linear_share": linear / gross,
                "bands": bands,
            },
            "applicability": {"t2": t2, "t2_limit": self.limits[0], "q": q, "q_limit": self.limits[1]},
        }
        maps = {
            "name": self.manifest["name"],
            "version": self.manifest["version"],
            "axis_cm": typed(self.axis, 86, "<f8"),
            "map": typed(total, 85, "<f4"),
            "difference": typed(difference, 85, "<f4"),
        }
        return result, maps


def typed(values, tag, kind):
    return cbor2.CBORTag(tag, values.astype(kind).tobytes())


def instrument_gate(light, dark):
    signal = np.percentile(light - dark, 95)
    noise = 1.482602 / np.sqrt(6) * np.median(np.abs(np.diff(light - dark, 2)))
    return bool(signal >= 200 and signal / noise >= 10)


def main():
    spectra, *folders = sys.argv[1:]
    with open(spectra, newline="") as file:
        header, *rows = csv.reader(file)
    shifts = np.array([float(shift) for shift in header[1:]])
    table = {row[0]: np.array([float(value) for value in row[1:]]) for row in rows}
    dark = table.pop("dark")
    models = [Model(Path(folder), shifts) for folder in folders]

    def one(number, light):
        sound = instrument_gate(light, dark)
        prepared, concluded = {}, []
        for model in models:
            if model.preparation not in prepared:
                prepared[model.preparation] = model.prepare(light, dark)
            concluded.append(model.conclude(prepared[model.preparation]))
        head = {"v": 1, "id": f"peer-{number:08}", "seq": number}
        result = json.dumps(head | {"instrument": sound, "models": [result for result, _ in concluded]})
        cam = cbor2.dumps(head | {"models": [maps for _, maps in concluded]})
        frames = {"light": typed(light, 85, "<f4"), "dark": typed(dark, 85, "<f4")}
        spectrum = cbor2.dumps(head | {"axis_cm": typed(shifts, 86, "<f8")} | frames)
        return result, cam, spectrum

    lights = list(table.items())
    one(0, lights[0][1])
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "results":
            for number, (name, light) in enumerate(lights):
                print(json.dumps({"spectrum": name} | json.loads(one(number, light)[0])), flush=True)
            print("done", flush=True)
            continue
        seconds = []
        for number in range(int(line)):
            light = lights[number % len(lights)][1]
            start = time.perf_counter()
            one(number, light)
            seconds.append(time.perf_counter() - start)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
