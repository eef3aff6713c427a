#!/usr/bin/env bash
# The tests of unsafe code under AddressSanitizer, which finds accesses outside of allocations and to what
# was freed, with every kernel that this processor has: AVX2, AVX-512, AMX. The toolchain's own sanitizer,
# which needs no other compiler; builds of its own in target/asan, minutes the first time.
#
#   scripts/kernels-under-asan.sh [FILTER...]      names of tests, if not those below
#
# Reads of what was never written: scripts/kernels-under-valgrind.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- model::transposed model::weights_file model::cpu:: model::ragged_cache system::machine
host=$(rustc -vV | sed -n 's/^host: //p')
# Flags of a sanitizer are for nightly compilers unless the toolchain is told otherwise. With --target the
# build scripts of dependencies are built without it.
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=address" CARGO_TARGET_DIR=target/asan
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
cargo test --locked --no-default-features --lib --target "$host" -- "$@"
