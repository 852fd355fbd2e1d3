"""The calls under way of a coordinator that acts for a session without keeping it alive (S13).

Such a coordinator heartbeats because it is used, not because it is there: an attached process that does
nothing must not keep a session alive for ever. Of no colour, any thread.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from comity.holdings import Settable

_PART = 3
"""A call heartbeats when none was sent for this part of the interval."""


class Calls:
    """Counts what is under way, and knows whether a heartbeat is owed for what was called."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._guard = threading.RLock()
        self._waits: set[object] = set()
        self._blocks = 0
        self._owed = False
        self._sent_at = float("-inf")
        self._idle: list[Settable] = []
        self.when_due: Callable[[], None] = lambda: None

    def made(self, interval: float) -> None:
        """Note that a call begins: it counts as a heartbeat, unless one was sent just now."""
        if self._now() - self._sent_at < interval / _PART:
            return
        self._owed = True
        self.when_due()

    @property
    def owed(self) -> bool:
        """Whether the next look at the session must be a heartbeat: something is under way, or was called since."""
        return self._owed or bool(self._waits) or self._blocks > 0

    def beaten(self, at: float) -> None:
        """A heartbeat is sent at `at` for all that was called so far."""
        self._sent_at, self._owed = at, False

    def missed(self) -> None:
        """That heartbeat got no answer."""
        self._sent_at, self._owed = float("-inf"), True

    @contextlib.contextmanager
    def waiting(self) -> Generator[None]:
        """Count a call that may wait for long."""
        mine = object()  # not a count: an interrupt may come before it is counted or after
        try:
            with self._guard:
                self._waits.add(mine)
            yield
        finally:
            with self._guard:
                self._waits.discard(mine)
                idle = [] if self._waits else self._idle[:]
                del self._idle[: len(idle)]
            for flag in idle:
                flag.set()

    def enter_block(self) -> None:
        """The ``with`` block of a lease begins."""
        with self._guard:
            self._blocks += 1

    def leave_block(self) -> None:
        """It ends."""
        with self._guard:
            self._blocks -= 1

    def tell_idle(self, flag: Settable) -> bool:
        """Set `flag` once nobody waits; True when nobody does."""
        with self._guard:
            if not self._waits:
                return True
            self._idle.append(flag)
            return False
