#!/usr/bin/env python3
"""How often 95 % intervals of a mean over needles x places hold the true mean: the table of docs/scores.md. Needs numpy."""
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "findings"))
from clusters import interval  # noqa: E402

GRIDS, RESAMPLES = 2000, 300
CASES = [(18, 12, 1, 1, 1), (18, 12, 1, 0.3, 1), (18, 12, 1, 0, 1), (18, 12, 0, 0, 1), (40, 5, 1, 0.3, 1)]


def percentiles(means):
    return np.quantile(means, [0.025, 0.975])


def main():
    rng = np.random.default_rng(1)
    print("| needles x places | effects | bootstrap over probes | over needles | over both | this |\n|---|---|---|---|---|---|")
    for needles, places, needle, place, own in CASES:
        about, where = np.divmod(np.arange(needles * places), places)
        held = np.zeros(4)
        for _ in range(GRIDS):
            x = needle * rng.standard_normal((needles, 1)) + place * rng.standard_normal((1, places))
            x = x + own * rng.standard_normal((needles, places))
            drawn = rng.multinomial(needles, [1 / needles] * needles, RESAMPLES)
            at = rng.multinomial(places, [1 / places] * places, RESAMPLES)
            flat = rng.integers(0, x.size, (RESAMPLES, x.size))
            ends = [
                percentiles(x.ravel()[flat].mean(1)),
                percentiles(drawn @ x.mean(1) / needles),
                percentiles(np.einsum("bn,np,bp->b", drawn, x, at) / x.size),
                interval(list(x.ravel()), list(about), list(where)),
            ]
            held += [low <= 0 <= high for low, high in ends]
        cells = " | ".join(f"{100 * share:.0f}" for share in held / GRIDS)
        print(f"| {needles} x {places} | {needle}, {place}, {own} | {cells} |")


main()
