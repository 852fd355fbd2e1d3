"""What is to be reached, and whether it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable


@attrs.frozen
class Goal:
    """A bound on one figure. `unit`: ``x`` for a ratio, ``us``, ``ms``, ``s``, or nothing for a count."""

    what: str
    measure: str
    found: float
    limit: float
    unit: str = "x"
    least: bool = False
    """Whether at least `limit` is wanted; else at most."""

    @property
    def held(self) -> bool:
        """Whether it was reached."""
        return self.found >= self.limit if self.least else self.found <= self.limit

    def cells(self) -> tuple[str, ...]:
        """Return it as the cells of a row."""
        sign = "at least" if self.least else "at most"
        return (
            self.what,
            self.measure,
            f"{sign} {_quantity(self.limit, self.unit)}",
            _quantity(self.found, self.unit),
            "held" if self.held else "**not held**",
        )


HEAD = ("what", "measured", "goal", "found", "")


def markdown(goals: Iterable[Goal]) -> str:
    """Return them as a table of Markdown; what is said once is not said again in the rows below."""
    lines, last = [_row(HEAD), "| --- | --- | --- | ---: | --- |"], ""
    for goal in goals:
        what, *cells = goal.cells()
        lines.append(_row(("" if what == last else what, *cells)))
        last = what
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _quantity(value: float, unit: str) -> str:
    if unit == "":
        return f"{value:.0f}"
    if unit == "us":
        return f"{value:.0f} us"
    return f"{value:.2f} {unit}"
