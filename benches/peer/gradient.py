"""What a gradient costs beside its network, and tract against ONNX Runtime on the same files."""

import json
import os
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import networks
import onnx

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("RAMAND_TEST_PYTHON", sys.executable)

# What the project asks of itself: cost of forward + gradient, forward = 1, and tract against ONNX Runtime.
LINEAR_MAX, NEXT_TO_LAST_MAX, FIRST_MAX = 1.05, 1.7, 2.3
RUNTIME_RATIO_MAX = 1.0
# Nodes of a profile that are printed.
PROFILED = 8


class Side:
    """One of the two runtimes, as a process that runs files on request."""

    def __init__(self, command):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, **pipes)
        if self.process.stdout.readline().strip() != "ready":
            sys.exit(f"{command[0]} did not start")

    def seconds(self, count, files):
        self.process.stdin.write(f"{count} {' '.join(files)}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def write_files(subject, folder):
    """Every file that is measured: (network, weights or points, [(what, path, limit)])."""
    def attached(forward, name, layer, seed):
        path = folder / f"{forward.stem}-{name}.onnx"
        subprocess.run([*subject, "attach", str(forward), str(path), layer, seed], check=True)
        return path

    found = []
    for manifest in sorted(ROOT.glob("models/*/manifest.toml")):
        network = tomllib.loads(manifest.read_text())["network"]
        whole = manifest.with_name(network["file"])
        forward = folder / f"{manifest.parent.name}.onnx"
        onnx.save(networks.forward_only(onnx.load(whole), network["output"]), forward)
        found.append((manifest.parent.name, [("forward", forward, None), ("with the bundle's maps", whole, LINEAR_MAX)]))
    for points, widths in networks.SIZES:
        quantity, weights = networks.residual(points, widths, outputs=1)
        forward = folder / f"quantity-{points}.onnx"
        onnx.save(quantity, forward)
        linear = attached(forward, "linear", f"stage{len(widths) - 1}", "linear")
        found.append((f"{points} points, {weights / 1000:.0f} k weights, a quantity",
                      [("forward", forward, None), ("last stage, linear", linear, LINEAR_MAX)]))
        model, weights = networks.residual(points, widths)
        forward = folder / f"residual-{points}.onnx"
        onnx.save(model, forward)
        last = len(widths) - 1
        found.append((f"{points} points, {weights / 1000:.0f} k weights, {networks.OUTPUTS} classes", [
            ("forward", forward, None),
            ("last stage, linear, the winner's map", attached(forward, "linear", f"stage{last}", "linear"), LINEAR_MAX),
            ("last stage, linear, the maps of all classes", attached(forward, "linear-all", f"stage{last}", "linear-all"), None),
            ("walk to the next-to-last stage", attached(forward, "next", f"stage{last - 1}", "argmax"), NEXT_TO_LAST_MAX),
            ("walk to the first stage", attached(forward, "first", "stage0", "argmax"), FIRST_MAX),
        ]))
    return found


def mark(value, limit):
    return "" if limit is None else f"{'met' if value <= limit else 'MISSED'}: at most {limit:g}"


def measure(subject, folder, rounds, each):
    """Lines of the report."""
    files = write_files(subject, folder)
    sides = {"tract": Side([*subject, "run"]), "ONNX Runtime": Side([PYTHON, str(Path(__file__).with_name("ort_files.py"))])}
    lines = [
        f"| network, one thread, medians of {rounds} rounds of {each} | tract | of forward | target | ONNX Runtime | of forward "
        "| tract / ONNX Runtime | target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    largest = None
    for network, variants in files:
        paths = [str(path) for _, path, _ in variants]
        taken = {side: {path: [] for path in paths} for side in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                for path, seconds in side.seconds(each, paths).items():
                    taken[name][path] += seconds
        us = {side: [statistics.median(found[path]) * 1e6 for path in paths] for side, found in taken.items()}
        ours, theirs = us["tract"], us["ONNX Runtime"]
        for (what, _, limit), our, their in zip(variants, ours, theirs, strict=True):
            cost, ratio = our / ours[0], our / their
            lines.append(
                f"| {network}: {what} | {our:.1f} µs | {cost:.3f} | {mark(cost, limit)} | {their:.1f} µs | {their / theirs[0]:.3f} "
                f"| {ratio:.2f} | {mark(ratio, RUNTIME_RATIO_MAX)} |"
            )
        largest = (network, paths)
    for side in sides.values():
        side.close()
    network, paths = largest
    for what, path in (("forward", paths[0]), ("walk to the first stage", paths[-1])):
        rows = subprocess.run([*subject, "profile", path], check=True, stdout=subprocess.PIPE, text=True)
        lines += ["", f"| {network}, {what} in tract: the longest nodes | operator | µs |", "|---|---|---|"]
        lines += [f"| {name} | {op} | {us:.1f} |" for name, op, us in json.loads(rows.stdout)[:PROFILED]]
    return lines


def main():
    """Only this part, on the executable of `cargo build --profile bench --bench peer`: SUBJECT ROUNDS EACH."""
    import tempfile

    subject, rounds, each = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(measure([subject, "gradient"], Path(folder), int(rounds), int(each))))


if __name__ == "__main__":
    main()
