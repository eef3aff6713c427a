#!/usr/bin/env bash
# The comparison of compression methods in docs/evaluation.md: head scores from the bundled needles,
# evaluation on one held-out needle per family in essays 12 to 15. Prints the Markdown table, and the
# paired differences of methods that the table does not set against each other.
#
#     scripts/experiments/compare-methods.sh [OUT_DIR]            (default: a temporary folder)
#
# It needs python3.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=${1:-$work/out}
mkdir "$work/haystack"
cp haystack/12-*.txt haystack/13-*.txt haystack/14-*.txt haystack/15-*.txt "$work/haystack/"
cargo run --quiet --release -p headprof-tools --bin train_needle_llama -- needles "$work/two.jsonl" >&2
awk 'NR % 2 == 1' "$work/two.jsonl" > "$work/needles.jsonl"
cargo run --quiet --release -- --depths 0.1,0.5,0.9 --out "$work/profile" --no-plots --quiet >&2
methods=full,streaming_llm,h2o,scissorhands,snapkv,pyramidkv,adakv,ada_pyramidkv,headkv,dililazykv
methods+=,dililazykv_variance,h2o+vatp,scissorhands+vatp,snapkv+vatp,headkv+vatp,dililazykv+vatp
cargo run --quiet --release -- evaluate --gate exact --methods "$methods" --budgets 16,32,64,128 \
    --head-score "$work/profile/head_score/needle-llama_inf_heads.json" \
    --haystack-dir "$work/haystack" --needles "$work/needles.jsonl" --lengths 1024,2048 \
    --depths 0.1,0.5,0.9 --out "$out" --quiet >&2
cat "$out/evaluate.md"

python3 scripts/experiments/compare_methods.py "$out/answers.jsonl"
