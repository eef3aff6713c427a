"""The programs that check.py runs: those given by variables, or built here."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from machine import Failed

NAMES = ("HEADPROF", "HEADPROF_RANDOM_CHECKPOINT", "HEADPROF_TESTS")


def binaries(root, rehearse):
    """Programs by variable. Where HEADPROF is given nothing is built, and what else is not given is
    left out."""
    given = {name: os.environ[name] for name in NAMES if os.environ.get(name)}
    for name, path in given.items():
        if not os.access(path, os.X_OK) or Path(path).is_dir():
            raise Failed(f"{name}={path} is no program")
    given = {name: str(Path(path).resolve()) for name, path in given.items()}
    if "HEADPROF" in given:
        return given
    if shutil.which("cargo") is None:
        raise Failed(f"there is no cargo to build headprof with; prebuilt programs are named by {', '.join(NAMES)}")
    features = [] if rehearse else ["--features", "cuda"]
    built = [(name, what) for name, what in (
        ("HEADPROF", ["build", "--release", "--bin", "headprof"]),
        ("HEADPROF_RANDOM_CHECKPOINT", ["build", "--release", "-p", "headprof-tools", "--bin", "random_checkpoint"]),
        ("HEADPROF_TESTS", ["test", "--release", "--lib", "--no-run"]),
    ) if name not in given]
    return given | {name: build(root, [*what, *features]) for name, what in built}


def build(root, arguments):
    """What cargo built last, by its own account."""
    command = ["cargo", *arguments, "--message-format=json-render-diagnostics"]
    ran = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode != 0:
        raise Failed(f"`{' '.join(command)}` failed")
    messages = (json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{"))
    programs = [message["executable"] for message in messages if message.get("executable")]
    if not programs:
        raise Failed(f"`{' '.join(command)}` built no program")
    return programs[-1]
