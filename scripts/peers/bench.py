#!/usr/bin/env python3
"""Times headprof and both modes of benches/peer/peer.py in turn; scripts/bench-peers.sh calls it.

Every run is a process of its own. Seconds are those that each program reports from the loaded model
on: headprof's include the texts, the statistics and all files, the peer's the probes and their
scores. Peak memory is what the system says about the ended process. Ratios are taken within a round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
# Times a mode's seconds are to be of headprof's, and times headprof's memory is to fit into that of rows.
AIMED_SPEED = {"rows": 10, "eager": 20}
AIMED_MEMORY = 4
MODES = list(AIMED_SPEED)
# Cores in use by other processes from which on figures are not to be trusted: PyTorch's threads wait
# for each other by spinning, and where they have to share a core they lose tens of times their time.
BUSY_CORES = 0.1
# The peer scores every token and the needle as these references do.
LIKE_THE_PEER = ["--gate", "none", "--compat", "retrieval-head,headkv-r2,dililazykv"]


def parse_arguments():
    parser = argparse.ArgumentParser(
        prog="bench-peers.sh", description=__doc__.split("\n\n")[0].split(";")[0] + "."
    )
    add = parser.add_argument
    add("--rounds", type=int, default=3, metavar="N", help="how often all take their turn [3]")
    add("--model", type=Path, default=ROOT / "models/needle-llama", metavar="DIR")
    add("--needles", type=int, default=3, metavar="N", help="the first N bundled needles [3]")
    add("--lengths", default="512,1k,2k", help="context lengths [%(default)s]")
    add(
        "--depths",
        default="0,0.11,0.22,0.33,0.44,0.56,0.67,0.78,0.89,1",
        help="depths of the needle [ten even ones]",
    )
    add("--threads", type=int, default=2, metavar="N", help="CPU threads of each [2]")
    add("--device", default="cpu", help="cpu or cuda [cpu]")
    add("--dtype", choices=["f32", "bf16"], default="f32", help="number type on a GPU [f32]")
    add("--tolerance", default="1e-4", help="largest difference of scores [%(default)s]")
    add("--json", type=Path, default=ROOT / "target/bench-peers.json", metavar="FILE")
    add("--headprof", help=argparse.SUPPRESS)
    add("--peer-python", help=argparse.SUPPRESS)
    add("more", nargs="*", metavar="-- OPTION", help="further options of headprof")
    args = parser.parse_args()
    if args.rounds < 1 or args.needles < 1:
        parser.error("--rounds and --needles have to be at least 1")
    if args.device == "cpu" and args.dtype != "f32":
        parser.error("headprof computes in f32 on the CPU")
    return args


def busy_seconds():
    """Seconds of all cores, since boot, in which they did something or were lent to others."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def run(command):
    """Runs a command to its end: its standard output, and what it and others took meanwhile."""
    command = list(map(str, command))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start, busy = time.perf_counter(), busy_seconds()
        process = subprocess.Popen(command, stdout=out, stderr=err)
        # Not `wait`: the use of this one process is wanted, and only its parent can ask for it.
        _, status, usage = os.wait4(process.pid, 0)
        wall, busy = time.perf_counter() - start, busy_seconds() - busy
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            err.seek(0)
            tail = err.read().decode(errors="replace")[-2000:]
            sys.exit(f"{' '.join(command)}\nended with {process.returncode}:\n{tail}")
        out.seek(0)
        own = usage.ru_utime + usage.ru_stime
        taken = {
            "wall": wall,
            "cpu": own,
            "others_cores": max(0.0, (busy - own) / wall),
            "peak_memory_bytes": usage.ru_maxrss * 1024,
        }
        return out.read().decode(), taken


def run_headprof(args, work, extra=()):
    command = [args.headprof, "--model", args.model, "--needles", work / "needles.jsonl"]
    command += ["--lengths", args.lengths, "--depths", args.depths, "--threads", args.threads]
    command += ["--device", args.device, *LIKE_THE_PEER, "--no-plots", "--no-report", "--quiet", "--json"]
    command += ["--dtype", args.dtype] if args.device != "cpu" else []
    # Every round anew, not on from the one before.
    out, taken = run([*command, "--out", work / "headprof", "--fresh", *args.more, *extra])
    seconds = json.loads(out)["seconds"]
    return measured(seconds, seconds["total"] - seconds["load"], taken)


def run_peer(args, work, mode):
    command = [args.peer_python, ROOT / "benches/peer/peer.py", args.model, work / "prompts.jsonl"]
    command += [work / f"{mode}.json", "--mode", mode, "--threads", args.threads]
    command += ["--device", args.device, "--dtype", args.dtype]
    _, taken = run(command)
    seconds = json.loads((work / f"{mode}.json").read_text())["seconds"]
    return measured(seconds, seconds["total"], taken)


def measured(reported, seconds, taken):
    """One run: its seconds without the model's load, and what else is known of it."""
    return {"seconds": seconds, "load": reported["load"], **taken, "reported": reported}


