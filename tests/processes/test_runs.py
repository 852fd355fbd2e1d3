"""Runs of faults drawn from a seed, judged by their history; and that each judge finds the bug it is there for.

By hand, and longer: ``python -m tests.processes "redis 7.0" --faults 1000``.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from comity.testing.kit.rules import rule
from tests.processes.runs.bugs import BUGS
from tests.processes.runs.judges import JUDGES
from tests.processes.runs.kinds import EXCUSES, Kind, table
from tests.processes.runs.mischief import CLOCK, without_place
from tests.processes.runs.run import Run

DOCS = Path(__file__).resolve().parents[2] / "docs" / "explanation"


@rule("X1", "X4", "X5", "X10", "X11", "S8", "L1", "L2", "L5", "L6", "L8", "E2", "G1", "K1", "K4", "T2", "T4", "B1")
@pytest.mark.parametrize("store", ["sqlite", "redis 7.0"])
def test_a_short_run_of_faults_breaks_no_rule(store: str, tmp_path: Path) -> None:
    report = Run(store, 1, tmp_path, actors=3, ttl=1.0).go(8, pause=0.1)
    assert report.violations == {}, str(report)
    assert sum(report.operations.values()) > 100


@rule("X1", "X4", "X5", "X10", "X11", "S8", "L1", "L2", "L5", "L6", "L8", "E2", "G1", "K1", "K4", "T2", "T4", "B1")
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("store", "faults", "losing"),
    [
        ("sqlite", 100, False),
        ("redis 7.0", 300, False),
        ("redis 7.0", 200, True),
        ("redis 6.2", 100, True),
        ("redis 8.2", 100, True),
        ("sentinel 7.0", 60, True),
        ("cluster 7.0", 60, False),
    ],
)
def test_a_run_of_faults_breaks_no_rule(store: str, faults: int, losing: bool, tmp_path: Path) -> None:
    report = Run(store, 7, tmp_path, losing=losing).go(faults)
    assert report.violations == {}, str(report)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", BUGS)
def test_a_seeded_bug_is_found_by_its_judge(name: str, tmp_path: Path) -> None:
    bug = BUGS[name]
    run = Run("redis 7.0", 1, tmp_path, actors=4, bug=name, only=bug.only, kinds=bug.kinds)
    report = run.go(bug.faults)
    assert bug.found_by in report.violations, str(report)


def test_every_judge_has_a_bug_that_it_finds() -> None:
    assert {bug.found_by for bug in BUGS.values()} == {*JUDGES}


def test_every_seeded_change_of_a_script_finds_its_place() -> None:
    changes = [bug.plant.args for bug in BUGS.values() if isinstance(bug.plant, functools.partial)]
    assert len(changes) > 10
    assert [lost for each in changes for lost in without_place(*each)] == []
    assert without_place(CLOCK) == []


def test_the_table_of_excuses_is_in_the_documentation() -> None:
    assert {*EXCUSES} == {*Kind}
    assert table() in (DOCS / "what_we_broke.md").read_text()
