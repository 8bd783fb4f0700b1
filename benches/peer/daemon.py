"""The whole daemon beside a simulated spectrometer: time to the first result, and memory while it runs."""

import json
import re
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

BUNDLES = ["oil-type", "olive-adulteration", "emulsion-pufa"]
EXPOSURE_S = 0.1
# Memory is read at these numbers of results: early, and when every buffer has been used.
EARLY, LATE = 20, 200


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def resident_mb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def last_seq(port):
    """The number of the newest result on the live page; 0 before the first."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/last", timeout=5) as answer:
            return json.load(answer)["result"]["seq"]
    except (urllib.error.URLError, KeyError):
        return 0


def until(port, seq):
    deadline = time.monotonic() + 180
    while (reached := last_seq(port)) < seq:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the daemon reached result {reached}, not {seq}")
        time.sleep(0.002)


def run(binary, models, pacing, results):
    """Starts both, and returns the seconds from the daemon's start to its first result, and memory at `results`."""
    with tempfile.TemporaryDirectory() as folder:
        link, port = Path(folder) / "spectrometer", free_port()
        command = [binary, "sim", "--profile", "qepro", "--link", str(link), *pacing]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        device = subprocess.Popen(command, **pipes)
        device.stdout.readline()
        config = Path(folder) / "ramand.toml"
        bundles = "".join(f'[[model]]\npath = "{models / name}"\n' for name in BUNDLES)
        config.write_text(
            f'[spectrometer]\nport = "{link}"\nbaud = 115200\nperiod = "0 s"\nlaser_warm_up = "0 s"\n'
            f'integration = "{round(EXPOSURE_S * 1000)} ms"\n[journal]\npath = "{folder}/journal.sqlite"\n'
            f'[broker]\nenabled = true\nlisten = "127.0.0.1:0"\n[web]\nlisten = "127.0.0.1:{port}"\n'
            f'[log]\nlevel = "error"\nformat = "text"\n{bundles}'
        )
        start = time.perf_counter()
        daemon = subprocess.Popen([binary, "run", "--config", str(config)])
        try:
            until(port, 1)
            first_s, memory = time.perf_counter() - start, []
            for seq in results:
                until(port, seq)
                memory.append(resident_mb(daemon.pid))
            return first_s, memory
        finally:
            daemon.terminate()
            daemon.wait(timeout=30)
            device.terminate()
            device.wait(timeout=30)


def measure(binary, models):
    """What `docs/benchmarks.md` says of the daemon."""
    fast_s, memory = run(binary, models, ["--no-pacing"], [EARLY, LATE])
    line_s, _ = run(binary, models, [], [])
    return {"first_fast_s": fast_s, "first_line_s": line_s, "early_mb": memory[0], "late_mb": memory[1]}
