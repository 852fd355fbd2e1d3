"""What the leader of the service does for the namespace: ending, giving back, trimming (rule B2)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs

from comity._async.service.jobs import AsyncReap, AsyncTrim
from comity.config import resolve
from comity.jobs import Turn
from comity.model.service import SERVICE_NAME
from comity.testing.kit._async.stage import SHORT
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncCoordinator
    from comity.testing.kit._async.stage import AsyncFlowStage


async def turn_of(me: AsyncCoordinator, job: Any) -> Counter[str]:
    """Give a job one turn, as if this session led; return what it counted."""
    held = await me.locks.mine(SERVICE_NAME)
    lease = held[0] if held else await me.locks._stand_for(SERVICE_NAME, 0, "test", lambda _: None)  # noqa: SLF001
    turn = Turn(me, lease, lambda: False)
    await job.run(turn)
    return turn.counts


class AsyncHousekeepingFlows(AsyncFlowTests):
    """The built-in jobs, one by one."""

    @rule("B2", "T4")
    async def test_the_leader_gives_back_a_claim_that_ran_for_too_long(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        task = await ann.tasks.push("q", 1)
        claim = await ann.tasks.claim("q", timeout=0, max_runtime=0.05)
        assert claim is not None
        stage.kill(ann)
        job = AsyncReap(bob._space)  # noqa: SLF001

        async def is_ready() -> bool:
            await turn_of(bob, job)
            found = await bob.tasks.get(task.id)
            return found is not None and found.status == "ready"

        await until(is_ready, 2.0)

    @rule("B2", "S8")
    async def test_the_leader_ends_a_session_that_nobody_else_noticed(self, stage: AsyncFlowStage) -> None:
        bob = await stage.join("bob")
        bob._heart.stop()  # noqa: SLF001 - so that it is the job alone
        ann = await stage.join("ann", **SHORT)
        stage.kill(ann)
        job = AsyncReap(bob._space)  # noqa: SLF001
        counts: Counter[str] = Counter()

        async def reaped() -> bool:
            counts.update(await turn_of(bob, job))
            return bool(counts["reaped"])

        await until(reaped, 3.0)
        assert [fact["reason"] for fact in await stage.told("session.left")] == ["expired"]

    @rule("B2")
    async def test_the_leader_does_away_with_what_is_past_its_time(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me")
        job = AsyncTrim(me._space)  # noqa: SLF001
        assert await turn_of(me, job) == {}
        for number in range(3):
            await me.state.put(f"brief/{number}", number, ttl=0.02)
            await me.signals.send("me", "note", ttl=0.02)
        await me.state.put("kept", 1)

        async def gone() -> bool:
            return not await me.signals.peek() and not await me.state.get("brief/2")

        await until(gone, 2.0)
        counts = await turn_of(me, job)
        assert counts["signals"] + counts["keys"] > 0
        assert await turn_of(me, job) == {}
        assert await me.state.get("kept") is not None

    @rule("B2")
    async def test_the_leader_deletes_finished_tasks_that_are_too_old(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me")
        settings = resolve({"COMITY_TASKS_KEPT_FOR": "1"})
        await me.tasks.push("q", 1)
        claim = await me.tasks.claim("q", timeout=0)
        assert claim is not None
        await claim.complete("done")
        job = AsyncTrim(attrs.evolve(me._space, settings=settings))  # noqa: SLF001
        assert await turn_of(me, job) == {}

        async def deleted() -> bool:
            return (await turn_of(me, job))["tasks"] == 1

        await until(deleted, 3.0)
