"""Threads side by side; each name has a twin in ``_crew/_async.py``."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comity.claims import ClaimState

C = TypeVar("C", bound="ClaimState")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Crew:
    """Runs the same call several times over, at once."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, call: Callable[[], None], count: int) -> None:
        """Begin; what the calls raise is theirs to deal with."""
        self._threads = [
            threading.Thread(target=call, name=f"comity-worker-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> bool:
        """Wait up to `seconds`; tell whether all have ended."""
        ends = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(ends - time.monotonic(), 0.0))
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return not self._threads

    def abandon(self) -> None:
        """Leave those that go on to themselves: a thread cannot be ended."""

    @staticmethod
    def attempt(work: Callable[[C], Any], claim: C) -> Any:
        """Return what ``work(claim)`` returns."""
        return work(claim)


@contextlib.contextmanager
def on_termination(call: Callable[[], None]) -> Iterator[None]:
    """Have ``call()`` called on SIGTERM and SIGINT meanwhile, where this thread gets signals.

    It is called between any two lines of this thread, so it may do no more than set an attribute.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number in _SIGNALS:
            signal.signal(number, lambda *_: call())
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
