"""Acting for a session from several processes (rule S13), each played by a coordinator of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs
import pytest

from comity import (
    AccessDenied,
    AccessTier,
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
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity.testing.kit._async.stage import AsyncFlowStage

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
