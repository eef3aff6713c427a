#!/usr/bin/env python3
"""Compares headprof with transformers on random checkpoints of the shapes of published models.

    check_families.py [--layers 2] [--vocab 4096] [--dtype f32,bf16] [SHAPE ...]

Each checkpoint has the widths, heads, rotary frequencies and biases of the model that it is named
after, its first layers and part of its vocabulary, and random weights (random_checkpoint in tools/). A
prompt of 48 random tokens and 4 more are computed by transformers (scripts/make_golden.py, in f32 from
the weights of that type) and by `headprof verify`. Prints a table: the largest difference of a logit,
relative to the largest logit; of an attention weight; how many greedy ids of prompt and answer are the
same.

Needs torch and transformers, and headprof and headprof-tools built by `cargo build --release` before.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import make_golden

ROOT = Path(__file__).resolve().parents[1]
PROMPT, STEPS = 48, 4

# Beside the shapes as they are: a window that the prompt is longer than.
WINDOW = ("mistral-7b-v0.1", 24)


def shapes(binary):
    """The names that the example knows."""
    text = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout
    values = text.split("[possible values: ", 1)[1].split("]", 1)[0]
    return " ".join(values.split()).split(", ")


def report(binary, headprof, directory, args, name, dtype, window):
    """What `headprof verify` says of one checkpoint, made in `directory`."""
    make = [binary, "--like", name, "--out", directory, "--dtype", dtype]
    make += ["--layers", str(args.layers), "--vocab", str(args.vocab), "--shard", "512"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
    config_path = directory / "config.json"
    if window:
        config = json.loads(config_path.read_text()) | {"sliding_window": window}
        config_path.write_text(json.dumps(config, indent=1))
    ids = make_golden.random_ids(PROMPT, args.vocab, 0)
    make_golden.write(directory, ids, STEPS)
    verify = subprocess.run(
        [headprof, "verify", directory, "--json"], capture_output=True, text=True, check=False
    )
    if not verify.stdout:
        sys.exit(f"{name} {dtype}: {verify.stderr}")
    return json.loads(verify.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help="default: all")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--dtype", default="f32,bf16", help="types of the stored weights")
    parser.add_argument("--target", type=Path, default=ROOT / "target", help="cargo's folder")
    args = parser.parse_args()
    binary = args.target / "release/random_checkpoint"
    headprof = args.target / "release/headprof"
    wanted = [(name, None) for name in args.shapes or shapes(binary)]
    if not args.shapes or WINDOW[0] in args.shapes:
        wanted.append(WINDOW)
    print("| shape | weights | logits | attention | same ids | |")
    print("|---|---|---|---|---|---|")
    failed = 0
    for name, window in wanted:
        for dtype in args.dtype.split(","):
            directory = Path(tempfile.mkdtemp(prefix="headprof-family-"))
            try:
                got = report(binary, headprof, directory, args, name, dtype, window)
            finally:
                shutil.rmtree(directory)
            agreed = [got["greedy"], got["argmax"]]
            same, total = (sum(a[key] for a in agreed) for key in ("equal", "total"))
            label = name + (f", window {window}" if window else "")
            verdict = "agrees" if got["passed"] else "**differs**"
            failed += not got["passed"]
            print(
                f"| {label} | {dtype} | {got['logits']['largest']:.1e} |"
                f" {got['attention']['largest']:.1e} | {same} of {total} | {verdict} |",
                flush=True,
            )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
