"""One text for both colours: traffic is written in ``async def`` and performed with or without an event loop.

In the blocking colour nothing that is awaited ever waits, so a coroutine runs to its end at the first push.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import FrameType

T = TypeVar("T")

_OURS = ("/core/comity/", "/backends/comity_")


class Interrupted(Exception):
    """A call was ended in the middle: by a KeyboardInterrupt, or by the cancellation of its task."""


class Colour(Protocol):
    """How a process performs its traffic."""

    def ready(self) -> None:
        """Make SIGINT end the call that is under way, and nothing else."""

    def run(self, main: Coroutine[Any, Any, None]) -> None: ...

    async def call(self, make: Callable[[], Any]) -> Any:
        """Perform a call of the library; raises `Interrupted` when it was ended in the middle."""

    async def next(self, iterator: Any) -> Any:
        """Return what comes next, None at the end."""

    async def pause(self, seconds: float) -> None: ...

    def beside(self, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something else at the same time."""


class Blocking:
    """Threads."""

    def ready(self) -> None:
        signal.signal(signal.SIGINT, self._interrupt)

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        run_now(main)

    @staticmethod
    def _interrupt(_: int, frame: FrameType | None) -> None:
        """Raise inside a call of the library and nowhere else: between two there is nothing to be left behind."""
        inside = False
        while frame is not None:
            inside = inside or any(part in frame.f_code.co_filename for part in _OURS)
            if inside and frame.f_code is Blocking.call.__code__:
                raise KeyboardInterrupt
            frame = frame.f_back

    async def call(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except KeyboardInterrupt as error:
            raise Interrupted from error

    async def next(self, iterator: Any) -> Any:
        return next(iterator, None)

    async def pause(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - in this colour there is no loop to hold up

    def beside(self, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        threading.Thread(target=lambda: run_now(what()), daemon=True).start()


class Asyncio:
    """Tasks."""

    def __init__(self) -> None:
        self._inner: asyncio.Future[Any] | None = None
        self._outer: asyncio.Task[Any] | None = None
        self._beside: set[asyncio.Task[None]] = set()

    def ready(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # until the loop is there

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        async def begin() -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._cancel)
            self._outer = asyncio.current_task()
            await main
            for task in self._beside:
                task.cancel()

        asyncio.run(begin())

    def _cancel(self) -> None:
        if self._inner is not None:
            self._inner.cancel()

    async def call(self, make: Callable[[], Any]) -> Any:
        if asyncio.current_task() is not self._outer:
            return await make()
        self._inner = asyncio.ensure_future(_awaited(make()))
        try:
            return await self._inner
        except asyncio.CancelledError as error:
            if self._outer is not None and self._outer.cancelling():
                raise
            raise Interrupted from error
        finally:
            self._inner = None

    async def next(self, iterator: Any) -> Any:
        return await anext(iterator, None)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def beside(self, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.ensure_future(what())
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


async def _awaited(pending: Awaitable[T]) -> T:
    return await pending


def run_now(coroutine: Coroutine[Any, Any, None]) -> None:
    """Perform what awaits nothing that waits."""
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
        raise AssertionError("something waited for an event loop where there is none")
