#!/usr/bin/env python3
"""Kills headprof with -9 at random points, lets it go on, and compares with a run in one go.

    kill_campaign.py [BINARY] [--points 200] [--seed 1] [--kind profile|evaluate|both] [--kills 1]

For every point: a new folder, the run started, killed after a random part of the time that it takes, and what
is on disk looked at: every result file absent or whole, every line of the journal but the last as it was
written, no finished probe gone. After --kills of these the same command runs to its end; the score files (of an
evaluation the answers, times apart) must have the bytes of the run in one go. Exit code 1 if anything differs.
"""
import argparse, hashlib, json, os, random, shutil, subprocess, sys, tempfile, time
from pathlib import Path

NEEDLES = [
    {"id": "code", "needle": "The code of Ada is 7.", "question": "What is the code of Ada?", "answer": "7."},
    {"id": "boat", "needle": "Ben has a red boat.", "question": "What does Ben have?", "answer": "A red boat."},
]
GRIDS = {
    "profile": "--lengths 256,512 --depths 0.1,0.5,0.9 --repeats 3 --gate none --max-new-tokens 8 --batch 2",
    "evaluate": "evaluate --lengths 128,256 --depths 0.2,0.8 --repeats 3 --gate exact --max-new-tokens 8 "
    "--methods full,snapkv,h2o --budgets 32 --seed 1",
}
TEMPORARY = (".headprof-",)


class Damaged(Exception):
    """A whole line of a journal that is not as it was written."""


def command(binary, kind, needles, out):
    return [binary, *GRIDS[kind].split(), "--needles", str(needles), "--out", str(out)]


def lines(path):
    """Whole lines of a journal whose checks hold; the last may be torn."""
    good = 0
    data = path.read_bytes() if path.exists() else b""
    parts = data.split(b"\n")
    for line in parts[:-1]:
        record = line[len(b'{"check":"') + 16 + len(b'","record":') : -1]
        check = line[len(b'{"check":"') :][:16].decode(errors="replace")
        if hashlib.sha256(record).hexdigest()[:16] != check:
            # Only a line without its end may be torn.
            raise Damaged(path)
        good += b'{"done":' in record[:8]
    return good


def results(out, kind):
    """What must be the same: names and bytes."""
    if kind == "profile":
        files = {p.name: p.read_bytes() for p in sorted(out.glob("head_score/*_heads.json"))}
        records = [json.loads(line) for line in (out / "probes.jsonl").read_text().splitlines()]
        for record in records:
            del record["seconds"]
        return {**files, "probes": json.dumps(records).encode()}
    answers = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    for answer in answers:
        del answer["seconds"]
    return {"answers": json.dumps(answers).encode()}


def whole_or_absent(out, expected, kind):
    """Files that are neither absent nor whole."""
    corrupt = []
    for path in out.rglob("*"):
        if path.is_dir() or "journal" in path.parts[len(out.parts) :]:
            continue
        data = path.read_bytes()
        if path.name.startswith(TEMPORARY):
            continue  # Of a file that was being written; nobody reads it.
        try:
            if path.suffix == ".json":
                json.loads(data)
            elif path.suffix == ".jsonl":
                [json.loads(line) for line in data.splitlines()]
            elif path.suffix == ".png":
                assert data.endswith(b"IEND\xaeB`\x82")
            elif path.suffix == ".html":
                assert data.rstrip().endswith(b"</html>")
            elif path.suffix == ".svg":
                assert data.rstrip().endswith(b"</svg>")
            if kind == "profile" and path.name in expected:
                assert data == expected[path.name]
        except (ValueError, AssertionError):
            corrupt.append(path.name)
    return corrupt


def campaign(binary, kind, points, kills, rng, place):
    needles = place / "needles.jsonl"
    needles.write_text("\n".join(map(json.dumps, NEEDLES)))
    whole = place / f"{kind}-whole"
    start = time.monotonic()
    subprocess.run(command(binary, kind, needles, whole), check=True, capture_output=True)
    seconds = time.monotonic() - start
    expected = results(whole, kind)
    figures = dict(kind=kind, points=0, killed=0, corrupt=0, lost=0, differ=0, failed=0)
    for point in range(points):
        out = place / f"{kind}-{point}"
        journal = out / "journal" / kind / "1-of-1.jsonl"
        killed, longest = 0, seconds
        while killed < kills:
            run = subprocess.Popen(command(binary, kind, needles, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, longest))
            before = lines(journal)
            if run.poll() is not None:
                # It was faster than the first: anew, with less patience.
                shutil.rmtree(out)
                killed, longest = 0, longest * 0.9
                continue
            run.kill()
            run.wait()
            killed += 1
            try:
                figures["lost"] += max(0, before - lines(journal))
            except Damaged:
                figures["corrupt"] += 1
            figures["corrupt"] += len(whole_or_absent(out, expected, kind))
        last = subprocess.run(command(binary, kind, needles, out), capture_output=True, text=True)
        figures["failed"] += last.returncode != 0
        figures["differ"] += last.returncode != 0 or results(out, kind) != expected
        figures["points"] += 1
        figures["killed"] += killed
        if last.returncode != 0:
            print(last.stderr, file=sys.stderr)
        shutil.rmtree(out)
    figures["seconds_of_a_run"] = round(seconds, 2)
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", nargs="?", default="target/release/headprof")
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=[*GRIDS, "both"], default="both")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    bad = False
    with tempfile.TemporaryDirectory() as place:
        for kind in GRIDS if args.kind == "both" else [args.kind]:
            figures = campaign(os.path.abspath(args.binary), kind, args.points, args.kills, rng, Path(place))
            print(json.dumps(figures), flush=True)
            bad |= any(figures[key] for key in ("corrupt", "lost", "differ", "failed"))
    sys.exit(bad)


if __name__ == "__main__":
    main()
