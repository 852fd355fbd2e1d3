"""What calls do when steps are lost or the store is away (rules X3-X5, X11, S6, S12, L4)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from comity import BackendUnavailable, HolderChanged, Liveness, LockTimeout, NoSuchSession, SessionLost
from comity.testing.kit._async.stage import SHORT, AsyncFlowStage
from comity.testing.kit._colour._async import AsyncFlowTests, pause, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncCoordinator, AsyncLease

CALLS = [
    "locks.acquire",
    "locks.release",
    "locks.renew",
    "locks.preempt",
    "locks.break_lock",
    "locks.withdraw",
    "presence.announce",
    "presence.update",
    "presence.heartbeat",
    "presence.depart",
    "presence.evict",
    "pubsub.publish",
    "pubsub.commit",
    "conflicts.settle",
]


class AsyncTroubleFlows(AsyncFlowTests):
    """Steps may be lost at any moment; what is told stays true and nothing stays behind."""

    @rule("X4")
    @pytest.mark.parametrize("lost", ["request", "reply"])
    @pytest.mark.parametrize("step", CALLS)
    async def test_a_step_that_is_lost_once_still_gives_the_true_answer(
        self, stage: AsyncFlowStage, step: str, lost: str
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", access_tier="STEWARD")
        faults = stage.faults(bob)
        (faults.lose_requests if lost == "request" else faults.lose_replies)(step)
        await _do_everything(stage, ann, bob)
        assert not faults.pending, f"{step} was never performed"

    @rule("X4", "X1")
    async def test_a_third_of_all_steps_lost_changes_no_answer(self, stage: AsyncFlowStage) -> None:
        inside: list[str] = []
        tokens: list[int] = []

        async def work(me: AsyncCoordinator) -> None:
            for _ in range(6):
                lease: AsyncLease
                async with me.locks.acquire("lock") as lease:
                    inside.append(me.agent_id)
                    await me.events.publish("builds", lease.token)
                    assert inside == [me.agent_id]
                    tokens.append(lease.token)
                    inside.remove(me.agent_id)

        sessions = [await stage.join(f"agent {number}") for number in range(3)]
        for number, me in enumerate(sessions):
            faults = stage.faults(me)
            faults.reseed(number)
            faults.lose_requests(times=None, chance=0.15)
            faults.lose_replies(times=None, chance=0.2)
        for beside in [stage.start(work, me) for me in sessions]:
            await beside.result(25.0)
        assert tokens == sorted(set(tokens))
        assert len(tokens) == 18
        for me in sessions:
            stage.faults(me).mend()
        assert await stage.left_over(sessions[0]) == []
        async with sessions[0].events.subscribe("builds", after="start") as events:
            told = [(await anext(events)).payload for _ in range(18)]  # type: ignore[union-attr]
        assert told == tokens  # none twice, none missing

    @rule("X3")
    async def test_a_call_that_does_not_wait_raises_within_its_deadline(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me", deadline=0.1)
        lease = await me.locks.acquire("lock")
        stage.faults(me).cut()
        calls: list[tuple[Any, ...]] = [
            (me.locks.acquire, "other", 0),
            (lease.renew, 5.0),
            (lease.release,),
            (me.locks.holders, "lock"),
            (me.locks.mine,),
            (me.sessions.active,),
            (me.sessions.get, "me"),
            (me.events.publish, "builds", 1),
            (me.conflicts.resolve, "lock", "you"),
            (me.update,),
            (me.beat,),
        ]
        for call, *arguments in calls:
            begun = time.monotonic()
            with pytest.raises(BackendUnavailable) as caught:
                if call == me.locks.acquire:
                    await me.locks.acquire("other", timeout=0)
                else:
                    await call(*arguments)
            assert time.monotonic() - begun < 0.2
            assert caught.value.step

    @rule("X3", "X5")
    async def test_a_wait_ends_at_its_timeout_although_the_store_is_away_and_leaves_nothing(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", heartbeat_interval=0.2)
        lease = await ann.locks.acquire("lock")
        wait = await stage.queue(bob, timeout=0.3)
        stage.faults(bob).cut()
        begun = time.monotonic()
        with pytest.raises((LockTimeout, BackendUnavailable)):
            await wait.result()
        assert time.monotonic() - begun < 0.45
        begun = time.monotonic()
        with pytest.raises((LockTimeout, BackendUnavailable)):
            await bob.locks.acquire("lock", timeout=0.2)
        assert time.monotonic() - begun < 0.35
        await lease.release()
        stage.faults(bob).mend()

        async def free() -> bool:
            return await stage.left_over(ann) == []

        await until(free, 2.0)  # with the next heartbeat that gets through

    @rule("X11", "L5")
    async def test_a_wait_outlives_an_outage(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", deadline=0.1)
        lease = await ann.locks.acquire("lock")
        wait = await stage.queue(bob)
        stage.faults(bob).cut()
        during = stage.start(bob.locks.acquire, "other")  # and one that begins during it
        bob._session.holdings.ask_again()  # noqa: SLF001 - as after a reconnection
        await pause(0.4)
        assert not wait.done
        assert not during.done
        stage.faults(bob).mend()
        await during.result()
        await lease.release()
        assert (await wait.result()).ensure_held()

    @rule("X4", "X11")
    async def test_a_wait_whose_first_answer_was_lost_waits_for_no_ghost_of_its_own(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", deadline=0.05)
        lease = await ann.locks.acquire("lock")
        stage.faults(bob).lose_replies("locks.acquire", times=None)
        wait = stage.start(bob.locks.acquire, "lock")
        await pause(0.3)  # long past its deadline; the store has queued it all the while
        stage.faults(bob).mend()
        await until(lambda: _queued(ann))
        assert len(await ann.locks.contenders("lock")) == 1
        await lease.release()
        assert (await wait.result(2.0)).ensure_held()

    @rule("X4", "L4", "X5")
    async def test_a_release_that_did_not_get_through_is_carried_by_the_next_heartbeat(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann", deadline=0.1, heartbeat_interval=0.2), await stage.join("bob")
        lease = await ann.locks.acquire("lock")
        stage.faults(ann).cut()
        with pytest.raises(BackendUnavailable):
            await lease.release()
        wait = await stage.queue(bob)
        stage.faults(ann).mend()
        await wait.result(2.0)
        assert not await lease.release() or lease.released

    @rule("X5", "S7")
    async def test_a_departure_that_did_not_get_through_is_carried_on(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", deadline=0.1, heartbeat_interval=0.2), await stage.join("bob")
        await ann.locks.acquire("lock")
        stage.faults(ann).cut()
        with pytest.raises(BackendUnavailable):
            await ann.depart()
        stage.faults(ann).mend()
        await bob.locks.acquire("lock", timeout=3.0)
        assert await bob.sessions.get("ann") is None

    @rule("X4", "S2")
    async def test_an_announcement_of_unknown_outcome_does_not_stand_in_the_way_of_the_next(
        self, stage: AsyncFlowStage
    ) -> None:
        me = await stage.join("me", deadline=0.1, auto_announce=False)
        stage.faults(me).lose_replies("presence.announce", times=None)
        with pytest.raises(BackendUnavailable):
            await me.announce()
        stage.faults(me).mend()
        await me.announce()
        assert me.liveness is Liveness.LIVE

    @rule("S8", "S3")
    async def test_reaping_that_fails_holds_up_no_heartbeat(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", heartbeat_interval=0.15), await stage.join("bob", **SHORT)
        stage.faults(ann).lose_requests("presence.reap", times=None)
        stage.kill(bob)
        await until(lambda: bob.liveness is Liveness.LOST)
        before = stage.faults(ann).counts["presence.heartbeat"]
        await pause(0.7)
        assert stage.faults(ann).counts["presence.heartbeat"] >= before + 3
        assert ann.liveness is Liveness.LIVE

    @rule("S12")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    async def test_a_heart_that_died_is_started_again(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me", session_ttl=5.0, heartbeat_interval=0.1)
        stage.faults(me).fail(SystemExit, "presence.heartbeat")
        dead = me._heart.thread  # noqa: SLF001
        assert dead is not None
        await until(lambda: not dead.is_alive())
        before = stage.faults(me).counts["presence.heartbeat"]
        await until(lambda: stage.faults(me).counts["presence.heartbeat"] > before, 2.0)
        await until(lambda: me.liveness is Liveness.LIVE)

    @rule("S12")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    async def test_a_session_whose_threads_are_all_dead_is_lost_by_its_deadline(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me", **SHORT)
        lease = await me.locks.acquire("lock")
        me._ear.close()  # noqa: SLF001
        stage.faults(me).fail(SystemExit, "presence.heartbeat", times=None)
        await until(lambda: lease.lost, 1.0)
        assert me.liveness is Liveness.LOST

    @rule("S6")
    async def test_a_session_the_store_calls_dead_is_lost_and_not_revived(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire("lock")
        backend = stage.backend()
        await backend.presence.depart(ann._session.ref).arun(5.0)  # type: ignore[arg-type]  # noqa: SLF001
        with pytest.raises(SessionLost):
            await ann.locks.acquire("other", timeout=0)
        ann._heart.poke()  # noqa: SLF001 - the next heartbeat
        await until(lambda: ann.liveness is Liveness.LOST)
        assert lease.lost
        with pytest.raises(SessionLost):
            await ann.locks.mine()
        assert await bob.sessions.get("ann") is None

    @rule("S9")
    async def test_a_watch_that_hears_nothing_is_stale_and_calls_nobody_dead(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", deadline=0.1, session_ttl=20.0, heartbeat_interval=0.1)
        await stage.join("bob")
        changes = ann.sessions.watch()
        await anext(changes)
        assert not changes.stale
        waiting = stage.start(anext, changes)
        stage.faults(ann).cut()
        await until(lambda: changes.stale)
        await pause(0.3)
        assert not waiting.done
        stage.faults(ann).mend()
        await until(lambda: not changes.stale)
        await stage.join("cid")
        assert (await waiting.result()).session.agent_id == "cid"


async def _do_everything(stage: AsyncFlowStage, ann: AsyncCoordinator, bob: AsyncCoordinator) -> None:
    """Let bob perform every changing step, and check each answer."""
    lease = await bob.locks.acquire("lock")
    assert [h.token for h in await ann.locks.holders("lock")] == [lease.token]
    await lease.renew(20.0)
    assert lease.ensure_held()
    assert await lease.release()
    assert await stage.left_over(ann) == []
    theirs = await ann.locks.acquire("lock")
    with pytest.raises(LockTimeout):
        await bob.locks.acquire("lock", timeout=0.03)
    assert await stage.left_over(ann) == ["ann"]
    taken = await bob.locks.preempt("lock", theirs.token)
    assert [h.token for h in await ann.locks.holders("lock")] == [taken.token]
    with pytest.raises(HolderChanged):
        await bob.locks.preempt("lock", theirs.token)
    assert await taken.release()
    theirs = await ann.locks.acquire("lock")
    broken = await bob.locks.break_lock("lock", "test")
    assert [h.token for h in broken] == [theirs.token]
    assert await ann.locks.holder("lock") is None
    assert (await bob.update(metadata={"n": 1})).metadata == {"n": 1}
    found = await ann.sessions.get("bob")
    assert found is not None
    assert found.revision == 1
    ids = [await bob.events.publish("builds", n) for n in range(3)]
    assert ids == sorted(set(ids))
    async with bob.events.subscribe("builds", after="start", cursor="c") as events:
        numbers = [(await anext(events)).number for _ in range(3)]  # type: ignore[union-attr]
        await events.commit()
    assert numbers == [1, 2, 3]
    await ann.locks.acquire("contested")
    verdict = await bob.conflicts.resolve("contested", "ann")
    assert verdict.winner == "bob"  # a steward
    assert len(await bob.conflicts.list()) == 1
    cid = await stage.join("cid")
    await bob.sessions.evict("cid", "test")
    with pytest.raises(NoSuchSession):
        await bob.sessions.evict("cid", "test")
    await until(lambda: cid.liveness is Liveness.LOST)
    await bob.beat()
    await bob.depart()
    await bob.announce()
    assert len(await stage.told("session.joined")) == 4
    assert [fact["reason"] for fact in await stage.told("session.left")] == ["evicted", "departed"]


async def _queued(coordinator: AsyncCoordinator) -> bool:
    return bool(await coordinator.locks.contenders("lock"))
