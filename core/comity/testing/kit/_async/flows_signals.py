"""How sessions signal each other (rules G1-G3, A1, X4, X9, X11), seen by coordinators."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from comity import (
    AccessDenied,
    AccessTier,
    BackendUnavailable,
    Closed,
    InboxFull,
    InvalidArgument,
    InvalidName,
    InvalidPayload,
    Liveness,
    NoSuchSession,
    NotAnnounced,
    SessionLost,
    SignalState,
)
from comity.testing.kit._async.stage import SHORT, AsyncFlowStage
from comity.testing.kit._colour._async import AsyncFlowTests, pause, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncCoordinator, AsyncInbox, AsyncSignal


class AsyncSignalFlows(AsyncFlowTests):
    """Signals arrive, wait to be acknowledged, and their sender can tell."""

    @rule("G1", "G3")
    async def test_a_signal_is_handed_out_once_and_to_the_next_reader_until_it_is_acknowledged(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        signal_id = await ann.signals.send("bob", "ready", {"branch": "naïve ☃"})
        assert await _state(ann, signal_id) is SignalState.QUEUED
        (peeked,) = await ann.signals.peek("bob")
        (signal,) = await bob.signals.receive()
        assert signal.id == peeked.id == signal_id
        assert (signal.sender, signal.type, signal.data) == ("ann", "ready", {"branch": "naïve ☃"})
        assert not signal.redelivered
        assert (signal.expires_at - signal.sent_at).total_seconds() == 300
        assert await bob.signals.receive() == []
        assert await _state(ann, signal_id) is SignalState.SEEN
        await bob.close()
        again = await stage.join("bob")
        (redelivered,) = await again.signals.receive(timeout=5)
        assert (redelivered.id, redelivered.redelivered) == (signal_id, True)
        assert await redelivered.ack()
        assert await redelivered.ack()
        assert await again.signals.peek() == []
        assert await _state(ann, signal_id) is SignalState.ACKNOWLEDGED
        assert await ann.signals.status("nonesuch") is None

    @rule("G1", "L6")
    async def test_a_waiting_reader_is_woken_and_does_not_poll(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await until(lambda: bob._ear.listening)  # noqa: SLF001 - hearing again is a reason to ask again
        faults = stage.faults(bob)
        waiting = stage.start(bob.signals.receive, timeout=20)
        await pause(0.3)
        assert faults.counts["signals.receive"] == 1
        begun = time.monotonic()
        await ann.signals.send("bob", "ready")
        (signal,) = await waiting.result()
        assert signal.data is None
        assert time.monotonic() - begun < 2
        assert faults.counts["signals.receive"] == 2
        assert not bob._session.holdings.waiting  # noqa: SLF001

    @rule("G3")
    async def test_receiving_ends_at_its_timeout_with_nothing(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.signals.send("bob", "other")
        begun = time.monotonic()
        assert await bob.signals.receive(types="wanted", timeout=0.1) == []
        assert 0.1 <= time.monotonic() - begun < 1
        (signal,) = await bob.signals.receive()
        assert signal.type == "other"

    @rule("G3")
    async def test_readers_of_some_types_leave_the_others(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        for number, kind in enumerate("abcab"):
            await ann.signals.send("bob", kind, number)
        assert _data(await bob.signals.receive(types="b")) == [1, 4]
        assert _data(await bob.signals.receive(types=["b", "c"])) == [2]
        first = await bob.signals.receive(limit=1)
        assert _data(first) == [0]
        first[0].give_back()
        assert _data(await bob.signals.receive()) == [0, 3]
        assert await bob.signals.receive() == []

    @rule("G3")
    async def test_each_of_several_readers_at_once_is_handed_another_signal(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        readers = [stage.start(bob.signals.receive, limit=3, timeout=20, types=kind) for kind in (None, None, "n", "n")]
        await until(lambda: stage.faults(bob).counts["signals.receive"] >= 4)
        for number in range(12):
            await ann.signals.send("bob", "n", number)
        found = [number for reader in readers for number in _data(await reader.result())]
        found += _data(await bob.signals.receive())
        assert sorted(found) == list(range(12))

    @rule("G1", "S13")
    async def test_every_process_that_acts_for_a_session_reads_its_inbox(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        one, two = await stage.attach(bob.handle), await stage.attach(bob.handle)
        waiting = [stage.start(each.signals.receive, timeout=20) for each in (one, two)]
        await until(lambda: all(stage.faults(each).counts["signals.receive"] for each in (one, two)))
        await one.signals.send("ann", "from an attached process")
        assert (await ann.signals.receive())[0].sender == "bob"
        await ann.signals.send("bob", "n", 1)
        assert [_data(await each.result()) for each in waiting] == [[1], [1]]
        (signal,) = await bob.signals.receive()
        assert signal.redelivered
        assert await signal.ack()
        assert await (await stage.attach(bob.handle)).signals.receive() == []

    @rule("G3")
    async def test_listening_acknowledges_after_the_body(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        ids = [await ann.signals.send("bob", "n", number) for number in range(3)]
        async with bob.signals.listen() as inbox:
            for number in range(3):
                signal = await inbox.__anext__()
                assert signal.data == number
                assert await _state(ann, ids[number]) is SignalState.SEEN
            inbox.close()
            with pytest.raises(StopAsyncIteration):
                await inbox.__anext__()
        assert [await _state(ann, each) for each in ids] == [SignalState.ACKNOWLEDGED] * 3

    @rule("G1", "G3")
    async def test_a_body_that_raises_leaves_its_signal_to_be_received_again(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        for number in range(2):
            await ann.signals.send("bob", "n", number)
        with pytest.raises(ZeroDivisionError):
            await _divide(bob.signals.listen())
        assert _data(await ann.signals.peek("bob")) == [0, 1]
        assert _data(await bob.signals.receive()) == [0, 1]

    @rule("X9")
    async def test_closing_ends_listening_and_blocked_reading(self, stage: AsyncFlowStage) -> None:
        bob = await stage.join("bob")
        listening = stage.start(_count, bob.signals.listen())
        reading = stage.start(bob.signals.receive, timeout=None)
        await until(lambda: stage.faults(bob).counts["signals.receive"] >= 2)
        await bob.close()
        assert await listening.result() == 0
        with pytest.raises(Closed):
            await reading.result()
        with pytest.raises(Closed):
            await bob.signals.receive()

    @rule("G1", "G2")
    async def test_a_broadcast_reaches_the_sessions_it_is_meant_for(
        self, stage: AsyncFlowStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COMITY_INBOX_LIMIT", "2")
        ann = await stage.join("ann")
        bob = await stage.join("bob", capabilities=["review"], session_type="codex")
        cid = await stage.join("cid", session_type="codex")
        sent = await ann.signals.broadcast("all", 1)
        assert sorted(sent.delivered) == ["bob", "cid"]
        assert list((await ann.signals.broadcast("some", 2, capability="review")).delivered) == ["bob"]
        sent = await ann.signals.broadcast("some", 3, session_type="codex")
        assert (list(sent.delivered), sent.full) == (["cid"], ("bob",))
        assert _data(await bob.signals.receive()) == [1, 2]
        assert _data(await cid.signals.receive()) == [1, 3]
        assert await _state(ann, sent.delivered["cid"]) is SignalState.SEEN
        assert (await ann.signals.broadcast("none", capability="nobody can")).delivered == {}

    @rule("G2")
    async def test_what_cannot_be_delivered_raises(
        self, stage: AsyncFlowStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COMITY_INBOX_LIMIT", "1")
        ann = await stage.join("ann")
        with pytest.raises(NoSuchSession, match="bob"):
            await ann.signals.send("bob", "ready")
        await ann.signals.send("bob", "ready", allow_offline=True)
        with pytest.raises(InboxFull, match="bob"):
            await ann.signals.send("bob", "ready", allow_offline=True)
        assert len(await (await stage.join("bob")).signals.receive()) == 1

    @rule("A1")
    async def test_an_observer_reads_and_acknowledges_and_sends_nothing(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", access_tier=AccessTier.OBSERVER)
        await ann.signals.send("bob", "ready")
        (signal,) = await bob.signals.receive()
        assert await signal.ack()
        with pytest.raises(AccessDenied):
            await bob.signals.send("ann", "ready")
        with pytest.raises(AccessDenied):
            await bob.signals.broadcast("ready")

    @rule("X6")
    async def test_what_cannot_be_sent_is_refused_before_anything_is(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        sent = stage.faults(ann).counts["signals.send"]
        wrong: list[tuple[type[Exception], tuple[Any, ...], dict[str, Any]]] = [
            (InvalidName, ("", "ready"), {}),
            (InvalidName, ("ann", "a\nb"), {}),
            (InvalidPayload, ("ann", "ready", {1}), {}),
            (InvalidArgument, ("ann", "ready"), {"ttl": 0}),
            (InvalidArgument, ("ann", "ready"), {"ttl": float("nan")}),
        ]
        for error, args, options in wrong:
            with pytest.raises(error):
                await ann.signals.send(*args, **options)
        for options in ({"limit": 0}, {"timeout": -1}, {"types": []}):
            with pytest.raises(InvalidArgument):
                await ann.signals.receive(**options)
        assert stage.faults(ann).counts["signals.send"] == sent
        unannounced = await stage.join("bob", auto_announce=False)
        assert await unannounced.signals.peek("ann") == []
        with pytest.raises(NotAnnounced):
            await unannounced.signals.receive()


class AsyncSignalTroubleFlows(AsyncFlowTests):
    """Wake-ups and steps are lost, readers die, the store is away."""

    @rule("L6")
    async def test_a_lost_wake_up_costs_a_heartbeat_at_most(
        self, stage: AsyncFlowStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", **SHORT)
        monkeypatch.setattr(bob._session.holdings.hints, "tell", lambda *_: None)  # noqa: SLF001
        waiting = stage.start(bob.signals.receive, timeout=20)
        await until(lambda: stage.faults(bob).counts["signals.receive"] >= 1)
        await ann.signals.send("bob", "ready")
        assert len(await waiting.result(2.0)) == 1

    @rule("X4")
    @pytest.mark.parametrize("lost", ["request", "reply"])
    async def test_steps_that_are_lost_once_still_give_the_true_answer(self, stage: AsyncFlowStage, lost: str) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        for me, steps in ((ann, ("signals.send", "signals.broadcast")), (bob, ("signals.receive", "signals.ack"))):
            for step in steps:
                faults = stage.faults(me)
                (faults.lose_requests if lost == "request" else faults.lose_replies)(step)
        await ann.signals.send("bob", "n", 1)
        assert list((await ann.signals.broadcast("n", 2)).delivered) == ["bob"]
        (signal, other) = await bob.signals.receive()
        assert [await signal.ack(), await other.ack()] == [True, True]
        assert await bob.signals.peek() == []
        assert not stage.faults(ann).pending
        assert not stage.faults(bob).pending

    @rule("G1")
    async def test_a_reader_that_dies_before_it_acknowledges_leaves_its_signals_to_the_next(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", **SHORT)
        await ann.signals.send("bob", "n", 1)
        assert _data(await bob.signals.receive()) == [1]
        stage.kill(bob)
        await until(lambda: bob.liveness is Liveness.LOST)
        with pytest.raises(SessionLost):
            await bob.signals.receive()
        stage.faults(bob).mend()

        async def over() -> bool:
            return await ann.sessions.get("bob") is None

        await until(over)
        assert _data(await (await stage.join("bob")).signals.receive()) == [1]

    @rule("X11", "S6")
    async def test_waiting_outlives_an_outage_and_ends_with_the_session(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", session_ttl=1.0, heartbeat_interval=0.2)
        waiting = stage.start(bob.signals.receive, timeout=20)
        await until(lambda: stage.faults(bob).counts["signals.receive"] >= 1)
        stage.faults(bob).cut()
        await ann.signals.send("bob", "n", 1)
        await until(lambda: bob.liveness is Liveness.SUSPECT)
        stage.faults(bob).mend()
        assert _data(await waiting.result()) == [1]
        waiting = stage.start(bob.signals.receive, timeout=20)
        stage.faults(bob).cut()
        with pytest.raises(BackendUnavailable):
            await bob.signals.receive(timeout=0.05)
        with pytest.raises(SessionLost):
            await waiting.result()

    @rule("S13")
    async def test_a_process_that_waits_keeps_the_session_alive_that_it_acts_for(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", detached=True, **SHORT)
        one = await stage.attach(bob.handle)
        await bob.close()
        waiting = stage.start(one.signals.receive, timeout=20)
        await pause(1.0)
        await ann.signals.send("bob", "n", 1)
        assert _data(await waiting.result()) == [1]

    @rule("G3", "S6")
    async def test_listening_goes_on_in_the_next_life_of_a_session_that_rejoins(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", on_lost="rejoin", **SHORT)
        inbox = bob.signals.listen()
        stage.faults(bob).cut()
        await until(lambda: bob.liveness is Liveness.LOST)
        listening = stage.start(inbox.__anext__)
        stage.faults(bob).mend()
        await until(lambda: bob.liveness is Liveness.LIVE)
        await ann.signals.send("bob", "n", 1)
        assert (await listening.result()).data == 1
        inbox.close()


def _data(signals: list[AsyncSignal]) -> list[Any]:
    return [signal.data for signal in signals]


async def _state(me: AsyncCoordinator, signal_id: str) -> SignalState:
    status = await me.signals.status(signal_id)
    assert status is not None
    return status.state


async def _divide(inbox: AsyncInbox) -> None:
    async with inbox:
        async for signal in inbox:
            assert 1 / signal.data


async def _count(inbox: AsyncInbox) -> int:
    count = 0
    async for _ in inbox:
        count += 1
    return count
