"""What scripts/gpu-check.sh runs: the steps, their verdicts, and the report. See docs/gpu.md."""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from build import binaries
from machine import Failed, Runner, ask_gpu, gpu_bytes, host_bytes, why_no_gpu
from report import mib, table, write
from sizes import ON_GPU, REHEARSAL

ROOT = Path(__file__).resolve().parents[2]
# Of all steps together.
SECONDS = 570
# Head scores of the same model on two devices, in f32.
SCORES_WITHIN = 1e-4
# Share of answers that must be the same: in f32 a near tie between two tokens may go either way.
EQUAL_ANSWERS = 0.95
# Bytes beyond weights and KV cache, as a share of them.
MEMORY_BEYOND = 0.15
# Growth of memory between the second and the last quarter of a run: what an allocator may round to.
GROWTH_BYTES = 16 << 20
SCORES = "retrieval,retrieval_reasoning,dili,lazy,inf"
METHODS = "full,snapkv,adakv"
KERNEL_TESTS = ["model::kernels", "model::ragged_cache", "different_devices", "every_device", "kernel_"]


class Skipped(Exception):
    """A step has nothing to run; the text says why."""


class Check:
    """The steps. Each gives a dict with `passed` (None: nothing to judge), `summary` and numbers."""

    def __init__(self, sizes, programs, runner, scratch):
        self.sizes, self.programs, self.runner, self.scratch = sizes, programs, runner, scratch
        self.headprof = programs["HEADPROF"]
        self.model = scratch / "checkpoint"
        self.written = None
        self.benches = []

    def write_checkpoint(self):
        """Writes the large checkpoint beside the steps that do not need it."""
        try:
            program = self.programs.get("HEADPROF_RANDOM_CHECKPOINT")
            if program is None:
                raise Failed("no large checkpoint: HEADPROF_RANDOM_CHECKPOINT is not given")
            free = shutil.disk_usage(self.scratch).free
            if free < self.sizes.checkpoint_bytes:
                raise Failed(f"{free >> 30} GiB free in {self.scratch}, "
                             f"{self.sizes.checkpoint_bytes >> 30} needed: set TMPDIR")
            self.expect(self.runner.run([program, *self.sizes.checkpoint, "--out", self.model], 240))
        except Failed as failed:
            self.written = failed

    def checkpoint(self, limit):
        """The folder of the large checkpoint, once it is there."""
        self.writer.join(limit)
        if self.writer.is_alive():
            raise Failed(f"the large checkpoint was not written after another {limit} s")
        if self.written is not None:
            raise self.written
        return self.model

    def begin(self):
        """Begins to write the large checkpoint."""
        self.writer = threading.Thread(target=self.write_checkpoint)
        self.writer.start()

    @staticmethod
    def expect(ran):
        """The same, if the command succeeded."""
        if ran.code != 0:
            raise Failed(f"exit code {ran.code}: {ran.last_words()}")
        return ran

    def on(self, device, dtype):
        """Options that choose a device; the processor knows f32 alone."""
        return ["--device", device] + (["--dtype", dtype] if device != "cpu" else [])

    def computed(self, said, dtype):
        """Fails if a command says that it computed elsewhere, or in other numbers."""
        wanted = (self.sizes.device, "f32" if self.sizes.device == "cpu" else dtype)
        got = (said["device"].split(":")[0], said["dtype"])
        if got != wanted:
            raise Failed(f"it ran on {got[0]} in {got[1]}, not on {wanted[0]} in {wanted[1]}")

    def first(self, limit):
        """The main job in the device's usual type, with the kernels that it has to compile, and once more."""
        dtype = self.sizes.dtypes[-1]
        seconds = []
        for run in ("first", "second"):
            out = self.scratch / f"run-{run}"
            ran = self.expect(self.runner.run(
                [self.headprof, *self.on(self.sizes.device, dtype), "--lengths", "512", "--depths", "0.5", "--no-plots", "--no-report",
                 "-q", "--out", out], limit - sum(seconds)))
            seconds.append(ran.seconds)
        probes = [json.loads(line) for line in (out / "probes.jsonl").read_text().splitlines()]
        passed = sum(probe["status"] == "accepted" for probe in probes)
        return {"passed": passed > 0, "dtype": dtype, "runs": seconds, "probes": len(probes), "probes_passed": passed,
                "summary": f"{seconds[0]:.1f} s, then {seconds[1]:.1f} s in {dtype}; {passed} of {len(probes)} probes "
                           "passed their gate"}

    def goldens(self, limit):
        """What transformers computed for small random checkpoints of every family. `verify` knows the
        tolerances: 1e-4 (logits, relative) and 1e-5 (attention) in f32, 5e-2 each in bf16, where
        nine of ten greedy ids must be equal, too."""
        until, models = time.monotonic() + limit, []
        folders = sorted(path.parent for path in (ROOT / "tests/fixtures/models").glob("*/golden.json"))
        outside = os.environ.get("HEADPROF_GOLDENS")
        folders += sorted(path.parent for path in Path(outside).glob("**/golden.json")) if outside else []
        if not folders:
            raise Failed("no golden.json in tests/fixtures/models")
        for dtype in self.sizes.dtypes:
            for folder in folders:
                row = {"model": folder.name, "dtype": dtype, "passed": False}
                try:
                    command = [self.headprof, "verify", folder, "--json", *self.on(self.sizes.device, dtype)]
                    ran = self.runner.run(command, until - time.monotonic())
                    said = json.loads(ran.stdout) if ran.stdout.startswith("{") else None
                    if said is None:
                        raise Failed(ran.last_words())
                    self.computed(said, dtype)
                    row |= {"passed": said["passed"], "logits": said["logits"]["largest"],
                            "attention": said["attention"]["largest"], "tolerances": said["tolerances"]}
                except Failed as failed:
                    row["error"] = str(failed)
                models.append(row)
        bad = [f"{row['model']} in {row['dtype']}" for row in models if not row["passed"]]
        parts = []
        for dtype in self.sizes.dtypes:
            rows = [row for row in models if row["dtype"] == dtype and "logits" in row]
            if rows:
                within = rows[0]["tolerances"]
                parts.append(f"{dtype}: logits {max(r['logits'] for r in rows):.1e} (≤ {within['logits']:.0e}), "
                             f"attention {max(r['attention'] for r in rows):.1e} (≤ {within['attention']:.0e})")
        errors = [row["error"] for row in models if "error" in row]
        parts += [f"not {', '.join(bad[:4])}{' ...' * (len(bad) > 4)}"] * bool(bad) + errors[:1]
        summary = f"{len(models) - len(bad)} of {len(models)} within; " + "; ".join(parts)
        return {"passed": not bad, "summary": summary, "bad": bad, "models": models}

    def scores(self, limit):
        """Head scores of needle-llama here and on the processor, in f32."""
        found = []
        for device in (self.sizes.device, "cpu"):
            # A rehearsal compares the processor with itself, in other passes over the prompt.
            passes = ["--chunk", "100"] if self.sizes.device == "cpu" and found else []
            out = self.scratch / f"scores-{len(found)}"
            self.expect(self.runner.run(
                [self.headprof, *self.on(device, "f32"), "--lengths", "256,512", "--depths", "0.3,0.7",
                 "--scores", SCORES, *passes, "--no-plots", "-q", "--out", out], limit / 2))
            files = sorted((out / "head_score").glob("*_heads.json"))
            found.append({file.name: json.loads(file.read_text()) for file in files})
        here, there = found
        if not here or here.keys() != there.keys():
            raise Failed(f"other files: {sorted(here)} and {sorted(there)}")
        largest, value = {}, 0.0
        for name, heads in here.items():
            if heads.keys() != there[name].keys():
                raise Failed(f"{name}: other heads")
            for head, values in heads.items():
                other = there[name][head]
                if len(values) != len(other) or not values:
                    raise Failed(f"{name}, head {head}: {len(values)} and {len(other)} probes passed the gate")
                worst = max(abs(a - b) for a, b in zip(values, other))
                largest[name] = max(largest.get(name, 0.0), worst)
                value = max(value, *map(abs, other))
        if value == 0.0:
            raise Failed("all scores are 0: nothing was compared")
        worst = max(largest, key=largest.get)
        return {"passed": largest[worst] <= SCORES_WITHIN, "largest": largest,
                "summary": f"largest difference {largest[worst]:.1e} in {worst} (≤ {SCORES_WITHIN:.0e})"}

    def ragged(self, limit):
        """Compressed caches here and on the processor: the kernel's tests and the answers."""
        result, parts = {"passed": True}, []
        tests = self.programs.get("HEADPROF_TESTS")
        if tests is None:
            parts.append("kernel tests skipped (HEADPROF_TESTS is not given)")
        else:
            required = {} if self.sizes.device == "cpu" else {"HEADPROF_REQUIRE_CUDA": "1"}
            try:
                ran = self.runner.run([tests, *KERNEL_TESTS], limit / 2, **required)
                verdict = [line for line in ran.stdout.splitlines() if line.startswith("test result")]
                verdict = verdict[0] if verdict else ran.last_words()
                fine = ran.code == 0 and " 0 passed" not in verdict
            except Failed as failed:
                verdict, fine = str(failed), False
            if self.sizes.device != "cpu" and fine and "model::kernels" not in ran.stdout:
                verdict, fine = "HEADPROF_TESTS has no tests of the kernel: build it with --features cuda", False
            result |= {"passed": fine, "tests": verdict}
            parts.append(verdict)
        answers = []
        for device in (self.sizes.device, "cpu"):
            out = self.scratch / f"answers-{len(answers)}"
            command = [self.headprof, "evaluate", *self.on(device, "f32"), "--lengths", "512", "--depths", "0.5",
                       "--methods", METHODS, "--budgets", "64", "--max-new-tokens", "8", "--no-plots", "-q",
                       "--out", out]
            try:
                self.expect(self.runner.run(command, limit / 4))
            except Failed as failed:
                # With what the tests said.
                raise Failed("; ".join([*parts, f"evaluate on {device}: {failed}"])) from failed
            lines = map(json.loads, (out / "answers.jsonl").read_text().splitlines())
            answers.append({(a["id"], a["method"], a["budget_tokens"]): a["answer"] for a in lines})
        here, there = answers
        if not here or here.keys() != there.keys():
            raise Failed(f"other prompts: {len(here)} and {len(there)}")
        equal = sum(answer == there[key] for key, answer in here.items())
        parts.append(f"{equal} of {len(here)} answers of {METHODS} equal (≥ {EQUAL_ANSWERS:.0%})")
        result |= {"equal": equal, "answers": len(here), "summary": "; ".join(parts)}
        result["passed"] &= equal >= EQUAL_ANSWERS * len(here)
        return result

    def speed(self, limit):
        """Prompt and answer speed of the large checkpoint, each length in a process of its own."""
        model = self.checkpoint(limit)
        # From here on: how long it takes to write the checkpoint says nothing about a GPU.
        until = time.monotonic() + limit
        parts, passed = [], True
        for length in self.sizes.lengths:
            row = {"tokens": length}
            # Kernels are chosen by length, too: a second try is without that. Of the longest there is
            # time for one.
            tries = 1 if length == self.sizes.lengths[-1] else 2
            try:
                ran = self.expect(self.runner.run(
                    [self.headprof, "bench", "--model", model, "--lengths", f"{self.sizes.warm_up},{length}",
                     "--steps", 16, "--tries", tries, "--json", "-q", *self.on(self.sizes.device, "bf16")],
                    until - time.monotonic(), watched=True))
                said = json.loads(ran.stdout)
                self.computed(said, "bf16")
                row |= said["lengths"][-1] | {"tries": tries}
                row |= {key: said[key] for key in
                        ("parameters", "dtype", "chunk_tokens", "matmul_flops_per_sec", "copy_bytes_per_sec",
                         "load_secs", "peak_rss_bytes")}
                row["peak_bytes"] = max(ran.memory, default=None)
                parts.append(
                    f"{length}: {row['prefill_secs']:.2f} s, {row['prefill_tokens_per_sec']:.0f} tokens/s, "
                    f"{row['prefill_share']:.0%} of the product's {row['matmul_flops_per_sec'] / 1e12:.2f} TFLOP/s; "
                    f"answers {row['decode_tokens_per_sec']:.1f} tokens/s, {row['decode_share']:.0%} of the copy; "
                    f"{mib(row['peak_bytes'])} at most")
            except Failed as failed:
                row["error"], passed = str(failed), False
                parts.append(f"{length}: {failed}")
            self.benches.append(row)
        return {"passed": passed, "summary": "<br>".join(parts), "lengths": self.benches}

    def growth(self, limit):
        """Memory in use over many probes of needle-llama."""
        ran = self.expect(self.runner.run(
            [self.headprof, *self.on(self.sizes.device, "f32"), "--lengths", "256", "--max-new-tokens", "4",
             "--repeats", self.sizes.repeats, "--scores", "inf", "--gate", "none", "--no-plots", "--no-report", "-q",
             "--out", self.scratch / "growth"], limit, watched=True))
        probes = len((self.scratch / "growth/probes.jsonl").read_text().splitlines())
        quarter = len(ran.memory) // 4
        if quarter == 0:
            raise Failed("the memory in use is not known: nvidia-smi did not answer")
        # Maxima, as the memory goes up and down within a probe.
        grown = max(ran.memory[-quarter:]) - max(ran.memory[quarter:2 * quarter])
        return {"passed": grown <= GROWTH_BYTES, "probes": probes, "grown_bytes": grown,
                "looks": len(ran.memory), "peak_bytes": max(ran.memory),
                "summary": f"{grown / 2**20:+.0f} MiB from the second to the last quarter of {probes} probes "
                           f"(≤ {GROWTH_BYTES >> 20} MiB); {mib(max(ran.memory))} at most"}

    def memory(self, limit):
        """Peak bytes of the runs of `speed` against weights and cache."""
        config = json.loads((self.checkpoint(limit) / "config.json").read_text())
        heads = config["num_attention_heads"]
        head_dim = config.get("head_dim") or config["hidden_size"] // heads
        kv_heads = config.get("num_key_value_heads") or heads
        per_token = 2 * config["num_hidden_layers"] * kv_heads * head_dim * self.sizes.width
        rows, parts = [], []
        for bench in self.benches:
            if bench.get("peak_bytes") is None:
                continue
            needed = bench["parameters"] * self.sizes.width + (bench["tokens"] + 16) * per_token
            beyond = bench["peak_bytes"] / needed - 1
            rows.append({"tokens": bench["tokens"], "peak_bytes": bench["peak_bytes"], "needed_bytes": needed,
                         "beyond": beyond})
            parts.append(f"{bench['tokens']}: {mib(bench['peak_bytes'])}, {beyond:+.0%} of {mib(needed)}")
        if not rows:
            raise Failed("no run of the large checkpoint whose memory was watched")
        # What a small model takes is the program and the product it is measured against.
        judged = self.sizes.device != "cpu"
        aim = f"aim ≤ +{MEMORY_BEYOND:.0%}" if judged else "not judged: the model is too small"
        passed = len(rows) == len(self.sizes.lengths) and all(r["beyond"] <= MEMORY_BEYOND for r in rows)
        return {"passed": passed if judged else None, "lengths": rows,
                "summary": "<br>".join(parts) + f" ({aim})"}

    def peer(self, limit):
        """The same prompts in PyTorch and transformers."""
        script = ROOT / "benches/peer/peer.py"
        if not script.exists():
            raise Skipped("benches/peer/peer.py does not exist")
        python = os.environ.get("HEADPROF_PEER_PYTHON", "python3")
        try:
            ran = self.runner.run([python, "-c", "import torch, transformers"], 30)
            if ran.code != 0:
                raise Failed(ran.last_words())
        except Failed as failed:
            raise Skipped(f"{python} has no torch and transformers ({failed}); HEADPROF_PEER_PYTHON names "
                          "one that has") from None
        model, out = self.checkpoint(limit), self.scratch / "peer"
        exported, cut, answer = out / "all.jsonl", out / "two.jsonl", out / "peer.json"
        out.mkdir()
        dtype = self.sizes.peer_dtype
        self.expect(self.runner.run(
            [self.headprof, "--model", model, *self.on(self.sizes.device, dtype), "--lengths",
             self.sizes.peer_length, "--depths", "0.5", "--max-new-tokens", "16", "--gate", "none",
             "--prefix-reuse", "off", "--export-probes", exported, "--no-plots", "--no-report", "-q", "--out", out], limit / 2))
        probes = exported.read_text().splitlines()[:2]
        cut.write_text("\n".join(probes) + "\n")
        self.expect(self.runner.run(
            [python, script, model, cut, answer, "--device", self.sizes.device, "--dtype", dtype], limit / 2,
            PYTHONDONTWRITEBYTECODE="1"))
        theirs = json.loads(answer.read_text())["seconds"]
        ours = [json.loads(line)["seconds"] for line in (out / "probes.jsonl").read_text().splitlines()]
        row = {phase: {"headprof": statistics.median(s[phase] for s in ours),
                       "peer_mean": theirs[phase] / len(probes)} for phase in ("prefill", "decode")}
        text = "; ".join(f"{p} {r['headprof']:.3f} s, peer {r['peer_mean']:.3f} s" for p, r in row.items())
        return {"passed": None, "seconds_per_probe": row,
                "summary": f"{self.sizes.peer_length} tokens, {dtype}: {text}"}


