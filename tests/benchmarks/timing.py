"""Timing calls in turn, so that the noise of a machine falls on all of them alike."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@attrs.frozen
class Figure:
    """Seconds per call: the median, and what 99 of 100 calls stay under."""

    median: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> Figure:
        """Make the figure of some calls."""
        seconds = sorted(seconds)
        return cls(seconds[len(seconds) // 2], seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))])


def interleaved(calls: Mapping[str, Callable[[], object]], rounds: int, warmup: int = 50) -> dict[str, Figure]:
    """Time every call once a round, beginning each round with another one."""
    names = list(calls)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warmup + rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            begun = time.perf_counter()
            calls[name]()
            if number >= warmup:
                seconds[name].append(time.perf_counter() - begun)
    return {name: Figure.of(found) for name, found in seconds.items()}


def table(title: str, figures: Mapping[str, Figure], against: str) -> str:
    """Return a Markdown table of medians, p99 and the ratio of medians to that of `against`."""
    lines = [f"\n### {title}\n", "| what | median us | p99 us | ratio |", "| --- | ---: | ---: | ---: |"]
    base = figures[against].median
    for name, figure in figures.items():
        lines.append(f"| {name} | {figure.median * 1e6:.0f} | {figure.p99 * 1e6:.0f} | {figure.median / base:.2f} |")
    return "\n".join(lines)
