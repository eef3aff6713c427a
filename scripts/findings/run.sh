#!/usr/bin/env bash
# The runs behind docs/findings.md: run.sh MODELS OUT. MODELS has smollm2-135m-instruct.gguf and
# qwen2.5-coder-0.5b-instruct.gguf; a run that is stopped goes on with the same command. HEADPROF is the program.
set -euo pipefail
models=$1 out=$2 headprof=${HEADPROF:-headprof}
small=smollm2-135m-instruct large=qwen2.5-coder-0.5b-instruct
methods=full,streaming_llm,h2o,scissorhands,snapkv,pyramidkv,adakv,headkv,dililazykv
mkdir -p "$out"

profile() { "$headprof" --model "$models/$1.gguf" --out "$out/$2" "${@:3}" | tee "$out/$2.txt"; }
compare() {
    "$headprof" evaluate --model "$models/$1.gguf" --methods "$methods" --seed 1 --out "$out/$2" "${@:3}" | tee "$out/$2.txt"
}
scores() { echo "$out/$2/head_score/$1_retrieval_reasoning_heads.json"; }

profile $small s-needles --lengths 512,1k,2k,4k --depths 0.1,0.5,0.9
profile $large q-needles --lengths 512,1k,2k,4k --depths 0.1,0.5,0.9
profile $small s-stories --task babilong:qa1..qa5 --samples 40 --lengths 1k
profile $large q-stories --task babilong:qa1..qa5 --samples 40 --lengths 1k
compare $small s-evaluate --budgets 32,64,128,256 --lengths 1k --depths 0.1,0.5,0.9 --repeats 2 --needles needles/held-out/needles.jsonl \
    --head-score "$(scores $small s-needles)"
compare $large q-evaluate --budgets 32,64,128,256 --lengths 1k --depths 0.1,0.5,0.9 --repeats 2 --needles needles/held-out/needles.jsonl \
    --head-score "$(scores $large q-needles)"
for model in $small $large; do
    "$headprof" observe --all --model "$models/$model.gguf" --length 512 --out "$out/observe" | tee "$out/$model-sinks.txt"
done
"$(dirname "$0")/tables.py" "$out"
