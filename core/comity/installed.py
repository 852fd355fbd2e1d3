"""What installed distributions offer Comity through entry points."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

BACKENDS = "comity.backends"
PLUGINS = "comity.plugins"


def entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of `group`, in the order of ``sys.path``, without loading them.

    Distributions are looked through once per process (about 4 ms, and 30 ms for the import, which is
    therefore late); what is installed later is seen by new processes.
    """
    return _scan().get(group, ())


@functools.cache
def _scan() -> dict[str, tuple[EntryPoint, ...]]:
    import importlib.metadata

    found = importlib.metadata.entry_points()
    return {group: tuple(found.select(group=group)) for group in (BACKENDS, PLUGINS)}


def forget() -> None:
    """Look again at the next call, for a process that installs packages itself."""
    _scan.cache_clear()


def origin(entry_point: EntryPoint) -> str:
    """Name the distribution of an entry point, for people."""
    dist = entry_point.dist
    return "an unknown distribution" if dist is None else _title(dist)


@functools.cache
def _title(dist: Distribution) -> str:
    """Name and version; remembered, for either parses the distribution's whole metadata."""
    return f"{dist.name} {dist.version}"
