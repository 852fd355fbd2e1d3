"""What the blocking colour does its own way; each name has a twin in ``_colour/_async.py``."""

from __future__ import annotations

import inspect
import os
import threading
from typing import TYPE_CHECKING, Any

from comity.flag import Flag
from comity.flows import new_flow

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

__all__ = ["Beside", "Flag", "Home", "call", "current_flow"]


class _Flow(threading.local):
    """What the calling thread is called; a thread of a forked child is another one."""

    pid, name = 0, ""


_flow = _Flow()


def current_flow() -> str:
    """Name the calling thread."""
    if _flow.pid != os.getpid():
        _flow.pid, _flow.name = os.getpid(), new_flow(threading.current_thread().name)
    return _flow.name


class Home:
    """Where a coordinator may be used: from any thread."""

    __slots__ = ("loop",)

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> None:
        """Do nothing: every thread will do."""

    def block(self, wait: Callable[[float], object], seconds: float) -> None:
        """Call `wait`, which takes up to `seconds`: a thread may block."""
        wait(seconds)

    def join(self, threads: Iterable[threading.Thread], timeout: float) -> None:
        """Wait until the threads have ended, up to `timeout` seconds each; never for the calling one."""
        for thread in threads:
            if thread is not threading.current_thread() and thread.is_alive():
                thread.join(timeout)


class Beside:
    """A flow that runs beside its caller: a daemon thread."""

    __slots__ = ("_thread",)

    def __init__(self, flow: Callable[[], None], name: str) -> None:
        self._thread = threading.Thread(target=flow, name=name, daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def join(self, timeout: float | None) -> bool:
        """Wait for its end, up to `timeout` seconds; tell whether it has ended. From the flow itself: False at once."""
        if self._thread is threading.current_thread():
            return False
        self._thread.join(timeout)
        return self.done

    def abandon(self) -> None:
        """Do nothing: a thread cannot be ended from outside; this one dies with the process."""


def call(function: Callable[..., Any], *args: Any) -> Any:
    """Call what a caller gave; an async function is a TypeError, for there is no loop here."""
    answer = function(*args)
    if not inspect.isawaitable(answer):
        return answer
    if inspect.iscoroutine(answer):
        answer.close()
    raise TypeError("it is async, and this coordinator has no event loop")
