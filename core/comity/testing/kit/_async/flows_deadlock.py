"""Waits that could never end, as a coordinator tells them (rule L13)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from comity import Deadlock, LockTimeout
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncCoordinator
    from comity.testing.kit._async.stage import AsyncFlowStage


class AsyncDeadlockFlows(AsyncFlowTests):
    """Flows wait for each other, but never in a circle."""

    @rule("L13", "X12")
    async def test_of_two_that_wait_for_each_other_one_is_told_who_they_are(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        a = await ann.locks.acquire("a", owner="first")
        await bob.locks.acquire("b", owner="second")
        wait = await stage.queue(bob, "a", owner="second")
        with pytest.raises(Deadlock) as caught:
            await ann.locks.acquire("b", owner="first")
        assert caught.value.name == "b"
        links = [(link.agent_id, link.flow, link.name) for link in caught.value.cycle]
        assert links == [("ann", "first", "b"), ("bob", "second", "a")]
        assert "ann (first) waits for 'b' -> bob (second) waits for 'a' -> ann (first)" in str(caught.value)
        assert await stage.left_over(ann, "b") == ["bob"]
        await a.release()  # the way out
        await wait.result()

    @rule("L13")
    async def test_a_flow_that_waits_for_what_it_holds_is_told_at_once(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        await ann.locks.acquire("lock")
        begun = time.monotonic()
        for timeout in (None, 30):
            with pytest.raises(Deadlock) as caught:
                await ann.locks.acquire("lock", timeout=timeout)
            assert [link.agent_id for link in caught.value.cycle] == ["ann"]
        assert time.monotonic() - begun < 3.0
        with pytest.raises(LockTimeout):  # which does not wait
            await ann.locks.acquire("lock", timeout=0)

    @rule("L13")
    async def test_each_thread_or_task_is_a_flow_of_its_own(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        a = await ann.locks.acquire("a")

        async def other(me: AsyncCoordinator) -> None:
            c = await me.locks.acquire("c")
            await (await me.locks.acquire("a")).release()
            await c.release()

        beside = stage.start(other, ann)

        async def waits() -> bool:
            return bool(await ann.locks.contenders("a"))

        await until(waits)
        with pytest.raises(Deadlock) as caught:
            await ann.locks.acquire("c")
        mine, others = caught.value.cycle
        assert (mine.name, others.name) == ("c", "a")
        assert mine.flow != others.flow
        await a.release()
        await beside.result()

    @rule("L13")
    async def test_a_flow_of_a_thread_or_task_that_has_ended_is_nobody_elses(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        lease = await stage.start(ann.locks.acquire, "lock").result()
        for _ in range(20):  # some of these have the address of the first
            with pytest.raises(LockTimeout):
                await stage.start(ann.locks.acquire, "lock", timeout=0.001).result()
        assert await lease.release()

    @rule("L13", "L7")
    async def test_a_lease_that_ended_here_before_it_did_in_the_store_closes_no_cycle(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        b = await bob.locks.acquire("b", owner="second")
        stage.faults(ann).delay(0.05, "locks.acquire")
        late = await ann.locks.acquire("a", ttl=0.05, owner="first")
        assert late.lost  # it counts from when it was asked for, and the store from when it was granted
        wait = await stage.queue(bob, "a", owner="second")
        beside = await stage.queue(ann, "b", owner="first")
        a = await wait.result()
        assert await a.release()
        assert await b.release()
        assert (await beside.result()).token > a.token

    @rule("L13", "L7")
    async def test_a_flow_may_wait_again_for_what_it_lost_a_moment_ago(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        stage.faults(ann).delay(0.05, "locks.acquire")
        late = await ann.locks.acquire("lock", ttl=0.05)
        again = await ann.locks.acquire("lock")
        assert again.token > late.token
        assert not await late.release()
        assert await again.release()
        assert await stage.told("lock.lost")  # it ended by its own time, as it always does

    @rule("L13", "S13")
    async def test_a_lease_that_another_process_has_renewed_still_closes_a_cycle(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        lease = await ann.locks.acquire("lock", ttl=20.0, owner="main")
        other = await stage.attach(ann.handle)
        (same,) = await other.locks.mine("lock")
        await same.renew(30.0)
        lease.extend(0.0)  # as if the time that was asked for here were over
        assert lease.lost
        with pytest.raises(Deadlock):
            await ann.locks.acquire("lock", owner="main")
        assert not same.lost
        assert await same.release()

    @rule("L13", "L4")
    async def test_a_flow_may_wait_again_for_what_it_could_not_release(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        lease = await ann.locks.acquire("lock")
        stage.faults(ann).fail(InterruptedError, "locks.release")
        stage.faults(ann).lose_requests("locks.release")
        with pytest.raises(InterruptedError):
            await lease.release()
        again = await ann.locks.acquire("lock")
        assert again.token > lease.token

    @rule("L13", "C2")
    async def test_a_strategy_may_still_take_what_could_not_be_waited_for(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        a = await ann.locks.acquire("a", owner="first")
        b = await bob.locks.acquire("b", owner="second")
        wait = await stage.queue(bob, "a", owner="second")
        with pytest.raises(Deadlock):
            await ann.locks.acquire("b", owner="first")
        taken = await ann.locks.acquire("b", owner="first", strategy="last_write")
        assert not await b.release()
        await taken.release()
        await a.release()
        await wait.result()
