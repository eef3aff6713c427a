#!/usr/bin/env bash
# headprof against the same probes in PyTorch and transformers: seconds, memory, and that the scores
# agree. Runs headprof and both modes of benches/peer/peer.py in turn, prints Markdown, writes JSON.
#
#     scripts/bench-peers.sh [OPTIONS]                (--help for them; minutes per round by default)
#     scripts/bench-peers.sh --rounds 1 --needles 1 --lengths 256,512 --depths 0.1,0.9     (a quick try)
#
# HEADPROF=FILE               a binary to measure; otherwise this tree's release build
# HEADPROF_PEER_PYTHON=FILE   a Python with torch and transformers; otherwise one is made in a venv
#                             under ${XDG_CACHE_HOME:-~/.cache}/headprof. pip takes the CUDA build of
#                             torch, several GB; PIP_INDEX_URL and the like choose another.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

device=cpu previous=
for argument in "$@"; do
    case $argument in
        -h | --help) exec python3 "$root/scripts/peers/bench.py" --help ;;
        --device=*) device=${argument#*=} ;;
    esac
    if [ "$previous" = --device ]; then device=$argument; fi
    previous=$argument
done

requirements=$root/benches/peer/requirements.txt
python=${HEADPROF_PEER_PYTHON:-}
if [ -z "$python" ]; then
    venv=${XDG_CACHE_HOME:-$HOME/.cache}/headprof/peer-venv
    python=$venv/bin/python
    # The copy of the requirements is put there last: it says that the environment is complete.
    if ! cmp -s "$requirements" "$venv/requirements.txt"; then
        echo "making the peer's Python environment in $venv" >&2
        python3 -m venv --clear "$venv"
        "$python" -m pip install --quiet -r "$requirements" >&2
        cp "$requirements" "$venv/requirements.txt"
    fi
fi

headprof=${HEADPROF:-}
if [ -z "$headprof" ]; then
    features=()
    if [ "$device" != cpu ]; then features=(--features cuda); fi
    cargo build --quiet --release --bin headprof --manifest-path "$root/Cargo.toml" "${features[@]}"
    headprof=${CARGO_TARGET_DIR:-$root/target}/release/headprof
fi

exec python3 "$root/scripts/peers/bench.py" --headprof "$headprof" --peer-python "$python" "$@"
