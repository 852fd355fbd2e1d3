"""Fault runs by hand: ``python -m tests.processes "redis 7.0" --seed 1 --faults 1000``.

Prints a report for each seed; ends with status 1 if a judge found anything, and then keeps the history.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.dispositions import not_inherited
from tests.processes.runs.kinds import Kind
from tests.processes.runs.run import Run


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tests.processes", description=__doc__)
    parser.add_argument("store", help='"sqlite", "redis 7.0", "sentinel 7.0", "cluster 7.0"')
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="the first one (default: by chance)")
    parser.add_argument("--runs", type=int, default=1, help="so many seeds in a row")
    parser.add_argument("--faults", type=int, default=100, help="in each run")
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between faults, at most")
    parser.add_argument("--losing", action="store_true", help="also faults by which the store loses its data")
    parser.add_argument("--kind", action="append", default=[], help="only these faults, by their name in reports")
    parser.add_argument("--folder", type=Path, help="where the histories go (default: a new temporary folder)")
    parser.add_argument("--keep", action="store_true", help="keep the history of every run")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="comity-run-"))
    wrong = 0
    for seed in range(asked.seed, asked.seed + asked.runs):
        with not_inherited():
            run = Run(asked.store, seed, folder / f"seed-{seed}", losing=asked.losing, kinds=[*map(Kind, asked.kind)])
            report = run.go(asked.faults, pause=asked.pause)
        print(report, flush=True)  # noqa: T201 - that is what it is for
        wrong += bool(report.violations)
        if not (asked.keep or report.violations):
            shutil.rmtree(report.folder)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
