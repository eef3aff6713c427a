#!/usr/bin/env bash
# The accuracy of needle-llama on needles, stories and haystack text that training never saw: essays 12
# to 15, two fresh needles of each family whose hash marks them as held out, and stories that
# headprof's simulator tells (training has a generator of its own). Prints one column per length.
#
#     scripts/eval-needle-llama.sh [MODEL_DIR]        (default: the embedded model)
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/haystack"
cp haystack/12-*.txt haystack/13-*.txt haystack/14-*.txt haystack/15-*.txt "$work/haystack/"
cargo run --quiet --release --example train_needle_llama -- needles "$work/needles.jsonl" >&2
cargo run --quiet --release -- --model "${1:-needle-llama}" --haystack-dir "$work/haystack" \
    --needles "$work/needles.jsonl" --lengths 256,512,1024,2048 --out "$work/out" --no-plots --quiet >&2
cargo run --quiet --release -- --model "${1:-needle-llama}" --haystack-dir "$work/haystack" \
    --task babilong:qa1,qa2 --samples 50 --seed 7 --lengths 512,1024 \
    --out "$work/stories" --no-plots --quiet >&2

python3 - "$work/out/probes.jsonl" "$work/stories/probes.jsonl" <<'PY'
import json, sys

probes, stories = ([json.loads(line) for line in open(path)] for path in sys.argv[1:])
lengths = sorted({p["context_length"] for p in probes})
family = lambda p: p["needle_id"].rsplit("-", 1)[0]
exact = lambda p: p["answer"].strip().lower().rstrip(".") == p["gold"].strip().lower().rstrip(".")

def row(name, rows):
    cells = []
    for length in lengths:
        here = [p for p in rows if p["context_length"] == length]
        passed = sum(p["status"] == "accepted" for p in here)
        right = sum(exact(p) for p in here)
        cells.append(f"{100 * passed / len(here):.0f} / {100 * right / len(here):.0f}")
    print(f"| {name} | " + " | ".join(cells) + " |")

print("Percent of answers that pass the gate / that are exactly right:\n")
print("| needles | " + " | ".join(str(l) for l in lengths) + " |")
print("|---" * (len(lengths) + 1) + "|")
row("**all**", probes)
for name in sorted({family(p) for p in probes}):
    row(name, [p for p in probes if family(p) == name])

lengths = sorted({p["context_length"] for p in stories})
print("\nPercent of stories whose answer names the right label and no other:\n")
print("| stories | " + " | ".join(str(l) for l in lengths) + " |")
print("|---" * (len(lengths) + 1) + "|")
for task in sorted({p["task"] for p in stories}):
    cells = []
    for length in lengths:
        here = [p for p in stories if p["task"] == task and p["context_length"] == length]
        right = sum(p["status"] == "accepted" for p in here)
        cells.append(f"{100 * right / len(here):.0f} ({right} of {len(here)})")
    print(f"| {task} | " + " | ".join(cells) + " |")
PY
