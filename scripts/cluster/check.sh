#!/usr/bin/env bash
# Shards on an engine of clusters, for real: what `headprof cluster` prints is submitted as it is, the shards
# are merged, and the scores must be those of one process, byte for byte.
#
#     scripts/cluster/check.sh [--engine slurm|parallel] [BINARY]
#
# BINARY is by default the newest that cargo built. The engine is SLURM, brought up by slurm.sh beside this
# file, and GNU parallel where SLURM cannot run; what is not installed is installed where apt-get does that.
# Exit codes: 0 every check passed, 1 one did not, 2 wrong arguments, 70 no engine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

usage() {
    sed -n '5s/^# *//p' "$here/check.sh" >&2
    exit 2
}

# has PACKAGES PROGRAM...: whether the programs are there, if need be installed.
has() {
    local packages=$1 program
    shift
    for program in "$@"; do
        if ! PATH=$PATH:/usr/sbin command -v "$program" >/dev/null; then
            echo "installing $packages"
            # shellcheck disable=SC2086
            apt-get update -q >/dev/null && apt-get install -qy $packages >/dev/null || return 1
        fi
    done
}

engine=
inside=
while [ $# -gt 0 ]; do
    case $1 in
        --engine) [ $# -gt 1 ] || usage; engine=$2; shift 2 ;;
        --inside-slurm) inside=yes; shift ;;
        -*) usage ;;
        *) break ;;
    esac
done
case $engine in '' | slurm | parallel) ;; *) usage ;; esac
[ $# -le 1 ] || usage
target=${CARGO_TARGET_DIR:-$here/../../target}
binary=${1:-$(ls -t "$target/release/headprof" "$target/debug/headprof" 2>/dev/null | head -n 1 || true)}
if [ ! -f "$binary" ] || [ ! -x "$binary" ]; then
    echo "check.sh: ${binary:-nothing that cargo built} is not a program" >&2
    exit 2
fi
binary=$(realpath "$binary")

if [ -z "$inside" ] && [ "$engine" != parallel ]; then
    code=70
    if has 'slurm-wlm munge' sbatch slurmctld slurmd munged; then
        code=0
        "$here/slurm.sh" "$here/check.sh" --inside-slurm "$binary" || code=$?
    fi
    if [ $code -ne 70 ] || [ "$engine" = slurm ]; then exit $code; fi
    echo "SLURM does not run here: GNU parallel in its place"
fi
if [ -n "$inside" ]; then
    engine=slurm
    echo "engine: $(sbatch --version)"
else
    engine=parallel
    has parallel parallel || { echo "GNU parallel cannot be installed here" >&2; exit 70; }
    echo "engine: $(parallel --version | head -n 1)"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# Every probe counts, whatever the weights are; two lengths and three depths of all needles.
options=(--lengths "512,1k" --depths "0.1,0.5,0.9" --gate none --no-plots --threads 1)

passed() { echo "ok: $1"; }
failed() {
    echo "FAILED: $1" >&2
    # shellcheck disable=SC2046
    tail -n 20 $(ls -t ./*.log 2>/dev/null | head -n 3) >&2 </dev/null || true
    exit 1
}

# write FILE OUT: the script of three shards, as printed.
write() {
    local kind=plain more=()
    if [ $engine = slurm ]; then kind=slurm more=(--time 10); fi
    "$binary" cluster $kind --shards 3 --program "$binary" "${more[@]}" -- "${options[@]}" --out "$2" >"$1"
    bash -n "$1"
}

# Waits until a job of SLURM, or an array, has ended; five minutes at most.
ended() {
    for _ in $(seq 300); do
        [ -n "$(squeue --noheader --jobs "$1" 2>/dev/null)" ] || return 0
        sleep 1
    done
    squeue
    failed "job $1 has not ended within five minutes"
}

# run FILE SHARDS: these shards, such as 1,3, and waits for them.
run() {
    if [ $engine = slurm ]; then
        job=$(sbatch --parsable --array="$2" "$1")
        ended "$job"
    else
        timeout 300 parallel --will-cite --jobs 2 bash "$1" ::: ${2//,/ } >parallel.log 2>&1 || true
    fi
}

# merge OUT CODE: merges, which must end with this code; what it says is in merge.log.
merge() {
    local code=0
    "$binary" merge "$1" >merge.log 2>&1 || code=$?
    [ $code -eq "$2" ] || { cat merge.log >&2; failed "merging $1 ended with $code, not with $2"; }
}

# same OUT: the scores of one process, every file of them.
same() {
    local files
    files=$(cd whole && ls head_score/*_heads.json)
    [ "$files" = "$(cd "$1" && ls head_score/*_heads.json)" ] || failed "$1 has other files of scores"
    for file in $files; do
        cmp "whole/$file" "$1/$file" || failed "$1/$file differs"
    done
    passed "$2: $(wc -l <<<"$files") files of scores, byte for byte those of one process"
}

"$binary" "${options[@]}" --out whole >whole.log 2>&1 || failed "one process ended with $?"

# All shards, and the merge that the script's comment has.
write all.sh 'all shards'
run all.sh 1,2,3
if [ $engine = slurm ]; then
    line=$(sed -n 's/^#   sbatch \(--dependency=afterany:\)JOBID/sbatch --parsable --output=merge.log \1/p' all.sh)
    merging=$(eval "${line/afterany:/afterany:$job}")
    ended "$merging"
    scontrol show job "$merging" | grep -q 'ExitCode=0:0' || { cat merge.log; failed "the merge as a job"; }
    passed "the merge that the script has in its comment ran after the array"
else
    merge 'all shards' 0
fi
same 'all shards' 'three shards'
merge 'all shards' 0
same 'all shards' 'merged twice'

# One shard left out, and submitted alone later, by a number that SLURM's own count does not know.
write some.sh some
run some.sh 1,3
merge some 6
grep -q '2/3' merge.log || { cat merge.log >&2; failed "shard 2/3 is missing and is not named"; }
passed "shard 2 is missing: merging ends with 6 and names it: $(grep -m 1 '2/3' merge.log | tr -s ' ')"
run some.sh 2
merge some 0
same some 'shard 2 submitted alone'

# A shard that is stopped in its work goes on when everything is submitted again.
write stopped.sh stopped
if [ $engine = slurm ]; then
    job=$(sbatch --parsable --array=1,2,3 stopped.sh)
    for _ in $(seq 600); do
        [ "$(squeue --noheader --jobs "${job}_2" --format %T 2>/dev/null)" != RUNNING ] || break
        sleep 0.1
    done
    sleep 2
    scancel "${job}_2"
    ended "$job"
    # CODE:SIGNAL
    state=$(scontrol show job "${job}_2" | sed -n 's/.*ExitCode=\([0-9:]*\).*/\1/p' | head -n 1)
    if [ "${state#*:}" = 0 ]; then state=${state%:*}; else state=$((128 + ${state#*:})); fi
else
    state=0
    timeout --preserve-status --signal=TERM 2 bash stopped.sh 2 >stopped.log 2>&1 || state=$?
fi
case $state in
    130) passed "shard 2 was asked to stop after two seconds and ended with 130" ;;
    0) echo "skipped: shard 2 was done before it was asked to stop" ;;
    143) echo "skipped: shard 2 was stopped before it listened to signals" ;;
    *) failed "shard 2 was asked to stop and ended with $state" ;;
esac
run stopped.sh 1,2,3
merge stopped 0
same stopped 'shard 2 stopped and submitted again'
echo "every check passed on $engine"
