"""Rules G1 to G3 of the contract, at the level of steps: inboxes, and what became of what was in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from comity.errors import InboxFull, NoSuchSession, SessionLost
from comity.model import Broadcast, NewSignal, SignalState, SignalStatus, WakeKind, broadcast_id
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from comity.model import SessionRef, StoredSignal

BRIEF_MS = 60


class SignalSteps(StepTests):
    """Signals are sent, read, acknowledged and told of."""

    def new(self, stage: Stage, sender: SessionRef, payload: bytes = b"1", **facts: Any) -> NewSignal:
        """Describe a signal that was never sent."""
        signal_id = facts.pop("signal_id", None) or stage.new("sig")
        ttl_ms = facts.pop("ttl_ms", 300_000)
        return NewSignal(sender, signal_id, facts.pop("type", "note"), payload, ttl_ms, **facts)

    def send(
        self, stage: Stage, sender: SessionRef, to: str, payload: bytes = b"1", *, offline: bool = False, **facts: Any
    ) -> str:
        """Send a signal and return its id."""
        signal = self.new(stage, sender, payload, **facts)
        stage.run(stage.backend.signals.send(signal, to, allow_offline=offline))
        return signal.signal_id

    def receive(
        self,
        stage: Stage,
        session: SessionRef,
        after: int = 0,
        given: Collection[int] = (),
        types: Sequence[str] | None = None,
        limit: int = 100,
    ) -> tuple[StoredSignal, ...]:
        """Read an inbox from its beginning, as one who was given nothing before."""
        return stage.run(stage.backend.signals.receive(session, after, given, types, limit))

    def ack(self, stage: Stage, session: SessionRef, *signal_ids: str) -> tuple[bool, ...]:
        return stage.run(stage.backend.signals.ack(session, signal_ids))

    def status(self, stage: Stage, signal_id: str) -> SignalStatus:
        found = stage.run(stage.backend.signals.status(signal_id))
        assert found is not None
        return found

    def peek(self, stage: Stage, agent_id: str) -> list[bytes]:
        return [signal.payload for signal in stage.run(stage.backend.signals.peek(agent_id, 1000))]

    def gone(self, stage: Stage, signal_id: str) -> None:
        """Wait until a signal has expired."""
        stage.until(lambda: self.status(stage, signal_id).state is SignalState.EXPIRED)

    @rule("G1")
    def test_a_signal_is_received_as_it_was_sent(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        payload = '{"naïve": "☃"}'.encode()
        signal_id = self.send(stage, ann, "bob", payload, type="build done ☃")
        (signal,) = self.receive(stage, bob)
        assert (signal.signal_id, signal.sender, signal.type) == (signal_id, "ann", "build done ☃")
        assert signal.payload == payload
        assert signal.until_ms - signal.sent_ms == 300_000
        assert not signal.seen

    @rule("G1")
    def test_a_signal_of_256_kib_is_kept_whole(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        payload = b'"' + b"x" * (256 * 1024 - 2) + b'"'
        for _ in range(6):
            self.send(stage, ann, "bob", payload)
        received = self.receive(stage, bob)
        assert 1 <= len(received) < 6  # about 1 MiB
        assert received[0].payload == payload

    @rule("G1")
    def test_signals_are_received_in_the_order_in_which_they_were_sent(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(name) for name in ("ann", "bob", "cid"))
        for number in range(40):
            self.send(stage, ann if number % 3 else cid, "bob", b"%d" % number)
        found = self.receive(stage, bob)
        assert [signal.payload for signal in found] == [b"%d" % number for number in range(40)]
        assert [signal.sequence for signal in found] == sorted({signal.sequence for signal in found})

    @rule("G1")
    def test_what_is_not_acknowledged_is_received_again(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        first, second = self.send(stage, ann, "bob", b"1"), self.send(stage, ann, "bob", b"2")
        assert len(self.receive(stage, bob)) == 2
        assert self.ack(stage, bob, first) == (True,)
        (again,) = self.receive(stage, bob)
        assert (again.signal_id, again.seen) == (second, True)
        assert self.ack(stage, bob, second) == (True,)
        assert self.receive(stage, bob) == ()

    @rule("G1")
    def test_an_inbox_outlives_its_session_and_goes_to_the_next_incarnation(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        self.send(stage, ann, "bob", b"1")
        assert len(self.receive(stage, bob)) == 1
        stage.run(stage.backend.presence.depart(bob))
        with pytest.raises(SessionLost):
            self.receive(stage, bob)
        again = stage.session("bob")
        self.send(stage, ann, "bob", b"2")
        assert [signal.payload for signal in self.receive(stage, again)] == [b"1", b"2"]

    @rule("G1", "X2")
    def test_a_signal_expires_by_the_stores_clock_and_its_sender_can_tell(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        brief = self.send(stage, ann, "bob", b"brief", ttl_ms=BRIEF_MS)
        kept = self.send(stage, ann, "bob", b"kept")
        self.gone(stage, brief)
        assert [signal.signal_id for signal in self.receive(stage, bob)] == [kept]
        assert self.ack(stage, bob, brief) == (False,)
        status = self.status(stage, brief)
        assert (status.state, status.seen_ms, status.to) == (SignalState.EXPIRED, None, "bob")
        assert status.ended_ms == status.sent_ms + BRIEF_MS
        assert self.peek(stage, "bob") == [b"kept"]

    @rule("G2")
    def test_nothing_is_sent_to_a_session_that_does_not_live(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob", ttl=SHORT)
        stage.outlive(bob)  # and nobody has reaped it
        for nobody in ("bob", "nobody"):
            with pytest.raises(NoSuchSession) as told:
                self.send(stage, ann, nobody)
            assert told.value.agent_id == nobody
            assert self.peek(stage, nobody) == []

    @rule("G2")
    def test_an_offline_inbox_takes_what_is_meant_for_one(self, stage: Stage) -> None:
        ann = stage.session("ann")
        self.send(stage, ann, "bob", b"1", offline=True)
        assert self.peek(stage, "bob") == [b"1"]
        assert [signal.payload for signal in self.receive(stage, stage.session("bob"))] == [b"1"]

    @rule("G2")
    def test_a_full_inbox_takes_no_more_until_one_is_acknowledged_or_expires(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        first = self.send(stage, ann, "bob", b"1", max_inbox=3)
        self.send(stage, ann, "bob", b"2", max_inbox=3)
        brief = self.send(stage, ann, "bob", b"3", max_inbox=3, ttl_ms=BRIEF_MS * 5)
        refused = self.new(stage, ann, b"4", max_inbox=3)
        with pytest.raises(InboxFull) as told:
            stage.run(stage.backend.signals.send(refused, "bob", allow_offline=False))
        assert (told.value.agent_id, told.value.limit) == ("bob", 3)
        assert stage.run(stage.backend.signals.status(refused.signal_id)) is None
        self.gone(stage, brief)
        self.send(stage, ann, "bob", b"5", max_inbox=3)
        self.ack(stage, bob, first)
        stage.run(stage.backend.signals.send(refused, "bob", allow_offline=False))
        with pytest.raises(InboxFull):
            self.send(stage, ann, "bob", max_inbox=3)
        assert self.peek(stage, "bob") == [b"2", b"5", b"4"]
        self.send(stage, ann, "ann", max_inbox=3)  # another inbox

    @rule("G1", "G2")
    def test_a_session_that_is_over_sends_receives_and_acknowledges_nothing(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        signal_id = self.send(stage, ann, "bob")
        late = stage.backend.signals.send(self.new(stage, ann), "bob", allow_offline=False)
        for session in (ann, bob):
            stage.run(stage.backend.presence.depart(session))
        with pytest.raises(SessionLost):
            stage.run(late)
        with pytest.raises(SessionLost):
            stage.run(stage.backend.signals.broadcast(self.new(stage, ann), None))
        with pytest.raises(SessionLost):
            self.receive(stage, bob)
        with pytest.raises(SessionLost):
            self.ack(stage, bob, signal_id)
        assert self.status(stage, signal_id).state is SignalState.QUEUED

    @rule("G3")
    def test_the_sender_can_tell_queued_from_seen_and_acknowledged(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        signal_id = self.send(stage, ann, "bob")
        status = self.status(stage, signal_id)
        assert (status.state, status.seen_ms, status.ended_ms) == (SignalState.QUEUED, None, None)
        self.peek(stage, "bob")
        assert self.status(stage, signal_id) == status
        (signal,) = self.receive(stage, bob)
        status = self.status(stage, signal_id)
        assert status.state is SignalState.SEEN
        assert status.seen_ms is not None
        assert status.sent_ms == signal.sent_ms <= status.seen_ms
        self.ack(stage, bob, signal_id)
        ended = self.status(stage, signal_id)
        assert (ended.state, ended.seen_ms) == (SignalState.ACKNOWLEDGED, status.seen_ms)
        assert ended.ended_ms is not None
        assert stage.run(stage.backend.signals.status("nonesuch")) is None

    @rule("G3")
    def test_a_reader_gets_what_it_was_not_given_of_the_types_it_wants(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        for number, kind in enumerate("abcabc"):
            self.send(stage, ann, "bob", b"%d" % number, type=kind)
        every = self.receive(stage, bob)
        numbers = [signal.sequence for signal in every]

        def read(**facts: Any) -> list[bytes]:
            return [signal.payload for signal in self.receive(stage, bob, **facts)]

        assert read(types=["a", "c"]) == [b"0", b"2", b"3", b"5"]
        assert read(types=[]) == []
        assert read(after=numbers[1]) == [b"2", b"3", b"4", b"5"]
        assert read(after=numbers[1], given=[numbers[3], numbers[0]], types=["a", "b"]) == [b"4"]
        assert read(types=["b", "c"], limit=3) == [b"1", b"2", b"4"]

    @rule("G3", "X4")
    def test_acknowledging_twice_is_acknowledging_once(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        signal_id = self.send(stage, ann, "bob")
        assert self.ack(stage, ann, signal_id) == (False,)  # it is another's
        assert self.ack(stage, bob, signal_id, "nonesuch") == (True, False)
        ended = self.status(stage, signal_id)
        assert self.ack(stage, bob, signal_id) == (True,)
        assert self.status(stage, signal_id) == ended

    @rule("X4")
    def test_a_signal_sent_twice_is_there_once(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        send = stage.backend.signals.send(self.new(stage, ann), "bob", allow_offline=False)
        stage.run(send)
        stage.run(send)
        (signal,) = self.receive(stage, bob)
        self.ack(stage, bob, signal.signal_id)
        stage.run(send)  # late
        assert self.receive(stage, bob) == ()
        brief = self.new(stage, ann, ttl_ms=1)
        send = stage.backend.signals.send(brief, "bob", allow_offline=False)
        stage.run(send)
        self.gone(stage, brief.signal_id)
        stage.run(send)
        assert self.peek(stage, "bob") == []
        assert self.status(stage, brief.signal_id).state is SignalState.EXPIRED

    @rule("G1", "X1")
    def test_racing_duplicates_of_one_send_are_one_signal(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        signal = self.new(stage, ann)
        stage.race(lambda b, _: b.signals.send(signal, "bob", allow_offline=False), range(4))
        assert len(self.receive(stage, bob)) == 1

    @rule("G1")
    def test_a_broadcast_goes_to_every_other_live_session(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(name) for name in ("ann", "bob", "cid"))
        stage.outlive(stage.session("dan", ttl=SHORT))
        signal = self.new(stage, ann, b'"all"', type="news")
        answer = stage.run(stage.backend.signals.broadcast(signal, None))
        ids = {name: broadcast_id(signal.signal_id, name) for name in ("bob", "cid")}
        assert answer == Broadcast(ids, ())
        for session in (bob, cid):
            (found,) = self.receive(stage, session)
            assert (found.signal_id, found.sender, found.type) == (ids[session.agent_id], "ann", "news")
            assert found.payload == b'"all"'
        assert self.peek(stage, "ann") == self.peek(stage, "dan") == []
        self.ack(stage, bob, ids["bob"])
        assert self.status(stage, ids["bob"]).state is SignalState.ACKNOWLEDGED
        assert [signal.payload for signal in self.receive(stage, cid)] == [b'"all"']
        self.ack(stage, cid, ids["cid"])
        assert self.peek(stage, "cid") == []

    @rule("G1", "G2")
    def test_a_broadcast_tells_whose_inbox_is_full(self, stage: Stage) -> None:
        ann = stage.session("ann")
        for name in ("bob", "cid", "dan"):
            stage.session(name)
        self.send(stage, ann, "cid", max_inbox=1)
        signal = self.new(stage, ann, b"2", max_inbox=1)
        answer = stage.run(stage.backend.signals.broadcast(signal, ["cid", "dan", "nobody", "ann"]))
        assert answer == Broadcast({"dan": broadcast_id(signal.signal_id, "dan")}, ("cid",))
        assert self.peek(stage, "cid") == [b"1"]
        assert self.peek(stage, "bob") == []

    @rule("X4")
    def test_a_broadcast_performed_twice_answers_as_the_first_time(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        broadcast = stage.backend.signals.broadcast(self.new(stage, ann), None)
        answer = stage.run(broadcast)
        stage.session("cid")
        assert stage.run(broadcast) == answer
        assert self.peek(stage, "cid") == []
        self.ack(stage, bob, *answer.delivered.values())
        assert stage.run(broadcast) == answer
        assert self.peek(stage, "bob") == []

    @rule("G3")
    def test_a_signal_wakes_its_recipient(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ears = [stage.listener(bob), stage.listener(bob)]  # a process attached to it has one of its own
        self.send(stage, ann, "bob")
        for ear in ears:
            stage.hears(ear, WakeKind.SIGNAL)
        stage.run(stage.backend.signals.broadcast(self.new(stage, ann), None))
        stage.hears(ears[0], WakeKind.SIGNAL)

    @rule("X8")
    def test_inboxes_of_two_namespaces_share_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann")
        other = stage.another(stage.namespace + "-other")
        self.send(stage, ann, "ann")
        assert stage.run(other.signals.peek("ann", 10)) == ()
        twin = stage.announcement("ann")
        stage.run(other.presence.announce(twin))
        assert stage.run(other.signals.receive(twin.session, 0, (), None, 10)) == ()
        stage.run(other.drop())
        assert self.peek(stage, "ann") == [b"1"]
        assert stage.run(stage.backend.drop()) > 0
        assert self.peek(stage, "ann") == []

    @rule("G1", "B2")
    def test_what_has_expired_is_done_away_with_by_trimming(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        kept = [self.send(stage, ann, "bob")]
        trim = stage.backend.signals.trim
        assert stage.run(trim(10)) == 0
        gone = [self.send(stage, ann, "bob", ttl_ms=BRIEF_MS) for _ in range(3)]
        kept.append(self.send(stage, ann, "bob"))
        stage.until(lambda: len(self.peek(stage, "bob")) == len(kept), within=1.0)
        stage.run(trim(2))
        stage.run(trim(10))
        assert stage.run(trim(10)) == 0
        assert {self.status(stage, each).state for each in gone} == {SignalState.EXPIRED}
        assert {self.status(stage, each).state for each in kept} == {SignalState.QUEUED}
        assert [signal.signal_id for signal in self.receive(stage, bob)] == kept
