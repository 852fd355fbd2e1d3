"""The flag that threads wait for, which an interrupt cannot leave locked.

`threading.Event` and `threading.Condition` take and give back their lock in lines of Python, so a KeyboardInterrupt
that comes between two of them leaves it taken, and whoever uses it next waits for ever (bpo-29988). Only a ``with``
on a lock of C itself, and calls of C, are whole. So where the main thread may come by there is no Event and no
Condition, and every guard is an RLock: a signal handler that closes the coordinator may be called by the thread that
has one.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue

_SLICE = 0.5
"""Seconds for which the main thread waits in one go: a signal that comes just before it begins to wait, or to
another thread, does not end the wait (and none does on Windows), so an interrupt is seen after it at the latest."""
_LONGEST = 86_400.0


class Flag:
    """Set and waited for by any threads, and set by signal handlers; of `threading.Event` what the library needs."""

    __slots__ = ("_is_set", "_woken")

    def __init__(self) -> None:
        self._is_set = False
        self._woken: SimpleQueue[None] = SimpleQueue()
        """Holds something while the flag is set, or was just now; one who waits passes it on to the next."""

    @property
    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it and wake who waits."""
        self._is_set = True
        self._wake()

    def clear(self) -> None:
        """Unset it; look at the facts *after* this and before `wait`."""
        self._is_set = False
        while not self._woken.empty():
            try:
                self._woken.get_nowait()
            except Empty:
                return

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; tell whether the flag is set. An interrupt ends it within half a second."""
        longest = _SLICE if threading.current_thread() is threading.main_thread() else _LONGEST
        ends = time.monotonic() + timeout
        while not self._is_set:
            left = ends - time.monotonic()
            try:
                self._woken.get(timeout=max(min(left, longest), 0.0))
            except Empty:
                if left <= longest:
                    return self._is_set
        self._wake()  # the next one who waits
        return True

    def _wake(self) -> None:
        if self._woken.empty():
            self._woken.put(None)
