#!/usr/bin/env python3
"""Compares headprof's scores with those of another program on the same checkpoint and prompts.

    headprof --model DIR --lengths 256,512 --depths 0.1,0.5,0.9 --gate none --out OUT \\
        --compat retrieval-head,headkv-r2,dililazykv --export-probes OUT/prompts.jsonl
    python benches/peer/peer.py DIR OUT/prompts.jsonl OUT/peer.json
    compare.py OUT OUT/peer.json [--tolerance 1e-4]

OUT is a folder that headprof wrote: probes.jsonl, and <model>_<score>_heads.json in head_score/, with
one value per accepted probe for every "layer-head". The peer reads one prompt per line, {"id",
"ids", "needle": [[start, end), ...], "max_new_tokens", "stop_ids"}, and writes one object {"probes":
[{"id": str, "generated": [int], "<score>": [L][H], ...}, ...]}. It scores every generated token, the
stop token included, and dili, lazy and inf on the prompt's last row only: that is what the three
references do, hence --compat with all three; without it the scores differ by design.

Prints the largest difference per score and how many generated answers agree; exits 1 if a
difference is above the tolerance, an answer differs or a probe is missing.
"""

import argparse
import json
import math
import sys
from pathlib import Path

SCORES = ["retrieval", "retrieval_reasoning", "dili", "lazy", "inf"]


def score_file(folder, score):
    """The one file of a score; None if there is none."""
    found = [p for d in (folder, folder / "head_score") for p in d.glob(f"*_{score}_heads.json")]
    if len(found) > 1:
        sys.exit(f"more than one file for {score}: {', '.join(map(str, found))}")
    return found[0] if found else None


def compare_score(path, score, accepted, peer):
    """Largest difference and where it is, over all heads and accepted probes."""
    heads = json.loads(path.read_text())
    worst, place, compared = 0.0, "nowhere", 0
    for name, values in heads.items():
        layer, head = map(int, name.split("-"))
        if len(values) != len(accepted):
            sys.exit(f"{path}: {name} has {len(values)} values for {len(accepted)} accepted probes")
        for probe, value in zip(accepted, values):
            theirs = peer[probe["id"]][score][layer][head]
            difference = abs(value - theirs)
            if not math.isfinite(difference):
                sys.exit(f"{path}: {name}, probe {probe['id']}: {value} against {theirs}")
            compared += 1
            if difference > worst:
                worst, place = difference, f"head {name}, probe {probe['id']}"
    expected = sum(len(row) for row in peer[accepted[0]["id"]][score]) * len(accepted)
    if compared != expected:
        sys.exit(f"{path}: {compared} values, but the peer has {expected}")
    return worst, place, compared


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("headprof_out", type=Path)
    parser.add_argument("peer", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()

    peer = {p["id"]: p for p in json.loads(args.peer.read_text())["probes"]}
    lines = (args.headprof_out / "probes.jsonl").read_text().splitlines()
    probes = [json.loads(line) for line in lines if line.strip()]
    ran = [p for p in probes if p.get("generated_ids")]
    missing = [p["id"] for p in ran if p["id"] not in peer]
    if missing or not ran:
        sys.exit(f"{len(missing)} of {len(ran)} probes are not in {args.peer}: {missing[:5]}")

    differ = [p["id"] for p in ran if p["generated_ids"] != peer[p["id"]]["generated"]]
    print(f"generated ids: equal in {len(ran) - len(differ)} of {len(ran)} probes")
    for probe in differ[:5]:
        print(f"  {probe} differs")

    accepted = [p for p in ran if p["status"] == "accepted"]
    if not accepted:
        sys.exit("no probe was accepted: there are no scores to compare")
    print(f"scores of {len(accepted)} accepted probes:")
    failed, seen = bool(differ), 0
    for score in SCORES:
        path = score_file(args.headprof_out, score)
        if path is None or score not in peer[accepted[0]["id"]]:
            print(f"  {score:<20} not in both")
            continue
        worst, place, compared = compare_score(path, score, accepted, peer)
        verdict = "ok" if worst <= args.tolerance else "DIFFERS"
        print(f"  {score:<20} {worst:8.1e}  {verdict:<7}  of {compared} values; {place}")
        failed |= worst > args.tolerance
        seen += 1
    if seen == 0:
        sys.exit("no score is in both")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
