"""Distributions that are not installed: a module and its entry points in a folder on ``sys.path``."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

from comity import installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest


class Distributions:
    """Adds distributions for one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.modules: list[str] = []

    def add(self, name: str, source: str, **entry_points: str) -> None:
        """Add distribution `name` of one module of that name; keywords are ``group__name="value"``, _ for ."""
        (self._folder / f"{name}.py").write_text(textwrap.dedent(source))
        info = self._folder / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = []
        for key, value in entry_points.items():
            group, _, point = key.partition("__")
            lines += [f"[{group.replace('_', '.')}]", f"{point} = {value}"]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        self.modules.append(name)
        installed.forget()


def made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    """Give a `Distributions`, with nothing else installed, and clean up."""
    distributions = Distributions(folder)
    everything = installed._scan
    monkeypatch.syspath_prepend(str(folder))

    def only_here() -> object:
        return {
            group: tuple(point for point in points if point.dist and str(folder) in str(point.dist.locate_file("")))
            for group, points in everything().items()
        }

    only_here.cache_clear = everything.cache_clear  # type: ignore[attr-defined]
    monkeypatch.setattr(installed, "_scan", only_here)
    installed.forget()
    yield distributions
    for name in distributions.modules:
        sys.modules.pop(name, None)
    installed.forget()
