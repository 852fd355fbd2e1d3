"""Rule S14 of the contract, at the level of steps: a session is ended by another."""

from __future__ import annotations

import pytest

from comity.errors import SessionLost
from comity.model import Granted, SessionRef, WakeKind
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests


class EvictionSteps(StepTests):
    """An eviction ends a session as its deadline would, at once, and says who did it and why."""

    @rule("S14", "S8")
    def test_an_evicted_session_is_over_and_everybody_is_told_once(self, stage: Stage) -> None:
        eve, ann = stage.session("eve"), stage.session("ann")
        evict = stage.backend.presence.evict(eve, stage.new("evict"), "ann", 'hangs: "☃"')
        assert stage.run(evict)
        assert stage.run(stage.backend.presence.get("ann")) is None
        beat = stage.run(stage.backend.presence.heartbeat(ann, 0))
        assert (beat.alive, beat.reason) == (False, 'evicted by eve: hangs: "☃"')
        (left,) = stage.told("session.left")
        assert left["agent_id"] == "ann"
        assert (left["reason"], left["by"], left["why"]) == ("evicted", "eve", 'hangs: "☃"')
        assert stage.stored("comity")[-1].sender == "eve"
        with pytest.raises(SessionLost, match="evicted by eve"):
            stage.hold(ann)

    @rule("S14", "X4")
    def test_a_retried_eviction_answers_the_same_and_ends_nobody_else(self, stage: Stage) -> None:
        eve = stage.session("eve")
        stage.session("ann")
        evict = stage.backend.presence.evict(eve, stage.new("evict"), "ann", "once")
        assert stage.run(evict)
        again = stage.session("ann")  # a new life of the id
        assert stage.run(evict)
        assert stage.run(stage.backend.presence.heartbeat(again, 0)).alive
        stage.run(stage.backend.presence.depart(eve))
        assert stage.run(evict)  # true, whatever became of who did it
        assert len([each for each in stage.told("session.left") if each["reason"] == "evicted"]) == 1

    @rule("S14", "L9")
    def test_what_an_evicted_session_held_goes_to_those_who_wait(self, stage: Stage) -> None:
        eve, ann, bob = stage.session("eve"), stage.session("ann"), stage.session("bob")
        stage.hold(ann, "a")
        stage.hold(eve, "b")
        mine, theirs = stage.wait(bob, "a"), stage.wait(ann, "b")
        assert stage.run(stage.backend.presence.evict(eve, stage.new("evict"), "ann", "because"))
        assert isinstance(stage.acquire(mine), Granted)
        assert theirs.request_id not in stage.queue("b")

    @rule("S14")
    def test_an_evicted_session_is_woken(self, stage: Stage) -> None:
        eve, ann = stage.session("eve"), stage.session("ann")
        ear = stage.listener(ann)
        assert stage.run(stage.another().presence.evict(eve, stage.new("evict"), "ann", "because"))
        stage.hears(ear, WakeKind.NEWS)

    @rule("S14")
    def test_evicting_a_session_that_is_not_live_changes_nothing(self, stage: Stage) -> None:
        eve = stage.session("eve")
        assert not stage.run(stage.backend.presence.evict(eve, stage.new("evict"), "nobody", "because"))
        stage.session("ann", ttl=SHORT)
        stage.until(lambda: stage.run(stage.backend.presence.get("ann")) is None)
        evict = stage.backend.presence.evict(eve, stage.new("evict"), "ann", "because")
        assert not stage.run(evict)
        assert stage.told("session.left") == []  # its deadline came first
        stage.run(stage.backend.presence.reap())
        assert not stage.run(evict)
        stage.session("ann")
        assert stage.run(evict)  # a refusal had no effect, and is computed anew

    @rule("S14")
    def test_a_session_that_is_over_evicts_nobody(self, stage: Stage) -> None:
        ann = stage.session("ann")
        eve = stage.session("eve")
        stage.run(stage.backend.presence.depart(eve))
        for ref in (eve, SessionRef("ann", "forged"), SessionRef("nobody", "no life")):
            with pytest.raises(SessionLost):
                stage.run(stage.backend.presence.evict(ref, stage.new("evict"), "ann", "because"))
        assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive

    @rule("S14", "X1")
    def test_of_evictions_at_once_exactly_one_ends_the_session(self, stage: Stage) -> None:
        stewards = [stage.session(f"eve {number}") for number in range(4)]
        stage.session("ann")
        answers = stage.race(lambda b, each: b.presence.evict(each, f"e-{each.incarnation}", "ann", "race"), stewards)
        assert sorted(answers, key=str) == [False, False, False, True]
        assert len(stage.told("session.left")) == 1
