"""Answers of `headprof evaluate`, and means over prompts with their intervals."""

import json
import random

RESAMPLES = 2000


def accuracies(path):
    """{(method, budget): {prompt: accuracy}} of an answers.jsonl."""
    found = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            of_setting = found.setdefault((row["method"], row["budget_tokens"]), {})
            of_setting[row["id"]] = row["values"]["accuracy"]
    return found


def interval(values):
    """95 % percentile bootstrap over prompts; the same resamples for every list of one length."""
    rng, n = random.Random(1), len(values)
    means = sorted(sum(rng.choices(values, k=n)) / n for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]


def cell(values, sign=""):
    """Mean and interval of shares in percent: "50.0 [41.2, 58.8]"."""
    low, high = interval(values)
    mean = sum(values) / len(values)
    return f"{100 * mean:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"