# Step, its name, seconds at most: what is most worth knowing comes first, and each limit has room for kernels
# that no run has compiled yet. Writing the checkpoint goes on beside the first ones.
STEPS = [
    ("first", "the first run, and the second", 75),
    ("goldens", "goldens of transformers", 120),
    ("speed", "large checkpoint: time", 190),
    ("memory", "large checkpoint: memory", 5),
    ("scores", "head scores against the processor", 60),
    ("ragged", "compressed caches against the processor", 100),
    ("growth", "memory over many probes", 75),
    ("peer", "PyTorch beside it", 80),
]


def one_step(check, key, name, limit):
    """A step's result; whatever goes wrong in it stays in it."""
    start = time.monotonic()
    try:
        result = getattr(check, key)(limit)
        result["status"] = {True: "passed", False: "FAILED", None: "measured"}[result["passed"]]
    except Skipped as skipped:
        result = {"passed": None, "status": "skipped", "summary": str(skipped)}
    except Failed as failed:
        result = {"passed": False, "status": "FAILED", "summary": str(failed)}
    except (LookupError, ValueError, TypeError, AttributeError, OSError) as error:
        result = {"passed": False, "status": "FAILED",
                  "summary": f"what came out is not what was expected: {type(error).__name__}: {error}"}
    return {"step": key, "name": name, "seconds": round(time.monotonic() - start, 1)} | result


