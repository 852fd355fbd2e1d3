"""What a lease's handle is worth wherever it is, and what a call may take (rules L4, L5, L7, X2, X3, E4)."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import pytest

from comity import Event, Gap, LockTimeout
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity.testing.kit._async.stage import AsyncFlowStage


class AsyncHandleFlows(AsyncFlowTests):
    """Handles are objects, not facts about a thread; time runs from when a request was sent."""

    @rule("L4")
    async def test_a_lease_is_released_wherever_its_handle_is(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        theirs = await stage.start(ann.locks.acquire, "lock").result()
        assert theirs.ensure_held() == theirs.token
        assert await theirs.release()
        mine = await ann.locks.acquire("lock", timeout=0)
        assert await stage.start(mine.release).result()
        assert await ann.locks.holder("lock") is None

    @rule("L5", "X12")
    async def test_a_block_is_never_entered_without_its_lock(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.locks.acquire("lock")
        for timeout in (0, 0.02):
            entered = False
            with pytest.raises(LockTimeout):
                async with bob.locks.acquire("lock", timeout=timeout):
                    entered = True
            assert not entered

    @rule("L5", "X3")
    async def test_a_wait_may_be_longer_than_a_call_may_take(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", deadline=0.2)
        lease = await ann.locks.acquire("lock")
        begun = time.monotonic()
        with pytest.raises(LockTimeout) as caught:
            await bob.locks.acquire("lock", timeout=0.5)
        assert 0.5 <= time.monotonic() - begun < 0.6
        assert caught.value.waited >= 0.49
        wait = await stage.queue(bob)
        await lease.release()
        assert (await wait.result()).token > lease.token

    @rule("L7")
    async def test_a_lease_whose_handle_is_forgotten_is_held_until_its_session_ends(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        token = (await ann.locks.acquire("lock")).token
        gc.collect()
        assert [holder.token for holder in await bob.locks.holders("lock")] == [token]
        await ann.close()
        assert await bob.locks.holders("lock") == []

    @rule("X2", "L8", "S12")
    async def test_time_runs_from_when_a_request_was_sent(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", session_ttl=30)
        late = 0.3
        stage.faults(ann).delay(late, "locks.acquire")
        lease = await ann.locks.acquire("lock", ttl=2.0)
        assert lease.expires_at is not None
        assert lease.expires_at - ann.backend.now() <= 2.0 - late
        stage.faults(ann).delay(late, "presence.heartbeat", times=None)
        await ann.beat()
        assert ann._session.deadline - ann.backend.now() <= 30 - late  # noqa: SLF001 - no public call tells it

    @rule("E4")
    async def test_a_subscriber_that_takes_nothing_slows_no_publisher(
        self, stage: AsyncFlowStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COMITY_EVENTS_KEPT", "20")
        ann, bob = await stage.join("ann"), await stage.join("bob")
        events = bob.events.subscribe("builds", after="start")
        await ann.events.publish("builds", 1)
        assert isinstance(await events.__anext__(), Event)  # it follows from here, and is not asked again
        before = stage.faults(ann).sent
        for number in range(2, 202):
            await ann.events.publish("builds", number)
        assert stage.faults(ann).counts["pubsub.publish"] == 201
        assert stage.faults(ann).sent - before <= 210  # one step each, and a heartbeat or two
        gap = await events.__anext__()
        assert isinstance(gap, Gap)
        assert gap.first == 2
        assert gap.last is not None
        assert gap.last >= 100
        after = await events.__anext__()
        assert isinstance(after, Event)
        assert after.payload == gap.last + 1
        events.close()

    @rule("L5")
    async def test_many_waits_are_told_by_one_listener(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        leases = [await ann.locks.acquire(f"lock {number}") for number in range(20)]
        waits = [await stage.queue(bob, lease.name) for lease in leases]
        assert stage.mine().count("comity-ear") == 2  # one of each session
        for lease in leases:
            await lease.release()
        for lease, wait in zip(leases, waits, strict=True):
            assert (await wait.result()).token > lease.token
        await until(lambda: not bob._session.holdings.waiting)  # noqa: SLF001