def compare(args, work, mode):
    """Whether scores and answers agree, and what compare.py says about them."""
    command = [sys.executable, Path(__file__).with_name("compare.py"), work / "headprof"]
    command += [work / f"{mode}.json", "--tolerance", args.tolerance]
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return {"agrees": ran.returncode == 0, "report": (ran.stdout + ran.stderr).splitlines()}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(rounds, mode, what):
    """How many times headprof's `what` the mode's is, over the rounds."""
    return spread([r[mode][what] / r["headprof"][what] for r in rounds])


def say(values, digits=1, unit=1):
    low, mid, high = (f"{values[k] / unit:.{digits}f}" for k in ("min", "median", "max"))
    return mid if low == high else f"{mid} ({low} to {high})"


def verdict(values, aim):
    """An aim is reached or not where all rounds say so."""
    if values["min"] >= aim:
        return "yes"
    return "no" if values["max"] < aim else "in some rounds"


def machine(args):
    cpus = [l for l in Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")]
    versions = "import torch, transformers; print(torch.__version__, transformers.__version__)"
    torch, transformers = run([args.peer_python, "-c", versions])[0].split()
    return {
        "cpu": cpus[0].split(":", 1)[1].strip() if cpus else None,
        "cores": os.cpu_count(),
        "headprof": run([args.headprof, "--version"])[0].split()[-1],
        "torch": torch,
        "transformers": transformers,
    }


def table(results, rounds):
    print("| | seconds | times headprof's | model load, s | peak memory, MiB | times headprof's |")
    print("|---|---|---|---|---|---|")
    for name in ["headprof", *MODES]:
        shown = ["seconds", "load", "peak_memory_bytes"]
        of = {key: spread([r[name][key] for r in rounds]) for key in shown}
        peer = name in MODES
        cells = [
            f"transformers, `{name}`" if peer else "headprof",
            say(of["seconds"], 2),
            say(results["speed"][name]) if peer else "1",
            say(of["load"], 2),
            say(of["peak_memory_bytes"], 0, MIB),
            say(results["memory"][name]) if peer else "1",
        ]
        print(f"| {' | '.join(cells)} |")
    print("\n| aim | measured | reached |\n|---|---|---|")
    for aim in results["aims"]:
        print(f"| {aim['aim']} | {say(aim['measured'])} | {aim['reached']} |")


def aims(speed, memory):
    wanted = [(f"{n} times as fast as `{m}`", speed[m], n) for m, n in AIMED_SPEED.items()]
    of_memory = f"{AIMED_MEMORY} times its memory in `rows`"
    wanted.append((of_memory, memory["rows"], AIMED_MEMORY))
    return [{"aim": a, "measured": m, "reached": verdict(m, n)} for a, m, n in wanted]


def main():
    args = parse_arguments()
    lines = (ROOT / "needles/bundled.jsonl").read_text().splitlines(keepends=True)
    if args.needles > len(lines):
        sys.exit(f"there are {len(lines)} bundled needles")
    rounds, agreement = [], {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "needles.jsonl").write_text("".join(lines[: args.needles]))
        about = machine(args)
        print("writing the prompts: a run of headprof that does not count", file=sys.stderr)
        run_headprof(args, work, ["--export-probes", work / "prompts.jsonl"])
        for number in range(args.rounds):
            ran = {"headprof": run_headprof(args, work)}
            for mode in MODES:
                ran[mode] = run_peer(args, work, mode)
                found = compare(args, work, mode)
                if not found["agrees"] or mode not in agreement:
                    agreement[mode] = found
            rounds.append(ran)
            told = ", ".join(f"{n} {ran[n]['seconds']:.2f} s" for n in ["headprof", *MODES])
            print(f"round {number + 1} of {args.rounds}: {told}", file=sys.stderr)
        probes = sum(1 for _ in open(work / "prompts.jsonl"))
    speed = {m: ratios(rounds, m, "seconds") for m in MODES}
    memory = {m: ratios(rounds, m, "peak_memory_bytes") for m in MODES}
    others = max(run["others_cores"] for ran in rounds for run in ran.values())
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    results = {
        "machine": about,
        "settings": settings,
        "probes": probes,
        "others_cores": others,
        "rounds": rounds,
        "speed": speed,
        "memory": memory,
        "aims": aims(speed, memory),
        "agreement": agreement,
    }
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(results, indent=1) + "\n")
    print(
        f"{args.model.name}, {probes} probes ({args.needles} needles, {args.lengths} tokens), "
        f"{args.device}, {args.dtype}, {args.threads} threads, {args.rounds} rounds in turn\n"
    )
    table(results, rounds)
    trust = "" if others < BUSY_CORES else ": figures of a busy machine, NOT TO BE USED"
    print(f"\nOther processes took at most {others:.2f} cores{trust}.")
    for mode, found in agreement.items():
        print(f"\n`{mode}`, scores: {'agree' if found['agrees'] else 'DIFFER'}")
        print("\n".join(f"    {line}" for line in found["report"]))
    print(f"\n{args.json}", file=sys.stderr)
    sys.exit(0 if all(found["agrees"] for found in agreement.values()) else 1)


if __name__ == "__main__":
    main()
