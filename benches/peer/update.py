"""Replacing a model while the line runs: how long an installation takes, and what the line notices of the change."""

import argparse
import datetime
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import daemon

MODEL = "oil-type"
# So many changes, each to a version of its own, with this many results before the first and after each.
CHANGES, BETWEEN = 10, 40
# The newest spectra that both models are shown, as `ramand model install` does unless told otherwise.
SHADOW = 200
# As many as `ramand history` gives.
RECORDS_MAX = 10_000


def pack(binary, models, folder, version):
    """A signed archive of the bundle under another version."""
    made = folder / f"{MODEL}-{version}"
    shutil.copytree(models / MODEL, made)
    manifest = made / "manifest.toml"
    lines = manifest.read_text().splitlines()
    own = next(index for index, line in enumerate(lines) if line.startswith("version = "))
    lines[own] = f'version = "{version}"'
    manifest.write_text("\n".join(lines) + "\n")
    archive = folder / f"{version}.tar"
    command = [binary, "model", "pack", str(made), "--key", str(folder / "key.pem"), "--out", str(archive)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return archive


def records(binary, journal):
    command = [binary, "history", "--journal", str(journal), "--from", "1", "--last", str(RECORDS_MAX), "--json"]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    if len(lines) == RECORDS_MAX:
        raise RuntimeError("the journal holds more records than can be read at once")
    return [json.loads(line) for line in lines]


def measure(binary, models):
    """Seconds of installations, seconds from the store's new link to the first result of the new model, the times
    between results at a change and elsewhere, and how many numbers and results are missing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "keys").mkdir()
        key = str(folder / "key.pem")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
        public = ["openssl", "pkey", "-in", key, "-pubout", "-out", str(folder / "keys/plant.pem")]
        subprocess.run(public, check=True)
        link, port = folder / "spectrometer", daemon.free_port()
        config, journal = folder / "ramand.toml", folder / "journal.sqlite"
        config.write_text(
            f'[spectrometer]\nport = "{link}"\nbaud = 115200\nperiod = "0 s"\nlaser_warm_up = "0 s"\n'
            f'integration = "10 ms"\n[journal]\npath = "{journal}"\n'
            f'[broker]\nenabled = true\nlisten = "127.0.0.1:0"\n[web]\nlisten = "127.0.0.1:{port}"\n'
            f'[log]\nlevel = "error"\nformat = "text"\n[updates]\nstore = "{folder}/store"\nkeys = "{folder}/keys"\n'
            f'[[model]]\npath = "{folder}/store/{MODEL}/current"\nprobability_min = 0.5\n'
        )

        def install(version):
            archive = pack(binary, models, folder, version)
            command = [binary, "model", "install", str(archive), "--config", str(config), "--yes", "--json"]
            start = time.perf_counter()
            told = subprocess.run([*command, "--last", str(SHADOW)], check=True, stdout=subprocess.PIPE, text=True)
            took_s = time.perf_counter() - start
            return took_s, json.loads(told.stdout.splitlines()[-1])

        install("1000.0.0")
        command = [binary, "sim", "--profile", "qepro", "--link", str(link), "--no-pacing"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        device = subprocess.Popen(command, **pipes)
        device.stdout.readline()
        line = subprocess.Popen([binary, "run", "--config", str(config)])
        installed_s, linked = [], {}
        try:
            daemon.until(port, SHADOW + BETWEEN)
            for change in range(1, CHANGES + 1):
                version = f"1000.0.{change}"
                took_s, told = install(version)
                if told["outcome"] != "switched" or told["shadow"]["spectra"] != SHADOW:
                    raise RuntimeError(f"this is not an installation with its shadow run: {told}")
                installed_s.append(took_s)
                linked[version] = (folder / "store" / MODEL / "current").lstat().st_mtime
                daemon.until(port, daemon.last_seq(port) + BETWEEN)
        finally:
            line.terminate()
            line.wait(timeout=30)
            device.terminate()
            device.wait(timeout=30)
        return {"installed_s": installed_s, **noticed(records(binary, journal), linked)}


def noticed(found, linked):
    """What the journal says of the changes; `linked` holds since when the store led to which version."""
    numbers = [record["seq"] for record in found]
    missing = numbers[-1] - len(numbers)
    gaps = sum("gap" in record for record in found)
    delay_s, at_change_s, elsewhere_s = [], [], []
    last = None
    for record in found:
        if "result" not in record:
            continue
        result = record["result"]
        moment = datetime.datetime.fromisoformat(result["time"]).timestamp()
        version = result["models"][0]["version"]
        if last is not None:
            (at_change_s if version != last[1] else elsewhere_s).append(moment - last[0])
            if version != last[1]:
                delay_s.append(moment - linked[version])
        last = (moment, version)
    if len(at_change_s) != len(linked):
        raise RuntimeError(f"{len(at_change_s)} changes are in the journal, not {len(linked)}")
    return {
        "delay_s": delay_s,
        "at_change_s": at_change_s,
        "elsewhere_s": elsewhere_s,
        "missing": missing + gaps,
        "results": len(at_change_s) + len(elsewhere_s) + 1,
    }


def table(measured):
    """The section of docs/benchmarks.md."""
    ms = {name: [value * 1e3 for value in measured[name]] for name in ("delay_s", "at_change_s", "elsewhere_s")}
    spread = {name: (statistics.median(values), max(values)) for name, values in ms.items()}
    installed = measured["installed_s"]
    return [
        f"| replacing {MODEL} while spectra are measured back to back, {CHANGES} times | median | longest |",
        "|---|---|---|",
        f"| `ramand model install`, with {SHADOW} spectra shown to both models "
        f"| {statistics.median(installed):.2f} s | {max(installed):.2f} s |",
        f"| from the store's new link to the first spectrum of the new model "
        f"| {spread['delay_s'][0]:.0f} ms | {spread['delay_s'][1]:.0f} ms |",
        f"| from the last spectrum of the old model to the first of the new one "
        f"| {spread['at_change_s'][0]:.1f} ms | {spread['at_change_s'][1]:.1f} ms |",
        f"| between any two other spectra | {spread['elsewhere_s'][0]:.1f} ms | {spread['elsewhere_s'][1]:.1f} ms |",
        "",
        f"Of {measured['results']} spectra in the journal, without a number or a result: {measured['missing']}.",
    ]


def main():
    parser = argparse.ArgumentParser(description="Measures the replacement of a model: update.py PROGRAM")
    parser.add_argument("program", help="ramand, as it is released")
    print("\n".join(table(measure(parser.parse_args().program, Path(__file__).resolve().parents[2] / "models"))))


if __name__ == "__main__":
    main()
