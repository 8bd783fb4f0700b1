"""What the features cost that a board can do without: size of the program, and memory of a daemon that waits for its instrument."""

import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import daemon

# What can be left out, in the order of the table.
LEFT_OUT = [[], ["broker"], ["lab"], ["broker", "lab"]]
# Memory is read so often, this long apart, after the page answers; the median counts.
READINGS, APART_S = 9, 0.5
ANSWERS_WITHIN_S = 60


def default_features(root):
    """The features of ramand that are on where nothing is said."""
    command = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    found = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    ramand = next(package for package in json.loads(found)["packages"] if package["name"] == "ramand")
    return ramand["features"].get("default", [])


def until_it_answers(process, port):
    """Waits until the live page is served: models, journal and broker came before it."""
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the daemon does not answer on port {port}") from None
            time.sleep(0.02)


def idle_mb(binary, models, broker):
    """Resident memory of a daemon with three bundles, page and journal, while nothing is on its port. Without the embedded
    broker it looks for one that is not there."""
    with tempfile.TemporaryDirectory() as folder:
        port = daemon.free_port()
        config = Path(folder) / "ramand.toml"
        bundles = "".join(f'[[model]]\npath = "{models / name}"\n' for name in daemon.BUNDLES)
        embedded = '[broker]\nenabled = true\nlisten = "127.0.0.1:0"\n'
        elsewhere = f'[mqtt]\nhost = "127.0.0.1"\nport = {daemon.free_port()}\n'
        config.write_text(
            f'[spectrometer]\nport = "{folder}/nothing"\nbaud = 115200\n[journal]\npath = "{folder}/journal.sqlite"\n'
            f'{embedded if broker else elsewhere}[web]\nlisten = "127.0.0.1:{port}"\n'
            f'[log]\nlevel = "error"\nformat = "text"\n{bundles}'
        )
        # It says again and again that there is no instrument.
        process = subprocess.Popen([binary, "run", "--config", str(config)], stderr=subprocess.DEVNULL)
        try:
            until_it_answers(process, port)
            readings = []
            for _ in range(READINGS):
                time.sleep(APART_S)
                readings.append(daemon.resident_mb(process.pid))
            return statistics.median(readings)
        finally:
            process.terminate()
            process.wait(timeout=30)


def measure(build, size_mb, root):
    """For every choice of what is left out: megabytes of the program, and of the daemon's memory.

    `build` makes programs by cargo's arguments, `size_mb` measures one without symbols.
    """
    features = default_features(root)
    unknown = {name for names in LEFT_OUT for name in names} - set(features)
    if unknown:
        sys.exit(f"ramand has no feature {', '.join(sorted(unknown))} that is on by default")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        # The whole program comes last, so that the target folder holds it afterwards.
        for left_out in reversed(LEFT_OUT):
            kept = [name for name in features if name not in left_out]
            built = build("--bin", "ramand", "--no-default-features", f"--features={','.join(kept)}")["ramand"]
            binary = Path(folder) / "ramand"
            shutil.copy(built, binary)
            rows.append((left_out, size_mb(binary), idle_mb(str(binary), root / "models", "broker" in kept)))
    return rows[::-1]


def table(rows):
    """The section of docs/benchmarks.md."""
    whole = rows[0]
    lines = [
        "| build, `--no-default-features --features ...` | stripped program | | resident memory, idle | |",
        "|---|---|---|---|---|",
    ]
    for left_out, size, memory in rows:
        name = " and ".join(f"`{name}`" for name in left_out)
        name = f"without {name}" if left_out else "as it is released"
        less = [f"{size - whole[1]:+.1f} MB", f"{memory - whole[2]:+.1f} MB"] if left_out else ["", ""]
        lines.append(f"| {name} | {size:.1f} MB | {less[0]} | {memory:.1f} MB | {less[1]} |")
    return [
        *lines,
        "",
        f"Idle: three bundles, page and journal, nothing on the instrument's port; median of {READINGS} readings in "
        f"{READINGS * APART_S:g} s. With `broker` the embedded broker runs; without it the daemon looks for one in vain.",
    ]
