"""Counts alarms in the reports that alarms.sh wrote: count.py FOLDER.. prints a table in Markdown."""

import json
import pathlib
import statistics
import sys

SPIKE_CM = 1580


def hit(place, planted):
    if planted == "tilt":
        return place == "background"
    if " to " not in place:
        return False
    start, end = place.removesuffix(" cm-1").split(" to ")
    return float(start) <= SPIKE_CM <= float(end)


found = {}
for path in (path for folder in sys.argv[1:] for path in sorted(pathlib.Path(folder).glob("*-*-*-*-*-*.json"))):
    what, _, background, planted, size, pipeline = path.stem.split("-")
    tables = json.loads(path.read_text())["sections"]["off_band"]["tables"]
    alarmed = {row["place"] for row in tables["alarms"]}
    shares = {row["place"]: row["share"] for row in tables["taken"]}
    right = {place for place in alarmed if hit(place, planted)}
    # Of what is planted, the part that goes with its place; of clean models the largest part of any place.
    there = [share for place, share in shares.items() if planted == "none" or hit(place, planted)]
    key = (planted, float(size), background, what, pipeline)
    found.setdefault(key, []).append((bool(alarmed), bool(right), bool(alarmed - right), max(there, default=0.0)))

print("| planted | size | backgrounds | what is predicted | pipeline | models | with an alarm | at the planted place | elsewhere too | part that goes, median (range) |")
print("|---|---:|---|---|---|---:|---:|---:|---:|---:|")
for (planted, size, background, what, pipeline), models in sorted(found.items()):
    alarmed, right, beside, shares = zip(*models)
    clean = planted == "none"
    cells = [
        planted,
        "-" if clean else f"{size:g}",
        background,
        what,
        pipeline,
        len(models),
        sum(alarmed),
        "-" if clean else sum(right),
        "-" if clean else sum(beside),
        f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})",
    ]
    print("|", " | ".join(map(str, cells)), "|")
