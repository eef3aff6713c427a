"""Counts the golden tests of a run: `count_goldens.py LOG`, where LOG is the file that
HEADPROF_GOLDEN_LOG named in it.

Fails if a test of tests/goldens.txt did not run, or one ran that is not on that list, or if one was
skipped although there are goldens. Names the goldens that no test asked for."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests/goldens.txt"


def main(log):
    ran, skipped, asked = set(), set(), set()
    for line in Path(log).read_text().splitlines():
        test, outcome, path = line.split("\t")
        (ran if outcome == "run" else skipped).add(test)
        asked.add(path)
    ran -= skipped
    listed = set(LIST.read_text().split())
    goldens = Path(os.environ.get("HEADPROF_GOLDENS") or ROOT.parent / "shared/goldens")

    faults = [f"{test} is on the list and asked for no golden" for test in listed - ran - skipped]
    faults += [f"{test} is not on the list" for test in (ran | skipped) - listed]
    if goldens.is_dir():
        faults += [f"{test} was skipped" for test in skipped]
        for file in sorted(path for path in goldens.rglob("*") if path.is_file()):
            name = file.relative_to(goldens)
            if not asked & {str(part) for part in (name, *name.parents)}:
                print(f"no test asks for the golden {name}")
    for fault in sorted(faults):
        print(f"{LIST.relative_to(ROOT)}: {fault}", file=sys.stderr)
    print(f"goldens: {len(ran)} run, {len(skipped)} skipped, of {len(listed)}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
