"""How asyncio tests run: each in an event loop of its own, as plain functions to pytest."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from comity.testing.kit._async.stage import AsyncFlowStage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from comity.testing.kit.stage import MakeBackend

T = TypeVar("T")

LONGEST = 30.0
"""Seconds a test may take."""
CROWD = 50
"""How many tasks use one coordinator at once."""
_STEP = 0.005


class AsyncBackground(Generic[T]):
    """A call that runs beside the test, in a task."""

    def __init__(self, call: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> None:
        async def perform() -> T:
            return await call(*args, **options)

        self.task = asyncio.create_task(perform())

    @property
    def done(self) -> bool:
        """Whether it has returned or raised."""
        return self.task.done()

    async def result(self, within: float = 5.0) -> T:
        """Return what it returns, or raise what it raises; fail after `within` seconds."""
        done, _ = await asyncio.wait([self.task], timeout=within)
        assert done, f"not back within {within} s"
        return self.task.result()

    async def end(self) -> None:
        """Wait until it has ended, whatever came of it."""
        self.task.cancel()
        await asyncio.wait([self.task])
        if not self.task.cancelled():
            self.task.exception()


async def pause(seconds: float) -> None:
    """Let time pass, where nothing can be waited for."""
    await asyncio.sleep(seconds)


async def until(condition: Callable[[], Any], within: float = 5.0) -> float:
    """Wait until `condition`, which may be a coroutine function, holds; return the seconds it took."""
    begun = time.monotonic()
    while True:
        answer = condition()
        if await answer if inspect.isawaitable(answer) else answer:
            return time.monotonic() - begun
        assert time.monotonic() < begun + within, f"not so within {within} s"
        await asyncio.sleep(_STEP)


def _plain(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make of an ``async def`` test one that pytest can call; it runs in the loop of its stage."""

    @functools.wraps(test)
    def run(self: AsyncFlowTests, **fixtures: Any) -> None:
        async def perform() -> None:
            async with asyncio.timeout(LONGEST):
                await test(self, **fixtures)

        fixtures["stage"].runner.run(perform())

    return run


class AsyncFlowTests:
    """The root of the asyncio flow tests: give `make_backend` and inherit."""

    def __init_subclass__(cls) -> None:
        for name, value in list(vars(cls).items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(value):
                setattr(cls, name, _plain(value))

    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        """Override: return a function that opens a backend on a namespace of one store."""
        raise NotImplementedError

    @pytest.fixture
    def stage(self, make_backend: MakeBackend) -> Iterator[AsyncFlowStage]:
        """Set the stage, and clear it."""
        with asyncio.Runner() as runner:
            stage = AsyncFlowStage(make_backend)
            stage.runner = runner
            try:
                yield stage
            finally:
                runner.run(stage.close())
