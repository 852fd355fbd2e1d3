"""What threads wait for, a flag or a channel, which an interrupt cannot leave locked.

`threading.Event` and `threading.Condition` take and give back their lock in lines of Python, so a KeyboardInterrupt
that comes between two of them leaves it taken, and whoever uses it next waits for ever (bpo-29988). Only a ``with``
on a lock of C itself, and calls of C, are whole. So where the main thread may come by there is no Event and no
Condition, and every guard is an RLock: a signal handler that closes the coordinator may be called by the thread that
has one.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

_SLICE = 0.5
"""Seconds for which the main thread waits in one go: a signal that comes just before it begins to wait, or to
another thread, does not end the wait (and none does on Windows), so an interrupt is seen after it at the latest."""
_LONGEST = 86_400.0


class Flag:
    """Set and waited for by any threads, and set by signal handlers; of `threading.Event` what the library needs."""

    __slots__ = ("_asleep", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._asleep = threading.Lock()
        """Free while the flag is set, or was just now; one who is woken by it wakes the next."""
        self._asleep.acquire()

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
        self._asleep.acquire(blocking=False)
        if self._is_set:  # again, meanwhile
            self._wake()

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; tell whether the flag is set. An interrupt ends it within half a second."""
        longest = _SLICE if threading.current_thread() is threading.main_thread() else _LONGEST
        ends = time.monotonic() + timeout
        while not self._is_set:
            left = ends - time.monotonic()
            if not self._asleep.acquire(timeout=max(min(left, longest), 0.0)) and left <= longest:
                return self._is_set
        self._wake()  # the next one who waits
        return True

    def _wake(self) -> None:
        try:  # noqa: SIM105 - a call of C, and no line of Python after it
            self._asleep.release()
        except RuntimeError:
            pass  # whoever is next is woken already


class Channel(Generic[T]):
    """What threads put in order for one that takes it.

    `queue.SimpleQueue` does for one that takes without a time limit; with one it may wait for ever (its ``get`` goes on
    with what is left of the time although that is less than nothing).
    """

    __slots__ = ("_items", "_there")

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._there = Flag()

    def put(self, item: T) -> None:
        """Append `item` and wake who waits."""
        self._items.append(item)
        self._there.set()

    def get(self, timeout: float | None) -> T:
        """Take the first, waiting up to `timeout` seconds (None: for ever); raises `TimeoutError`."""
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            self._there.clear()
            left = ends - time.monotonic()
            if not self._items and left > 0:
                self._there.wait(left)
                continue
            try:
                return self._items.popleft()
            except IndexError:
                raise TimeoutError from None

    def empty(self) -> bool:
        """Tell whether there is nothing to take."""
        return not self._items
