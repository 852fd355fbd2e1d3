"""Claims and pushes that are cancelled or interrupted, wherever that meets them, leave nothing behind (rule X5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from comity.testing.kit._colour._async import AsyncFlowTests
from comity.testing.kit._colour._async import until as auntil
from comity.testing.kit._colour._sync import FlowTests, until
from comity.testing.kit.flows_cancelled import cancelled_everywhere, pass_turns
from comity.testing.kit.flows_interrupted import everywhere
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncClaim, AsyncCoordinator
    from comity.testing.kit._async.stage import AsyncFlowStage
    from comity.testing.kit._sync.stage import FlowStage


class CancelledClaims(AsyncFlowTests):
    """Each call is cancelled at every turn of the event loop that it takes."""

    @rule("X5")
    async def test_a_cancelled_claim_gives_its_task_back_uncounted(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        task = await bob.tasks.push("work", max_attempts=1)

        async def claim() -> None:
            await ann.tasks.claim("work")

        async for done in cancelled_everywhere(claim):
            await stage.settle()
            found = await bob.tasks.get(task.id)
            assert found is not None
            assert (found.status, found.attempts) == (("claimed", 1) if done else ("ready", 0))

    @rule("X5", "T5")
    async def test_a_cancelled_wait_for_a_task_is_gone_and_passes_its_wake_up_on(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        for number in range(25):
            first = asyncio.create_task(_claim(ann))
            await pass_turns(30)
            second = asyncio.create_task(_claim(bob))
            await pass_turns(30)
            push = asyncio.create_task(bob.tasks.push("work", max_attempts=1))
            await pass_turns(number)
            first.cancel()
            await asyncio.wait([first])
            await push
            if not first.cancelled():
                second.cancel()
                await asyncio.wait([second])
                await first.result().complete()
            else:
                async with asyncio.timeout(5):
                    await (await second).complete()
        assert (await bob.tasks.stats("work")).done == 25

    @rule("X5", "T1")
    async def test_a_cancelled_push_leaves_no_task(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")

        async def push() -> None:
            await ann.tasks.push("work")

        async for done in cancelled_everywhere(push):
            await stage.settle()
            assert (await bob.tasks.stats("work")).ready == int(done)

    @rule("X5", "T3")
    async def test_a_cancelled_body_fails_its_task(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        task = await ann.tasks.push("work")

        async def work() -> None:
            async with ann.tasks.claim("work"):
                await asyncio.sleep(60)

        working = asyncio.create_task(work())

        async def claimed() -> bool:
            return (await ann.tasks.stats("work")).claimed == 1

        await auntil(claimed)
        working.cancel()
        await asyncio.wait([working])
        assert working.cancelled()
        found = await ann.tasks.get(task.id)
        assert found is not None
        assert (found.status, found.attempts, found.error) == ("ready", 1, "CancelledError")

    @rule("T4")
    async def test_a_function_is_cancelled_when_its_claim_is_lost(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        ended: list[str] = []

        async def work(claim: AsyncClaim) -> None:
            try:
                await asyncio.sleep(60 if claim.attempt == 1 else 0)
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        worker = ann.tasks.worker("work", work, max_runtime=0.1)
        running = asyncio.create_task(worker.run())
        await ann.tasks.push("work")
        await auntil(lambda: worker.completed == 1)
        assert (ended, worker.lost) == (["cancelled"], 1)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    async def test_a_claim_without_success_enters_its_block_with_none(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        async with ann.tasks.claim("work", timeout=0) as claim:
            assert claim is None


class InterruptedClaims(FlowTests):
    """Each call is interrupted at every line that it runs."""

    @rule("X5")
    def test_an_interrupted_claim_gives_its_task_back_uncounted(self, stage: FlowStage) -> None:
        ann, bob = stage.join("ann"), stage.join("bob")
        until(lambda: ann._ear.listening)  # noqa: SLF001
        task = bob.tasks.push("work", max_attempts=1)

        def check(where: str) -> None:
            found = bob.tasks.get(task.id)
            assert found is not None
            assert (found.status, found.attempts) == ("ready", 0), where

        everywhere(lambda: ann.tasks.claim("work"), check)

    @rule("X5")
    def test_an_interrupted_wait_for_a_task_leaves_nothing(self, stage: FlowStage) -> None:
        ann, bob = stage.join("ann"), stage.join("bob")
        until(lambda: ann._ear.listening)  # noqa: SLF001

        everywhere(lambda: ann.tasks.claim("work", timeout=0.005), lambda _: None)
        # Were anybody left in line, the push would wake it instead.
        wait = stage.start(bob.tasks.claim, "work")
        until(lambda: bob._session.claims.waiting)  # noqa: SLF001
        bob.tasks.push("work")
        wait.result(2.0)

    @rule("X5", "T3")
    def test_an_interrupted_end_can_be_repeated(self, stage: FlowStage) -> None:
        ann = stage.join("ann")

        def attempt() -> None:
            ann.tasks.push("work")
            claim = ann.tasks.claim("work", timeout=0)
            assert claim is not None
            try:
                claim.complete()
            except KeyboardInterrupt:
                claim.complete()
                raise

        def check(where: str) -> None:
            assert ann.tasks.stats("work").claimed == 0, where

        everywhere(attempt, check)


async def _claim(me: AsyncCoordinator) -> AsyncClaim:
    claim = await me.tasks.claim("work")
    assert claim is not None
    return claim
