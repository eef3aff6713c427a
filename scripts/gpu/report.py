"""The report of check.py: its file and its table."""

import json
import os


def mib(count):
    """Bytes for people."""
    return "unknown" if count is None else f"{count / 2**20:.0f} MiB"


def write(path, report):
    """Replaces a file in one go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def table(report):
    """The report for people."""
    lines = [f"{report['gpu']} · {report['headprof']} · {report['seconds']} s", "",
             "| step | result | seconds | |", "|---|---|---|---|"]
    for step in report["steps"]:
        text = " ".join(step["summary"].replace("|", "\\|").split())
        lines.append(f"| {step['name']} | {step['status']} | {step['seconds']} | {text} |")
    return "\n".join(lines)
