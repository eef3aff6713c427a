#!/usr/bin/env bash
# The accuracy of needle-llama on needles, stories and haystack text that training never saw: essays 12
# to 15, two fresh needles of each family whose hash marks them as held out, and stories that
# headprof's simulator tells (training has a generator of its own). Prints one column per length.
#
#     scripts/experiments/eval-needle-llama.sh [MODEL_DIR]        (default: the embedded model)
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/haystack"
cp haystack/12-*.txt haystack/13-*.txt haystack/14-*.txt haystack/15-*.txt "$work/haystack/"
cargo run --quiet --release -p headprof-tools --bin train_needle_llama -- needles "$work/needles.jsonl" >&2
cargo run --quiet --release -- --model "${1:-needle-llama}" --haystack-dir "$work/haystack" \
    --needles "$work/needles.jsonl" --lengths 256,512,1024,2048 --out "$work/out" --no-plots --quiet >&2
cargo run --quiet --release -- --model "${1:-needle-llama}" --haystack-dir "$work/haystack" \
    --task babilong:qa1,qa2 --samples 50 --seed 7 --lengths 512,1024 \
    --out "$work/stories" --no-plots --quiet >&2

python3 scripts/experiments/eval_needle_llama.py "$work/out/probes.jsonl" "$work/stories/probes.jsonl"
