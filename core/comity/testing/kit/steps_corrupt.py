"""Rule X7 of the contract: a record that nobody can read harms nothing but itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.logs import corrupt_counts
from comity.model import Claimed, Granted, NewSignal, Retention, TaskStatus, TopicPosition, WakeKind
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import Stage, StepTests
from comity.testing.kit.work import (
    a_push,
    ask,
    claim,
    complete,
    counts,
    do,
    ends,
    fail,
    get,
    listed,
    none_ready,
    push,
    pushed,
    wait,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.model import SessionRef
    from comity.ports import Backend


def _new(stage: Stage, sender: SessionRef) -> NewSignal:
    return NewSignal(sender, stage.new("sig"), "note", b"1", 300_000)


def _signal(stage: Stage, sender: SessionRef, to: str) -> None:
    stage.run(stage.backend.signals.send(_new(stage, sender), to, allow_offline=False))


NO_PAYLOAD = "a task that loses its payload"
"""If there is a task of this id, `spoil` takes what was pushed with it away."""


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
        below, area = stage.hold(ann, "area/a"), stage.wait(bob, "area/")
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
        assert stage.release(below)
        assert stage.holding("area/b") == [area.request_id]
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

    @rule("X7", "T5")
    def test_good_tasks_are_read_beside_bad_records(self, stage: Stage, spoil: Callable[[Backend], None]) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        done, dead = do(stage, ann, batch="b"), push(stage, ann)
        fail(stage, ann, claim(stage, ann), retry_ms=None)
        claimed = push(stage, ann)
        claim(stage, bob)
        ready, delayed = push(stage, ann), push(stage, ann, delay_ms=500_000)
        blocked = push(stage, ann, depends_on=(ready,))
        push(stage, ann, task_id=NO_PAYLOAD)
        counted = counts(stage)
        before = sum(corrupt_counts.values())
        spoil(stage.backend)
        by_status = {"done": done, "dead": dead, "claimed": claimed, "ready": ready, "delayed": delayed}
        for status, task_id in {**by_status, "blocked": blocked}.items():
            assert listed(stage, TaskStatus(status)) == [task_id]
            assert get(stage, task_id).status == status
        assert stage.run(stage.backend.tasks.get(NO_PAYLOAD)) is None
        assert counts(stage) == counted
        assert [task.id for task in stage.run(stage.backend.tasks.results("b", "", 10)).tasks] == [done]
        assert list(ends(stage)) == [done, dead]
        assert [own.task.id for own in stage.run(stage.backend.tasks.own(bob))] == [claimed]
        assert "work" in stage.run(stage.backend.tasks.queues())
        assert sum(corrupt_counts.values()) > before

    @rule("X7", "T2", "T4")
    def test_tasks_are_done_beside_bad_records(self, stage: Stage, spoil: Callable[[Backend], None]) -> None:
        ann, bob, cid = (stage.session(agent_id) for agent_id in ("ann", "bob", "cid"))
        ready, other = push(stage, ann), push(stage, ann)
        blocked = push(stage, ann, depends_on=(ready,))
        soon = push(stage, ann, delay_ms=1)
        push(stage, ann, task_id=NO_PAYLOAD, priority=1, dedupe_key="k")
        spoil(stage.backend)
        assert pushed(stage, a_push(stage, ann, dedupe_key="k")).task.id == NO_PAYLOAD
        assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
        first = claim(stage, ann)
        assert first.task.id == ready
        assert counts(stage)["dead"] >= 1  # what nobody can do
        for queue in ("work", "other"):
            assert pushed(stage, a_push(stage, ann, queue, dedupe_key="k", priority=-1)).new
        assert complete(stage, ann, first, retention=Retention(1, 500_000)).ok
        assert claim(stage, bob).task.id == other
        assert claim(stage, cid, max_runtime_ms=1).task.id == blocked
        stage.until(lambda: claim(stage, bob).task.id in (soon, blocked))
        stage.run(stage.backend.presence.depart(bob))
        stage.run(stage.backend.presence.reap())
        ear = stage.listener(cid)
        while not none_ready(stage, cid):
            pass
        request = wait(stage, cid, listener=ear.address)
        last = push(stage, ann)
        assert stage.hears(ear, WakeKind.TASK).request_id == request.request_id
        answer = ask(stage, request)
        assert isinstance(answer, Claimed)
        assert answer.task.id == last
        assert fail(stage, cid, answer, retry_ms=None).status == "dead"
        assert stage.run(stage.backend.tasks.retry(ann, "again", last)).status == "ready"
        assert stage.run(stage.backend.tasks.remove(ann, "gone", last))
        stage.run(stage.backend.tasks.trim(Retention(1, 0)))
        assert push(stage, ann)
