"""Counts alarms in the reports that alarms.sh wrote: count.py FOLDER prints a table in Markdown."""

import json
import pathlib
import sys

SPIKE_CM = 1580


def hit(place, planted):
    if planted == "tilt":
        return place == "background"
    if " to " not in place:
        return False
    start, end = place.removesuffix(" cm-1").split(" to ")
    return float(start) <= SPIKE_CM <= float(end)


counts = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*-*-*-*.json")):
    what, _, planted, pipeline = path.stem.split("-")
    places = [row["place"] for row in json.loads(path.read_text())["sections"]["off_band"]["tables"]["alarms"]]
    count = counts.setdefault((pipeline, what, planted), [0, 0, 0])
    found = (True, bool(places), planted != "none" and any(hit(place, planted) for place in places))
    for index, value in enumerate(found):
        count[index] += value

print("| pipeline | what is predicted | planted | models | with an alarm | at the planted place |")
print("|---|---|---|---:|---:|---:|")
for (pipeline, what, planted), (models, alarmed, right) in sorted(counts.items()):
    place = "-" if planted == "none" else right
    print(f"| {pipeline} | {what} | {planted} | {models} | {alarmed} | {place} |")
