#!/usr/bin/env python3
"""Kinds of heads and scores: kinds.py SIDECAR SCORES... prints how the shares of each kind in SIDECAR, a *.meta.json,
and the means of SCORES, *_heads.json of the same model, go together; kinds.py SIDECAR --write KIND FILE makes a
head_score file of the shares of one kind, one value per head."""
import json
import sys
from pathlib import Path
from statistics import mean

from tables import pearson, table

NAMES = {"previous_token": "previous token", "duplicate_token": "duplicate token", "induction": "induction"}


def best(values, n):
    return set(sorted(values, key=values.get, reverse=True)[:n])


def main():
    types = json.loads(Path(sys.argv[1]).read_text())["heads"]["types"]
    shares = {
        kind: {f"{layer}-{head}": share for layer, row in enumerate(rows) for head, share in enumerate(row)}
        for kind, rows in types.items()
    }
    if sys.argv[2] == "--write":
        lists = {head: [share] for head, share in shares[sys.argv[3]].items()}
        Path(sys.argv[4]).write_text(json.dumps(lists) + "\n")
        return
    rows = []
    for file in map(Path, sys.argv[2:]):
        scores = {head: mean(values) for head, values in json.loads(file.read_text()).items()}
        row = [file.name.removesuffix("_heads.json")]
        for own in shares.values():
            heads = list(own)
            r = pearson([scores[h] for h in heads], [own[h] for h in heads])
            row.append(f"{r:.2f}; {len(best(scores, 10) & best(own, 10))}, {len(best(scores, 20) & best(own, 20))}")
        rows.append(row)
    table(["score (Pearson; of the best ten, twenty)", *(NAMES[kind] for kind in shares)], rows)
    for kind, own in shares.items():
        print(f"{NAMES[kind]}: {sum(share > 0.5 for share in own.values())} heads above one half")


if __name__ == "__main__":
    main()
