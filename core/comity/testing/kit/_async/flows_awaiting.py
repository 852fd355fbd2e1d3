"""Waiting for a task: woken by what becomes ready, and leaving nothing (rules T2, X3, X5, X9, X11)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from comity import (
    Closed,
    SessionLost,
)
from comity.testing.kit._async.flows_tasks import claimed, waiting
from comity.testing.kit._async.stage import SHORT
from comity.testing.kit._colour._async import AsyncFlowTests
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity.testing.kit._async.stage import AsyncFlowStage


class AsyncAwaitingFlows(AsyncFlowTests):
    """Whoever waits for a task is woken for it, by whatever makes it ready."""

    @rule("T5")
    async def test_a_waiting_claim_is_woken_by_a_push(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        wait = await waiting(stage, bob)
        begun = time.monotonic()
        task = await ann.tasks.push("work")
        claim = await wait.result()
        assert claim.id == task.id
        assert time.monotonic() - begun < 1.0
        await claim.complete()

    @rule("T5")
    async def test_each_of_many_waiting_claims_is_woken_once(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        others = [await stage.join(f"other {number}") for number in range(3)]
        waits = [await waiting(stage, other) for other in others for _ in range(2)]
        tasks = [await ann.tasks.push("work", number) for number in range(6)]
        claims = [await wait.result() for wait in waits]
        assert sorted(claim.payload for claim in claims) == list(range(6))
        assert {claim.id for claim in claims} == {task.id for task in tasks}

    @rule("T5")
    async def test_a_waiting_claim_takes_what_comes_due(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        wait = await waiting(stage, bob)
        begun = time.monotonic()
        await ann.tasks.push("work", delay=0.2)
        claim = await wait.result()
        assert 0.15 < time.monotonic() - begun < 1.2
        await claim.fail("again", retry_in=0.1)
        assert (await claimed(bob, timeout=5)).attempt == 2

    @rule("T1", "T5")
    async def test_a_waiting_claim_takes_what_is_no_longer_blocked(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        first = await ann.tasks.push("first")
        second = await ann.tasks.push("work", depends_on=[first])
        wait = await waiting(stage, bob)
        async with await claimed(ann, "first"):
            pass
        assert (await wait.result()).id == second.id

    @rule("T5", "X3")
    async def test_a_wait_that_times_out_leaves_nothing(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        begun = time.monotonic()
        assert await bob.tasks.claim(["work", "other"], timeout=0.1) is None
        assert 0.09 <= time.monotonic() - begun < 0.6
        await ann.tasks.push("work")
        assert (await ann.tasks.stats("work")).ready == 1
        await claimed(ann)

    @rule("T5", "X11")
    async def test_a_wait_outlives_an_outage(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", deadline=0.1)
        wait = await waiting(stage, bob)
        stage.faults(bob).lose_requests("tasks.claim", times=None)
        await ann.tasks.push("work")
        assert not wait.done
        stage.faults(bob).mend()
        assert (await wait.result()).attempt >= 1

    @rule("X9", "T5")
    async def test_closing_and_losing_end_a_wait(self, stage: AsyncFlowStage) -> None:
        bob, cid = await stage.join("bob"), await stage.join("cid", **SHORT)
        closed, lost = await waiting(stage, bob), await waiting(stage, cid)
        await bob.close()
        with pytest.raises(Closed):
            await closed.result()
        stage.kill(cid)
        with pytest.raises(SessionLost):
            await lost.result()
