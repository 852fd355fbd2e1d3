"""Rules T1 and T2 of the contract: tasks are pushed once and claimed by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.errors import LimitExceeded, NoSuchTask, SessionLost, TaskRefused
from comity.model import Claimed, Ended, NoTask, SessionRef, WakeKind
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
    do,
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

if TYPE_CHECKING:
    from collections.abc import Callable


class TaskSteps(StepTests):
    """Tasks enter a queue, wait for what they must wait for, and are given to one session each."""

    # ------------------------------------------------------------------------------------ pushing

    @rule("T1")
    def test_a_pushed_task_is_ready_and_tells_what_was_pushed(self, stage: Stage) -> None:
        ann = stage.session("ann")
        task_id = push(stage, ann, priority=7, max_attempts=5, batch="b", dedupe_key="k", payload=b'{"a":1}')
        task = get(stage, task_id)
        assert (task.id, task.queue, task.status, task.priority) == (task_id, "work", READY, 7)
        assert (task.attempts, task.max_attempts, task.batch, task.dedupe_key) == (0, 5, "b", "k")
        assert task.payload == {"a": 1}
        assert task.result is None
        assert stage.run(stage.backend.tasks.get("nobody")) is None

    @rule("T1", "X4")
    def test_a_retried_push_makes_one_task(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one = a_push(stage, ann)
        assert pushed(stage, one).new
        assert pushed(stage, one).new
        assert listed(stage, READY) == [one.task_id]
        claimed = claim(stage, ann)
        assert pushed(stage, one).task.status is CLAIMED
        complete(stage, ann, claimed)
        assert pushed(stage, one).task.status is DONE
        assert counts(stage) == {"done": 1}

    @rule("T1")
    def test_a_dedupe_key_is_taken_until_its_task_is_done_or_dead(self, stage: Stage) -> None:
        ann = stage.session("ann")
        first = push(stage, ann, dedupe_key="k")
        for _ in range(2):
            again = pushed(stage, a_push(stage, ann, dedupe_key="k", priority=9))
            assert (again.new, again.task.id, again.task.priority) == (False, first, 0)
        assert push(stage, ann, "other", dedupe_key="k") != first
        claimed = claim(stage, ann)
        assert not pushed(stage, a_push(stage, ann, dedupe_key="k")).new
        fail(stage, ann, claimed, retry_ms=LONG_MS)
        assert not pushed(stage, a_push(stage, ann, dedupe_key="k")).new
        second = do(stage, ann, "third", dedupe_key="k")
        assert push(stage, ann, "third", dedupe_key="k") != second
        fail(stage, ann, claim(stage, ann, "third"), retry_ms=None)
        push(stage, ann, "third", dedupe_key="k")

    @rule("T1")
    def test_a_delayed_task_is_not_ready_before_its_time(self, stage: Stage) -> None:
        ann = stage.session("ann")
        later, soon = push(stage, ann, delay_ms=LONG_MS), push(stage, ann, delay_ms=150)
        assert listed(stage, DELAYED) == [soon, later]
        assert get(stage, soon).due is not None
        assert none_ready(stage, ann)
        stage.until(lambda: not none_ready(stage, ann))
        assert status(stage, soon) is CLAIMED
        assert counts(stage) == {"claimed": 1, "delayed": 1}

    @rule("T1")
    def test_a_task_is_blocked_until_all_it_depends_on_are_done(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one, two = push(stage, ann, "first"), push(stage, ann, "second")
        last = push(stage, ann, depends_on=(one, two, one))
        assert listed(stage, BLOCKED) == [last]
        assert none_ready(stage, ann)
        complete(stage, ann, claim(stage, ann, "first"))
        assert none_ready(stage, ann)
        complete(stage, ann, claim(stage, ann, "second"))
        assert claim(stage, ann).task.id == last

    @rule("T1")
    def test_what_is_done_already_blocks_nobody(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one = do(stage, ann)
        two = push(stage, ann, depends_on=(one,))
        assert claim(stage, ann).task.id == two

    @rule("T1")
    def test_a_delay_goes_on_while_a_task_is_blocked(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one = push(stage, ann, "first")
        two = push(stage, ann, delay_ms=LONG_MS, depends_on=(one,))
        assert status(stage, two) is BLOCKED
        complete(stage, ann, claim(stage, ann, "first"))
        assert status(stage, two) is DELAYED

    @rule("T1")
    def test_an_unknown_or_dead_dependency_is_refused(self, stage: Stage) -> None:
        ann = stage.session("ann")
        with pytest.raises(NoSuchTask) as unknown:
            push(stage, ann, depends_on=("nobody",))
        assert unknown.value.task_id == "nobody"
        dead = push(stage, ann)
        fail(stage, ann, claim(stage, ann), retry_ms=None)
        with pytest.raises(TaskRefused) as refused:
            push(stage, ann, depends_on=(dead,))
        assert dead in refused.value.why
        assert counts(stage) == {"dead": 1}

    @rule("T1")
    def test_tasks_that_depend_on_a_dead_one_are_dead_and_say_so(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one = push(stage, ann)
        two = push(stage, ann, depends_on=(one,))
        three = push(stage, ann, depends_on=(two,))
        fail(stage, ann, claim(stage, ann), retry_ms=None)
        assert listed(stage, DEAD) == [one, two, three]
        assert one in get(stage, two).error
        assert two in get(stage, three).error
        assert counts(stage) == {"dead": 3}

    @rule("T1")
    def test_any_number_of_tasks_may_depend_on_one(self, stage: Stage) -> None:
        # More than a step looks at: the steps after it go on.
        ann = stage.session("ann")
        one = push(stage, ann, "first")
        others = {push(stage, ann, depends_on=(one,)) for _ in range(150)}
        complete(stage, ann, claim(stage, ann, "first"))
        done = set()
        for _ in others:
            claimed = claim(stage, ann)
            complete(stage, ann, claimed)
            done.add(claimed.task.id)
        assert done == others

    @rule("T1", "S3")
    def test_a_session_that_is_over_pushes_and_claims_nothing(self, stage: Stage) -> None:
        gone = stage.session("gone")
        stage.run(stage.backend.presence.depart(gone))
        for session in (gone, SessionRef("nobody", "never")):
            with pytest.raises(SessionLost):
                push(stage, session)
            with pytest.raises(SessionLost):
                ask(stage, a_claim(stage, session))
        dying = stage.session("dying", ttl=SHORT)
        stage.outlive(dying)
        with pytest.raises(SessionLost):
            push(stage, dying)
        assert counts(stage) == {}

    @rule("X5")
    def test_a_push_taken_back_leaves_nothing_and_never_comes_late(self, stage: Stage) -> None:
        ann = stage.session("ann")
        for happened in (True, False):
            op = stage.backend.tasks.push(a_push(stage, ann, dedupe_key="k"))
            if happened:
                stage.run(op)
            undo = op.undo(None)
            assert undo is not None
            stage.run(undo)
            stage.run(op)
            assert counts(stage) == {}
            assert none_ready(stage, ann)
        push(stage, ann, dedupe_key="k")

    @rule("X5")
    def test_a_push_is_not_taken_back_once_its_task_was_claimed(self, stage: Stage) -> None:
        ann = stage.session("ann")
        op = stage.backend.tasks.push(a_push(stage, ann))
        stage.run(op)
        claimed = claim(stage, ann)
        undo = op.undo(None)
        assert undo is not None
        stage.run(undo)
        assert complete(stage, ann, claimed).ok

    # ----------------------------------------------------------------------------------- claiming

    @rule("T2")
    def test_the_best_priority_is_claimed_first_then_the_oldest(self, stage: Stage) -> None:
        ann = stage.session("ann")
        ids = [push(stage, ann, priority=priority) for priority in (0, 5, -3, 5, 9999, -9999, 0)]
        wanted = [ids[number] for number in (4, 1, 3, 0, 6, 2, 5)]
        assert listed(stage, READY) == wanted
        assert [claim(stage, ann).task.id for _ in ids] == wanted
        assert none_ready(stage, ann)

    @rule("T2")
    def test_of_several_queues_the_best_of_all_is_claimed(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one = push(stage, ann, "first")
        two, three = push(stage, ann, "second", priority=1), push(stage, ann, "second")
        both = ("second", "first")
        assert [claim(stage, ann, *both).task.id for _ in range(3)] == [two, one, three]
        push(stage, ann, "third")
        assert none_ready(stage, ann, *both)

    @rule("T2")
    def test_a_claim_tells_the_task_and_a_token_that_grows(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.token(stage.hold(ann))
        task_id = push(stage, ann, payload=b'["x"]')
        claimed = claim(stage, bob)
        task = claimed.task
        assert (task.id, task.payload, task.status, task.attempts) == (task_id, ["x"], CLAIMED, 1)
        assert task.agent_id == "bob"
        assert claimed.token == task.token > held
        assert claimed.runtime_ms is None
        fail(stage, bob, claimed)
        again = claim(stage, bob)
        assert again.token > claimed.token
        assert again.task.attempts == 2
        assert stage.token(stage.hold(bob, "other")) > again.token

    @rule("T2")
    def test_each_task_is_claimed_by_exactly_one_of_many(self, stage: Stage) -> None:
        ann = stage.session("ann")
        ids = [push(stage, ann) for _ in range(5)]
        sessions = [stage.session() for _ in range(8)]
        requests = [a_claim(stage, session) for session in sessions]
        answers = stage.race(lambda backend, request: backend.tasks.claim(request), requests)
        got = [answer.task.id for answer in answers if isinstance(answer, Claimed)]
        assert sorted(got) == sorted(ids)
        assert sum(isinstance(answer, NoTask) for answer in answers) == 3

    @rule("T2", "X4")
    def test_a_claim_asked_again_has_the_same_task(self, stage: Stage) -> None:
        ann = stage.session("ann")
        push(stage, ann)
        push(stage, ann)
        request = a_claim(stage, ann)
        first, again = ask(stage, request), ask(stage, request)
        assert isinstance(first, Claimed)
        assert isinstance(again, Claimed)
        assert again.task == first.task
        complete(stage, ann, first)
        over = ask(stage, request)
        assert isinstance(over, Ended)
        assert not over.lost
        assert counts(stage) == {"ready": 1, "done": 1}

    @rule("L15", "T2")
    def test_a_session_has_no_more_claims_than_it_may(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        for _ in range(4):
            push(stage, ann)
        first = claim(stage, ann, max_held=2)
        claim(stage, ann, max_held=2)
        with pytest.raises(LimitExceeded) as refused:
            ask(stage, a_claim(stage, ann, max_held=2))
        assert (refused.value.limit, refused.value.what) == (2, "claims")
        claim(stage, bob, max_held=2)
        complete(stage, ann, first)
        claim(stage, ann, max_held=2)

    # ------------------------------------------------------------------------------------ waiting

    @rule("T5")
    def test_a_push_wakes_one_waiting_claim_alone(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        ears = [stage.listener(session) for session in (bob, cid)]
        first = wait(stage, bob, listener=ears[0].address)
        second = wait(stage, cid, listener=ears[1].address)
        task_id = push(stage, ann)
        assert stage.hears(ears[0], WakeKind.TASK).request_id == first.request_id
        got = ask(stage, first)
        assert isinstance(got, Claimed)
        assert got.task.id == task_id
        push(stage, ann)
        woken = stage.hears(ears[1], WakeKind.TASK)  # the first that it hears, although there were two pushes
        assert woken.request_id == second.request_id
        assert isinstance(ask(stage, second), Claimed)

    @rule("T5")
    def test_a_waiting_claim_is_woken_for_any_of_its_queues(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ear = stage.listener(bob)
        request = wait(stage, bob, "first", "second", listener=ear.address)
        push(stage, ann, "third")
        push(stage, ann, "second")
        assert stage.hears(ear, WakeKind.TASK).request_id == request.request_id
        got = ask(stage, request)
        assert isinstance(got, Claimed)
        assert got.task.queue == "second"

    @rule("T5")
    def test_what_ends_otherwise_wakes_as_a_push_does(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ear = stage.listener(bob)

        def awaits(queue: str, end: Callable[[], object]) -> None:
            request = wait(stage, bob, queue, listener=ear.address)
            end()
            assert stage.hears(ear, WakeKind.TASK).request_id == request.request_id
            assert isinstance(ask(stage, request), Claimed)

        one = push(stage, ann, "first")
        push(stage, ann, "after", depends_on=(one,))
        first = claim(stage, ann, "first")
        for queue in ("failed", "withdrawn"):
            push(stage, ann, queue)
        failed = claim(stage, ann, "failed")
        given_back = a_claim(stage, ann, "withdrawn")
        ask(stage, given_back)
        cid = stage.session("cid")
        push(stage, ann, "departed")
        claim(stage, cid, "departed")
        ends: dict[str, Callable[[], object]] = {
            "after": lambda: complete(stage, ann, first),
            "failed": lambda: fail(stage, ann, failed),
            "withdrawn": lambda: withdraw(stage, given_back),
            "departed": lambda: stage.run(stage.backend.presence.depart(cid)),
        }
        for queue, end in ends.items():
            awaits(queue, end)

    @rule("T5", "L6")
    def test_a_waiting_claim_that_nobody_listens_for_is_passed_over(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        ear = stage.listener(cid)
        wait(stage, bob, listener=self.deaf_address(stage, bob))
        request = wait(stage, cid, listener=ear.address)
        push(stage, ann)
        assert stage.hears(ear, WakeKind.TASK).request_id == request.request_id

    @rule("X5")
    def test_a_withdrawn_claim_waits_no_more_and_passes_its_wake_up_on(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        ear = stage.listener(cid)
        first, second = wait(stage, bob), wait(stage, bob)
        last = wait(stage, cid, listener=ear.address)
        assert not withdraw(stage, first)
        push(stage, ann)  # wakes the second
        assert not withdraw(stage, second)
        assert stage.hears(ear, WakeKind.TASK).request_id == last.request_id
        for request in (first, second):
            assert isinstance(ask(stage, request), Ended)
        assert isinstance(ask(stage, last), Claimed)

    @rule("T5")
    def test_the_first_in_line_is_told_when_a_task_comes_due(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        push(stage, ann, delay_ms=LONG_MS)
        ears = [stage.listener(session) for session in (bob, cid)]
        first = a_claim(stage, bob, wait=True, listener=ears[0].address)
        second = a_claim(stage, cid, wait=True, listener=ears[1].address)
        told, untold = ask(stage, first), ask(stage, second)
        assert isinstance(told, NoTask)
        assert isinstance(untold, NoTask)
        assert told.retry_ms is not None
        assert 0 < told.retry_ms <= LONG_MS
        assert untold.retry_ms is None
        push(stage, ann, delay_ms=LONG_MS // 2)  # earlier than the one it knows of
        assert stage.hears(ears[0], WakeKind.TASK).request_id == first.request_id
        withdraw(stage, first)
        assert stage.hears(ears[1], WakeKind.TASK).request_id == second.request_id
        told = ask(stage, second)
        assert isinstance(told, NoTask)
        assert told.retry_ms is not None
        assert told.retry_ms <= LONG_MS // 2
