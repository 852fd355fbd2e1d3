"""What `acquire` and `aconnect` return in asyncio: awaited, entered, or made a task of."""

from __future__ import annotations

import asyncio
from typing import Self

import pytest

from comity._colour._async import AsyncPending


class Opened:
    def __init__(self) -> None:
        self.inside = False

    async def __aenter__(self) -> Self:
        self.inside = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.inside = False


async def opened(started: asyncio.Event | None = None) -> Opened:
    if started is not None:
        started.set()
        await asyncio.Event().wait()
    return Opened()


def test_it_can_be_awaited_or_entered() -> None:
    async def main() -> None:
        assert not (await AsyncPending(opened())).inside
        async with AsyncPending(opened()) as one:
            assert one.inside
        assert not one.inside

    asyncio.run(main())


def test_it_can_become_a_task_by_every_way_there_is() -> None:
    async def main() -> None:
        one = asyncio.create_task(AsyncPending(opened()))
        async with asyncio.TaskGroup() as group:
            two = group.create_task(AsyncPending(opened()))
        three, four = await asyncio.gather(AsyncPending(opened()), asyncio.wait_for(AsyncPending(opened()), 5))
        assert all(isinstance(each, Opened) for each in (await one, two.result(), three, four))

    asyncio.run(main())


def test_a_cancelled_task_of_it_is_cancelled() -> None:
    async def main() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(AsyncPending(opened(started)))
        await asyncio.wait_for(started.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
