"""Draws tables as one picture: a dot for each median and a line up to the 99th percentile, on one scale of time."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.benchmarks.timing import Figure, Table

WIDTH, LEFT, RIGHT, ROW, HEAD, TOP = 960, 330, 110, 19, 34, 34
LOWEST, HIGHEST = 1e-5, 10.0
"""Seconds at both ends of the scale, which is logarithmic."""
_OURS, _FLOOR, _PEER = "#0b6e99", "#9a9a9a", "#b4532a"
_TICKS = {1e-5: "10 us", 1e-4: "100 us", 1e-3: "1 ms", 1e-2: "10 ms", 1e-1: "100 ms", 1.0: "1 s", 10.0: "10 s"}


def svg(tables: Iterable[Table]) -> str:
    """Return the picture of the tables, one below the other."""
    body: list[str] = []
    y = TOP
    for table in tables:
        y += HEAD
        body.append(_text(12, y - 10, table.title, weight="bold"))
        for name, figure in table.figures.items():
            body.extend(_row(name, figure, y))
            y += ROW
    height = y + 14
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
            'font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *_scale(height),
            *body,
            "</svg>\n",
        ]
    )


def _scale(height: int) -> Iterator[str]:
    for seconds, label in _TICKS.items():
        x = _x(seconds)
        yield f'<line x1="{x}" y1="{TOP - 8}" x2="{x}" y2="{height - 8}" stroke="#e4e4e4"/>'
        yield _text(x, TOP - 14, label, anchor="middle", fill="#555555")


def _row(name: str, figure: Figure, y: int) -> Iterator[str]:
    middle, colour = y + ROW / 2, _colour(name)
    yield _text(LEFT - 10, middle + 4, name, anchor="end", fill=colour)
    median, p99 = _x(figure.median), _x(figure.p99)
    yield f'<line x1="{median}" y1="{middle}" x2="{p99}" y2="{middle}" stroke="{colour}" stroke-width="2"/>'
    yield f'<circle cx="{median}" cy="{middle}" r="4.5" fill="{colour}"/>'
    yield _text(max(median, p99) + 8, middle + 4, _time(figure.median), fill="#333333")


def _colour(name: str) -> str:
    if name.startswith("Comity"):
        return _OURS
    bare = name.startswith(("bare", "PING", "2 PING", "HGETALL"))
    return _FLOOR if bare else _PEER


def _x(seconds: float) -> float:
    share = math.log(min(max(seconds, LOWEST), HIGHEST) / LOWEST) / math.log(HIGHEST / LOWEST)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _time(seconds: float) -> str:
    for unit, size in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", fill: str = "#111111", weight: str = "normal"
) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">{escape(text)}</text>'
