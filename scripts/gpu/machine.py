"""What check.py needs of the machine: is there a GPU, commands with limits, memory over time."""

import ctypes
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

# Seconds between two looks at the memory in use.
MEMORY_EVERY = 0.2


class Failed(Exception):
    """A step cannot go on; the text says why."""


def why_no_gpu():
    """None where the CUDA driver lists a GPU, else what is missing. Asks the driver itself: nvidia-smi
    may be absent from a container whose GPU works."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return f"no CUDA driver: {error}"
    code = driver.cuInit(0)
    if code != 0:
        return f"the CUDA driver does not start (cuInit gave {code})"
    count = ctypes.c_int(0)
    code = driver.cuDeviceGetCount(ctypes.byref(count))
    if code != 0 or count.value == 0:
        return f"the CUDA driver lists no GPU (cuDeviceGetCount gave {code}, {count.value} GPUs)"
    return None


def ask_gpu(field_names):
    """Answers of nvidia-smi about the GPU that CUDA calls 0; None where there are none."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] or "0"
    command = ["nvidia-smi", "-i", chosen, f"--query-gpu={field_names}", "--format=csv,noheader,nounits"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return [part.strip() for part in ran.stdout.splitlines()[0].split(",")] if ran.stdout else None


def gpu_bytes(_pid=None):
    """Bytes in use on the GPU by everyone; None where nvidia-smi does not say. Of a process it says
    nothing inside containers, so what was in use before is subtracted instead."""
    answer = ask_gpu("memory.used")
    return int(answer[0]) << 20 if answer and answer[0].isdigit() else None


def host_bytes(pid):
    """Resident bytes of a process."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            lines = [line.split() for line in status if line.startswith("VmRSS:")]
    except OSError:
        return None
    return int(lines[0][1]) << 10 if lines else None


@dataclass
class Ran:
    """What came of a command."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    # Bytes beyond what was in use before, in order of time; empty where they were not watched or
    # cannot be.
    memory: list = field(default_factory=list)

    def last_words(self):
        """The end of what it said, for a report."""
        said = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return " / ".join(line.strip() for line in said[-4:])[-600:] or "it said nothing"


class Runner:
    """Runs commands until the time is up; none outlives it."""

    def __init__(self, seconds, memory_of):
        self.until = time.monotonic() + seconds
        self.memory_of = memory_of
        self.stopped = False
        self.live = set()
        self.lock = threading.Lock()
        # CUDA's numbers as those of nvidia-smi.
        self.environment = os.environ | {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

    def run(self, command, limit, watched=False, **variables):
        """Runs a command for at most `limit` seconds, or for what is left."""
        limit = min(limit, self.until - time.monotonic())
        if self.stopped or limit < 2:
            raise Failed("not run: the time was up")
        before = (self.memory_of(None) or 0) if watched and self.memory_of is gpu_bytes else 0
        start = time.monotonic()
        process = self.start(command, variables)
        memory, ended = [], threading.Event()
        watcher = threading.Thread(target=self.watch, args=(process.pid, before, memory, ended))
        try:
            if watched:
                watcher.start()
            stdout, stderr = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"stopped after {limit:.0f} s") from None
        finally:
            ended.set()
            self.kill(process)
            if watched:
                watcher.join()
        return Ran(process.returncode, stdout, stderr, time.monotonic() - start, memory)

    def start(self, command, variables):
        """Starts a command with the processes it may start in a group of their own."""
        with self.lock:
            # Under the lock: what starts after `stop` would outlive it.
            if self.stopped:
                raise Failed("not run: stopped")
            try:
                process = subprocess.Popen(
                    [str(part) for part in command],
                    env=self.environment | variables,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            except OSError as error:
                raise Failed(str(error)) from error
            self.live.add(process)
        return process

    def watch(self, pid, before, memory, ended):
        """Fills `memory` until `ended`."""
        while not ended.is_set():
            used = self.memory_of(pid)
            if used is not None:
                memory.append(used - before)
            ended.wait(MEMORY_EVERY)

    def kill(self, process):
        """Ends a command if it has not ended."""
        with self.lock:
            self.live.discard(process)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdout, process.stderr):
                stream.close()

    def stop(self):
        """Ends all commands, and lets no other begin."""
        with self.lock:
            self.stopped = True
            live = list(self.live)
        for process in live:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
