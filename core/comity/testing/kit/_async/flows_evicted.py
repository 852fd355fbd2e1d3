"""How a session is ended by a steward, and what its processes see (rule S14)."""

from __future__ import annotations

import pytest

from comity import AccessDenied, InvalidArgument, InvalidName, Left, Liveness, LockLost, NoSuchSession, SessionLost
from comity.testing.kit._async.stage import SHORT, AsyncFlowStage
from comity.testing.kit._colour._async import AsyncFlowTests, pause, until
from comity.testing.kit.rules import rule


class AsyncEvictedFlows(AsyncFlowTests):
    """A steward ends a session, which learns by whom and why."""

    @rule("S14", "L8")
    async def test_an_evicted_session_is_told_by_whom_and_why_at_once(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", on_lost="rejoin"), await stage.join("bob")
        eve = await stage.join("eve", access_tier="STEWARD")
        told: list[SessionLost] = []
        ann.sessions.on_lost(told.append)
        changes = bob.sessions.watch()
        await anext(changes)
        lease = await ann.locks.acquire("lock")
        lost: list[LockLost] = []
        lease.on_lost(lost.append)
        wait = await stage.queue(bob)
        await until(lambda: ann._ear.listening)  # noqa: SLF001
        await eve.sessions.evict("ann", "hangs since noon")
        assert (await wait.result(1.0)).ensure_held()
        assert await until(lambda: ann.liveness is Liveness.LOST, 2.0) < 1.0
        await until(lambda: told and lost)
        assert told[0].reason == "evicted by eve: hangs since noon"
        assert "hangs since noon" in lost[0].reason
        with pytest.raises(SessionLost, match="hangs since noon"):
            await ann.locks.acquire("other")
        left = await anext(changes)
        assert isinstance(left, Left)
        assert (left.agent_id, left.reason) == ("ann", "evicted")
        changes.close()
        assert await bob.sessions.get("ann") is None
        assert len(await stage.told("session.left")) == 1

    @rule("S14")
    async def test_an_evicted_session_does_not_rejoin_by_itself_and_may_be_announced_again(
        self, stage: AsyncFlowStage
    ) -> None:
        ann = await stage.join("ann", on_lost="rejoin", **SHORT)
        eve = await stage.join("eve", access_tier="STEWARD")
        await eve.sessions.evict("ann", "enough")
        await until(lambda: ann.liveness is Liveness.LOST)
        await pause(0.3)
        assert await eve.sessions.get("ann") is None
        await ann.announce()
        assert ann.liveness is Liveness.LIVE

    @rule("S14", "S13")
    async def test_every_process_of_an_evicted_session_is_told(self, stage: AsyncFlowStage) -> None:
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier="STEWARD")
        one = await stage.attach(ann.handle)
        await until(lambda: ann._ear.listening and one._ear.listening)  # noqa: SLF001
        await eve.sessions.evict("ann", "enough")
        await until(lambda: ann.liveness is Liveness.LOST and one.liveness is Liveness.LOST, 2.0)
        with pytest.raises(SessionLost, match="enough"):
            await one.locks.mine()

    @rule("S14", "A1", "X6")
    async def test_an_eviction_that_cannot_be_is_refused(self, stage: AsyncFlowStage) -> None:
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier="STEWARD")
        with pytest.raises(AccessDenied, match="STEWARD"):
            await ann.sessions.evict("eve", "because")
        with pytest.raises(NoSuchSession, match="nobody"):
            await eve.sessions.evict("nobody", "because")
        with pytest.raises(InvalidArgument, match=r"depart\(\)"):
            await eve.sessions.evict("eve", "because")
        with pytest.raises(InvalidName):
            await eve.sessions.evict("ann", "")
        assert ann.liveness is Liveness.LIVE
        assert stage.faults(eve).counts["presence.evict"] == 1
