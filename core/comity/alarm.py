"""A timer for the deadlines that come while the heart is held up by the store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Alarm:
    """Calls `ring` once at the earliest moment it was set to; its thread lives only while it is set."""

    def __init__(self, ring: Callable[[], None], now: Callable[[], float]) -> None:
        self._ring, self._now = ring, now
        self._guard = threading.Lock()
        self._timer: threading.Timer | None = None
        self._at = 0.0

    def set(self, at: float) -> None:
        """Ring at the latest when the clock `now` shows `at` (any thread)."""
        with self._guard:
            if self._timer is not None and self._at <= at:
                return
            self._stop()
            self._at = at
            self._timer = threading.Timer(max(at - self._now(), 0.0), self._rings)
            self._timer.name, self._timer.daemon = "comity-alarm", True
            self._timer.start()

    def cancel(self) -> None:
        """Do not ring (any thread); the thread ends at once."""
        with self._guard:
            self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _rings(self) -> None:
        with self._guard:
            if self._timer is not threading.current_thread():
                return
            self._timer = None
        self._ring()
