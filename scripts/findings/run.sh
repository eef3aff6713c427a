#!/usr/bin/env bash
# The runs behind docs/findings.md: run.sh MODELS OUT [PART…], a PART being a name such as s-needles or the beginning
# of some, s- for all of SmolLM2's. MODELS has smollm2-135m-instruct.gguf and qwen2.5-coder-0.5b-instruct.gguf; a run
# that is stopped goes on with the same command. HEADPROF is the program, LONGBENCH a folder with LongBench's files.
set -euo pipefail
models=$1 out=$2 headprof=${HEADPROF:-headprof}
shift 2
parts=("$@")
small=smollm2-135m-instruct large=qwen2.5-coder-0.5b-instruct
mkdir -p "$out"

wanted() {
    ((${#parts[@]})) || return 0
    local part
    for part in "${parts[@]}"; do [[ $1 != "$part"* ]] || return 0; done
    return 1
}
# run NAME COMMAND...: the command's output is kept beside its folder.
run() {
    if wanted "$1"; then "${@:2}" --out "$out/$1" | tee "$out/$1.txt"; fi
}
profile() { run "$2" "$headprof" --model "$models/$1.gguf" "${@:3}"; }
# The head scores are the shipped ones, made by the parts s-needles and q-needles.
evaluate() { run "$2" "$headprof" evaluate --model "$models/$1.gguf" --seed 1 --no-plots "${@:3}"; }
# 18 needles that the scores have not seen, at three depths, four times: 216 prompts.
needles() {
    evaluate "$@" --lengths 1k --depths 0.1,0.5,0.9 --repeats 4 --needles needles/held-out/needles.jsonl
}

profile $small s-needles --lengths 512,1k,2k,4k --depths 0.1,0.5,0.9
profile $large q-needles --lengths 512,1k,2k,4k --depths 0.1,0.5,0.9
profile $small s-needles-8k --lengths 7800 --depths 0.1,0.5,0.9
profile $small s-stories --task babilong:qa1..qa5 --samples 40 --lengths 1k
profile $large q-stories --task babilong:qa1..qa5 --samples 40 --lengths 1k
for model in $small $large; do
    run "$model-sinks" "$headprof" observe --all --model "$models/$model.gguf" --length 512
done

# Methods and budgets.
even=full,streaming_llm,h2o,scissorhands,snapkv,pyramidkv,adakv
needles $small s-evaluate --methods $even,headkv,dililazykv --budgets 32,64,128,256,512 --head-score $small
needles $large q-evaluate --methods $even,headkv,dililazykv --budgets 64,128,256 --head-score $large

# What the budgets follow: other scores, utility curves, DiliLazyKV's variance form, beta.
run s-utility "$headprof" utility --model "$models/$small.gguf" --lengths 1k --depths 0.1,0.5,0.9
needles $small s-inf --methods headkv,dililazykv,dililazykv_variance,lukv,ada_pyramidkv --budgets 64,128,256 \
    --head-score $small:inf --utility "$out/s-utility/head_score/${small}_window_utility.json"
needles $small s-retrieval --methods headkv,dililazykv --budgets 64,128,256 --head-score $small:retrieval
for beta in 1.005 1.01 1.1 1.2 1.5 2 5 10; do
    needles $small "s-beta-$beta" --methods headkv,dililazykv --budgets 64,128 --head-score $small:inf --beta $beta
done

# Lists of query heads: 43 tokens for each of nine hold what 128 hold for each of three.
needles $small s-query-head --granularity query_head --methods snapkv,adakv,headkv,dililazykv --budgets 43,128 \
    --head-score $small

# VATP: with and without, protected sinks, definitions under grouped queries.
vatp=snapkv,snapkv+vatp,h2o,h2o+vatp,scissorhands,scissorhands+vatp
needles $small s-vatp --methods $vatp --budgets 64,128,512
for sinks in 0 20 40; do
    needles $small "s-vatp-sinks-$sinks" --sink-len $sinks --methods snapkv+vatp,h2o+vatp --budgets 64,128,512
done
for norm in off projected; do
    needles $small "s-vatp-$norm" --value-norm $norm --methods snapkv+vatp,h2o+vatp --budgets 64,128,512
done
for norm in off l1 projected; do
    needles $small "s-vatp-query-head-$norm" --value-norm $norm --granularity query_head --methods snapkv+vatp \
        --budgets 64,128,512
done

# Other tasks.
few=full,streaming_llm,snapkv,pyramidkv,adakv,headkv,dililazykv
evaluate $large q-babilong --task babilong:qa1,qa2 --samples 100 --lengths 1k --methods $few --budgets 64,128 \
    --head-score $large
evaluate $large q-ruler --task ruler:niah_single_2,niah_multikey_1,vt --samples 70 --lengths 1k --methods $few \
    --budgets 64,128 --head-score $large
if [[ -n ${LONGBENCH:-} ]]; then
    evaluate $small s-longbench --task longbench:multi_news --task-data "$LONGBENCH" --methods $few --budgets 128,512 \
        --head-score $small
fi
"$(dirname "$0")/tables.py" "$out"
