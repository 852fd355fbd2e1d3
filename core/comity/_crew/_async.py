"""Tasks of the event loop side by side; each name has a twin in ``_crew/_sync.py``."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
from typing import TYPE_CHECKING, Any, TypeVar

from comity.errors import ClaimLost

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from comity.claims import ClaimState

C = TypeVar("C", bound="ClaimState")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LAST_SECONDS = 1.0


class AsyncCrew:
    """Runs the same call several times over, at once."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, call: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
        """Begin; what the calls raise is theirs to deal with."""
        self._tasks = {asyncio.ensure_future(call()) for _ in range(count)}

    async def join(self, seconds: float) -> bool:
        """Wait up to `seconds`; tell whether all have ended."""
        if self._tasks:
            _, self._tasks = await asyncio.wait(self._tasks, timeout=seconds)
        return not self._tasks

    async def abandon(self) -> None:
        """Cancel those that go on."""
        for task in self._tasks:
            task.cancel()
        await self.join(_LAST_SECONDS)

    @staticmethod
    async def attempt(work: Callable[[C], Any], claim: C) -> Any:
        """Return what ``work(claim)`` returns; it is cancelled when the claim is lost, which raises `ClaimLost`."""
        loop = asyncio.get_running_loop()
        made = work(claim)
        if not inspect.isawaitable(made):  # a plain function will do where it is quick
            return made
        task = asyncio.ensure_future(made)
        forget = claim.on_lost(lambda _: loop.call_soon_threadsafe(task.cancel))
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise ClaimLost(claim.id, claim.queue, claim.token, claim.loss() or "its work was cancelled") from None
        finally:
            forget()


@contextlib.contextmanager
def on_termination(call: Callable[[], None]) -> Iterator[None]:
    """Have ``call()`` called on SIGTERM and SIGINT meanwhile, where this thread gets signals."""
    loop = asyncio.get_running_loop()
    before = {}
    try:
        for number in _SIGNALS:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                handler = signal.getsignal(number)
                loop.add_signal_handler(number, call)
                before[number] = handler
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
