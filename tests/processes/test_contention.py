"""Many processes on one lock: never two at once, tokens that grow, turns for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.processes.harness import overlaps, turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.processes.harness import Worker

SECONDS = 3.0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("processes", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_processes_take_turns(start: Callable[..., Worker], tmp_path: Path, processes: int) -> None:
    journal = tmp_path / "journal"
    workers = [start(f"worker {number}") for number in range(processes)]
    for worker in workers:
        worker.send("contend", name="x", journal=str(journal), seconds=SECONDS)
    counts = [worker.answer(SECONDS + 20)["grants"] for worker in workers]
    lines = journal.read_text().splitlines()
    assert overlaps(lines) == []
    assert sum(turns(lines).values()) == sum(counts)
    assert min(counts) >= max(counts) * 0.5, counts


def test_the_judge_sees_two_at_once_and_tokens_that_shrink() -> None:
    fair = ["begin 5 a", "end 5 a", "begin 6 b", "end 6 b"]
    assert overlaps(fair) == []
    assert overlaps(["begin 5 a", "begin 6 b", "end 5 a", "end 6 b"])
    assert overlaps(["begin 6 a", "end 6 a", "begin 5 b", "end 5 b"])
    assert overlaps(["begin 5 a", "end 5 b"])
