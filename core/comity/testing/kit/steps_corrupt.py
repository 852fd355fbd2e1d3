"""Rule X7 of the contract: a record that nobody can read harms nothing but itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.logs import corrupt_counts
from comity.model import Granted, NewSignal, TopicPosition
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import Stage, StepTests

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.model import SessionRef
    from comity.ports import Backend


def _new(stage: Stage, sender: SessionRef) -> NewSignal:
    return NewSignal(sender, stage.new("sig"), "note", b"1", 300_000)


def _signal(stage: Stage, sender: SessionRef, to: str) -> None:
    stage.run(stage.backend.signals.send(_new(stage, sender), to, allow_offline=False))


class CorruptRecordSteps(StepTests):
    """Garbage stands among the good records. For backends whose store keeps bytes; give `spoil`."""

    @pytest.fixture
    def spoil(self) -> Callable[[Backend], None]:
        """Override: return a function that puts unreadable records wherever the backend keeps any.

        Beside the good ones, never in their place, and so that they come first where order matters.
        """
        raise NotImplementedError

    @rule("X7")
    def test_good_records_are_read_beside_bad_ones(self, stage: Stage, spoil: Callable[[Backend], None]) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waiting = stage.hold(ann), stage.wait(bob)
        stage.publish("news", b"1")
        _signal(stage, ann, "bob")
        stage.put(ann, "plan", b"1")
        stage.put(ann, "serving", b"2", ephemeral=True, ttl_ms=60_000)
        before = sum(corrupt_counts.values())
        spoil(stage.backend)
        sessions = stage.run(stage.backend.presence.members(None)).sessions
        assert sessions is not None
        assert [info.agent_id for info in sessions] == ["ann", "bob"]
        assert stage.holding() == [held.request_id]
        assert stage.queue() == [waiting.request_id]
        found = stage.run(stage.backend.locks.held(""))
        assert [holder.request_id for holder in found] == [held.request_id]
        assert [h.request_id for h in stage.own(ann).held] == [held.request_id]
        assert [c.request_id for c in stage.own(bob).waiting] == [waiting.request_id]
        assert b"1" in [event.payload for event in stage.stored("news")]
        assert [signal.payload for signal in stage.run(stage.backend.signals.peek("bob", 10))] == [b"1"]
        assert [stage.value(key) for key in ("plan", "serving")] == [b"1", b"2"]
        assert [entry.value for entry in stage.page(b"", b"\xff").entries] == [b"1", b"2"]
        assert sum(corrupt_counts.values()) > before

    @rule("X7")
    def test_steps_go_through_beside_bad_records(self, stage: Stage, spoil: Callable[[Backend], None]) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waiting = stage.hold(ann), stage.wait(bob)
        _signal(stage, ann, "bob")
        version = stage.put(ann, "plan", b"1")
        stage.put(ann, "serving", b"2", ephemeral=True)
        stage.put(ann, "brief", b"2", ttl_ms=1)
        spoil(stage.backend)
        version = stage.put(ann, "plan", b"3", expect_version=version)
        assert stage.put(bob, "other", b"4", ttl_ms=60_000) > version
        stage.until(lambda: stage.entry("brief") is None)
        assert stage.run(stage.backend.state.trim(100)).count <= 1
        assert [entry.value for entry in stage.page(b"", b"\xff").entries] == [b"4", b"3", b"2"]
        assert stage.delete(ann, "plan", expect_version=version) > version
        _signal(stage, ann, "bob")
        received = stage.run(stage.backend.signals.receive(bob, 0, (), None, 10))
        assert [signal.payload for signal in received] == [b"1", b"1"]
        assert stage.run(stage.backend.signals.ack(bob, [signal.signal_id for signal in received])) == (True, True)
        assert list(stage.run(stage.backend.signals.broadcast(_new(stage, ann), ["bob"])).delivered) == ["bob"]
        assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
        assert stage.release(held)
        assert stage.holding() == [waiting.request_id]
        assert isinstance(stage.acquire(waiting), Granted)
        cid = stage.session("cid")
        behind = stage.wait(cid)
        stage.run(stage.backend.presence.depart(bob))
        assert stage.holding() == [behind.request_id]
        stage.run(stage.backend.presence.reap())
        assert stage.publish("news") >= 1
        committed = {"news": TopicPosition(1, 2)}
        assert stage.run(stage.backend.pubsub.commit("me", committed)) == committed
        contest = stage.run(stage.backend.conflicts.contest("lock", ["ann"]))
        assert [p.agent_id for p in contest.parties] == ["ann", "cid"]
        assert stage.run(stage.backend.presence.depart(ann)) is True
        assert stage.run(stage.backend.presence.depart(cid)) is True
        assert [entry.key for entry in stage.page(b"", b"\xff").entries] == ["other"]
        gone = [change["key"] for change in stage.changes() if change["type"] != "state.put"]
        assert gone == ["brief", "plan", "serving"]
        left = [event["agent_id"] for event in stage.told("session.left")]
        assert left == ["bob", "ann", "cid"]
