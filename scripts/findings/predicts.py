#!/usr/bin/env python3
"""Which score predicts what matters: predicts.py OUT PREFIX MODEL.

Every score of the profile OUT/PREFIX-scores beside the drop of the expected answer's log-probability when a head is off
alone (OUT/PREFIX-each, if that was run), and the accuracy of HeadKV budgets that follow it (OUT/PREFIX-by) against those
that follow HeadKV's own score.
"""
import json
import sys
from pathlib import Path

import budgets
from tables import spearman, table

OWN = "retrieval_reasoning"


def best(scores, n):
    return set(sorted(scores, key=scores.get, reverse=True)[:n])


def means(file):
    """Mean of each head with its sign, which the sidecar has and the file of shares has not."""
    heads = json.loads(file.with_suffix(".meta.json").read_text())["heads"]["mean"]
    return {f"{layer}-{head}": mean for layer, row in enumerate(heads) for head, mean in enumerate(row)}


def drops_held(scores, causal):
    """How a score's heads agree with the drops: rank correlation, best heads shared, drops of its best heads."""
    heads = list(causal)
    rho = spearman([scores[h] for h in heads], [causal[h] for h in heads])
    ten, twenty = best(scores, 10), best(scores, 20)
    # What the score's best heads cost, each off alone, of what the best by that measure cost.
    held = sum(causal[h] for h in twenty) / sum(causal[h] for h in best(causal, 20))
    return [f"{rho:.2f}", len(ten & best(causal, 10)), len(twenty & best(causal, 20)), f"{100 * held:.0f} %"]


def accuracies(answers, score, tokens):
    """Of HeadKV budgets that follow a score, each with the difference to those that follow HeadKV's own."""
    cells = []
    for budget in tokens:
        values, base = (answers.accuracy[f"headkv:{by}", budget] for by in (score, OWN))
        cells.append(budgets.percent(values, answers.alike))
        cells.append(budgets.difference(values, base, answers.alike) if score != OWN else "")
    return cells


def main():
    out, prefix, model = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    off = out / f"{prefix}-each/head_score/{model}_ablation_heads.json"
    causal = means(off) if off.exists() else {}
    files = sorted((out / f"{prefix}-scores/head_score").glob(f"{model}_*_heads.json"))
    names = [file.name.removeprefix(f"{model}_").removesuffix("_heads.json") for file in files]
    scores = dict(zip(names, map(means, files)))
    answers = budgets.Answers(out / f"{prefix}-by")
    tokens = sorted({budget for _, budget in answers.accuracy})
    columns = ["score", *(["rho", "of ten", "of twenty", "drop held"] if causal else [])]
    for budget in tokens:
        columns += [f"HeadKV, {budget}", f"less that of {OWN}"]
    rows = [[name, *(drops_held(scores[name], causal) if causal else []),
             *accuracies(answers, name, tokens)] for name in names]
    rows.sort(key=lambda row: -float(row[1]) if causal else row[0])
    if answers.there:
        # By what every profile says of kinds of heads; of drops kinds.py has more.
        rows.append(["induction", *([""] * 4 if causal else []),
                     *accuracies(answers, "induction", tokens)])
    table(columns, rows)
    weighed = []
    for name, own in scores.items():
        plain = scores.get(name.removesuffix("_l1").removesuffix("_projected"), own)
        if plain is not own:
            rho = spearman(list(own.values()), list(plain.values()))
            weighed.append([name, f"{rho:.2f}", f"{sum(own.values()) / sum(plain.values()):.2f}"])
    table(["weighed by values", "rho with the score itself", "times as large"], weighed)
    if kvzip := scores.get("kvzip"):
        layers = {}
        for head, value in kvzip.items():
            layers.setdefault(int(head.split("-")[0]), []).append(value)
        print(f"kvzip: {sum(v > 0.99 for v in kvzip.values())} of {len(kvzip)} heads above .99; by layer:",
              " ".join(f"{sum(values) / len(values):.2f}" for values in layers.values()))
    if not causal:
        return
    drops = sorted(causal.items(), key=lambda pair: -pair[1])
    print("drop in nats, the ten largest:", ", ".join(f"{head} {drop:.2f}" for head, drop in drops[:10]))
    print(f"of {len(drops)} heads above 0.1: {sum(d > 0.1 for _, d in drops)}, below -0.1: {sum(d < -0.1 for _, d in drops)}")


if __name__ == "__main__":
    main()
