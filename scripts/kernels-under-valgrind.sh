#!/usr/bin/env bash
# Tests of unsafe code under valgrind, which finds reads of what was never written and accesses outside of
# allocations: a minute or two once the tests are built. valgrind knows AVX2 but neither AVX-512 nor AMX, so
# that it is the kernels for AVX2 and those for every processor that run.
#
#   scripts/kernels-under-valgrind.sh [FILTER...]      names of tests, if not those below
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- model::transposed model::weights_file model::cpu::stored
command -v valgrind >/dev/null || { echo "valgrind is not installed: apt-get install valgrind" >&2; exit 1; }
tests=$(cargo test --locked --workspace --lib --no-run --message-format=json |
    python3 -c 'import json, sys
for line in sys.stdin:
    built = json.loads(line)
    if built.get("executable") and built["target"]["name"] == "headprof":
        print(built["executable"])')
RUST_BACKTRACE=0 RAYON_NUM_THREADS=2 exec valgrind -q --error-exitcode=9 "$tests" --test-threads 1 "$@"
