"""A timer for the deadlines that come while the heart is held up by the store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from comity.flag import Flag

if TYPE_CHECKING:
    from collections.abc import Callable


class Alarm:
    """Calls `ring` once at the earliest moment it was set to; its thread lives only while it is set."""

    def __init__(self, ring: Callable[[], None], now: Callable[[], float]) -> None:
        self._ring, self._now = ring, now
        self._guard = threading.RLock()
        self._off: Flag | None = None
        self._at = 0.0

    def set(self, at: float) -> None:
        """Ring at the latest when the clock `now` shows `at` (any thread)."""
        with self._guard:
            if self._off is not None and self._at <= at:
                return
            self._stop()
            off = Flag()
            threading.Thread(target=self._run, args=(at, off), name="comity-alarm", daemon=True).start()
            self._at, self._off = at, off

    def cancel(self) -> None:
        """Do not ring (any thread); the thread ends at once."""
        with self._guard:
            self._stop()

    def _stop(self) -> None:
        off, self._off = self._off, None
        if off is not None:
            off.set()

    def _run(self, at: float, off: Flag) -> None:
        if off.wait(at - self._now()):
            return
        with self._guard:
            if self._off is not off:
                return
            self._off = None
        self._ring()
