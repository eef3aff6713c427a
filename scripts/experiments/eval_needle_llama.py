"""The tables of eval-needle-llama.sh: eval_needle_llama.py NEEDLES/probes.jsonl STORIES/probes.jsonl"""

import json
import sys


def records(path):
    """The lines of a probes.jsonl."""
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def header(name, lengths):
    """Prints a table's first two lines: one column per context length."""
    print(f"| {name} | " + " | ".join(map(str, lengths)) + " |")
    print("|---" * (len(lengths) + 1) + "|")


def family(probe):
    """A needle's id without its number."""
    return probe["needle_id"].rsplit("-", 1)[0]


def exact(probe):
    """Whether the answer is right in every word; case and a final full stop do not count."""
    return probe["answer"].strip().lower().rstrip(".") == probe["gold"].strip().lower().rstrip(".")


def accepted(probe):
    """Whether the answer passed the gate."""
    return probe["status"] == "accepted"


def needles(probes):
    """Prints the table of needles, one row per family."""
    lengths = sorted({p["context_length"] for p in probes})

    def row(name, rows):
        cells = []
        for length in lengths:
            here = [p for p in rows if p["context_length"] == length]
            passed, right = sum(map(accepted, here)), sum(map(exact, here))
            cells.append(f"{100 * passed / len(here):.0f} / {100 * right / len(here):.0f}")
        print(f"| {name} | " + " | ".join(cells) + " |")

    print("Percent of answers that pass the gate / that are exactly right:\n")
    header("needles", lengths)
    row("**all**", probes)
    for name in sorted({family(p) for p in probes}):
        row(name, [p for p in probes if family(p) == name])


def stories(probes):
    """Prints the table of stories, one row per task."""
    lengths = sorted({p["context_length"] for p in probes})
    print("\nPercent of stories whose answer names the right label and no other:\n")
    header("stories", lengths)
    for task in sorted({p["task"] for p in probes}):
        cells = []
        for length in lengths:
            here = [p for p in probes if p["task"] == task and p["context_length"] == length]
            right = sum(map(accepted, here))
            cells.append(f"{100 * right / len(here):.0f} ({right} of {len(here)})")
        print(f"| {task} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    needles(records(sys.argv[1]))
    stories(records(sys.argv[2]))
