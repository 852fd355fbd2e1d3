"""A session that outlives who began it, kept alive by whoever acts for it (rule S13)."""

from __future__ import annotations

import attrs
import pytest

from comity import (
    BackendUnavailable,
    Liveness,
    SessionLost,
)
from comity.testing.kit._async.flows_attached import LONG
from comity.testing.kit._async.stage import SHORT, AsyncFlowStage
from comity.testing.kit._colour._async import AsyncFlowTests, pause, until
from comity.testing.kit.rules import rule


class AsyncOutlivedFlows(AsyncFlowTests):
    """A session lives by what is called for it, whoever began it. These take time."""

    @rule("S13")
    async def test_a_detached_session_lives_by_the_calls_of_whoever_acts_for_it(self, stage: AsyncFlowStage) -> None:
        start, bob = await stage.join("ann", detached=True, **SHORT), await stage.join("bob")
        handle = start.handle
        await start.close()
        one = await stage.attach(handle)
        lease = await one.locks.acquire("lock")
        for _ in range(6):
            await pause(0.15)
            await one.locks.holders("lock")
        assert lease.ensure_held()
        found = await bob.sessions.get("ann")
        assert found is not None
        assert (found.pid, found.session_ttl) == (0, 0.6)
        await until(lambda: one.liveness is Liveness.LOST, 2.0)  # idle from here on
        assert lease.lost
        assert await bob.sessions.get("ann") is None

        async def told() -> bool:
            return [fact["reason"] for fact in await stage.told("session.left")] == ["expired"]

        await until(told, 2.0)

    @rule("S13")
    async def test_a_call_that_waits_keeps_the_session_alive_while_it_waits(self, stage: AsyncFlowStage) -> None:
        start, bob = await stage.join("ann", detached=True, **SHORT), await stage.join("bob")
        lease = await bob.locks.acquire("lock")
        one = await stage.attach(start.handle)
        wait = await stage.queue(one)
        await pause(0.8)
        assert not wait.done
        await lease.release()
        assert (await wait.result(1.0)).ensure_held()

    @rule("S13")
    async def test_the_block_of_a_lease_keeps_the_session_alive_and_a_forgotten_lease_does_not(
        self, stage: AsyncFlowStage
    ) -> None:
        start, bob = await stage.join("ann", detached=True, **SHORT), await stage.join("bob")
        one = await stage.attach(start.handle)
        async with one.locks.acquire("lock") as lease:
            await pause(0.8)
            assert lease.ensure_held()
        forgotten = await one.locks.acquire("lock")
        told: list[SessionLost] = []
        one.sessions.on_lost(told.append)
        await bob.locks.acquire("lock", timeout=3.0)
        await until(lambda: told)
        assert forgotten.lost

    @rule("S13")
    async def test_an_attached_process_that_does_nothing_knows_that_others_keep_the_session_alive(
        self, stage: AsyncFlowStage
    ) -> None:
        ann = await stage.join("ann", **SHORT)
        one = await stage.attach(ann.handle)
        lease = await one.locks.acquire("lock")
        await pause(0.8)
        assert one.liveness is Liveness.LIVE
        assert lease.ensure_held()
        assert stage.faults(one).counts["presence.look"] >= 3
        assert await lease.release()

    @rule("S13", "S12")
    async def test_an_attached_process_that_reaches_nobody_gives_its_leases_up_and_releases_them_later(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann", **SHORT), await stage.join("bob")
        one = await stage.attach(ann.handle, deadline=0.1)
        lease = await one.locks.acquire("lock")
        stage.faults(one).cut()
        await until(lambda: lease.lost, 2.0)
        assert one.liveness is Liveness.LOST
        assert ann.liveness is Liveness.LIVE
        assert [holder.agent_id for holder in await bob.locks.holders("lock")] == ["ann"]
        stage.faults(one).mend()
        await bob.locks.acquire("lock", timeout=3.0)
        assert ann.liveness is Liveness.LIVE
        with pytest.raises(SessionLost, match="attach"):
            await one.locks.mine()

    @rule("S13", "L6")
    async def test_a_killed_process_that_waited_holds_nothing_for_long_though_its_session_lives(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann", **SHORT), await stage.join("bob")
        one = await stage.attach(ann.handle)
        lease = await bob.locks.acquire("lock")
        await stage.queue(one)
        stage.kill(one)
        await lease.release()
        mine = await bob.locks.acquire("lock", timeout=3.0)  # its grant was taken by nobody
        assert mine.ensure_held()
        assert ann.liveness is Liveness.LIVE
        two = await stage.attach(ann.handle)
        await stage.queue(two)
        stage.kill(two)

        async def out_of_line() -> bool:
            return await stage.left_over(bob) == ["bob"]

        await until(out_of_line, 2.0)
        assert ann.liveness is Liveness.LIVE

    @rule("S13", "X11")
    async def test_a_wait_goes_on_when_it_was_out_of_reach_for_longer_than_its_place_lasts(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann", **LONG), await stage.join("bob")
        one, two = await stage.attach(ann.handle, deadline=0.1), await stage.attach(ann.handle, deadline=0.1)
        leases = [await bob.locks.acquire(name) for name in ("place", "grant")]
        waits = [await stage.queue(one, "place"), await stage.queue(two, "grant")]
        for each in (one, two):
            stage.faults(each).cut()
        await leases[1].release()  # granted, and not taken in time

        async def nobody_waits() -> bool:
            return not await bob.locks.contenders("place") and not await bob.locks.holders("grant")

        await until(nobody_waits, 3.0)
        assert not any(wait.done for wait in waits)
        for each in (one, two):
            stage.faults(each).mend()
        assert (await waits[1].result(2.0)).ensure_held()

        async def waits_again() -> bool:
            return bool(await bob.locks.contenders("place"))

        await until(waits_again, 2.0)
        await leases[0].release()
        assert (await waits[0].result(2.0)).ensure_held()

    @rule("S13")
    async def test_taking_over_makes_the_session_ones_own(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", **SHORT), await stage.join("bob")
        lease, handle = await ann.locks.acquire("lock"), ann.handle
        stage.kill(ann)
        again = await stage.attach(handle, take_over=True)
        assert again.info == ann.info
        (mine,) = await again.locks.mine()
        assert (mine.name, mine.token) == ("lock", lease.token)
        await pause(0.8)
        assert again.liveness is Liveness.LIVE
        assert mine.ensure_held()
        assert len(await stage.told("session.joined")) == 2
        await again.close()
        assert await bob.sessions.get("ann") is None
        assert [fact["reason"] for fact in await stage.told("session.left")] == ["departed"]
        with pytest.raises(SessionLost):
            await stage.attach(handle, take_over=True)

    @rule("S13")
    async def test_who_takes_over_a_session_without_a_process_becomes_its_process(self, stage: AsyncFlowStage) -> None:
        start = await stage.join("ann", detached=True)
        bob = await stage.join("bob")
        again = await stage.attach(start.handle, take_over=True)
        found = await bob.sessions.get("ann")
        assert found is not None
        assert found.pid == again.info.pid == bob.info.pid
        assert found == attrs.evolve(start.info, pid=found.pid, revision=1)

    @rule("S13", "X3")
    async def test_taking_over_that_fails_ends_nothing(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        handle = ann.handle
        with pytest.raises(BackendUnavailable):
            await stage.attach(handle, take_over=True, deadline=0.05, lose="presence.heartbeat")
        assert await bob.sessions.get("ann") is not None
        assert (await stage.attach(handle)).agent_id == "ann"
