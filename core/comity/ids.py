"""Request ids: unique for ever, cheap to make."""

from __future__ import annotations

import itertools
import secrets


class Ids:
    """Makes request ids: 64 random bits drawn once, then a count (any thread)."""

    __slots__ = ("_count", "_prefix")

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8)
        self._count = itertools.count(1)

    def __call__(self) -> str:
        """Return an id that was never returned before, here or anywhere."""
        return f"{self._prefix}{next(self._count):x}"
