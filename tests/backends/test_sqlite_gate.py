"""The gate between steps and forks: a fork has its turn, and whatever it took is given back."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from comity_sqlite.forks import Gate
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def steps(gate: Gate) -> Iterator[list[int]]:
    """The steps, one after the other, of a thread that does nothing else."""
    done: list[int] = []
    stop = threading.Event()

    def go() -> None:
        while not stop.is_set():
            with gate.passing():
                time.sleep(0.0005)
                done.append(1)

    thread = threading.Thread(target=go)
    thread.start()
    until(lambda: done)
    yield done
    stop.set()
    thread.join()


def test_a_fork_waits_for_the_step_that_runs_and_for_no_later_one(gate: Gate, steps: list[int]) -> None:
    longest = 0
    for _ in range(200):
        before = len(steps)
        gate.before_fork()
        longest = max(longest, len(steps) - before)
        assert gate.passing() is not None  # who forks passes
        gate.after_in_parent()
        _go_on(steps)
    assert longest <= 2  # one had ended as we looked, the next begun before we knocked


def test_two_threads_that_fork_at_once_take_turns(gate: Gate, steps: list[int]) -> None:
    gate.before_fork()

    def fork() -> None:
        gate.before_fork()
        gate.after_in_parent()

    other = threading.Thread(target=fork)
    other.start()
    until(lambda: _is_in(other, "before_fork"))
    gate.after_in_parent()
    other.join(5)
    assert not other.is_alive()
    _go_on(steps)


def test_a_fork_out_of_a_step_leaves_the_step_what_it_has(gate: Gate) -> None:
    with gate.passing():
        gate.before_fork()
        gate.after_in_parent()
        gate.passing()
    assert _passes(gate)


def _go_on(steps: list[int]) -> None:
    before = len(steps)
    until(lambda: len(steps) > before)


def _is_in(thread: threading.Thread, name: str) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != name:
        frame = frame.f_back
    return frame is not None


def _passes(gate: Gate) -> bool:
    """Tell whether another thread gets through."""
    through = threading.Event()

    def go() -> None:
        with gate.passing():
            through.set()

    threading.Thread(target=go, daemon=True).start()
    return through.wait(5)
