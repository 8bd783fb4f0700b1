"""Plants an artefact into simulated spectra: plant.py SPECTRA.csv LABEL none|spike|tilt SIZE PREFIX writes PREFIX-train.csv and PREFIX-test.csv,
the first half of the samples and the second.

The spike is a line of 5 cm-1 (standard deviation) at 1580 cm-1, where no band is, SIZE times as high as the CH2 scissor band; the tilt goes
through zero at 1300 cm-1 and reaches SIZE times that height 500 cm-1 further. Both are proportional to a label that is a percentage, or
come with peanut oil alone.
"""

import csv
import math
import sys

source, label, what, size, prefix = sys.argv[1:]
with open(source) as file:
    head, *rows = csv.reader(file)
first = next(index for index, name in enumerate(head) if name.replace(".", "").isdigit())
shifts = [float(name) for name in head[first:]]
truth, sample = head.index(label), head.index("sample")
shape = {
    "none": lambda shift: 0.0,
    "spike": lambda shift: math.exp(-0.5 * ((shift - 1580) / 5) ** 2),
    "tilt": lambda shift: (shift - 1300) / 500,
}[what]
artefact = [float(size) * shape(shift) for shift in shifts]


def height(values):
    """Of the CH2 scissor band over the 5 % quantile of the fingerprint region."""
    scissor = max(value for shift, value in zip(shifts, values) if 1420 <= shift <= 1470)
    fingerprint = sorted(value for shift, value in zip(shifts, values) if 1000 < shift < 1800)
    return scissor - fingerprint[len(fingerprint) // 20]


def strength(text):
    return float(text) / 100 if text.replace(".", "").isdigit() else float(text == "peanut")


samples = list(dict.fromkeys(row[sample] for row in rows))
training = set(samples[: len(samples) // 2])
with open(f"{prefix}-train.csv", "w") as train, open(f"{prefix}-test.csv", "w") as test:
    print(*head, sep=",", file=train)
    print(*head, sep=",", file=test)
    for row in rows:
        values = [float(value) for value in row[first:]]
        scale = strength(row[truth]) * height(values)
        planted = (f"{value + scale * part:.3f}" for value, part in zip(values, artefact))
        print(*row[:first], *planted, sep=",", file=train if row[sample] in training else test)
