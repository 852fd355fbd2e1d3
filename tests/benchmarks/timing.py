"""Timing calls in turn, so that the noise of a machine falls on all of them alike."""

from __future__ import annotations

import gc
import random
import time
from typing import TYPE_CHECKING, Any

import attrs

from tests.benchmarks.goals import Goal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

WARMUP = 50


@attrs.frozen
class Figure:
    """Seconds per call: the median, and what 99 of 100 calls stay under."""

    median: float
    p99: float
    calls: int

    @classmethod
    def of(cls, seconds: list[float]) -> Figure:
        """Make the figure of some calls."""
        ordered = sorted(seconds)
        return cls(ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], len(ordered))


@attrs.frozen
class Table:
    """Figures of calls that were timed in turn; the ratios are to the median of `against`."""

    title: str
    against: str
    figures: Mapping[str, Figure]
    goals: tuple[Goal, ...] = ()

    def ratio(self, name: str, to: str) -> float:
        """Return how many times the median of `to` that of `name` is."""
        return self.figures[name].median / self.figures[to].median

    def aim(self, *goals: Goal) -> Table:
        """Return the table with what is to be reached in it."""
        return attrs.evolve(self, goals=(*self.goals, *goals))

    def markdown(self) -> str:
        """Return it as Markdown, in microseconds."""
        lines = [f"### {self.title}", "", "| what | median us | p99 us | ratio |", "| --- | ---: | ---: | ---: |"]
        base = self.figures[self.against].median
        for name, figure in self.figures.items():
            ratio = figure.median / base
            lines.append(f"| {name} | {figure.median * 1e6:.0f} | {figure.p99 * 1e6:.0f} | {ratio:.2f} |")
        return "\n".join(lines)

    def plain(self) -> dict[str, object]:
        """Return it as plain JSON types, in seconds."""
        base = self.figures[self.against].median
        rows = {name: {**attrs.asdict(figure), "ratio": figure.median / base} for name, figure in self.figures.items()}
        goals = [attrs.asdict(goal) for goal in self.goals]
        return {"title": self.title, "against": self.against, "rows": rows, "goals": goals}

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> Table:
        """Read what `plain` returned."""
        figures = {name: Figure(row["median"], row["p99"], row["calls"]) for name, row in plain["rows"].items()}
        return cls(plain["title"], plain["against"], figures, tuple(Goal(**goal) for goal in plain["goals"]))


def shuffled(names: list[str], number: int) -> list[str]:
    """Return the names in another order each round, the same in every run: none always follows the same one."""
    return random.Random(number).sample(names, len(names))


def settle() -> None:
    """Let no call pay for the collection of what all the libraries here have loaded."""
    gc.collect()
    gc.freeze()


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    warmup: int = WARMUP,
    in_a_row: int = 1,
    before: Callable[[], object] = lambda: None,
) -> dict[str, Figure]:
    """Time every call once a round, `in_a_row` times; `before` each call something may be done that is not timed."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    settle()
    for number in range(-warmup, rounds):
        for name in shuffled(list(calls), number):
            for _ in range(in_a_row):
                before()
                begun = time.perf_counter()
                calls[name]()
                took = time.perf_counter() - begun
                if number >= 0:
                    seconds[name].append(took)
    return {name: Figure.of(found) for name, found in seconds.items()}


async def ainterleaved(
    calls: Mapping[str, Callable[[], Awaitable[object]]], rounds: int, *, warmup: int = WARMUP, in_a_row: int = 1
) -> dict[str, Figure]:
    """Time coroutines as `interleaved` does calls, on one loop."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    settle()
    for number in range(-warmup, rounds):
        for name in shuffled(list(calls), number):
            for _ in range(in_a_row):
                begun = time.perf_counter()
                await calls[name]()
                took = time.perf_counter() - begun
                if number >= 0:
                    seconds[name].append(took)
    return {name: Figure.of(found) for name, found in seconds.items()}
