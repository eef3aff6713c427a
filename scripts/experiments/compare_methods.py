"""Paired differences of methods for compare-methods.sh: compare_methods.py ANSWERS.jsonl"""

import sys

from answers import accuracies, cell

PAIRS = [("dililazykv_variance", "dililazykv"), ("dililazykv", "headkv"), ("ada_pyramidkv", "adakv")]


def main():
    found = accuracies(sys.argv[1])
    print("\n| pair | budget | difference in points [95 % interval] | better / worse |\n|---|---|---|---|")
    for a, b in PAIRS:
        for budget in sorted(budget for method, budget in found if method == a):
            ours, theirs = found[a, budget], found[b, budget]
            values = [ours[p] - theirs[p] for p in sorted(ours)]
            won, lost = sum(v > 0 for v in values), sum(v < 0 for v in values)
            print(f"| `{a}` - `{b}` | {budget} | {cell(values, '+')} | {won} / {lost} |")


if __name__ == "__main__":
    main()
