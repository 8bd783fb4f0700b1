"""How far a cross-validated error can be trusted: 95 % bootstrap intervals, by sample, of a regression bundle's RMSECV, of nested
PLS's and of their ratio, from its folds.csv. `python models/bootstrap.py models/emulsion-pufa`; needs numpy.

The samples are drawn with replacement, each with all its spectra and repeats; model and PLS are compared on the same draw. The
predictions are taken as they are, so what another training run would change is not in the intervals.
"""

import csv
import sys

import numpy as np

DRAWS = 10_000

with open(f"{sys.argv[1]}/folds.csv", newline="") as file:
    rows = list(csv.DictReader(file))
samples, sample_of_row = np.unique([row["group"] for row in rows], return_inverse=True)
truth = np.array([float(row["truth"]) for row in rows])
spectra = np.bincount(sample_of_row)


def squares(column):
    """Sum of squared errors of each sample."""
    errors = np.array([float(row[column]) for row in rows]) - truth
    return np.bincount(sample_of_row, weights=errors**2)


model, pls = squares("prediction"), squares("pls")
draws = np.random.default_rng(1).integers(len(samples), size=(DRAWS, len(samples)))
draws = np.vstack([np.arange(len(samples)), draws])  # row 0: every sample once, the figure itself
rmsecv, rmsecv_pls = (np.sqrt(s[draws].sum(axis=1) / spectra[draws].sum(axis=1)) for s in (model, pls))
for name, values in [("RMSECV", rmsecv), ("RMSECV of PLS", rmsecv_pls), ("ratio to PLS", rmsecv / rmsecv_pls)]:
    low, high = np.quantile(values[1:], [0.025, 0.975])
    print(f"{name:14} {values[0]:.3f}, 95 % interval {low:.2f} to {high:.2f}")
