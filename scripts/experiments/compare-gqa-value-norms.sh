#!/usr/bin/env bash
# VATP's definitions under grouped queries, side by side: no norm (the protected sinks alone), l1, and
# l1 behind the output projection, each with a list per KV head and a list per query head. Evaluated on
# four bundled needles in essays 12 to 15, 2 lengths x 9 depths; the head scores are made with the other
# needles. Prints one Markdown table with the paired difference from the same method without a norm, at
# the same granularity.
#
#     scripts/experiments/compare-gqa-value-norms.sh [OUT_DIR]    (default: a temporary folder)
#
# HEADPROF is the program to run (default: a release build by cargo). It needs python3.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=${1:-$work/out}
mkdir -p "$work/haystack" "$out"
cp haystack/12-*.txt haystack/13-*.txt haystack/14-*.txt haystack/15-*.txt "$work/haystack/"
if [[ -z ${HEADPROF:-} ]]; then
    cargo build --quiet --release --bin headprof >&2
    HEADPROF=${CARGO_TARGET_DIR:-target}/release/headprof
fi
held_out='"id": "(code-victor|favourite-animal|best-chicago|travel-daniel)"'
grep -E "$held_out" needles/bundled.jsonl > "$work/needles.jsonl"
cat needles/*.jsonl | grep -Ev "$held_out" > "$work/others.jsonl"
scores=$out/profile/head_score/needle-llama_inf_heads.json
# Those of an earlier run into the same folder serve.
[[ -f $scores ]] || "$HEADPROF" --needles "$work/others.jsonl" --lengths 1024 --depths 0.1,0.5,0.9 \
    --out "$out/profile" --no-plots --quiet >&2
for granularity in kv_head query_head; do
    for norm in off l1 projected; do
        "$HEADPROF" evaluate --gate exact --granularity "$granularity" --value-norm "$norm" \
            --methods snapkv+vatp,h2o+vatp,scissorhands+vatp,headkv+vatp --budgets 32,128 \
            --head-score "$scores" --haystack-dir "$work/haystack" \
            --needles "$work/needles.jsonl" --lengths 256,512 \
            --depths 0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9 \
            --no-plots --quiet --out "$out/$granularity-$norm" >&2
    done
done

python3 scripts/experiments/compare_gqa_value_norms.py "$out"
