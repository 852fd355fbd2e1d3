"""Rule S13 of the contract, at the level of steps: several processes act for one session."""

from __future__ import annotations

import time
from itertools import pairwise

import attrs
import pytest

from comity.model import PLACE_LOST, Deadlocked, Ended, Granted, Queued, Renewed, SessionRef, WakeKind, Want, Withdrawn
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests

PLACE_MS = 200


class SharingSteps(StepTests):
    """Who acts for a session learns what the others do with it."""

    @rule("S13")
    def test_a_look_tells_what_a_heartbeat_would_and_moves_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann", ttl=10.0)
        alone = stage.run(stage.backend.presence.look(ann))
        assert (alone.live, alone.next_deadline_ms) == (1, None)
        assert alone.left_ms is not None
        stage.session("bob", ttl=40.0)
        before = stage.run(stage.backend.presence.get("ann"))
        beat = stage.run(stage.backend.presence.look(ann))
        assert (beat.alive, beat.version, beat.live) == (True, 0, 2)
        assert beat.next_deadline_ms is not None
        assert 30_000 < beat.next_deadline_ms <= 40_000
        assert beat.left_ms is not None
        assert 5_000 < beat.left_ms <= 10_000
        assert stage.run(stage.backend.presence.get("ann")) == before
        again = stage.run(stage.backend.presence.get("ann"))
        assert before is not None
        assert again is not None
        assert again.last_heartbeat_ms == before.last_heartbeat_ms

    @rule("S13")
    def test_looking_keeps_no_session_alive(self, stage: Stage) -> None:
        ann = stage.session("ann", ttl=SHORT)
        stage.until(lambda: not stage.run(stage.backend.presence.look(ann)).alive)
        assert stage.run(stage.backend.presence.get("ann")) is None
        assert stage.told("session.left") == []  # reading ends nobody

    @rule("S13")
    def test_a_look_at_a_session_that_is_over_says_why(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.run(stage.backend.presence.depart(ann))
        beat = stage.run(stage.backend.presence.look(ann))
        assert (beat.alive, beat.reason) == (False, "departed")
        assert not stage.run(stage.backend.presence.look(SessionRef("nobody", "no life"))).alive
        stage.session("ann")
        assert not stage.run(stage.backend.presence.look(ann)).alive  # another life of the id

    @rule("S13", "S7")
    def test_a_departure_wakes_whoever_acts_for_the_session(self, stage: Stage) -> None:
        ann = stage.session("ann")
        ear = stage.listener(ann)
        stage.run(stage.another().presence.depart(ann))
        stage.hears(ear, WakeKind.NEWS)

    @rule("S13", "L4")
    def test_a_release_for_another_process_is_told_as_a_change_by_somebody_else(self, stage: Stage) -> None:
        ann = stage.session("ann")
        told, untold = stage.hold(ann, "told"), stage.hold(ann, "untold")
        ear = stage.listener(ann)
        before = stage.version(ann)
        assert stage.release(untold)
        assert stage.version(ann) == before
        release = stage.backend.locks.release(ann, told.request_id, tell=True)
        assert stage.run(release).ok
        assert stage.version(ann) == before + 1
        stage.hears(ear, WakeKind.NEWS)
        assert stage.run(release).ok  # a retry tells nobody anything more
        assert stage.version(ann) == before + 1
        assert stage.told("lock.lost") == []

    @rule("S13", "L7", "X4")
    def test_a_renewal_answers_which_renewal_stands(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.hold(ann)
        large = (9 << 16) + 5
        renew = stage.backend.locks.renew
        for number, ttl_ms, stands in ((large, 20_000, large), (3, 500_000, large), (large, 20_000, large)):
            answer = stage.run(renew(ann, request.request_id, number, ttl_ms))
            assert isinstance(answer, Renewed)
            assert answer.renewal == stands
            assert answer.ttl_ms is not None
            assert answer.ttl_ms <= 20_000
        assert stage.run(renew(ann, request.request_id, large + 1, None)).renewal == large + 1  # type: ignore[union-attr]

    @rule("S13", "L8")
    def test_a_renewal_numbered_0_only_asks_what_became_of_the_lease(self, stage: Stage) -> None:
        ann, eve = stage.session("ann"), stage.session("eve")
        held, released, lost = stage.hold(ann, "a"), stage.hold(ann, "b"), stage.hold(ann, "c")
        stage.release(released)
        stage.run(stage.backend.locks.break_lock(eve, stage.new("break"), "c", "because"))
        answers = [stage.run(stage.backend.locks.renew(ann, each.request_id, 0, 1)) for each in (held, released, lost)]
        assert [type(answer) for answer in answers] == [Renewed, Ended, Ended]
        assert answers[0].ttl_ms is None  # type: ignore[union-attr]
        assert [(answer.lost, answer.reason) for answer in answers[1:]] == [(False, ""), (True, "because")]  # type: ignore[union-attr]

    @rule("S13", "L10")
    def test_a_holder_tells_when_the_leases_own_time_ends(self, stage: Stage) -> None:
        ann = stage.session("ann", ttl=10.0)
        stage.hold(ann, "a", ttl_ms=500_000)
        stage.hold(ann, "b")
        views = [*stage.own(ann).held, *stage.view("a").holders, *stage.view("b").holders]
        for holder in (*views, *stage.run(stage.backend.locks.held(""))):
            assert holder.expires_ms is not None
            assert holder.expires_ms <= 10_000
            if holder.name == "b":
                assert holder.due_ms is None
            else:
                assert holder.due_ms is not None
                assert 400_000 < holder.due_ms <= 500_000

    @rule("S13", "L6")
    def test_a_place_in_line_is_kept_by_asking_and_lost_without(self, stage: Stage) -> None:
        ann, bob, cid = stage.session("ann"), stage.session("bob"), stage.session("cid")
        assert any(self.asks_in_time(stage, f"lock {number}", ann, bob, cid) for number in range(5)), "too slow"
        assert stage.told("lock.lost") == []

    def asks_in_time(self, stage: Stage, name: str, ann: SessionRef, bob: SessionRef, cid: SessionRef) -> bool:
        """Play that, and say whether by the store's clock each asking came in time: otherwise it shows nothing."""
        held, begun = stage.hold(bob, name), time.monotonic()
        asking = stage.request(ann, name, wait=True, place_ms=PLACE_MS)
        answers = [stage.acquire(asking)]
        silent, behind = stage.wait(ann, name, place_ms=PLACE_MS), stage.wait(cid, name)
        lines = [stage.queue(name)]

        def the_silent_one_is_gone() -> bool:
            answers.append(stage.acquire(asking))
            lines.append(stage.queue(name))
            return silent.request_id not in lines[-1]

        stage.until(the_silent_one_is_gone)
        took = time.monotonic() - begun
        waiting = [contender.request_id for contender in stage.own(ann).waiting]
        assert stage.release(held)
        holding = stage.holding(name)
        answers.append(stage.acquire(asking))
        if any(after.at_us - before.at_us >= PLACE_MS * 1000 for before, after in pairwise(answers)):
            return False
        assert [type(answer) for answer in answers] == [Queued] * (len(answers) - 1) + [Granted]
        assert lines[0] == [asking.request_id, silent.request_id, behind.request_id]
        assert lines[-1] == [asking.request_id, behind.request_id]
        assert waiting == holding == [asking.request_id]
        assert took > PLACE_MS / 2000
        return True

    @rule("S13", "L5")
    def test_who_comes_after_lost_places_is_the_first_in_line(self, stage: Stage) -> None:
        ann, bob, cid = stage.session("ann"), stage.session("bob"), stage.session("cid")
        stage.hold(bob)
        for _ in range(3):
            stage.wait(ann, place_ms=1)
        stage.until(lambda: stage.queue() == [])
        answer = stage.acquire(stage.request(cid, wait=True))
        assert isinstance(answer, Queued)
        assert answer.place == 1

    @rule("S13", "X4")
    def test_a_request_that_lost_its_place_is_over(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(bob)
        late = [stage.wait(ann, place_ms=1) for _ in range(3)]
        stage.until(lambda: stage.queue() == [])
        answer = stage.acquire(late[0])
        assert isinstance(answer, Ended)
        assert (answer.lost, answer.reason) == (True, PLACE_LOST)
        assert isinstance(stage.run(stage.backend.locks.withdraw(ann, late[1].request_id, keep=True)), Withdrawn)
        assert not stage.release(late[2])
        assert stage.release(held)
        assert stage.holding() == []
        for each in late:
            assert isinstance(stage.acquire(each), Ended)  # nothing brings it back

    @rule("S13", "L11")
    @pytest.mark.parametrize("any_of", [False, True])
    def test_a_request_of_several_names_loses_all_its_places(self, stage: Stage, any_of: bool) -> None:
        ann, bob, cid = stage.session("ann"), stage.session("bob"), stage.session("cid")
        held = [stage.hold(bob, name) for name in ("a", "b")]
        wants = (Want("a"), Want("b"))
        late = attrs.evolve(stage.request(ann, wait=True, place_ms=1), wants=wants, any_of=any_of)
        assert isinstance(stage.acquire(late), Queued)
        stage.until(lambda: stage.queue("a") == stage.queue("b") == [])
        for each in held:
            assert stage.release(each)
        assert stage.holding("a") == stage.holding("b") == []
        assert isinstance(stage.acquire(late), Ended)
        assert isinstance(stage.acquire(stage.request(cid, "a")), Granted)

    @rule("S13", "L13")
    def test_a_lost_place_closes_no_cycle(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "a", flow="f")
        stage.hold(bob, "b", flow="g")
        lost = stage.wait(ann, "b", flow="f", place_ms=PLACE_MS)
        assert isinstance(stage.acquire(stage.request(bob, "a", flow="g", wait=True)), Deadlocked)
        stage.until(lambda: lost.request_id not in stage.queue("b"))
        assert isinstance(stage.acquire(stage.request(bob, "a", flow="g", wait=True)), Queued)

    @rule("S13", "L6")
    def test_a_grant_ends_the_time_of_the_place(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(bob)
        waits = stage.wait(ann, place_ms=PLACE_MS)
        assert stage.release(held)
        (holder,) = stage.view().holders
        assert (holder.request_id, holder.due_ms) == (waits.request_id, None)
