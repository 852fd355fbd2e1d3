"""Rule X4 of the contract: performed twice, or late, a step takes effect once or not at all.

A reply that was lost is played by performing the same `Op` again; a duplicate that is late, by
performing it after the step that ended its request.
"""

from __future__ import annotations

import attrs
import pytest

from comity.errors import SessionLost
from comity.model import Changed, Ended, Granted, Mode, NewSignal, Queued, SessionInfo, TopicPosition, Withdrawn
from comity.ops import Effect
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import Stage, StepTests


class RetrySteps(StepTests):
    """Steps are retried after lost replies and arrive after their time."""

    # T5: the adapters' own retries ride on these rules, whatever a client library does below.

    @rule("X4")
    def test_a_late_acquire_after_its_release_has_no_effect(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        request = stage.hold(ann)
        stage.release(request)
        answer = stage.acquire(request)
        assert isinstance(answer, Ended)
        assert (answer.lost, answer.reason) == (False, "")
        assert stage.holding() == []
        stage.hold(bob)
        assert isinstance(stage.acquire(attrs.evolve(request, wait=True)), Ended)
        assert stage.queue() == []

    @rule("X4")
    @pytest.mark.parametrize("keep", [True, False])
    def test_a_late_acquire_after_its_withdrawal_has_no_effect(self, stage: Stage, keep: bool) -> None:
        # T6: it was cancelled, and the cancelling step overtook it on another connection.
        request = stage.request(stage.session("ann"), wait=True)
        withdraw = stage.backend.locks.withdraw(request.session, request.request_id, keep=keep)
        assert isinstance(stage.run(withdraw), Withdrawn)
        answer = stage.acquire(request)
        assert isinstance(answer, Ended)
        assert not answer.lost
        assert stage.holding() == stage.queue() == []
        assert isinstance(stage.run(withdraw), Withdrawn)

    @rule("X4")
    def test_a_late_acquire_after_departure_has_no_effect(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.request(ann, wait=True)
        stage.run(stage.backend.presence.depart(ann))
        with pytest.raises(SessionLost):
            stage.acquire(request)
        assert stage.holding() == []

    @rule("X4")
    def test_a_late_acquire_of_an_old_incarnation_has_no_effect(self, stage: Stage) -> None:
        old = stage.session("ann")
        request = stage.request(old)
        stage.run(stage.backend.presence.depart(old))
        stage.session("ann")
        with pytest.raises(SessionLost):
            stage.acquire(request)
        assert stage.holding() == []

    @rule("X4", "L4")
    def test_a_late_release_touches_no_later_grant(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waiting = stage.hold(ann), stage.wait(bob)
        release = stage.backend.locks.release(ann, held.request_id)
        assert stage.run(release).ok
        assert stage.run(release).ok
        assert stage.holding() == [waiting.request_id]

    @rule("X4")
    def test_a_late_withdrawal_touches_no_later_grant(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waiting = stage.hold(ann), stage.wait(bob)
        withdraw = stage.backend.locks.withdraw(ann, held.request_id, keep=False)
        for _ in range(2):
            assert isinstance(stage.run(withdraw), Withdrawn)
            assert stage.holding() == [waiting.request_id]

    @rule("X4")
    def test_a_withdrawal_by_another_session_does_nothing(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waiting = stage.hold(ann), stage.wait(ann)
        for request in (held, waiting):
            stage.run(stage.backend.locks.withdraw(bob, request.request_id, keep=False))
        assert stage.holding() == [held.request_id]
        assert stage.queue() == [waiting.request_id]

    @rule("X4", "L12")
    def test_a_late_preemption_after_its_release_has_no_effect(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        request = stage.request(bob)
        preempt = stage.backend.locks.preempt(request, stage.token(stage.hold(ann)), "why")
        assert isinstance(stage.run(preempt), Granted)
        stage.release(request)
        others = stage.hold(ann)
        late = stage.backend.locks.preempt(request, stage.token(others), "why")
        for op in (preempt, late):
            assert isinstance(stage.run(op), Ended | Changed)
        assert isinstance(stage.run(late), Ended)
        assert stage.holding() == [others.request_id]

    @rule("X4", "S1")
    def test_a_late_announcement_after_departure_has_no_effect(self, stage: Stage) -> None:
        announcement = stage.announcement("ann")
        announce = stage.backend.presence.announce(announcement)
        stage.run(announce)
        stage.run(stage.backend.presence.depart(announcement.session))
        with pytest.raises(SessionLost):
            stage.run(announce)
        assert stage.run(stage.backend.presence.get("ann")) is None
        assert len(stage.told("session.joined")) == 1

    @rule("X4", "L12")
    def test_a_retried_breaking_breaks_nobody_more_and_answers_the_same(self, stage: Stage) -> None:
        root, ann, bob = stage.session("root"), stage.session("ann"), stage.session("bob")
        one = stage.hold(ann, mode=Mode.SHARED, ttl_ms=90_000, flow="naïve")
        two = stage.hold(bob, mode=Mode.SHARED)
        waiting = stage.wait(bob)
        op = stage.backend.locks.break_lock(root, stage.new("break"), "lock", "stuck")
        first = stage.run(op)
        assert [holder.request_id for holder in first] == [one.request_id, two.request_id]
        assert stage.run(op) == first
        assert stage.release(waiting)
        assert stage.run(op) == first
        later = stage.hold(ann)
        assert stage.run(op) == first
        assert stage.holding() == [later.request_id]
        assert len(stage.told("lock.lost")) == 2

    @rule("X4", "L12")
    def test_a_retried_breaking_of_a_free_name_breaks_nobody_who_came_since(self, stage: Stage) -> None:
        root, ann = stage.session("root"), stage.session("ann")
        op = stage.backend.locks.break_lock(root, stage.new("break"), "lock", "stuck")
        assert stage.run(op) == ()
        held = stage.hold(ann)
        assert stage.run(op) == ()
        assert stage.holding() == [held.request_id]

    @rule("X4", "S6")
    def test_a_heartbeat_performed_twice_is_one_heartbeat(self, stage: Stage) -> None:
        ann = stage.session("ann")
        op = stage.backend.presence.heartbeat(ann, 0)
        first, second = stage.run(op), stage.run(op)
        assert (first.alive, first.version, first.live) == (second.alive, second.version, second.live)

    @rule("X4", "S11")
    def test_a_late_update_never_undoes_a_later_one(self, stage: Stage) -> None:
        ann = stage.session("ann")
        first = stage.backend.presence.update(ann, SessionInfo("ann", status="1", revision=1))
        second = stage.backend.presence.update(ann, SessionInfo("ann", status="2", revision=2))
        stage.run(first)
        stage.run(second)
        assert stage.run(first).status == "2"
        assert len(stage.told("session.updated")) == 2

    @rule("X4", "E1")
    def test_an_event_published_twice_is_stored_once(self, stage: Stage) -> None:
        request_id = stage.new("pub")
        first = stage.publish("news", b"1", request_id=request_id)
        stage.publish("news", b"2")
        assert stage.publish("news", b"1", request_id=request_id) == first
        assert [event.payload for event in stage.stored("news")] == [b"1", b"2"]

    @rule("X4", "E5")
    def test_a_commit_performed_late_moves_nothing_back(self, stage: Stage) -> None:
        early = stage.backend.pubsub.commit("me", {"news": TopicPosition(7, 1)})
        stage.run(early)
        stage.run(stage.backend.pubsub.commit("me", {"news": TopicPosition(7, 5)}))
        assert stage.run(early) == {"news": TopicPosition(7, 5)}

    @rule("X4", "X1")
    def test_racing_duplicates_of_one_acquire_make_one_grant(self, stage: Stage) -> None:
        request = stage.request(stage.session("ann"), wait=True)
        answers = stage.race(lambda b, _: b.locks.acquire(request), range(6))
        tokens = {answer.token for answer in answers if isinstance(answer, Granted)}
        assert len(tokens) == 1
        assert all(isinstance(answer, Granted) for answer in answers)
        assert stage.release(request)
        assert stage.holding() == []

    @rule("X4", "X5")
    def test_an_acquire_racing_its_withdrawal_leaves_nothing(self, stage: Stage) -> None:
        # T6
        ann = stage.session("ann")
        for _ in range(10):
            request = stage.request(ann, wait=True)
            acquire = stage.backend.locks.acquire(request)
            withdraw = stage.backend.locks.withdraw(ann, request.request_id, keep=False)
            stage.race(lambda _, op: op, [acquire, withdraw])
            assert stage.holding() == stage.queue() == []

    # ------------------------------------------------------------------------------ undo

    @rule("X5")
    @pytest.mark.parametrize("known", [True, False])
    def test_undoing_an_acquire_leaves_nothing_held_or_queued(self, stage: Stage, known: bool) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        for _ in range(2):  # the first is granted, the second waits
            op = stage.backend.locks.acquire(stage.request(ann, wait=True))
            answer = stage.run(op)
            undo = op.undo(answer if known else None)
            assert undo is not None
            stage.run(undo)
            assert isinstance(stage.run(op), Ended)
            assert stage.queue() == []
            if isinstance(answer, Granted):
                stage.hold(bob)
        assert [holder.agent_id for holder in stage.view().holders] == ["bob"]

    @rule("X5", "X4")
    def test_undoing_an_acquire_that_never_arrived_keeps_it_from_arriving(self, stage: Stage) -> None:
        op = stage.backend.locks.acquire(stage.request(stage.session("ann")))
        undo = op.undo(None)
        assert undo is not None
        stage.run(undo)
        assert isinstance(stage.run(op), Ended)
        assert stage.holding() == []

    @rule("X5")
    def test_undoing_a_preemption_frees_the_name(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        token = stage.token(stage.hold(ann))
        waiting = stage.wait(ann)
        op = stage.backend.locks.preempt(stage.request(bob), token, "why")
        stage.run(op)
        undo = op.undo(None)
        assert undo is not None
        stage.run(undo)
        assert stage.holding() == [waiting.request_id]

    @rule("X5")
    def test_undoing_an_announcement_departs(self, stage: Stage) -> None:
        op = stage.backend.presence.announce(stage.announcement("ann"))
        stage.run(op)
        undo = op.undo(None)
        assert undo is not None
        stage.run(undo)
        assert stage.run(stage.backend.presence.get("ann")) is None
        with pytest.raises(SessionLost):
            stage.run(op)

    @rule("X5")
    def test_a_release_of_unknown_outcome_is_undone_by_releasing(self, stage: Stage) -> None:
        held = stage.hold(stage.session("ann"))
        op = stage.backend.locks.release(held.session, held.request_id)
        undo = op.undo(None)
        assert undo is not None
        stage.run(undo)
        assert stage.holding() == []

    @rule("X4")
    def test_a_step_says_whether_it_changes_the_store(self, stage: Stage) -> None:
        # What is marked READ may be dropped half-way and sent again.
        ann, request = stage.session("ann"), stage.request(stage.session("bob"))
        presence, locks, pubsub = stage.backend.presence, stage.backend.locks, stage.backend.pubsub
        signals, signal = stage.backend.signals, NewSignal(ann, "s", "note", b"1", 1000)
        reads = [
            presence.members(None),
            presence.get("ann"),
            locks.view("lock"),
            locks.held(""),
            locks.own(ann),
            pubsub.read({}, 1),
            pubsub.tail([]),
            pubsub.cursor("me"),
            stage.backend.conflicts.contest("lock", []),
            signals.peek("ann", 1),
            signals.status("s"),
        ]
        writes = [
            presence.announce(stage.announcement()),
            presence.heartbeat(ann, 0),
            presence.depart(ann),
            presence.reap(),
            presence.update(ann, SessionInfo("ann", revision=1)),
            locks.acquire(request),
            locks.withdraw(ann, "r", keep=True),
            locks.release(ann, "r"),
            locks.renew(ann, "r", 1, None),
            locks.preempt(request, 1, ""),
            locks.break_lock(ann, "r", "lock", ""),
            pubsub.commit("me", {}),
            signals.send(signal, "ann", allow_offline=True),
            signals.broadcast(signal, None),
            signals.receive(ann, 0, (), None, 1),
            signals.ack(ann, ["s"]),
        ]
        assert {op.name for op in reads if op.effect is not Effect.READ} == set()
        assert {op.name for op in writes if op.effect is not Effect.WRITE} == set()
        assert len({op.name for op in (*reads, *writes)}) == len(reads) + len(writes)

    @rule("X4")
    def test_a_request_id_lives_once(self, stage: Stage) -> None:
        # Absent, queued, held, ended, never back.
        ann, bob = stage.session("ann"), stage.session("bob")
        held, request = stage.hold(ann), stage.request(bob, wait=True)
        assert isinstance(stage.acquire(request), Queued)
        stage.release(held)
        assert isinstance(stage.acquire(request), Granted)
        stage.release(request)
        for _ in range(2):
            assert isinstance(stage.acquire(request), Ended)
        assert stage.holding() == stage.queue() == []
