"""Rules S3, S6 and S8 of the contract: who lives, by whose clock, and what an end brings."""

from __future__ import annotations

import pytest

from comity.errors import SessionLost
from comity.model import Ended, Granted, Reaped, Released, SessionInfo, SessionRef, WakeKind
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests


class LivenessSteps(StepTests):
    """Sessions are kept alive by heartbeats and end at their deadline."""

    @rule("S3")
    def test_a_session_lives_until_its_deadline_and_no_longer(self, stage: Stage) -> None:
        # T22: judged by the store's clock inside the step.
        stage.session("ann", ttl=SHORT)
        took = stage.until(lambda: stage.run(stage.backend.presence.get("ann")) is None)
        assert took > SHORT / 2
        assert stage.run(stage.backend.presence.members(None)).sessions == ()
        assert stage.told("session.left") == []  # reading ends nobody

    @rule("S3")
    def test_heartbeats_move_the_deadline(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob", ttl=SHORT)
        first = stage.run(stage.backend.presence.get("ann"))

        def only_bob_is_gone() -> bool:
            assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
            return stage.run(stage.backend.presence.get(bob.agent_id)) is None

        stage.until(only_bob_is_gone)
        later = stage.run(stage.backend.presence.get("ann"))
        assert first is not None
        assert later is not None
        assert later.last_heartbeat_ms > first.last_heartbeat_ms == first.started_ms

    @rule("S6")
    def test_a_heartbeat_after_the_deadline_is_refused(self, stage: Stage) -> None:
        # T42: not reaped yet, and still never revived.
        ann = stage.session("ann", ttl=SHORT)
        stage.outlive(ann)
        beat = stage.run(stage.backend.presence.heartbeat(ann, 0))
        assert not beat.alive
        assert beat.reason in {"expired", ""}
        assert stage.run(stage.backend.presence.get("ann")) is None

    @rule("S6")
    def test_a_heartbeat_never_revives_a_reaped_session(self, stage: Stage) -> None:
        ann = stage.session("ann", ttl=SHORT)
        stage.outlive(ann)
        stage.run(stage.backend.presence.reap())
        assert not stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
        assert stage.run(stage.backend.presence.members(None)).sessions == ()

    @rule("S6")
    def test_a_heartbeat_of_a_session_nobody_knows_is_refused(self, stage: Stage) -> None:
        assert not stage.run(stage.backend.presence.heartbeat(SessionRef("x", "y"), 0)).alive
        ann = stage.session("ann")
        forged = SessionRef(ann.agent_id, "another incarnation")
        assert not stage.run(stage.backend.presence.heartbeat(forged, 0)).alive

    @rule("S8")
    def test_a_heartbeat_tells_of_the_others(self, stage: Stage) -> None:
        ann = stage.session("ann", ttl=10.0)
        alone = stage.run(stage.backend.presence.heartbeat(ann, 0))
        assert (alone.live, alone.next_deadline_ms) == (1, None)
        stage.session("bob", ttl=40.0)
        stage.session("cid", ttl=20.0)
        beat = stage.run(stage.backend.presence.heartbeat(ann, 0))
        assert beat.live == 3
        assert beat.next_deadline_ms is not None
        assert 10_000 < beat.next_deadline_ms <= 20_000

    @rule("S8")
    def test_reap_ends_a_session_that_is_due_exactly_once(self, stage: Stage) -> None:
        ann, _ = stage.session("ann", ttl=SHORT), stage.session("bob", ttl=20.0)
        reap = stage.backend.presence.reap
        nobody = stage.run(reap())
        assert nobody.agent_id is None
        stage.outlive(ann)
        reaped = stage.run(reap())
        assert reaped.agent_id == "ann"
        assert reaped.next_deadline_ms is not None
        assert 10_000 < reaped.next_deadline_ms <= 20_000
        assert stage.run(reap()).agent_id is None
        (left,) = stage.told("session.left")
        assert (left["agent_id"], left["reason"]) == ("ann", "expired")

    @rule("S8")
    def test_reap_ends_one_session_per_step(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob", ttl=SHORT)
        stage.outlive(ann)
        stage.outlive(bob)
        first = stage.run(stage.backend.presence.reap())
        assert first.next_deadline_ms is not None
        assert first.next_deadline_ms <= 0
        assert len(stage.told("session.left")) == 1
        second = stage.run(stage.backend.presence.reap())
        assert {first.agent_id, second.agent_id} == {"ann", "bob"}
        assert second.next_deadline_ms is None

    @rule("S8", "X1")
    def test_of_many_reapers_at_once_one_ends_the_session(self, stage: Stage) -> None:
        ann = stage.session("ann", ttl=SHORT)
        stage.outlive(ann)
        answers = stage.race(lambda b, _: b.presence.reap(), range(6))
        ended = [answer.agent_id for answer in answers if isinstance(answer, Reaped)]
        assert sorted(ended, key=str) == [None] * 5 + ["ann"]
        assert len(stage.told("session.left")) == 1

    @rule("S8", "L7")
    def test_an_expired_session_gives_up_what_it_held_in_the_same_step(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob")
        stage.hold(ann, "one")
        stage.hold(ann, "two")
        waiting = stage.wait(bob, "one")
        stage.outlive(ann)
        stage.run(stage.backend.presence.reap())
        assert stage.holding("one") == [waiting.request_id]
        assert stage.holding("two") == []
        (left,) = stage.told("session.left")
        assert left["reason"] == "expired"

    @rule("S4", "S3")
    def test_members_leave_out_the_dead_before_they_are_reaped(self, stage: Stage) -> None:
        stage.session("bob")
        ann = stage.session("ann", ttl=SHORT)
        known = stage.run(stage.backend.presence.members(None)).version
        stage.outlive(ann)
        after = stage.run(stage.backend.presence.members(known))
        assert after.sessions is not None  # in full, although the version is known
        assert [info.agent_id for info in after.sessions] == ["bob"]

    @rule("S2", "S8")
    def test_a_new_incarnation_ends_the_one_past_its_deadline_first(self, stage: Stage) -> None:
        old = stage.session("ann", ttl=SHORT)
        stage.hold(old)
        stage.outlive(old)
        stage.session("ann")
        types = [(event["type"], event.get("reason")) for event in stage.told()]
        left = ("session.left", "expired")
        assert types == [("session.joined", None), left, ("session.joined", None)]
        assert stage.holding() == []
        assert not stage.run(stage.backend.presence.heartbeat(old, 0)).alive

    @rule("S6", "X4")
    def test_the_same_incarnation_never_begins_again_after_its_deadline(self, stage: Stage) -> None:
        announcement = stage.announcement("ann", ttl=SHORT)
        stage.run(stage.backend.presence.announce(announcement))
        stage.outlive(announcement.session)
        for _ in range(2):  # before and after it is reaped
            with pytest.raises(SessionLost):
                stage.run(stage.backend.presence.announce(announcement))
            stage.run(stage.backend.presence.reap())
        assert len(stage.told("session.joined")) == 1

    @rule("S6")
    def test_a_session_past_its_deadline_can_do_nothing_more(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob")
        held, others = stage.hold(ann, "one"), stage.hold(bob, "two")
        locks, fresh = stage.backend.locks, stage.request(ann, "three")
        preempting = stage.request(ann, "two")
        token = stage.token(others)
        stage.outlive(ann)
        publish = stage.backend.pubsub.publish(
            ann, stage.new("pub"), "news", "t", b"1", max_events=10, max_age_ms=10_000
        )
        for refused in (
            locks.acquire(fresh),
            locks.own(ann),
            locks.renew(ann, held.request_id, 1, 1000),
            locks.preempt(preempting, token, "why"),
            stage.backend.presence.update(ann, SessionInfo("ann", revision=1)),
            publish,
        ):
            with pytest.raises(SessionLost) as error:
                stage.run(refused)
            assert error.value.agent_id == "ann"
        released = stage.run(locks.release(ann, held.request_id))
        assert isinstance(released, Released)
        assert not released.ok
        assert stage.run(stage.backend.presence.depart(ann)) is False
        assert stage.holding("two") == [others.request_id]
        assert stage.stored("news") == ()
        while stage.run(stage.backend.presence.reap()).agent_id:
            pass
        assert [event["reason"] for event in stage.told("session.left")] == ["expired"]

    @rule("L9")
    def test_whoever_asks_gets_past_a_dead_holder(self, stage: Stage) -> None:
        # L9, T14, T20: the waiter's own question ends the holder and is granted in that step.
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob")
        stage.hold(ann)
        waiting = stage.wait(bob)
        stage.outlive(ann)
        assert isinstance(stage.acquire(waiting), Granted)
        (left,) = stage.told("session.left")
        assert (left["agent_id"], left["reason"]) == ("ann", "expired")

    @rule("L9")
    def test_a_newcomer_gets_past_a_dead_holder(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob")
        held = stage.hold(ann)
        stage.outlive(ann)
        assert stage.view().holders == ()
        assert stage.own(bob).held == ()
        stage.hold(bob)
        answer = stage.run(stage.backend.locks.withdraw(ann, held.request_id, keep=True))
        assert not isinstance(answer, Granted | Ended)

    @rule("S8")
    def test_a_short_lived_session_hurries_the_others(self, stage: Stage) -> None:
        ann = stage.session("ann", heartbeat_interval=10.0)
        ear = stage.listener(ann)
        stage.session("bob", ttl=5.0, heartbeat_interval=1.0)
        stage.hears(ear, WakeKind.HURRY)
