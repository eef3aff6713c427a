#!/usr/bin/env bash
# VATP's definitions under grouped queries, side by side: no norm (the protected sinks alone), l1, and
# l1 behind the output projection, each with a list per KV head and a list per query head. Evaluated on
# four bundled needles in essays 12 to 15, 2 lengths x 9 depths; the head scores are made with the other
# needles. Prints one Markdown table with the paired difference from the same method without a norm, at
# the same granularity.
#
#     scripts/compare-gqa-value-norms.sh [OUT_DIR]    (default: a temporary folder)
#
# HEADPROF is the program to run (default: a release build by cargo). It needs python3.
set -euo pipefail
cd "$(dirname "$0")/.."

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

python3 - "$out" <<'PY'
import json, random, sys

GRANULARITIES, NORMS = ["kv_head", "query_head"], ["off", "l1", "projected"]
RESAMPLES = 2000

def accuracies(granularity, norm):
    """{(method, budget): {prompt: accuracy}}"""
    found = {}
    for line in open(f"{sys.argv[1]}/{granularity}-{norm}/answers.jsonl"):
        row = json.loads(line)
        of_setting = found.setdefault((row["method"], row["budget_tokens"]), {})
        of_setting[row["id"]] = row["values"]["accuracy"]
    return found

def interval(values):
    """Percentile bootstrap over prompts; the same resamples for every list of one length."""
    rng, n = random.Random(1), len(values)
    means = sorted(sum(rng.choices(values, k=n)) / n for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]

def cell(values, sign=""):
    low, high = interval(values)
    mean = sum(values) / len(values)
    return f"{100 * mean:{sign}.1f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"

runs = {(g, n): accuracies(g, n) for g in GRANULARITIES for n in NORMS}
settings = sorted(runs["kv_head", "off"])
prompts = sorted(runs["kv_head", "off"][settings[0]])
print(f"{len(prompts)} prompts\n")
print("| method | budget | lists per | norm | accuracy % | against off |")
print("|---|---|---|---|---|---|")
for method, budget in settings:
    for granularity in GRANULARITIES:
        off = runs[granularity, "off"][method, budget]
        for norm in NORMS:
            mine = runs[granularity, norm][method, budget]
            against = "" if norm == "off" else cell([mine[p] - off[p] for p in prompts], "+")
            values = cell([mine[p] for p in prompts])
            print(f"| `{method}` | {budget} | {granularity} | {norm} | {values} | {against} |")
PY
