#!/usr/bin/env python3
"""The tables of docs/findings.md out of the folders that run.sh fills: tables.py OUT."""
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

import budgets

SCORES = ["retrieval", "retrieval_reasoning", "dili", "lazy", "inf"]
MODELS = {"s": "smollm2-135m-instruct", "q": "qwen2.5-coder-0.5b-instruct"}


def means(path):
    """Mean of each head over its probes, in the file's order."""
    return {head: mean(values) for head, values in json.loads(path.read_text()).items()}


def ranks(values):
    """Ranks from 1, of ties the mean."""
    order = sorted(range(len(values)), key=values.__getitem__)
    out, i = [0.0] * len(values), 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in order[i : j + 1]:
            out[k] = (i + j) / 2 + 1
        i = j + 1
    return out


def pearson(a, b):
    x, y = mean(a), mean(b)
    covariance = sum((p - x) * (q - y) for p, q in zip(a, b))
    return covariance / (sum((p - x) ** 2 for p in a) * sum((q - y) ** 2 for q in b)) ** 0.5


def spearman(a, b):
    return pearson(ranks(a), ranks(b))


def table(header, rows):
    print("| " + " | ".join(map(str, header)) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print()


def probes(folder):
    return [json.loads(line) for line in (folder / "probes.jsonl").read_text().splitlines()]


def answered(out):
    print("## Answered\n")
    for key, model in MODELS.items():
        folder = out / f"{key}-needles"
        if not (folder / "probes.jsonl").exists():
            continue
        cells = defaultdict(lambda: defaultdict(list))
        for probe in probes(folder):
            cells[probe["context_length"]][probe["depth_asked"]].append(probe["status"] == "accepted")
        depths = sorted({d for row in cells.values() for d in row})
        rows = [
            [length, *(f"{100 * mean(row[d]):.0f}" for d in depths), f"{100 * mean(sum(row.values(), [])):.0f}",
             sum(map(len, row.values()))]
            for length, row in sorted(cells.items())
        ]
        print(model, "(% of probes)\n")
        table(["tokens", *(f"depth {d}" for d in depths), "all", "n"], rows)


def heads(out):
    print("## How many heads hold how much\n")
    rows = []
    for key, model in MODELS.items():
        path = out / f"{key}-needles/head_score/{model}_retrieval_heads.json"
        if not path.exists():
            continue
        scores = sorted(means(path).values(), reverse=True)
        total, n = sum(scores), len(scores)
        held = [sum(scores[: round(n * share)]) / total for share in (0.01, 0.05, 0.1)]
        above = [sum(s > limit for s in scores) for limit in (0.5, 0.1, 0.01)]
        rows.append([model, n, *(f"{a} ({100 * a / n:.1f} %)" for a in above), *(f"{100 * h:.0f} %" for h in held)])
    table(["model", "heads", "> 0.5", "> 0.1", "> 0.01", "best 1 % hold", "best 5 %", "best 10 %"], rows)


def by_length(out):
    print("## The same heads at every length\n")
    for key, model in MODELS.items():
        folder = out / f"{key}-needles"
        path = folder / f"head_score/{model}_retrieval_heads.json"
        if not path.exists():
            continue
        lists = json.loads(path.read_text())
        accepted = [probe for probe in probes(folder) if probe["status"] == "accepted"]
        assert all(len(values) == len(accepted) for values in lists.values())
        lengths = sorted({probe["context_length"] for probe in accepted})
        split = {
            length: {
                head: mean(v for v, probe in zip(values, accepted) if probe["context_length"] == length)
                for head, values in lists.items()
            }
            for length in lengths
        }
        rows = []
        for a in lengths:
            row = [a]
            for b in lengths:
                x, y = list(split[a].values()), list(split[b].values())
                best = [set(sorted(split[n], key=split[n].get, reverse=True)[:10]) for n in (a, b)]
                row.append("" if b >= a else f"{pearson(x, y):.2f}, {len(best[0] & best[1])}")
            row.append(", ".join(f"{h} {s:.2f}" for h, s in sorted(split[a].items(), key=lambda p: -p[1])[:5]))
            rows.append(row)
        print(model, "(Pearson's correlation; how many of the ten best are the same)\n")
        table(["tokens", *lengths, "best five"], rows)


def alike(out):
    print("## The five scores: Spearman's correlation over all heads\n")
    for key, model in MODELS.items():
        folder = out / f"{key}-needles/head_score"
        if not (folder / f"{model}_retrieval_heads.json").exists():
            continue
        values = [list(means(folder / f"{model}_{score}_heads.json").values()) for score in SCORES]
        print(model, "\n")
        table(["", *SCORES], [[s, *(f"{spearman(a, b):.2f}" for b in values)] for s, a in zip(SCORES, values)])


def stories(out):
    print("## Stories beside needles\n")
    rows = []
    for key, model in MODELS.items():
        folder = out / f"{key}-stories"
        needles = Path(__file__).resolve().parents[2] / "head_score" / model
        if not (folder / "probes.jsonl").exists():
            continue
        cells = defaultdict(list)
        for probe in probes(folder):
            cells[probe["needle_id"].split("-")[0]].append(probe["status"] == "accepted")
        for task, passed in sorted(cells.items()):
            path = folder / f"head_score/{model}_babilong-{task}_retrieval_reasoning_heads.json"
            row = [model, task, f"{sum(passed)} of {len(passed)}"]
            if path.exists() and sum(passed):
                ours = means(path)
                for score in ("retrieval", "retrieval_reasoning"):
                    theirs = means(needles / f"{model}_{score}_heads.json")
                    best = [set(sorted(s, key=s.get, reverse=True)[:10]) for s in (ours, theirs)]
                    same = len(best[0] & best[1])
                    row.append(f"{spearman([ours[h] for h in ours], [theirs[h] for h in ours]):.2f}, {same}")
            rows.append(row)
    table(["model", "task", "answered", "with retrieval of needles", "with retrieval_reasoning of needles"], rows)


def main():
    out = Path(sys.argv[1])
    for part in (answered, heads, by_length, alike, stories):
        part(out)
    budgets.report(out, table)


if __name__ == "__main__":
    main()
