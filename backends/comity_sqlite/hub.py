"""What the backends of one process share about one file: the turn to write, and who listens."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

from comity_sqlite.file import LOG_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_guard = threading.RLock()
_hubs: weakref.WeakValueDictionary[tuple[int, Path], Hub] = weakref.WeakValueDictionary()


class Hub:
    """One per process and file.

    `writer`: threads of one process take turns here before they contend with other processes for the
    file's lock, which knows no queue. It knows its owner, so that one who was interrupted can give back what he may
    have. `write_back_at`: size of the log at which it is written back next.
    """

    def __init__(self) -> None:
        self.writer = threading.RLock()
        self.write_back_at = LOG_LIMIT
        self._bells: weakref.WeakSet[Bell] = weakref.WeakSet()
        self._bells_guard = threading.RLock()

    def add(self, bell: Bell) -> None:
        """Ring `bell` from now on."""
        with self._bells_guard:
            self._bells.add(bell)

    def remove(self, bell: Bell) -> None:
        """Ring `bell` no more."""
        with self._bells_guard:
            self._bells.discard(bell)

    def ring(self) -> None:
        """Have this process's listeners look at once; other processes' see the change when they poll."""
        with self._bells_guard:
            bells = list(self._bells)
        for bell in bells:
            bell.ring()


class Bell:
    """Wakes one listener's thread."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self.ring = ring


def hub_of(path: Path) -> Hub:
    """Return the hub of `path` in this process; a forked child gets its own."""
    key = (os.getpid(), path)
    with _guard:
        hub = _hubs.get(key)
        if hub is None:
            hub = _hubs[key] = Hub()
        return hub


def _after_fork() -> None:
    global _guard  # noqa: PLW0603 - another thread may have held it when the process forked
    _guard = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
