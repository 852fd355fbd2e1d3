"""What the asyncio colour does its own way; each name has a twin in ``_colour/_sync.py``.

``tools/unasync.py`` turns each ``Async`` name into its bare twin, so flows never ask which colour they are.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import weakref
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar, cast

from comity.errors import WrongLoop
from comity.flows import new_flow

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from types import TracebackType

T = TypeVar("T")

_JOIN_STEP = 0.002


class AsyncFlag:
    """A flag that a task awaits in the loop that made it; set from any thread."""

    __slots__ = ("_event", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        """Set it and wake who waits; harmless when the loop is gone."""
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def clear(self) -> None:
        """Unset it; look at the facts *after* this and before `wait`."""
        self._event.clear()

    async def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; tell whether the flag is set."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return self._event.is_set()
        return True


_flows: weakref.WeakKeyDictionary[asyncio.Task[Any], str] = weakref.WeakKeyDictionary()


def current_flow() -> str:
    """Name the calling task."""
    task = asyncio.current_task()
    if task is None:
        return ""
    flow = _flows.get(task)
    if flow is None:
        flow = _flows[task] = new_flow(task.get_name())
    return flow


class AsyncHome:
    """Where an async coordinator may be used: in the loop that made it."""

    __slots__ = ("loop",)

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()

    def check(self) -> None:
        """Raise `WrongLoop` in any other loop, and outside of all."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            raise WrongLoop from None
        if running is not self.loop:
            raise WrongLoop

    def block(self, wait: Callable[[float], object], seconds: float) -> None:
        """Do nothing: a loop must not be blocked."""

    async def join(self, threads: Iterable[threading.Thread], timeout: float) -> None:
        """Wait until the threads have ended, up to `timeout` seconds each; never for the calling one."""
        for thread in threads:
            ends = time.monotonic() + timeout
            # A thread to wait in would itself outlive the coordinator.
            while thread.is_alive() and thread is not threading.current_thread() and time.monotonic() < ends:  # noqa: ASYNC110
                await asyncio.sleep(_JOIN_STEP)


class AsyncBeside:
    """A flow that runs beside its caller: a task of this loop."""

    __slots__ = ("_task",)

    def __init__(self, flow: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._task = asyncio.get_running_loop().create_task(flow(), name=name)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._task.done()

    async def join(self, timeout: float | None) -> bool:
        """Wait for its end, up to `timeout` seconds; tell whether it has ended. From the flow itself: False at once."""
        if self._task is asyncio.current_task():
            return False
        await asyncio.wait([self._task], timeout=timeout)
        return self._task.done()

    def abandon(self) -> None:
        """End it where it stands: whoever waited for it waited long enough."""
        self._task.cancel()


async def acall(function: Callable[..., Any], *args: Any) -> Any:
    """Call what a caller gave: an async function in this loop, a plain one in a thread, for it may block."""
    if inspect.iscoroutinefunction(function):
        return await function(*args)
    answer = await asyncio.to_thread(function, *args)
    return await answer if inspect.isawaitable(answer) else answer


class AsyncPending(Coroutine[Any, Any, T]):
    """One object that can be awaited for its value or entered as ``async with``.

    It is a coroutine besides, so that ``asyncio.create_task`` and ``TaskGroup.create_task`` take it.
    """

    __slots__ = ("_coroutine", "_value")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._value: Any = None

    def __await__(self) -> Generator[Any, None, T]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """Go on, as a coroutine does."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise in it, as in a coroutine."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """End it unfinished, as a coroutine."""
        self._coroutine.close()

    async def __aenter__(self) -> T:
        self._value = await self._coroutine
        entered: Any = self._value
        if entered is not None:  # it is None where a claim found no task: that is what the body gets
            entered = await self._value.__aenter__()
        return cast("T", entered)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._value is not None:
            await self._value.__aexit__(kind, error, trace)
