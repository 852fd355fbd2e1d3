"""Cancelled tasks leave nothing behind, wherever the cancellation meets them (rule X5; asyncio only)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from comity.testing.kit._async.stage import AsyncFlowStage


class CancelledFlows(AsyncFlowTests):
    """Each call is cancelled at every turn of the event loop that it takes."""

    @rule("X5")
    async def test_a_cancelled_acquire_leaves_nothing(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")

        async def take() -> None:
            await ann.locks.acquire("lock")

        async def enter() -> None:
            async with ann.locks.acquire("lock"):
                pass

        for call in (take, enter):
            async for done in cancelled_everywhere(call):
                if not done:
                    assert await stage.left_over(bob) == []
                for lease in await ann.locks.mine():
                    await lease.release()

    @rule("X5", "L6")
    async def test_a_cancelled_wait_is_gone_at_once(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        held = await bob.locks.acquire("lock")

        async def wait() -> None:
            await ann.locks.acquire("lock")

        for turns in (*range(30), 60, 120):
            task = asyncio.create_task(wait())
            await pass_turns(turns)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert await stage.left_over(bob) == ["bob"]
        assert await held.release()

    @rule("X5")
    async def test_a_wait_cancelled_while_it_is_granted_leaves_the_lock_free(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        for turns in range(25):
            held = await bob.locks.acquire("lock")
            wait = await stage.queue(ann)
            release = asyncio.create_task(held.release())
            await pass_turns(turns)
            wait.task.cancel()
            await asyncio.wait([wait.task])
            await release
            if wait.task.cancelled():
                assert await stage.left_over(bob) == []
            else:
                await (await wait.result()).release()

    @rule("X5", "L4")
    async def test_a_cancelled_release_frees_the_lock_all_the_same(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        for turns in range(12):
            lease = await ann.locks.acquire("lock")
            task = asyncio.create_task(lease.release())
            await pass_turns(turns)
            task.cancel()
            await asyncio.wait([task])
            if lease.released or turns:
                assert await stage.left_over(bob) == []
            else:  # it had not begun
                assert await lease.release()

    @rule("X5", "S7")
    async def test_a_cancelled_connect_leaves_no_session(self, stage: AsyncFlowStage) -> None:
        bob = await stage.join("bob")
        for turns in range(20):
            task = asyncio.create_task(stage.join(f"ann {turns}"))
            await pass_turns(turns)
            task.cancel()
            await asyncio.wait([task])
            if task.cancelled():
                assert [info.agent_id for info in await bob.sessions.active()] == ["bob"]
            else:
                await task.result().close()

    @rule("X5", "X9")
    async def test_a_cancelled_close_still_ends_every_thread(self, stage: AsyncFlowStage) -> None:
        for turns in range(12):
            ann = await stage.join("ann")
            task = asyncio.create_task(ann.close())
            await pass_turns(turns)
            task.cancel()
            await asyncio.wait([task])
            await ann.close()
            threads = [ann._heart.thread, *ann._ear.threads]  # noqa: SLF001
            await until(lambda threads=threads: not any(t and t.is_alive() for t in threads))  # type: ignore[misc]

    @rule("X5", "G1")
    async def test_a_cancelled_reading_loses_no_signal(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.signals.send("bob", "n", 1)
        inbox = bob.signals.listen()

        async def listen() -> None:
            await inbox.__anext__()

        for call in (bob.signals.receive, lambda: bob.signals.receive(timeout=5), listen):
            async for done in cancelled_everywhere(call):
                if not done:
                    (signal,) = await bob.signals.receive()
                    signal.give_back()
            for signal in await bob.signals.peek():
                assert signal.data == 1
                bob.signals._reader.give_back([signal._sequence])  # noqa: SLF001 - whatever was handed out
        inbox.close()

    @rule("X5")
    async def test_timing_out_from_outside_is_a_cancellation(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await bob.locks.acquire("lock")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ann.locks.acquire("lock")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ann.locks.acquire("lock"), 0.1)
        assert await stage.left_over(bob) == ["bob"]

    @rule("X5", "X11")
    async def test_what_could_not_be_undone_at_once_is_undone_by_the_next_heartbeat(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann", heartbeat_interval=0.2), await stage.join("bob")
        held = await bob.locks.acquire("lock")
        wait = await stage.queue(ann)
        stage.faults(ann).cut()
        wait.task.cancel()
        await asyncio.wait([wait.task])
        assert wait.task.cancelled()
        stage.faults(ann).mend()
        await held.release()

        async def free() -> bool:
            return await stage.left_over(bob) == []

        await until(free, 2.0)


async def pass_turns(count: int) -> None:
    """Let the loop go round so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def cancelled_everywhere(call: Callable[[], Awaitable[Any]]) -> Any:
    """Cancel the call after 0, 1, 2 ... turns of the loop until it ends before; yield whether it did."""
    for turns in range(400):
        task = asyncio.ensure_future(call())
        await pass_turns(turns)
        task.cancel()
        await asyncio.wait([task])
        yield not task.cancelled()
        if not task.cancelled():
            return
    pytest.fail("the call never ended")
