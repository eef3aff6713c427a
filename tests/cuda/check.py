#!/usr/bin/env python3
"""headprof on a CUDA GPU that is a processor: every check that needs no card. README.md says what it cannot show.

    check.py HEADPROF [--tests PROGRAM] [--model CHECKPOINT] [--out FOLDER] [--only NAME,NAME] [--types TYPE,TYPE]

HEADPROF and PROGRAM are builds with `--features cuda`: the program, and its library's tests (`cargo test --lib
--no-run` prints the path). CHECKPOINT is a model of real size, of fewer than 2 GiB. FOLDER [target/cuda-check] keeps NVRTC and the toolkit's headers, which pip brings,
compiled kernels, and what every run left. Exit codes: 0 all passed, 1 a check failed, 2 something is missing.
"""
import argparse
import ctypes.util
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compare import lines, numbers

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TOOLKIT = ["nvidia-cuda-nvrtc==13.0.88", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-crt==13.0.88",
           "nvidia-cuda-cccl==13.3.5.0.6"]
# Architectures that every source has to compile for; runs compile for an H200, sm_90a.
OTHERS = ["sm_80", "sm_100a"]
TYPES = ("f32", "bf16", "f16")
METHODS = "full,snapkv,pyramidkv,adakv,streaming_llm,h2o,scissorhands,headkv,h2o+vatp"
# Head scores of needle-llama against the processor's, from 0 to about 1; counts from probe to probe differ by
# more in 16 bits and are not compared there.
SCORES = {"f32": 1e-5, "bf16": 0.15, "f16": 0.02}
IN_16_BITS = ("dili", "inf", "lazy", "retrieval", "retrieval_reasoning")
# Launches of a step, statistics included: for each layer and token, and beside the layers.
LAUNCHES = (12, 6)
LAYERS = 6
LOGITS = 4 * 2048
# Passes, each with its logits, in which a profile looks at what kinds of heads there are, before any probe.
KINDS = 4 * (1 + 3)


class Failed(Exception):
    """A check that did not hold; the text says what."""


class Ran:
    """What a run of the program left."""

    def __init__(self, folder, process, seconds):
        self.folder, self.seconds = folder, seconds
        self.code, self.stdout, self.stderr = process.returncode, process.stdout, process.stderr
        summary = folder / "summary"
        self.summary = summary.read_text() if summary.exists() else ""

    def number(self, pattern):
        """The number that the driver's summary has behind `pattern`."""
        found = re.search(pattern + r" (\d+)", self.summary)
        if found is None:
            raise Failed(f"the driver says nothing of {pattern!r}: {self.stderr[-300:]}")
        return int(found.group(1))


def trace(folder):
    """What the driver wrote down of a run: lines, split."""
    return [line.split() for line in (folder / "trace").read_text().splitlines() if line]


