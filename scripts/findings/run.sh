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
# 18 needles that the scores have not seen, at three depths, N times: needles N MODEL PART ...
needles() {
    evaluate "${@:2}" --lengths 1k --depths 0.1,0.5,0.9 --repeats "$1" --needles needles/held-out/needles.jsonl
}

profile $small s-needles --lengths 512,1k,2k,4k --depths 0.1,0.5,0.9
profile $large q-needles --lengths 512,1k,2k,4k --depths 0.1,0.5,0.9
profile $small s-long --lengths 7800 --depths 0.1,0.5,0.9

# What the ranking depends on; other needles and another wording are runs of their own.
sensitivity() {
    run "$2" "$headprof" sensitivity --model "$models/$1.gguf" --lengths 512,1k --depths 0.1,0.5,0.9 \
        --score retrieval,retrieval_reasoning
}
others() { profile "$1" "$2" --lengths 512 --depths 0.1,0.5,0.9 "${@:3}"; }
wording=$'\n\nAnswer from the text above. {question} Reply in one sentence.'
for model in $small $large; do
    key=${model:0:1}
    sensitivity $model $key-sensitivity
    others $model $key-with-usual
    others $model $key-with-other-needles --needles needles/held-out/needles.jsonl
    others $model $key-with-other-wording --template "$wording"
done

profile $small s-stories --task babilong:qa1..qa5 --samples 40 --lengths 1k
profile $large q-stories --task babilong:qa1..qa5 --samples 40 --lengths 1k
run s-sinks "$headprof" observe --all --model "$models/$small.gguf" --length 512
run q-sinks "$headprof" observe --all --model "$models/$large.gguf" --length 512

# Heads switched off: the best of two scores against others, and each alone.
ablate() {
    run "$2" "$headprof" ablate --model "$models/$1.gguf" --lengths 512 --needles needles/held-out/needles.jsonl "${@:3}"
}
ablate $small s-ablate --depths 0.1,0.5,0.9 --head-score $small:retrieval --draws 3
ablate $small s-ablate-reasoning --depths 0.1,0.5,0.9 --head-score $small --draws 3
ablate $large q-ablate --depths 0.5 --head-score $large:retrieval --draws 3 --when question
ablate $small s-each --depths 0.5 --when question --each
ablate $large q-each --depths 0.5 --when question --each
profile $small s-question --scores retrieval,retrieval_reasoning,qr --lengths 512,1k --depths 0.1,0.5,0.9

# Which score predicts what matters: all of them beside heads that are off alone, and budgets that follow each.
scores=retrieval,retrieval_reasoning,dili,lazy,inf,qr,kvzip,attribution
scores+=,retrieval_l1,retrieval_reasoning_l1,inf_l1,retrieval_projected,retrieval_reasoning_projected,inf_projected
profile $small s-scores --scores $scores --lengths 512 --depths 0.1,0.5,0.9
profile $large q-scores --scores $scores --lengths 512 --depths 0.1,0.5,0.9
# What HeadKV's budgets follow in turn, its own score first: by PREFIX MODEL PROGRAM ARGUMENT...
by() {
    wanted "$1-by" || return 0
    local folder=$out/$1-scores/head_score file
    local files=$folder/$2_retrieval_reasoning_heads.json
    for file in "$folder/$2"_*_heads.json; do files+=,$file; done
    "$(dirname "$0")/kinds.py" "$folder/$2_retrieval_heads.meta.json" --write induction "$out/$1-scores/induction.json"
    "${@:3}" --head-score "$files,$out/$1-scores/induction.json"
}
by s $small needles 1 $small s-by --methods headkv --budgets 64,128
by q $large needles 1 $large q-by --methods headkv --budgets 32,64
# The three that lead, with four times as many prompts and more budgets; by the shipped scores.
needles 4 $small s-best --methods snapkv,headkv --budgets 32,64,128,256 \
    --head-score "$small,$small:retrieval,$out/s-scores/induction.json"
evaluate $small s-kvzip --lengths 1k --depths 0.1,0.5,0.9 --needles needles/held-out/needles.jsonl \
    --methods snapkv,kvzip --budgets 64,128,256,512

# The same of the embedded model.
embedded=(--lengths 512 --depths 0.1,0.5,0.9)
held_out=(--needles needles/held-out/needles.jsonl)
run n-scores "$headprof" "${embedded[@]}" --scores $scores
run n-each "$headprof" ablate "${embedded[@]}" "${held_out[@]}" --each
by n needle-llama run n-by "$headprof" evaluate "${embedded[@]}" "${held_out[@]}" --seed 1 --no-plots --methods headkv \
    --budgets 32,64

# Methods and budgets.
few=full,streaming_llm,snapkv,pyramidkv,adakv,headkv,dililazykv
needles 4 $large q-evaluate --methods $few --budgets 64,128 --head-score $large
needles 4 $small s-evaluate --methods $few --budgets 64,128,256,512 --head-score $small
needles 2 $small s-others --methods h2o,scissorhands --budgets 64,128,256

# VATP: with and without, protected sinks, definitions under grouped queries.
vatp=snapkv,snapkv+vatp,h2o,h2o+vatp,scissorhands,scissorhands+vatp
needles 2 $small s-vatp --methods $vatp --budgets 64,512
for sinks in 0 20 40; do
    needles 2 $small "s-vatp-sinks-$sinks" --sink-len $sinks --methods snapkv+vatp --budgets 64,512
done
for norm in off projected; do
    needles 2 $small "s-vatp-$norm" --value-norm $norm --methods snapkv+vatp --budgets 64,512
done
for norm in off l1 projected; do
    needles 2 $small "s-vatp-query-head-$norm" --value-norm $norm --granularity query_head --methods snapkv+vatp \
        --budgets 64,512
done

# What the budgets follow: other scores, utility curves, DiliLazyKV's variance form, beta.
run s-utility "$headprof" utility --model "$models/$small.gguf" --lengths 1k --depths 0.1,0.5,0.9
needles 2 $small s-inf --methods headkv,dililazykv,dililazykv_variance,lukv,ada_pyramidkv --budgets 64,128,256 \
    --head-score $small:inf --utility "$out/s-utility/head_score/${small}_window_utility.json"
needles 2 $small s-retrieval --methods headkv,dililazykv --budgets 64,128,256 --head-score $small:retrieval
for beta in 1.005 1.01 1.1 1.2 1.5 2 5 10; do
    needles 2 $small "s-beta-$beta" --methods dililazykv --budgets 64,128 --head-score $small:inf --beta $beta
done

# Lists of query heads: 43 tokens for each of nine hold what 128 hold for each of three.
needles 2 $small s-query-head --granularity query_head --methods snapkv,adakv,headkv,dililazykv --budgets 43,128 \
    --head-score $small

# Other tasks.
evaluate $large q-babilong --task babilong:qa1,qa4 --samples 100 --lengths 1k --methods $few --budgets 128 --head-score $large
evaluate $small s-ruler --task ruler:niah_single_1,niah_single_2,niah_multikey_1 --samples 70 --lengths 1k --methods $few \
    --budgets 64,128 --head-score $small
if [[ -n ${LONGBENCH:-} ]]; then
    evaluate $small s-longbench --task longbench:multi_news --task-data "$LONGBENCH" --methods $few --budgets 128,512 \
        --head-score $small
fi
"$(dirname "$0")/tables.py" "$out"
