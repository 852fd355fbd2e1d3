"""How sessions meet, part, publish and settle conflicts (rules S, E, C, X9), seen by coordinators."""

from __future__ import annotations

import threading
import time

import pytest

from comity import (
    AccessDenied,
    AccessTier,
    AgentIdTaken,
    AsyncCoordinator,
    Closed,
    Conflict,
    ConflictLost,
    ConflictStrategy,
    Decision,
    Event,
    Gap,
    GiveUp,
    InvalidName,
    Joined,
    Left,
    Liveness,
    LockTimeout,
    SessionLost,
    Snapshot,
    StrategyFailed,
    UnknownStrategy,
    Updated,
)
from comity.testing.kit._async.stage import SHORT, AsyncFlowStage
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule


class Stubborn:
    """Gives up at once."""

    def decide(self, conflict: Conflict) -> Decision:
        return GiveUp(f"{conflict.other.agent_id} may keep it")


class Broken:
    """Raises."""

    def decide(self, conflict: Conflict) -> Decision:
        raise RuntimeError(conflict.name)


class AsyncMeetingFlows(AsyncFlowTests):
    """Sessions see each other, hear each other, and agree on who wins."""

    @rule("S2", "S4", "S5", "S7")
    async def test_sessions_see_each_other_until_they_depart(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", capabilities=["review"], access_tier=AccessTier.VALIDATOR)
        bob = await stage.join("bob")
        assert [info.agent_id for info in await bob.sessions.active()] == ["ann", "bob"]
        assert [info.agent_id for info in await bob.sessions.active(capability="review")] == ["ann"]
        assert [info.agent_id for info in await bob.sessions.active(min_tier=AccessTier.VALIDATOR)] == ["ann"]
        with pytest.raises(AgentIdTaken):
            await stage.join("ann")
        await ann.depart()
        assert ann.liveness is Liveness.DEPARTED
        assert await bob.sessions.get("ann") is None
        assert [info.agent_id for info in await bob.sessions.active()] == ["bob"]

    @rule("S1", "S9", "S11")
    async def test_a_watch_tells_every_change_in_order(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        changes = ann.sessions.watch()
        first = await changes.__anext__()
        assert isinstance(first, Snapshot)
        assert [info.agent_id for info in first.sessions] == ["ann"]
        bob = await stage.join("bob")
        await bob.update(status="busy", metadata={"branch": "x", "gone": 1})
        await bob.update(metadata={"gone": None})
        await bob.close()
        told = [await changes.__anext__() for _ in range(4)]
        assert [type(change) for change in told] == [Joined, Updated, Updated, Left]
        last = told[2]
        assert isinstance(last, Updated)
        assert (last.session.status, dict(last.session.metadata)) == ("busy", {"branch": "x"})
        left = told[3]
        assert isinstance(left, Left)
        assert (left.agent_id, left.reason) == ("bob", "departed")
        changes.close()

    @rule("S8")
    async def test_a_crash_is_told_once_within_a_second_by_whoever_lives(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", **SHORT)
        changes = ann.sessions.watch()
        assert isinstance(await changes.__anext__(), Snapshot)
        begun = time.monotonic()
        stage.kill(bob)
        left = await changes.__anext__()
        assert isinstance(left, Left)
        assert (left.agent_id, left.reason) == ("bob", "expired")
        assert time.monotonic() - begun < 0.6 + 1.0
        changes.close()

    @rule("S6", "S12")
    async def test_a_session_that_cannot_reach_the_store_is_suspect_then_lost(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", **SHORT)
        lease = await ann.locks.acquire("lock")
        told: list[SessionLost] = []
        ann.sessions.on_lost(told.append)
        stage.faults(ann).cut()
        await until(lambda: ann.liveness is Liveness.SUSPECT)
        assert lease.loss() is None
        await until(lambda: ann.liveness is Liveness.LOST)
        assert lease.lost
        await until(lambda: told)
        with pytest.raises(SessionLost):
            await ann.locks.acquire("other", timeout=0)

    @rule("S6")
    async def test_a_lost_session_rejoins_by_itself_and_takes_no_lease_back(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", on_lost="rejoin", **SHORT), await stage.join("bob")
        told: list[SessionLost] = []
        ann.sessions.on_lost(told.append)
        lease = await ann.locks.acquire("lock")
        stage.faults(ann).cut()
        await until(lambda: ann.liveness is Liveness.LOST)
        stage.faults(ann).mend()
        await until(lambda: ann.liveness is Liveness.LIVE)
        assert told
        assert lease.lost
        assert await bob.locks.holder("lock") is None
        assert await bob.sessions.get("ann") is not None

    @rule("S10", "H2")
    async def test_handlers_run_in_order_and_one_that_raises_stops_no_other(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        told: list[str] = []
        threads: list[threading.Thread] = []

        def broken(_: object) -> None:
            raise RuntimeError("a handler of the test's")

        ann.sessions.on_joined(broken)
        ann.sessions.on_joined(lambda info: told.append(f"+{info.agent_id}"))
        ann.sessions.on_joined(lambda _: threads.append(threading.current_thread()))
        ann.sessions.on_left(lambda info, reason: told.append(f"-{info.agent_id} {reason}"))
        assert ann._peers.wait_until_watching(5)  # noqa: SLF001 - joins before that are in the snapshot
        for name in ("bob", "cid"):
            await (await stage.join(name)).close()
        await until(lambda: len(told) == 4)
        assert told == ["+bob", "-bob departed", "+cid", "-cid departed"]
        assert threading.current_thread() not in threads

    @rule("E1", "E2", "E3")
    async def test_events_come_in_order_from_where_one_asks(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        ids = [await ann.events.publish("builds", {"n": n}) for n in range(3)]
        assert ids == sorted(ids)
        with pytest.raises(InvalidName):
            await ann.events.publish("comity", {})
        events = bob.events.subscribe("builds", after="start")
        seen = [await events.__anext__() for _ in range(3)]
        assert [event.payload for event in seen if isinstance(event, Event)] == [{"n": 0}, {"n": 1}, {"n": 2}]
        assert isinstance(seen[0], Event)
        again = bob.events.subscribe("builds", after=str(seen[0].position))
        resumed = await again.__anext__()
        assert isinstance(resumed, Event)
        assert (resumed.number, resumed.sender) == (2, "ann")
        await ann.events.publish("builds", {"n": 3})
        live = await events.__anext__()
        assert isinstance(live, Event)
        assert live.payload == {"n": 3}
        events.close()
        again.close()

    @rule("E2")
    async def test_what_was_trimmed_before_it_was_read_is_an_exact_gap(
        self, stage: AsyncFlowStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COMITY_EVENTS_KEPT", "5")
        ann = await stage.join("ann")
        await ann.events.publish("builds", 0)
        events = ann.events.subscribe("builds", after="start")
        first = await events.__anext__()
        assert isinstance(first, Event)
        for number in range(1, 400):
            await ann.events.publish("builds", number)
        expected, found = 2, await events.__anext__()
        while expected <= 400:
            if isinstance(found, Gap):
                assert found.first == expected
                assert found.last is not None
                expected = found.last + 1
            else:
                assert found.number == expected
                expected += 1
            if expected <= 400:
                found = await events.__anext__()
        events.close()

    @rule("E5")
    async def test_a_cursor_goes_on_where_it_was_committed(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        for number in range(4):
            await ann.events.publish("builds", number)
        async with ann.events.subscribe("builds", after="start", cursor="reader") as events:
            await events.__anext__()
            await events.__anext__()
            await events.commit()
            await events.__anext__()
        async with ann.events.subscribe("builds", after="start", cursor="reader") as events:
            event = await events.__anext__()
            assert isinstance(event, Event)
            assert event.payload == 2

    @rule("C3", "C4")
    async def test_both_sides_get_the_same_winner_whatever_the_second_one_asks(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", access_tier=AccessTier.VALIDATOR)
        lease = await ann.locks.acquire("lock")
        waiting = stage.start(bob.locks.acquire, "lock", timeout=10)
        await until(lambda: _waits(ann))
        mine = await ann.conflicts.resolve("lock", "bob", strategy=ConflictStrategy.PRIORITY_BASED)
        theirs = await bob.conflicts.resolve("lock", "ann", strategy=ConflictStrategy.FIRST_WRITE_WINS)
        assert mine.winner == theirs.winner == "bob"
        assert theirs.strategy_used == "priority"
        assert (await waiting.result()).token > lease.token
        await until(lambda: lease.lost)
        assert "bob" in (lease.loss() or "")
        assert [(each.winner, each.loser) for each in await ann.conflicts.list("lock")] == [("bob", "ann")]

    @rule("C1", "C2", "H2")
    async def test_strategies_decide_inside_acquire(self, stage: AsyncFlowStage) -> None:
        strategies = {"stubborn": Stubborn(), "broken": Broken()}
        ann, bob = await stage.join("ann"), await stage.join("bob", strategies=strategies)
        await ann.locks.acquire("lock")
        with pytest.raises(UnknownStrategy, match="first_write"):
            await bob.locks.acquire("lock", strategy="nonesuch")
        with pytest.raises(StrategyFailed):
            await bob.locks.acquire("lock", strategy="broken")
        with pytest.raises(ConflictLost, match="may keep it"):
            await bob.locks.acquire("lock", strategy="stubborn")
        assert await ann.locks.contenders("lock") == []
        with pytest.raises(LockTimeout):
            await bob.locks.acquire("lock", timeout=0.1, strategy=ConflictStrategy.FIRST_WRITE_WINS)
        other = await ann.locks.acquire("another")
        async with bob.locks.acquire("another", timeout=0, strategy=ConflictStrategy.LAST_WRITE_WINS) as taken:
            assert taken.token > other.token
            await until(lambda: other.lost)

    @rule("A1")
    async def test_a_tier_too_low_is_refused_before_anything_is_sent(self, stage: AsyncFlowStage) -> None:
        observer = await stage.join("observer", access_tier=AccessTier.OBSERVER)
        await stage.join("other")
        with pytest.raises(AccessDenied, match="CONTRIBUTOR"):
            await observer.locks.acquire("lock")
        with pytest.raises(AccessDenied):
            await observer.events.publish("builds", {})
        with pytest.raises(AccessDenied, match="STEWARD"):
            await observer.locks.break_lock("lock", "no reason")
        assert len(await observer.sessions.active()) == 2

    @rule("X9")
    async def test_closing_ends_what_is_blocked_and_leaves_no_thread(self, stage: AsyncFlowStage) -> None:
        before = set(threading.enumerate())
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.locks.acquire("lock")
        waiting = stage.start(bob.locks.acquire, "lock")
        await until(lambda: _waits(ann))
        await bob.close()
        await bob.close()
        with pytest.raises(Closed):
            await waiting.result()
        with pytest.raises(Closed):
            await bob.locks.acquire("lock")
        assert await ann.locks.contenders("lock") == []
        await ann.close()
        for backend in stage.backends:
            backend.close()
        await until(lambda: {t for t in threading.enumerate() if t.name.startswith("comity")} <= before)


async def _waits(coordinator: AsyncCoordinator) -> bool:
    return bool(await coordinator.locks.contenders("lock"))