def main():
    parser = argparse.ArgumentParser(prog="scripts/gpu-check.sh", description="Everything to verify on a GPU.")
    parser.add_argument("--rehearse", action="store_true", help="every step on the processor, small shapes")
    parser.add_argument("--out", type=Path, help="the report [default: benches/results/<gpu>.json]")
    options = parser.parse_args()
    missing = None if options.rehearse else why_no_gpu()
    if missing:
        print(f"error: there is no GPU to check\n  got       {missing}\n  expected  an NVIDIA GPU and its driver\n"
              "  try       a machine with one; in a container, `--gpus all`; or --rehearse, which runs every "
              "step on the processor", file=sys.stderr)
        return 5
    try:
        programs = binaries(ROOT, options.rehearse)
    except Failed as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 2
    sizes = REHEARSAL if options.rehearse else ON_GPU
    gpu = None if options.rehearse else ask_gpu("name,driver_version,memory.total")
    name = "rehearsal" if options.rehearse else (gpu[0] if gpu else "gpu")
    out = options.out or ROOT / "benches/results" / f"{'-'.join(name.lower().replace('/', ' ').split())}.json"

    def ended(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, ended)
    runner = Runner(SECONDS, host_bytes if options.rehearse else gpu_bytes)
    start = time.monotonic()
    report = {"gpu": name, "driver": gpu[1] if gpu else None, "memory_mib": gpu[2] if gpu else None,
              "headprof": "unknown", "date": time.strftime("%Y-%m-%d", time.gmtime()),
              "rehearsal": options.rehearse, "passed": False, "complete": False, "seconds": 0.0, "steps": []}
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
        check = Check(sizes, programs, runner, Path(scratch))
        check.begin()
        try:
            report["headprof"] = runner.run([check.headprof, "--version"], 30).stdout.strip()
            for key, title, limit in STEPS:
                print(f"{title} ...", file=sys.stderr, flush=True)
                report["steps"].append(one_step(check, key, title, limit))
                report["seconds"] = round(time.monotonic() - start, 1)
                # After every step: what was measured outlives what comes next.
                write(out, report)
            report["complete"] = True
        except Failed as failed:
            print(f"error: {check.headprof} does not start: {failed}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        finally:
            runner.stop()
            check.writer.join()
    report["passed"] = all(step["passed"] is not False for step in report["steps"])
    write(out, report)
    print(table(report))
    print(f"\n{out}")
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
