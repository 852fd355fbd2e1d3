"""Rules T3 and T4 of the contract: a claim ends once, by its owner or without it, and no task is lost."""

from __future__ import annotations

from comity.model import Claimed, Ended, NoTask, Origin
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests
from comity.testing.kit.work import (
    BLOCKED,
    CLAIMED,
    DEAD,
    DELAYED,
    DONE,
    LONG_MS,
    READY,
    a_claim,
    a_push,
    ask,
    claim,
    complete,
    counts,
    fail,
    get,
    listed,
    none_ready,
    push,
    pushed,
    status,
    wait,
    withdraw,
)

BRIEF_MS = 60
"""A claim's own time that is over within a test."""


class ClaimSteps(StepTests):
    """How claims end."""

    # ----------------------------------------------------------------------- by their owner's step

    @rule("T3")
    def test_a_completed_task_is_done_with_its_result(self, stage: Stage) -> None:
        ann = stage.session("ann")
        task_id = push(stage, ann)
        end = complete(stage, ann, claim(stage, ann), b'{"n":2}')
        assert (end.ok, end.status) == (True, DONE)
        task = get(stage, task_id)
        assert (task.status, task.result, task.error, task.agent_id) == (DONE, {"n": 2}, "", "ann")
        assert none_ready(stage, ann)

    @rule("T3")
    def test_a_failed_task_is_tried_again_until_its_attempts_are_used_up(self, stage: Stage) -> None:
        ann = stage.session("ann")
        task_id = push(stage, ann, max_attempts=2)
        end = fail(stage, ann, claim(stage, ann), "first reason")
        assert (end.ok, end.status) == (True, READY)
        assert get(stage, task_id).error == "first reason"
        end = fail(stage, ann, claim(stage, ann), "second reason")
        assert (end.ok, end.status) == (True, DEAD)
        task = get(stage, task_id)
        assert (task.status, task.attempts, task.error) == (DEAD, 2, "second reason")
        assert none_ready(stage, ann)

    @rule("T3")
    def test_a_failed_task_keeps_its_place_and_may_be_delayed(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one, two, three = (push(stage, ann) for _ in range(3))
        fail(stage, ann, claim(stage, ann))
        assert listed(stage, READY) == [one, two, three]
        end = fail(stage, ann, claim(stage, ann), retry_ms=LONG_MS)
        assert end.status is DELAYED
        assert listed(stage, READY) == [two, three]
        fail(stage, ann, claim(stage, ann), retry_ms=BRIEF_MS)
        assert claim(stage, ann).task.id == three
        stage.until(lambda: not none_ready(stage, ann))
        assert status(stage, two) is CLAIMED

    @rule("T3")
    def test_a_final_failure_uses_up_no_more_attempts(self, stage: Stage) -> None:
        ann = stage.session("ann")
        task_id = push(stage, ann)
        assert fail(stage, ann, claim(stage, ann), retry_ms=None).status is DEAD
        assert get(stage, task_id).attempts == 1

    @rule("T3", "X4")
    def test_a_retried_end_answers_the_same_and_changes_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann")
        push(stage, ann)
        claimed = claim(stage, ann)
        for _ in range(3):
            end = fail(stage, ann, claimed)
            assert (end.ok, end.status) == (True, READY)
        again = claim(stage, ann)
        assert again.task.attempts == 2
        assert fail(stage, ann, claimed).status is READY
        for _ in range(2):
            end = complete(stage, ann, again)
            assert (end.ok, end.status) == (True, DONE)
        assert counts(stage) == {"done": 1}

    @rule("T3")
    def test_an_end_needs_the_attempts_token_and_its_session(self, stage: Stage) -> None:
        import attrs

        ann, bob = stage.session("ann"), stage.session("bob")
        task_id = push(stage, ann)
        claimed = claim(stage, ann)
        wrong = attrs.evolve(claimed, task=attrs.evolve(claimed.task, token=claimed.token - 1))
        other = attrs.evolve(claimed, task=attrs.evolve(claimed.task, id="another"))
        assert not complete(stage, ann, wrong).ok
        assert not fail(stage, ann, wrong).ok
        assert not complete(stage, ann, other).ok
        assert not complete(stage, bob, claimed).ok
        assert status(stage, task_id) is CLAIMED
        assert complete(stage, ann, claimed).ok

    @rule("X5")
    def test_a_withdrawn_claim_gives_its_task_back_as_it_was(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one, two = push(stage, ann), push(stage, ann)
        request = a_claim(stage, ann)
        claimed = ask(stage, request)
        assert isinstance(claimed, Claimed)
        assert withdraw(stage, request)
        task = get(stage, one)
        assert (task.status, task.attempts, task.error) == (READY, 0, "")
        assert listed(stage, READY) == [one, two]
        assert not withdraw(stage, request)
        assert isinstance(ask(stage, request), Ended)
        assert not complete(stage, ann, claimed).ok
        assert counts(stage) == {"ready": 2}

    @rule("X4", "X5")
    def test_a_claim_that_comes_after_its_withdrawal_takes_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann")
        task_id = push(stage, ann)
        op = stage.backend.tasks.claim(a_claim(stage, ann, wait=True))
        undo = op.undo(None)
        assert undo is not None
        stage.run(undo)
        assert isinstance(stage.run(op), Ended)
        assert status(stage, task_id) is READY

    @rule("X5")
    def test_an_end_of_unknown_outcome_is_performed_again(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one, two = push(stage, ann), push(stage, ann)
        first, second = claim(stage, ann), claim(stage, ann)
        tasks = stage.backend.tasks
        from comity.testing.kit.work import KEPT

        done = tasks.complete(ann, first.request_id, one, first.token, b"1", KEPT)
        failed = tasks.fail(ann, second.request_id, two, second.token, "broken", None)
        for op in (done, failed):
            undo = op.undo(None)
            assert undo is not None
            stage.run(undo)
            answer = stage.run(op)
            assert answer.ok
            assert op.undo(answer) is None
        assert (status(stage, one), status(stage, two)) == (DONE, DEAD)

    # ------------------------------------------------------------------------------- without it

    @rule("T4", "S7")
    def test_the_claims_of_a_session_that_departs_go_back_with_their_attempts_counted(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        one, two = push(stage, ann), push(stage, ann, max_attempts=1)
        first, second = claim(stage, ann), claim(stage, ann)
        stage.run(stage.backend.presence.depart(ann))
        task = get(stage, one)
        assert (task.status, task.attempts) == (READY, 1)
        assert "departed" in task.error
        assert status(stage, two) is DEAD
        late = complete(stage, ann, first)
        assert not late.ok
        assert "departed" in late.reason
        assert not fail(stage, ann, second).ok
        assert claim(stage, bob).task.attempts == 2

    @rule("T4", "S8")
    def test_the_claims_of_a_session_that_is_reaped_go_back_in_that_step(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob")
        task_id = push(stage, ann)
        claimed = claim(stage, ann)
        stage.outlive(ann)
        assert not complete(stage, ann, claimed).ok
        assert stage.run(stage.backend.presence.reap()).agent_id == "ann"
        assert status(stage, task_id) is READY
        assert "expired" in get(stage, task_id).error
        assert claim(stage, bob).task.attempts == 2

    @rule("T4")
    def test_whoever_claims_ends_a_dead_session_that_is_in_the_way(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=SHORT), stage.session("bob")
        task_id = push(stage, ann)
        claim(stage, ann)
        assert none_ready(stage, bob)
        stage.outlive(ann)
        assert claim(stage, bob).task.id == task_id
        assert [event["agent_id"] for event in stage.told("session.left")] == ["ann"]

    @rule("T4")
    def test_a_claim_whose_own_time_is_over_goes_back_to_whoever_claims(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        task_id = push(stage, ann)
        request = a_claim(stage, ann, max_runtime_ms=BRIEF_MS)
        claimed = ask(stage, request)
        assert isinstance(claimed, Claimed)
        assert claimed.runtime_ms is not None
        assert 0 < claimed.runtime_ms <= BRIEF_MS
        stage.until(lambda: not none_ready(stage, bob))
        task = get(stage, task_id)
        assert (task.status, task.attempts, task.agent_id) == (CLAIMED, 2, "bob")
        late = complete(stage, ann, claimed)
        assert not late.ok
        assert "max_runtime" in late.reason
        over = ask(stage, request)
        assert isinstance(over, Ended)
        assert over.lost

    @rule("T4")
    def test_a_claim_whose_own_time_is_over_is_refused_its_end_and_is_reaped(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        one, two = push(stage, ann), push(stage, ann, "other", max_attempts=1)
        first = claim(stage, ann, max_runtime_ms=BRIEF_MS)
        claim(stage, ann, "other", max_runtime_ms=BRIEF_MS)  # by now the first one may be over
        beat = stage.run(stage.backend.presence.heartbeat(bob, 0))
        assert beat.next_deadline_ms is not None
        assert beat.next_deadline_ms <= BRIEF_MS  # somebody looks in time
        stage.until(lambda: (stage.run(stage.backend.presence.reap()).next_deadline_ms or 0) > BRIEF_MS)
        assert (status(stage, one), status(stage, two)) == (READY, DEAD)
        assert not complete(stage, ann, first).ok

    @rule("T4")
    def test_an_end_that_comes_after_the_claims_own_time_is_refused_though_nobody_looked(self, stage: Stage) -> None:
        ann = stage.session("ann")
        task_id = push(stage, ann)
        claimed = claim(stage, ann, max_runtime_ms=1)
        stage.until(lambda: not stage.run(stage.backend.tasks.own(ann)))
        assert not complete(stage, ann, claimed).ok
        assert get(stage, task_id).attempts == 1

    @rule("T4")
    def test_a_dead_task_whose_attempts_were_lost_kills_those_that_depend_on_it(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one = push(stage, ann, "first", max_attempts=1)
        two = push(stage, ann, depends_on=(one,))
        claim(stage, ann, "first")
        assert status(stage, two) is BLOCKED
        stage.run(stage.backend.presence.depart(ann))
        assert (status(stage, one), status(stage, two)) == (DEAD, DEAD)

    @rule("T4")
    def test_a_session_that_ends_waits_no_more(self, stage: Stage) -> None:
        from comity.model import WakeKind

        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        ear = stage.listener(cid)
        wait(stage, bob, "work", "other")
        request = wait(stage, cid, listener=ear.address)
        stage.run(stage.backend.presence.depart(bob))
        push(stage, ann)
        assert stage.hears(ear, WakeKind.TASK).request_id == request.request_id

    # ------------------------------------------------------------------------------- whose they are

    @rule("T1")
    def test_a_task_says_who_pushed_it_and_whether_a_person_did(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        told, twin = a_push(stage, ann, origin=Origin.HUMAN, dedupe_key="k"), a_push(stage, bob, dedupe_key="k")
        for each in (told, told, twin):  # the first of a key is whose task it is
            task = pushed(stage, each).task
            assert (task.id, task.pushed_by, task.origin) == (told.task_id, "ann", "human")
        later = push(stage, bob, depends_on=(told.task_id,), batch="b")
        assert (get(stage, later).pushed_by, get(stage, later).origin) == ("bob", "agent")
        stage.run(stage.backend.presence.depart(ann))  # it is a fact about the task, not about a live session
        lost = claim(stage, bob, max_runtime_ms=BRIEF_MS)
        assert (lost.task.pushed_by, lost.task.origin) == ("ann", "human")
        stage.until(lambda: not none_ready(stage, bob))
        (own,) = stage.run(stage.backend.tasks.own(bob))
        assert (own.task.id, own.task.pushed_by, own.task.origin) == (told.task_id, "ann", "human")
        assert complete(stage, bob, own).ok
        assert fail(stage, bob, claim(stage, bob), retry_ms=None).status is DEAD
        assert stage.run(stage.backend.tasks.retry(bob, stage.new("retry"), later)).pushed_by == "bob"
        assert fail(stage, bob, claim(stage, bob), retry_ms=None).status is DEAD
        (dead,) = stage.run(stage.backend.tasks.results("b", "", 10)).tasks
        (done,) = stage.run(stage.backend.tasks.listing("work", DONE, "", 10)).tasks
        assert (dead.pushed_by, dead.origin, done.pushed_by, done.origin) == ("bob", "agent", "ann", "human")

    @rule("T4", "S13")
    def test_own_lists_the_claims_that_stand(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ids = [push(stage, ann, payload=b"[%d]" % number) for number in range(4)]
        claims = [claim(stage, ann), claim(stage, bob), claim(stage, ann), claim(stage, ann, max_runtime_ms=LONG_MS)]
        complete(stage, ann, claims[0])
        own = stage.run(stage.backend.tasks.own(ann))
        assert [claimed.task.id for claimed in own] == [ids[2], ids[3]]
        assert [claimed.task.payload for claimed in own] == [[2], [3]]
        assert [claimed.request_id for claimed in own] == [claims[2].request_id, claims[3].request_id]
        assert own[0].runtime_ms is None
        assert own[1].runtime_ms is not None
        assert complete(stage, ann, own[0]).ok
        assert isinstance(ask(stage, a_claim(stage, ann)), NoTask)
