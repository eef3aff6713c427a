#!/usr/bin/env bash
# What one prefill for all methods and budgets saves: 10 methods at 4 budgets in one run of
# `headprof evaluate` against the same 40 settings in 40 runs, one length, three depths, two needles.
# Prints both wall times, process start and model load included, and their ratio.
#
#     scripts/experiments/measure-shared-prefill.sh [LENGTH]      (default: 1024)
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --quiet --release --bin headprof
headprof=${CARGO_TARGET_DIR:-target}/release/headprof
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
head -n 2 needles/dililazykv.jsonl > "$work/needles.jsonl"
"$headprof" --lengths 256 --depths 0.5 --out "$work/profile" --no-plots --no-report --quiet >&2
scores=$work/profile/head_score/needle-llama_inf_heads.json
methods=(streaming_llm h2o scissorhands snapkv pyramidkv adakv headkv dililazykv h2o+vatp snapkv+vatp)
budgets=(16 32 64 128)

evaluate() {
    "$headprof" evaluate --methods "$1" --budgets "$2" --head-score "$scores" \
        --needles "$work/needles.jsonl" --lengths "$length" --depths 0.1,0.5,0.9 \
        --out "$work/$3" --fresh --no-plots --quiet >&2
}
join() { local IFS=,; echo "$*"; }

length=${1:-1024}
start=$(date +%s.%N)
evaluate "$(join "${methods[@]}")" "$(join "${budgets[@]}")" together
middle=$(date +%s.%N)
for method in "${methods[@]}"; do
    for budget in "${budgets[@]}"; do
        evaluate "$method" "$budget" "$method-$budget"
    done
done
end=$(date +%s.%N)

# The answers have to be the same, setting by setting.
answers() { grep -ho '"id":"[^"]*".*"gold"' "$@" | sort; }
answers "$work/together/answers.jsonl" > "$work/together.txt"
answers "$work"/*-*/answers.jsonl > "$work/alone.txt"
cmp "$work/together.txt" "$work/alone.txt" >&2
awk -v a="$start" -v b="$middle" -v c="$end" -v n=$((${#methods[@]} * ${#budgets[@]})) 'BEGIN {
    printf "one run of %d settings: %.1f s; %d runs of one: %.1f s; ratio %.1f\n",
        n, b - a, n, c - b, (c - b) / (b - a)
}'
