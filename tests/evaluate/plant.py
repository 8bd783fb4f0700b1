"""Plants artefacts into simulated spectra: plant.py SPECTRA.csv quantity|kinds PREFIX writes PREFIX-none.csv, -spike.csv and -tilt.csv.

The spike is a line of 5 cm-1 (standard deviation) at 1580 cm-1, where no band is, of 0.15 of the height of the CH2 scissor band; the tilt goes
through zero at 1300 cm-1 and reaches half that height 500 cm-1 further. Both are proportional to the quantity, or come with peanut oil alone.
"""

import csv
import math
import sys

SAMPLES = {"quantity": 120, "kinds": 160}
REPLICATES = 3

source, what, prefix = sys.argv[1:]
with open(source) as file:
    head, *rows = csv.reader(file)
rows = rows[: REPLICATES * SAMPLES[what]]
shifts = [float(name) for name in head[4:]]
shapes = {
    "none": [0.0] * len(shifts),
    "spike": [0.15 * math.exp(-0.5 * ((shift - 1580) / 5) ** 2) for shift in shifts],
    "tilt": [0.5 * (shift - 1300) / 500 for shift in shifts],
}


def height(values):
    """Of the CH2 scissor band over the 5 % quantile of the fingerprint region."""
    scissor = max(value for shift, value in zip(shifts, values) if 1420 <= shift <= 1470)
    fingerprint = sorted(value for shift, value in zip(shifts, values) if 1000 < shift < 1800)
    return scissor - fingerprint[len(fingerprint) // 20]


def strength(label):
    return float(label) / 100 if what == "quantity" else float(label == "peanut")


spectra = [[float(value) for value in row[4:]] for row in rows]
for name, shape in shapes.items():
    with open(f"{prefix}-{name}.csv", "w") as file:
        print(*head, sep=",", file=file)
        for row, values in zip(rows, spectra):
            scale = strength(row[3]) * height(values)
            planted = (f"{value + scale * part:.3f}" for value, part in zip(values, shape))
            print(*row[:4], *planted, sep=",", file=file)
