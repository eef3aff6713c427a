#!/usr/bin/env python3
"""How well --until-stable stops: until_stable.py PROFILE MODEL [TRIALS], PROFILE a folder with a whole profile's files.

Its probes are put in balanced orders by chance, and the rule of src/commands/profile/stable.rs is applied to each: after
how many probes it stops, and how many of the ten best heads are then those of all probes. Needs numpy.
"""
import json
import sys
from pathlib import Path

import numpy as np

SCORES = ["retrieval", "retrieval_reasoning", "dili", "lazy", "inf"]
STEPS, LEAST, RESAMPLES, SPLITS = 12, 10, 200, 20


def load(folder, model, score):
    """Values of the accepted probes, [probes, heads], all probes, and the place of each accepted one."""
    lists = json.loads((folder / f"head_score/{model}_{score}_heads.json").read_text())
    probes = [json.loads(line) for line in (folder / "probes.jsonl").read_text().splitlines()]
    accepted = [probe["index"] for probe in probes if probe["status"] == "accepted"]
    values = np.array(list(lists.values()), dtype=float).T
    assert len(values) == len(accepted)
    return values, probes, {index: place for place, index in enumerate(accepted)}


def top(values):
    return set(np.argsort(-values, kind="stable")[:10])


def balanced(probes, rng):
    """As src/commands/profile/balanced.rs, equal ones in an order by chance."""
    kinds = [[probe[key] for probe in probes] for key in ("needle_id", "context_length", "depth_asked")]
    times = [{} for _ in kinds]
    left, order = list(rng.permutation(len(probes))), []
    while left:
        seen = [tuple(t.get(kind[at], 0) for t, kind in zip(times, kinds)) for at in left]
        at = left.pop(min(range(len(left)), key=seen.__getitem__))
        for t, kind in zip(times, kinds):
            t[kind[at]] = t.get(kind[at], 0) + 1
        order.append(at)
    return order


def kept(values, left, rng):
    mean, n = values.mean(0), len(values)
    draws = rng.multinomial(n, [1 / n] * n, RESAMPLES) / n
    return np.mean([len(top(mean + (draw @ values - mean) * left**0.5) & top(mean)) / 10 for draw in draws])


def halves(values, needles, rng):
    names, numbers = np.unique(needles, return_inverse=True)
    found = []
    for _ in range(SPLITS):
        half = np.isin(numbers, rng.permutation(len(names))[: len(names) // 2])
        if half.any() and not half.all():
            found.append(np.corrcoef(values[half].mean(0), values[~half].mean(0))[0, 1])
    r = np.mean(found)
    return 2 * r / (1 + r)


def main(folder, model, trials):
    rng = np.random.default_rng(1)
    data = {score: load(folder, model, score) for score in SCORES}
    _, probes, place = data["inf"]
    n, step = len(probes), max(-(-len(probes) // STEPS), LEAST)
    print("| wanted | probes | saved | of the ten best heads those of all probes | all ten the same |\n|---|---|---|---|---|")
    for wanted in (0.9, 0.95, 0.98):
        stops, same = [], []
        for _ in range(trials):
            order, row = balanced(probes, rng), 0
            for end in range(step, n + step, step):
                end = min(end, n)
                ran = [probes[at]["index"] for at in order[:end] if probes[at]["index"] in place]
                needles = [probes[index]["needle_id"] for index in ran]
                own = {score: values[[place[index] for index in ran]] for score, (values, *_) in data.items()}
                left = 1 - end / n
                enough = all(
                    kept(v, left, rng) >= wanted and halves(v, needles, rng) >= wanted for v in own.values()
                )
                row = row + 1 if enough else 0
                if row == 2 or end == n:
                    break
            stops.append(end)
            same.append([len(top(own[s].mean(0)) & top(data[s][0].mean(0))) for s in SCORES])
        same = np.array(same)
        print(
            f"| {wanted} | {np.mean(stops):.0f} ({min(stops)} to {max(stops)}) of {n} | {100 - 100 * np.mean(stops) / n:.0f} % "
            f"| {same.mean():.2f}, at least {same.min()} | {100 * (same == 10).mean():.0f} % |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 40)
