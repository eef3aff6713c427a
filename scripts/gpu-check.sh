#!/usr/bin/env bash
# Everything that is to be verified on a GPU, in one call of under ten minutes (builds not counted):
# docs/gpu.md. Writes benches/results/<gpu>.json and prints its table.
#
#     scripts/gpu-check.sh [--out FILE]
#     scripts/gpu-check.sh --rehearse [--out FILE]    every step on the processor, with small shapes
#
# It needs python3 and, unless the three binaries are given, cargo:
#
#     HEADPROF=...  HEADPROF_RANDOM_CHECKPOINT=...  HEADPROF_TESTS=...
#
# Exit codes: 0 every check passed, 1 one did not, 2 wrong arguments or binaries, 5 no GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 scripts/gpu/check.py "$@"
