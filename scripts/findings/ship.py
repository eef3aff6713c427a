#!/usr/bin/env python3
"""Puts the profiles that run.sh made into head_score/MODEL and plots/MODEL: ship.py OUT HEADPROF.

Score files, their sidecars without the paths of the machine they were made on, budgets of HeadKV for 64, 128 and 256
tokens a head, and the pictures.
"""
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = {"s-needles": "smollm2-135m-instruct", "q-needles": "qwen2.5-coder-0.5b-instruct"}
SCORES = ["retrieval", "retrieval_reasoning", "dili", "lazy", "inf"]
BUDGETS = [64, 128, 256]


def without_paths(value):
    """Texts with the names of files in the place of paths."""
    if isinstance(value, dict):
        return {key: without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_paths(inner) for inner in value]
    if isinstance(value, str) and value.startswith("/"):
        return Path(value).name
    return value


def main(out, headprof):
    for folder, model in MODELS.items():
        source = out / folder
        if not (source / "head_score").exists():
            continue
        scores, plots = ROOT / "head_score" / model, ROOT / "plots" / model
        for target in (scores, plots):
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
        for score in SCORES:
            name = f"{model}_{score}_heads"
            shutil.copy(source / "head_score" / f"{name}.json", scores)
            meta = json.loads((source / "head_score" / f"{name}.meta.json").read_text())
            meta = without_paths(meta)
            meta["command"][0] = "headprof"
            (scores / f"{name}.meta.json").write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n")
            shutil.copy(source / "plots" / f"{name}.png", plots)
        for picture in ("answers", "curve"):
            shutil.copy(source / "plots" / f"{model}_{picture}.png", plots)
        file = scores / f"{model}_retrieval_reasoning_heads.json"
        for budget in BUDGETS:
            command = [headprof, "allocate", "--method", "headkv", "--head-score", file, "--budget", str(budget), "--json"]
            said = subprocess.run([*map(str, command)], check=True, capture_output=True, text=True, cwd=ROOT).stdout
            said = json.dumps(without_paths(json.loads(said)), indent=None)
            (scores / f"{model}_headkv_budget-{budget}.json").write_text(said + "\n")
        print(model, *(sum(f.stat().st_size for f in where.iterdir()) for where in (scores, plots)), "bytes")


main(Path(sys.argv[1]), Path(sys.argv[2]).resolve())
