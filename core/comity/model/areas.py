"""Areas: a name that ends in ``/`` covers every name that begins with it (rule L14)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def is_area(name: str) -> bool:
    """Tell whether a name covers those that begin with it."""
    return name.endswith("/")


def covers(area: str, name: str) -> bool:
    """Tell whether who has `area` has `name`: it is the same, or lies below."""
    return area == name or (is_area(area) and name.startswith(area))


def overlap(one: str, other: str) -> bool:
    """Tell whether two names are one, or one covers the other."""
    return covers(one, other) or covers(other, one)


def areas_above(name: str) -> list[str]:
    """Return the areas that cover a name, but for itself, the widest first: ``a/`` and ``a/b/`` of ``a/b/c``."""
    if "/" not in name:
        return []
    return [name[: at + 1] for at, char in enumerate(name[:-1]) if char == "/"]


def bounds_below(area: str) -> tuple[str, str]:
    """Return the bounds of the names below an area in byte order, neither of which is below it."""
    return area, area[:-1] + "0"  # which follows "/"


def spread(names: Iterable[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return where to look for what overlaps `names`: at these names, and below these areas; nothing is met twice."""
    given = tuple(names)
    return _spread(given) if any("/" in name for name in given) else (tuple(dict.fromkeys(given)), ())


@functools.lru_cache(maxsize=512)
def _spread(given: tuple[str, ...]) -> tuple[Sequence[str], Sequence[str]]:
    areas = {name for name in given if is_area(name)}
    widest = [name for name in dict.fromkeys(given) if name in areas and areas.isdisjoint(areas_above(name))]
    exact = dict.fromkeys(each for name in given for each in (*areas_above(name), name))
    return tuple(each for each in exact if areas.isdisjoint(areas_above(each))), tuple(widest)


def overlapping(names: Iterable[str]) -> Callable[[str], bool]:
    """Return what tells whether a name overlaps one of `names`."""
    given = list(names)
    there = {*given, *(area for name in given for area in areas_above(name))}
    areas = tuple(name for name in given if is_area(name))
    return lambda name: name in there or name.startswith(areas)
