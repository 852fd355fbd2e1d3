"""Acting for a session from several processes (rule S13), each played by a coordinator of its own."""

from __future__ import annotations

import time

import attrs
import pytest

from comity import (
    AccessDenied,
    AccessTier,
    BackendUnavailable,
    Conflict,
    Decision,
    InvalidArgument,
    Liveness,
    LockLost,
    LockTimeout,
    NotAnnounced,
    SessionLost,
    Take,
)
from comity.model import SYSTEM_TOPIC, TopicPosition
from comity.testing.kit._async.stage import SHORT, AsyncFlowStage
from comity.testing.kit._colour._async import AsyncFlowTests, pause, until
from comity.testing.kit.rules import rule

LONG = {"session_ttl": 5.0, "heartbeat_interval": 0.15}
"""Often heard, and patient."""
_MADE_UP = f"comity1:nobody:{'0' * 32}:"


class AsyncAttachedFlows(AsyncFlowTests):
    """Whoever has the handle of a session acts for it: same tier, leases and waits."""

    @rule("S13")
    async def test_what_one_process_locks_another_that_acts_for_the_session_releases(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann", access_tier="STEWARD", metadata={"n": 1}), await stage.join("bob")
        one, two = await stage.attach(ann.handle), await stage.attach(ann.handle)
        assert (one.agent_id, one.info, one.credentials) == ("ann", ann.info, ann.credentials)
        assert one.handle == ann.handle
        lease = await one.locks.acquire("lock")
        assert [info.agent_id for info in await bob.sessions.active()] == ["ann", "bob"]
        assert [holder.agent_id for holder in await bob.locks.holders("lock")] == ["ann"]
        (same,) = await two.locks.mine()
        assert (same.name, same.token, same.mode) == ("lock", lease.token, lease.mode)
        assert await same.release()
        assert await bob.locks.holder("lock") is None

    @rule("S13", "G1", "T3")
    async def test_inbox_and_claims_are_the_sessions_whichever_process_asks(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        one, two = await stage.attach(ann.handle), await stage.attach(ann.handle)
        await bob.signals.send("ann", "ready", {"branch": "x"})
        (signal,) = await one.signals.receive(timeout=2.0)
        assert (signal.sender, signal.data) == ("bob", {"branch": "x"})
        await signal.ack()
        assert await two.signals.receive() == []
        await bob.tasks.push("reviews", 7)
        claim = await one.tasks.claim("reviews", timeout=2.0)
        assert claim is not None
        (same,) = await two.tasks.mine()
        assert (same.id, same.token, same.payload) == (claim.id, claim.token, 7)
        await same.complete("done")
        assert await ann.tasks.mine() == []
        await one.stash("draft", {"n": 1})
        assert await two.retrieve("draft") == {"n": 1}
        assert await bob.retrieve("draft", "ann") == {"n": 1}

    @rule("S13", "L8")
    async def test_the_process_that_had_a_lease_is_told_that_another_released_it(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        one = await stage.attach(ann.handle)
        told: list[LockLost] = []
        leases = [await ann.locks.acquire("a"), await one.locks.acquire("b")]
        for lease in leases:
            lease.on_lost(told.append)
        await until(lambda: ann._ear.listening and one._ear.listening)  # noqa: SLF001
        two = await stage.attach(ann.handle)
        begun = time.monotonic()
        for lease in await two.locks.mine():
            assert await lease.release()
        await until(lambda: len(told) == 2)
        assert time.monotonic() - begun < 1.0
        assert all("another process" in error.reason for error in told)
        with pytest.raises(LockLost, match="another process"):
            leases[0].ensure_held()
        assert not await leases[1].release()

    @rule("S13", "A1")
    async def test_an_attached_coordinator_has_the_tier_of_the_session(self, stage: AsyncFlowStage) -> None:
        low = await stage.join("low", access_tier=AccessTier.OBSERVER)
        attached = await stage.attach(low.handle)
        with pytest.raises(AccessDenied):
            await attached.locks.acquire("lock")

    @rule("S13")
    async def test_closing_an_attached_coordinator_ends_nothing(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        one = await stage.attach(ann.handle)
        lease = await one.locks.acquire("lock")
        await one.close()
        assert lease.lost  # here, where it cannot be released any more
        assert [holder.token for holder in await bob.locks.holders("lock")] == [lease.token]
        assert ann.liveness is Liveness.LIVE
        (mine,) = await ann.locks.mine("lock")
        assert await mine.release()
        assert await stage.told("lock.lost") == []
        assert await stage.told("session.left") == []

    @rule("S13", "X5")
    async def test_closing_an_attached_coordinator_that_waits_leaves_no_place_in_the_queue(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await bob.locks.acquire("lock")
        one = await stage.attach(ann.handle)
        wait = await stage.queue(one)
        await one.close()
        with pytest.raises(RuntimeError):
            await wait.result()
        assert await stage.left_over(ann) == ["bob"]

    @rule("S13", "X12")
    @pytest.mark.parametrize("text", ["", "nonsense", "comity1:ann", _MADE_UP, _MADE_UP + "00000000", 7])
    async def test_what_is_no_handle_is_refused_and_not_shown(self, stage: AsyncFlowStage, text: str) -> None:
        with pytest.raises(InvalidArgument) as caught:
            await stage.attach(text)
        assert caught.value.argument == "handle"
        assert "handle" in str(caught.value)
        assert not text or str(text) not in str(caught.value)

    @rule("S13")
    async def test_a_handle_that_was_cut_or_altered_is_refused(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann, naïve: ☃ %41")
        assert (await stage.attach(f" {ann.handle}\n")).agent_id == ann.agent_id
        for wrong in (ann.handle[:-1], ann.handle.replace("ann", "bob"), ann.handle + "0"):
            with pytest.raises(InvalidArgument, match="cut short or altered"):
                await stage.attach(wrong)

    @rule("S13")
    async def test_the_handle_of_a_session_that_is_over_says_so(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        handle = ann.handle
        await ann.depart()
        with pytest.raises(SessionLost) as caught:
            await stage.attach(handle)
        assert (caught.value.agent_id, caught.value.reason) == ("ann", "departed")
        with pytest.raises(NotAnnounced):
            _ = ann.handle
        await ann.announce()
        assert ann.handle != handle
        with pytest.raises(SessionLost):
            await stage.attach(handle)  # a session of that id lives: another one
        nobody = await stage.join("nobody", auto_announce=False)
        with pytest.raises(NotAnnounced):
            _ = nobody.handle

    @rule("S13", "L6")
    async def test_a_wake_up_reaches_the_process_that_waits(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        one, two = await stage.attach(ann.handle), await stage.attach(ann.handle)
        leases = {name: await bob.locks.acquire(name) for name in ("a", "b", "c")}
        waits = [await stage.queue(me, name) for me, name in ((ann, "a"), (one, "b"), (two, "c"))]
        for wait, name in zip(waits, ("a", "b", "c"), strict=True):
            begun = time.monotonic()
            await leases[name].release()
            mine = await wait.result(2.0)
            assert time.monotonic() - begun < 1.0
            assert mine.name == name
            assert mine.expires_at is None
            assert mine.ensure_held()

    @rule("S13", "L7")
    async def test_a_wait_of_an_attached_process_gets_the_time_that_was_asked_for(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        one = await stage.attach(ann.handle)
        lease = await bob.locks.acquire("lock")
        wait = await stage.queue(one, ttl=100.0)
        await lease.release()
        mine = await wait.result(2.0)
        assert mine.expires_at is not None
        assert 50 < mine.expires_at - one._session.now() <= 100  # noqa: SLF001
        await mine.renew(None)
        assert mine.expires_at is None

    @rule("S13", "L7")
    async def test_renewals_of_several_processes_count_each(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        one = await stage.attach(ann.handle)
        lease = await ann.locks.acquire("lock", ttl=20.0)
        (same,) = await one.locks.mine("lock")
        for mine, seconds in ((lease, 30.0), (same, 40.0), (lease, 50.0), (lease, 60.0), (same, 70.0)):
            await mine.renew(seconds)
            (holder,) = await ann.locks.holders("lock")
            assert holder.expires_in is not None
            left = (await stage.attach(ann.handle)).locks.mine("lock")
            (fresh,) = await left
            assert fresh.token == lease.token
            assert min(seconds, 30.0) - 5 < holder.expires_in <= min(seconds, 30.0)

    @rule("S13", "L7")
    async def test_a_lease_that_one_process_lets_lapse_stays_with_another_that_renewed_it(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier="STEWARD")
        one = await stage.attach(ann.handle)
        lease = await ann.locks.acquire("lock", ttl=0.3)
        (same,) = await one.locks.mine("lock")
        await same.renew(30.0)
        await until(lambda: lease.lost, 2.0)  # by what is known there
        await ann.locks.acquire("other")
        await eve.locks.break_lock("other", "so that all is listed")
        await ann.beat()
        assert same.ensure_held()
        assert [holder.token for holder in await eve.locks.holders("lock")] == [same.token]
        assert await same.release()

    @rule("S13", "L8")
    async def test_every_process_learns_why_a_lease_was_lost_whoever_was_told_first(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier="STEWARD")
        one = await stage.attach(ann.handle)
        leases = [await ann.locks.acquire("lock"), *await one.locks.mine()]
        for coordinator in (ann, one):
            coordinator._ear.close()  # noqa: SLF001 - nothing is heard
        await eve.locks.break_lock("lock", "stuck since noon")
        for coordinator in (ann, ann, one, one):  # the second heartbeat says that the loss is known
            await coordinator.beat()
        assert ["stuck since noon" in (lease.loss() or "") for lease in leases] == [True, True]

    @rule("S13")
    async def test_an_attached_heartbeat_leaves_the_losses_of_the_others_untold(self, stage: AsyncFlowStage) -> None:
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier="STEWARD")
        lease = await ann.locks.acquire("lock")
        ann._ear.close()  # noqa: SLF001
        await eve.locks.break_lock("lock", "stuck since noon")
        one = await stage.attach(ann.handle)
        await one.beat()
        own = await one._space.seam.arun(one.backend.locks.own(one._session.ref))  # type: ignore[arg-type]  # noqa: SLF001
        assert [loss.reason for loss in own.losses] == [f"broken by eve: {'stuck since noon'}"]
        await ann.beat()
        assert "stuck since noon" in (lease.loss() or "")

    @rule("S13", "L8")
    async def test_losses_of_a_session_that_no_process_owns_do_not_pile_up(self, stage: AsyncFlowStage) -> None:
        start, eve = await stage.join("ann", detached=True), await stage.join("eve", access_tier="STEWARD")
        one, two = await stage.attach(start.handle), await stage.attach(start.handle)
        lease = await one.locks.acquire("lock")
        one._ear.close()  # noqa: SLF001 - nothing is heard
        await eve.locks.break_lock("lock", "stuck since noon")
        for _ in range(2):
            await two.beat()
        own = await two._space.seam.arun(two.backend.locks.own(two._session.ref))  # type: ignore[arg-type]  # noqa: SLF001
        assert own.losses == ()
        await one.beat()
        assert "stuck since noon" in (lease.loss() or "")

    @rule("S13", "S7")
    async def test_all_who_act_for_a_session_are_told_when_one_of_them_ends_it(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", on_lost="rejoin"), await stage.join("bob")
        await bob.locks.acquire("taken")
        one, two = await stage.attach(ann.handle), await stage.attach(ann.handle)
        lease, wait = await one.locks.acquire("lock"), await stage.queue(one, "taken")
        await until(lambda: ann._ear.listening and one._ear.listening)  # noqa: SLF001
        await two.depart()
        assert two.liveness is Liveness.DEPARTED
        assert await bob.sessions.get("ann") is None
        await until(lambda: ann.liveness is Liveness.LOST and one.liveness is Liveness.LOST, 2.0)
        assert lease.lost
        with pytest.raises(SessionLost, match="departed"):
            await wait.result()
        with pytest.raises(SessionLost, match="departed"):
            await ann.locks.mine()
        with pytest.raises(SessionLost):
            await one.announce()
        assert [fact["reason"] for fact in await stage.told("session.left")] == ["departed"]
        assert ann.liveness is Liveness.LOST  # it was ended on purpose: no rejoining

    @rule("S13")
    async def test_the_secret_of_a_session_shows_in_nothing_that_others_see(self, stage: AsyncFlowStage) -> None:
        seen: list[object] = []

        class Spy:
            def decide(self, conflict: Conflict) -> Decision:
                seen.extend((conflict, attrs.asdict(conflict)))
                return Take("a spy takes all")

        ann = await stage.join("ann", access_tier="STEWARD")
        bob = await stage.join("bob", strategies={"spy": Spy()})
        secret = ann.handle.split(":")[2]
        lease = await ann.locks.acquire("lock")
        wait = await stage.queue(ann)
        await bob.locks.acquire("lock", strategy="spy")
        await bob.conflicts.resolve("lock", "ann", strategy="spy")
        info = await bob.sessions.get("ann")
        assert info is not None
        seen += [info, info.to_dict(), *await bob.sessions.active(), *await bob.locks.held()]
        seen += [*await bob.locks.contenders("lock"), *await bob.conflicts.list(), ann, lease, lease.loss()]
        seen += [ann._session.ref, ann.credentials, ann._space.settings]  # noqa: SLF001
        await ann.update(status="busy")
        handle = ann.handle
        await ann.depart()
        with pytest.raises(NotAnnounced):
            await wait.result()
        with pytest.raises(SessionLost) as caught:
            await stage.attach(handle)
        seen += [caught.value, vars(caught.value)]
        (part,) = await stage.backends[0].pubsub.read({SYSTEM_TOPIC: TopicPosition(0, 0)}, 10_000).arun(5.0)
        seen += part.events
        assert len(seen) > 20
        assert [each for each in seen if secret in f"{each!r} {each!s}"] == []

    @rule("S13", "X5")
    async def test_a_timed_out_wait_of_an_attached_process_leaves_nothing(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await bob.locks.acquire("lock")
        one = await stage.attach(ann.handle)
        with pytest.raises(LockTimeout):
            await one.locks.acquire("lock", timeout=0.1)
        assert await stage.left_over(ann) == ["bob"]


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