class Machine:
    """The stand-in for a GPU, and the runs on it."""

    def __init__(self, out, headprof, tests, model, types):
        self.out, self.headprof, self.tests, self.model, self.types = out, headprof, tests, model, types
        self.toolkit = out / "toolkit/nvidia/cu13"
        self.driver = out / "driver"

    def prepare(self):
        """NVRTC and headers from the Python registry, and the stand-in itself, compiled."""
        if not (self.out / "toolkit/unpacked").exists():
            wheels = self.out / "wheels"
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels, *TOOLKIT]
            subprocess.run(command, check=True)
            for wheel in wheels.glob("*.whl"):
                shutil.unpack_archive(wheel, self.out / "toolkit", "zip")
            shutil.rmtree(wheels)
            (self.out / "toolkit/unpacked").touch()
        shutil.copytree(HERE, self.driver, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        subprocess.run(["make", "-s", "-C", self.driver], check=True)

    def environment(self, folder, **variables):
        """Of a program that shall find the stand-in."""
        # What CubeCL keeps is for one program at a time.
        store = self.out / "stores" / variables.pop("STORE", "all")
        ours = {"LD_LIBRARY_PATH": f"{self.driver}:{self.toolkit}/lib", "CUDA_PATH": str(self.toolkit),
                "CUDA_EMU_CACHE": str(self.out / "kernels"), "XDG_CACHE_HOME": str(store),
                "CUDA_STUB_DIR": str(folder), "CUDA_STUB_TRACE": str(folder / "trace"),
                "CUDA_STUB_SUMMARY": str(folder / "summary"), "CUDA_STUB_STRICT_PTX": "1"}
        return os.environ | ours | {name: str(value) for name, value in variables.items()}

    def run(self, name, command, limit=900, code=0, strict=True, **variables):
        """Runs it, and expects an exit code and, if `strict`, no broken rule."""
        folder = self.out / "runs" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        start = time.monotonic()
        try:
            process = subprocess.run([str(part) for part in command], cwd=folder, timeout=limit, text=True,
                                     capture_output=True, env=self.environment(folder, **variables))
        except subprocess.TimeoutExpired:
            raise Failed(f"{name} did not end within {limit} s") from None
        ran = Ran(folder, process, time.monotonic() - start)
        if ran.code != code:
            said = (ran.stderr.strip() or ran.stdout.strip()).splitlines()[-6:]
            raise Failed(f"{name}: exit code {ran.code}: " + " / ".join(said))
        if strict and (ran.summary or "cuda" in command):
            if ran.number("violations") or "unsupported" in ran.summary:
                bad = re.findall(r"VIOLATION.*|emulated unsupported.*", ran.stderr + ran.summary)
                raise Failed(f"{name}: {' / '.join(bad[:3])}")
        return ran

    def program(self, name, *arguments, **variables):
        """The same, of headprof."""
        return self.run(name, [self.headprof, *arguments], **variables)


def at_once(work, items):
    """`work(item)` of each, as many at a time as there are processors; a run keeps little more than one busy."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))


def kernels(machine, **variables):
    """Our kernels against their formulas, cmma and plain paths, in every type; and panics of the device's thread."""
    if machine.tests is None:
        return "skipped: --tests is not given"
    command = [machine.tests, "model::kernels", "generate::guard"]
    ran = machine.run("kernels", command, HEADPROF_REQUIRE_CUDA="1", **variables)
    passed = re.search(r"(\d+) passed", ran.stdout)
    if passed is None or int(passed.group(1)) < 15:
        raise Failed(f"too few tests ran: {ran.stdout[-200:]}")
    for kernel in ("attend_f_bf16_r_8", "attend_f_f16_r_8", "attend_f_f32", "attend_f_bf16_"):
        if kernel not in ran.summary:
            raise Failed(f"{kernel} was not launched")
    return f"{passed.group(1)} tests"


def kernels_backwards(machine):
    """The same with shared memory full of NaN and the threads of a block in the reverse order."""
    return kernels(machine, CUDA_EMU_POISON="1", CUDA_EMU_ORDER="backwards")


def goldens(machine):
    """`verify` of every fixture in every type, within its tolerances."""
    folders = sorted(path.parent for path in (ROOT / "tests/fixtures/models").glob("*/golden.json"))
    if not folders:
        raise Failed("no golden")

    def of_type(dtype):
        largest = {"logits": 0.0, "attention": 0.0}
        for folder in folders:
            ran = machine.program(f"verify-{folder.name}-{dtype}", "verify", folder, "--device", "cuda", "--dtype",
                                  dtype, "--json", STORE=dtype)
            said = json.loads(ran.stdout)
            if not said["device"].startswith("cuda") or said["dtype"] != dtype:
                raise Failed(f"{folder.name} ran on {said['device']} in {said['dtype']}")
            largest = {what: max(old, said[what]["largest"]) for what, old in largest.items()}
        return f"{dtype}: {len(folders)}, " + ", ".join(f"{what} {value:.1e}" for what, value in largest.items())

    return "; ".join(at_once(of_type, machine.types))


PROBES = ["--gate", "none", "--depths", "0.5", "--max-new-tokens", "6", "--no-plots", "--no-report", "-q"]


def one_needle(machine):
    """The first of the bundled needles, in a file."""
    path = machine.out / "one.jsonl"
    path.write_text((ROOT / "needles/bundled.jsonl").read_text().splitlines()[0] + "\n")
    return path


def same_scores(here, there, dtype):
    """The largest difference of two runs' head scores; answers must be equal."""
    ids = [[line["generated_ids"] for line in lines(folder / "probes.jsonl")] for folder in (here, there)]
    if ids[0] != ids[1] or not ids[0]:
        raise Failed(f"{dtype}: other answers: {ids[0]} and {ids[1]}")
    worst, compared = 0.0, 0
    for path in (there / "head_score").glob("*_heads.json"):
        kind = path.name.split("_", 1)[1].removesuffix("_heads.json")
        if dtype != "f32" and kind not in IN_16_BITS:
            continue
        a, b = (dict(numbers(json.loads((folder / "head_score" / path.name).read_text()))) for folder in (here, there))
        if a.keys() != b.keys() or not a:
            raise Failed(f"{path.name}: other heads")
        if not all(map(math.isfinite, [*a.values(), *b.values()])):
            raise Failed(f"{path.name}: not all numbers are finite")
        worst, compared = max([worst, *(abs(a[key] - b[key]) for key in a)]), compared + len(a)
    if not compared or not worst <= SCORES[dtype]:
        raise Failed(f"{dtype}: {compared} scores, off by {worst:.1e}, allowed {SCORES[dtype]}")
    return worst


def scores(machine):
    """Probes of needle-llama against the processor, in every type."""
    common = [*PROBES, "--lengths", "256,512", "--needles", one_needle(machine)]
    machine.program("scores-cpu", "--device", "cpu", *common, "--out", "out")
    there = machine.out / "runs/scores-cpu/out"

    def of_type(dtype):
        ran = machine.program(f"scores-{dtype}", "--device", "cuda", "--dtype", dtype, *common, "--out", "out", STORE=dtype)
        worst = same_scores(ran.folder / "out", there, dtype)
        return f"{dtype}: {worst:.1e}, {ran.number('modules')} kernels, {ran.seconds:.0f} s"

    return "; ".join(at_once(of_type, machine.types))


def launches(machine):
    """What a token's step launches and copies, of one answer and, in the runs of `scores`, of two together, statistics
    included."""
    def of_type(dtype):
        ran = machine.program(f"launches-{dtype}", "--device", "cuda", "--dtype", dtype, *PROBES, "--lengths", "128",
                              "--needles", one_needle(machine), "--out", "out", STORE=dtype)
        parts = []
        for together, folder in ((1, ran.folder), (2, machine.out / f"runs/scores-{dtype}")):
            if not (folder / "trace").exists():
                raise Failed("there is no run of two together: the check `scores` comes first")
            number = launches_of_a_step(folder, LOGITS * together)
            if number > together * LAUNCHES[0] * LAYERS + LAUNCHES[1]:
                raise Failed(f"{dtype}, {together} together: {number} launches")
            parts.append(f"{dtype}, {together} together: {number}")
        return "; ".join(parts)

    return "; ".join(at_once(of_type, machine.types))


def launches_of_a_step(folder, logits):
    """Launches between two reads of `logits` bytes, in most steps of the run in `folder`; of one answer nothing may be
    copied on the GPU in them, neither by the driver nor by a kernel of the library."""
    steps, launches, copies = [], 0, 0
    for line in trace(folder):
        launches += line[0] == "L"
        copies += line[0] == "M" or (line[0] == "L" and line[3].startswith("copy_kernel"))
        if line[0] == "D" and int(line[2]) == logits:
            steps.append((launches, copies))
            launches = copies = 0
    if logits == LOGITS:
        steps = steps[KINDS:]
    if len(steps) < 5:
        raise Failed(f"{len(steps)} steps were seen")
    (launches, copies), _ = Counter(steps).most_common(1)[0]
    if copies and logits == LOGITS:
        raise Failed(f"{copies} copies on the GPU in a token's step")
    return launches


def answers(machine):
    """`evaluate` with compressed caches of every kind against the processor."""
    scores_file = machine.out / "runs/scores-cpu/out/head_score/needle-llama_retrieval_reasoning_heads.json"
    if not scores_file.exists():
        raise Failed("there are no head scores: the check `scores` comes first")
    common = ["--lengths", "256", "--depths", "0.5", "--needles", one_needle(machine), "--methods", METHODS,
              "--head-score", scores_file, "--budgets", "48", "--max-new-tokens", "4", "--no-plots", "-q", "--out", "out"]
    wanted = lines(machine.program("answers-cpu", "evaluate", "--device", "cpu", *common).folder / "out/answers.jsonl")

    def of_type(dtype):
        ran = machine.program(f"answers-{dtype}", "evaluate", "--device", "cuda", "--dtype", dtype, *common, STORE=dtype)
        got = lines(ran.folder / "out/answers.jsonl")
        differ = [a["method"] for a, b in zip(got, wanted, strict=True) if a["answer"] != b["answer"]]
        if differ or not got:
            raise Failed(f"{dtype}: other answers with {', '.join(differ)}")

    types = [dtype for dtype in machine.types if dtype != "f16"]
    if not types:
        return "skipped: neither f32 nor bf16 is wanted"
    at_once(of_type, types)
    return f"{len(wanted)} of {len(wanted)} equal in {' and '.join(types)}"


def two_gpus(machine):
    """Layers on two GPUs."""
    common = [*PROBES, "--lengths", "256,512", "--needles", one_needle(machine)]
    ran = machine.program("two", "--device", "cuda:0,cuda:1", "--dtype", "f32", *common, "--out", "out",
                          CUDA_STUB_DEVICES="2")
    worst = same_scores(ran.folder / "out", machine.out / "runs/scores-cpu/out", "f32")
    return f"{worst:.1e}, launches {ran.number('device 0.*launches')} and {ran.number('device 1.*launches')}"


def long_prompt(machine):
    """A prompt of 9,000 tokens in bf16 against the processor."""
    common = ["--gate", "none", "--lengths", "9000", "--allow-extrapolation", "--depths", "0.5", "--max-new-tokens", "4",
              "--no-plots", "--no-report", "-q", "--needles", one_needle(machine), "--out", "out"]
    machine.program("long-cpu", "--device", "cpu", *common)
    ran = machine.program("long-bf16", "--device", "cuda", "--dtype", "bf16", *common)
    worst = same_scores(ran.folder / "out", machine.out / "runs/long-cpu/out", "bf16")
    return f"{worst:.1e}, {ran.number('launches')} launches, {ran.seconds:.0f} s"


def grid(machine):
    """The grid of a run without options, where prompts go on from one another, in bf16 against the processor."""
    common = ["--gate", "none", "--needles", one_needle(machine), "--no-plots", "--no-report", "-q", "--out", "out"]
    machine.program("grid-cpu", "--device", "cpu", *common, limit=1800)
    ran = machine.program("grid-bf16", "--device", "cuda", "--dtype", "bf16", *common, limit=3600)
    here, there = (lines(machine.out / f"runs/{name}/out/probes.jsonl") for name in ("grid-bf16", "grid-cpu"))
    same = sum(a["generated_ids"] == b["generated_ids"] for a, b in zip(here, there, strict=True))
    if len(here) < 20 or same < 0.95 * len(here):
        raise Failed(f"{same} of {len(here)} answers equal the processor's")
    return f"{same} of {len(here)} answers equal, {ran.seconds:.0f} s"


# Allocations may differ from what the dry run says by this share, or by what CubeCL's pools have free.
MEMORY, POOLS = 0.1, 48 << 20


def real_model(machine):
    """A model of real size: ids and head scores against the processor, allocations against the dry run."""
    if machine.model is None:
        return "skipped: --model is not given"
    common = ["--model", machine.model, *PROBES, "--lengths", "256", "--needles", one_needle(machine)]
    machine.program("model-cpu", "--device", "cpu", *common, "--out", "out")
    parts = []
    for dtype in ("f32", "bf16"):
        options = ["--device", "cuda", "--dtype", dtype, *common]
        ran = machine.program(f"model-{dtype}", *options, "--out", "out", limit=1800)
        dry = machine.program(f"model-dry-{dtype}", *options, "--dry-run", "--json", limit=1800)
        said, held = json.loads(dry.stdout)["peak_bytes"], allocated(ran)
        if not abs(held - said) <= max(MEMORY * said, POOLS):
            raise Failed(f"{dtype}: {held} bytes were allocated, the dry run says {said}")
        here, there = (machine.out / f"runs/model-{name}/out" for name in (dtype, "cpu"))
        worst = f", scores {same_scores(here, there, dtype):.1e}" if dtype == "f32" else ""
        parts.append(f"{dtype}: {held >> 20} MiB, dry run {said >> 20}{worst}")
    return "; ".join(parts)


def allocated(ran):
    """Most bytes allocated, in pages of 2 MiB, after the GPU was measured, for which CubeCL takes 2 GiB for a moment."""
    held = most = 0
    for line in trace(ran.folder):
        if line[0] in "AF" and line[-1] != "refused":
            pages = -(-int(line[2]) >> 21) << 21
            held += pages if line[0] == "A" else -pages
            most = 0 if held >= 2 << 30 else max(most, held)
    return most


def architectures(machine):
    """Every source of every run compiles for other GPUs."""
    parts = []
    for name in OTHERS:
        command = [sys.executable, machine.driver / "recompile.py", name, machine.out / "kernels/sources"]
        ran = machine.run(f"compile-{name}", command, limit=1800)
        if ", 0 failed," not in ran.stdout:
            raise Failed(ran.stdout[:600])
        parts.append(" ".join(ran.stdout.split()[:5]).rstrip(","))
    return "; ".join(parts)


def refusals(machine):
    """Without what CUDA needs a run ends with exit code 5 before a model is loaded, and says what is missing."""
    headers = machine.out / "no-crt"
    shutil.rmtree(headers, ignore_errors=True)
    shutil.copytree(machine.toolkit / "include", headers / "include")
    shutil.rmtree(headers / "include/crt")
    store = {"XDG_CACHE_HOME": machine.out / "empty-store"}
    for name, says, variables in [
        ("no-headers", "crt/mma.h", {"CUDA_PATH": headers, **store}),
        # With what earlier checks have compiled.
        ("kept-no-headers", "crt/mma.h", {"CUDA_PATH": headers, "STORE": "f32"}),
        ("no-toolkit", "cuda_fp16.h", {"CUDA_PATH": machine.out / "nowhere", **store}),
        ("no-driver", "no CUDA driver", {"LD_LIBRARY_PATH": ""}),
    ]:
        if name == "no-driver" and ctypes.util.find_library("cuda"):
            continue
        shutil.rmtree(machine.out / "empty-store", ignore_errors=True)
        ran = machine.program(name, "--device", "cuda", "--model", "/nowhere", code=5, limit=60, strict=False, **variables)
        if says not in ran.stderr or ran.seconds > 20:
            raise Failed(f"{name}: {ran.seconds:.0f} s: {ran.stderr[-300:]}")
    return "told"


def stand_in(machine):
    """The stand-in's own tests, in which rules are broken, too."""
    machine.run("smoke", [sys.executable, machine.driver / "smoke.py"], strict=False, CUDA_EMU="0")
    command = [sys.executable, machine.driver / "test.py"]
    machine.run("emulation-backwards", command, strict=False, CUDA_EMU_ORDER="backwards")
    ran = machine.run("emulation", command, strict=False)
    return ran.stdout.strip().splitlines()[-1][:80]


CHECKS = [stand_in, kernels, kernels_backwards, scores, refusals, launches, goldens, answers, two_gpus, long_prompt,
          grid, real_model, architectures]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("headprof", type=Path)
    parser.add_argument("--tests", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "target/cuda-check")
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--only", default=",".join(check.__name__ for check in CHECKS))
    options = parser.parse_args()
    wanted = options.only.split(",")
    chosen = [check for check in CHECKS if check.__name__ in wanted]
    if len(chosen) != len(wanted):
        parser.error(f"--only: of {', '.join(check.__name__ for check in CHECKS)}")
    types = options.types.split(",")
    if not set(types) <= set(TYPES):
        parser.error(f"--types: of {', '.join(TYPES)}")
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for program in filter(None, (options.headprof, options.tests)):
        if not program.is_file():
            print(f"error: {program} is not there", file=sys.stderr)
            return 2
    machine = Machine(out, options.headprof.resolve(), options.tests and options.tests.resolve(),
                      options.model and options.model.resolve(), types)
    try:
        machine.prepare()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"error: the stand-in cannot be built: {error}", file=sys.stderr)
        return 2
    failed = 0
    for check in chosen:
        start = time.monotonic()
        try:
            verdict, said = "ok", check(machine)
        except (Failed, OSError, LookupError, ValueError) as wrong:
            verdict, said, failed = "FAILED", f"{type(wrong).__name__}: {wrong}", failed + 1
        print(f"{check.__name__:18} {time.monotonic() - start:5.0f} s  {verdict:6} {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
