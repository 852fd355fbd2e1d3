"""Rule T5 of the contract: tasks are counted and listed, ends are numbered, and finished ones are kept for a while."""

from __future__ import annotations

import pytest

from comity.errors import InvalidArgument, NoSuchTask, TaskRefused
from comity.model import Retention, TaskStats, TopicPosition
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
    a_push,
    claim,
    complete,
    counts,
    do,
    ends,
    fail,
    get,
    listed,
    push,
    pushed,
    stats,
    status,
)

START = TopicPosition(0, 0)


def kill(stage: Stage, session: object, queue: str = "work", **facts: object) -> str:
    """Push a task and let it die."""
    task_id = push(stage, session, queue, **facts)  # type: ignore[arg-type]
    fail(stage, session, claim(stage, session, queue), retry_ms=None)  # type: ignore[arg-type]
    return task_id


class EndSteps(StepTests):
    """What is known of tasks, during their life and after."""

    # ----------------------------------------------------------------------------------- counting

    @rule("T5")
    def test_every_change_of_a_task_is_counted_in_its_queue_and_its_batch(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one = push(stage, ann, batch="b")
        two = push(stage, ann, batch="b", depends_on=(one,))
        push(stage, ann, batch="b", delay_ms=LONG_MS)
        push(stage, ann)
        assert counts(stage) == {"ready": 2, "delayed": 1, "blocked": 1}
        assert counts(stage, batch="b") == {"ready": 1, "delayed": 1, "blocked": 1}
        first = claim(stage, ann)
        assert counts(stage) == {"ready": 1, "delayed": 1, "blocked": 1, "claimed": 1}
        assert counts(stage, batch="b") == {"claimed": 1, "delayed": 1, "blocked": 1}
        complete(stage, ann, first)
        assert counts(stage, batch="b") == {"done": 1, "ready": 1, "delayed": 1}
        second = claim(stage, ann)
        assert second.task.id == two
        fail(stage, ann, second, retry_ms=None)
        fail(stage, ann, claim(stage, ann), retry_ms=LONG_MS)
        assert counts(stage) == {"done": 1, "dead": 1, "delayed": 2}
        assert counts(stage, batch="b") == {"done": 1, "dead": 1, "delayed": 1}
        assert stats(stage).unfinished == 2
        assert stats(stage, "nobody") == TaskStats()
        assert stats(stage, batch="nothing") == TaskStats()

    @rule("T5")
    def test_the_durations_of_completed_tasks_are_added_up(self, stage: Stage) -> None:
        ann = stage.session("ann")
        for _ in range(2):
            task_id = push(stage, ann)
            claimed = claim(stage, ann)
            stage.until(lambda: _age_ms(stage, ann) > 5)
            complete(stage, ann, claimed)
            assert get(stage, task_id).duration_ms >= 5
        found = stats(stage)
        assert found.duration_ms == sum(
            task.duration_ms for task in stage.run(stage.backend.tasks.listing("work", DONE, "", 10)).tasks
        )
        assert found.mean_duration == found.duration_ms / 2000

    @rule("T5")
    def test_a_queue_of_which_nothing_is_kept_is_forgotten(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one = push(stage, ann, "b queue", batch="b")
        push(stage, ann, "a queue")
        assert stage.run(stage.backend.tasks.queues()) == ("a queue", "b queue")
        complete(stage, ann, claim(stage, ann, "b queue"), retention=Retention(0, LONG_MS))
        assert status(stage, one) is None
        assert stage.run(stage.backend.tasks.queues()) == ("a queue",)
        assert stats(stage, "b queue") == TaskStats()
        assert stats(stage, batch="b") == TaskStats()

    # ------------------------------------------------------------------------------------ listing

    @rule("T5")
    def test_tasks_are_listed_by_status_in_order_and_in_pages(self, stage: Stage) -> None:
        ann = stage.session("ann")
        ready = [push(stage, ann, priority=priority) for priority in (1, 3, 1, 3)]
        ready = [ready[number] for number in (1, 3, 0, 2)]
        delayed = [push(stage, ann, delay_ms=LONG_MS * weeks) for weeks in (3, 1, 2)]
        delayed = [delayed[number] for number in (1, 2, 0)]
        blocked = [push(stage, ann, depends_on=ready[:1]) for _ in range(3)]
        done = [do(stage, ann, priority=5) for _ in range(3)]
        dead = [kill(stage, ann, priority=5) for _ in range(3)]
        for _ in range(2):
            push(stage, ann, priority=5)
        claimed = [claim(stage, ann).task.id for _ in range(2)]
        wanted = {READY: ready, DELAYED: delayed, BLOCKED: blocked, DONE: done, DEAD: dead, CLAIMED: claimed}
        for of, ids in wanted.items():
            assert listed(stage, of) == ids, of
            found, after = [], ""
            for _ in ids:
                page = stage.run(stage.backend.tasks.listing("work", of, after, 2))
                assert all(task.status is of for task in page.tasks)
                found += [task.id for task in page.tasks]
                after = page.after
                if not after:
                    break
            assert (found, after) == (ids, ""), of
            assert listed(stage, of, "other") == []
        with pytest.raises(InvalidArgument):
            stage.run(stage.backend.tasks.listing("work", READY, "nonsense", 2))

    @rule("T5")
    def test_the_results_of_a_batch_come_in_the_order_of_their_ends(self, stage: Stage) -> None:
        ann = stage.session("ann")
        for number, queue in enumerate(("one", "two", "one")):
            push(stage, ann, queue, batch="b", payload=b"%d" % number)
        push(stage, ann, "one")
        two, one = claim(stage, ann, "two"), claim(stage, ann, "one")
        complete(stage, ann, two, b'"second"')
        complete(stage, ann, one, b'"first"')
        fail(stage, ann, claim(stage, ann, "one"), "no good", None)
        do(stage, ann, "three", batch="other")
        page = stage.run(stage.backend.tasks.results("b", "", 2))
        assert [task.result for task in page.tasks] == ["second", "first"]
        assert [task.payload for task in page.tasks] == [1, 0]
        assert page.after
        rest = stage.run(stage.backend.tasks.results("b", page.after, 2))
        assert [(task.status, task.error, task.result) for task in rest.tasks] == [(DEAD, "no good", None)]
        assert rest.after == ""
        assert stage.run(stage.backend.tasks.results("nothing", "", 2)).tasks == ()

    # --------------------------------------------------------------------------------- the ends

    @rule("T5")
    def test_ends_are_numbered_in_order_and_read_on_after_a_place(self, stage: Stage) -> None:
        ann = stage.session("ann")
        assert stage.run(stage.backend.tasks.finished(START, 10)).tasks == ()
        ids = [do(stage, ann, "one", batch="b"), kill(stage, ann, "two"), do(stage, ann, "one")]
        found = stage.run(stage.backend.tasks.finished(START, 10))
        assert [end.number for end in found.tasks] == [1, 2, 3]
        assert [end.id for end in found.tasks] == ids
        assert [end.status for end in found.tasks] == [DONE, DEAD, DONE]
        assert [end.queue for end in found.tasks] == ["one", "two", "one"]
        assert [end.batch for end in found.tasks] == ["b", "", ""]
        assert [end.error for end in found.tasks] == ["", "broken", ""]
        assert [end.attempts for end in found.tasks] == [1, 1, 1]
        assert [end.result_json for end in found.tasks] == [b"null", None, b"null"]
        assert found.last == found.reached == 3
        first = stage.run(stage.backend.tasks.finished(START, 2))
        assert [end.id for end in first.tasks] == ids[:2]
        assert (first.last, first.reached) == (3, 2)
        rest = stage.run(stage.backend.tasks.finished(TopicPosition(first.epoch, 2), 2))
        assert [end.id for end in rest.tasks] == ids[2:]
        end = stage.run(stage.backend.tasks.finished(TopicPosition(first.epoch, 3), 2))
        assert (end.tasks, end.last, end.reached) == ((), 3, 3)

    @rule("T5")
    def test_a_place_of_another_epoch_or_ahead_reads_from_the_oldest_end(self, stage: Stage) -> None:
        ann = stage.session("ann")
        ids = [do(stage, ann), do(stage, ann)]
        epoch = stage.run(stage.backend.tasks.finished(START, 1)).epoch
        for place in (TopicPosition(epoch - 1, 1), TopicPosition(epoch, 3)):
            found = stage.run(stage.backend.tasks.finished(place, 10))
            assert [end.id for end in found.tasks] == ids
            assert (found.epoch, found.last) == (epoch, 2)

    @rule("T5")
    def test_of_a_queue_only_so_many_completed_tasks_are_kept(self, stage: Stage) -> None:
        ann = stage.session("ann")
        few = Retention(2, LONG_MS)
        dead = kill(stage, ann, batch="b")
        other = do(stage, ann, "other", batch="b")
        ids = []
        for number in range(5):
            ids.append(push(stage, ann, batch="b"))
            complete(stage, ann, claim(stage, ann), b"%d" % number, few)
        assert listed(stage, DONE) == ids[3:]
        assert [status(stage, each) for each in ids] == [None, None, None, DONE, DONE]
        assert listed(stage, DONE, "other") == [other]
        assert listed(stage, DEAD) == [dead]
        found = stage.run(stage.backend.tasks.finished(START, 10))
        # What was trimmed shows as missing numbers.
        assert [end.number for end in found.tasks] == [1, 2, 6, 7]
        assert counts(stage) == {"done": 5, "dead": 1}
        results = stage.run(stage.backend.tasks.results("b", "", 10)).tasks
        assert [task.id for task in results] == [dead, other, *ids[3:]]
        assert [task.result for task in results] == [None, None, 3, 4]

    @rule("T5", "X4")
    def test_the_id_of_a_trimmed_task_is_not_pushed_again(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one = a_push(stage, ann)
        pushed(stage, one)
        complete(stage, ann, claim(stage, ann), retention=Retention(0, LONG_MS))
        assert pushed(stage, one).task.status is DONE
        assert counts(stage) == {}

    @rule("T5")
    def test_finished_tasks_that_are_too_old_are_trimmed_and_dead_ones_stay(self, stage: Stage) -> None:
        ann = stage.session("ann")
        old = [do(stage, ann), kill(stage, ann), do(stage, ann, "other")]
        waits = push(stage, ann)
        assert stage.run(stage.backend.tasks.trim(Retention(10, LONG_MS))) == 0
        trimmed = 0
        young = Retention(10, 20)

        def trim() -> bool:
            nonlocal trimmed
            trimmed += stage.run(stage.backend.tasks.trim(young))
            return trimmed == 3

        stage.until(trim)
        assert [status(stage, each) for each in old] == [None, DEAD, None]
        assert status(stage, waits) is READY
        assert ends(stage) == []
        assert counts(stage) == {"dead": 1, "ready": 1, "done": 1}
        assert stage.run(stage.backend.tasks.trim(young)) == 0

    # ------------------------------------------------------------------------------- dead tasks

    @rule("T4")
    def test_a_dead_task_can_be_tried_again(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one = push(stage, ann, max_attempts=1, dedupe_key="k", batch="b")
        fail(stage, ann, claim(stage, ann))
        push(stage, ann)
        request_id = stage.new("retry")
        for _ in range(2):
            task = stage.run(stage.backend.tasks.retry(ann, request_id, one))
            assert (task.id, task.status, task.attempts) == (one, READY, 0)
        assert claim(stage, ann).task.id == one  # at its old place
        assert stage.run(stage.backend.tasks.retry(ann, request_id, one)).status is CLAIMED
        assert not pushed(stage, a_push(stage, ann, dedupe_key="k")).new
        assert stage.run(stage.backend.tasks.results("b", "", 10)).tasks == ()
        assert ends(stage) == [one]  # that it ended stays on record

    @rule("T4")
    def test_only_a_dead_task_is_tried_again(self, stage: Stage) -> None:
        ann = stage.session("ann")
        with pytest.raises(NoSuchTask):
            stage.run(stage.backend.tasks.retry(ann, stage.new("retry"), "nobody"))
        for task_id in (push(stage, ann), do(stage, ann, "other")):
            with pytest.raises(TaskRefused) as refused:
                stage.run(stage.backend.tasks.retry(ann, stage.new("retry"), task_id))
            assert refused.value.action == "retry"
        one = kill(stage, ann, "keyed", dedupe_key="k")
        push(stage, ann, "keyed", dedupe_key="k")
        with pytest.raises(TaskRefused, match="dedupe_key"):
            stage.run(stage.backend.tasks.retry(ann, stage.new("retry"), one))

    @rule("T1", "T4")
    def test_a_task_tried_again_waits_for_what_it_depends_on(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one, two = push(stage, ann, "first"), push(stage, ann, "second")
        last = push(stage, ann, depends_on=(one, two))
        fail(stage, ann, claim(stage, ann, "first"), retry_ms=None)
        assert status(stage, last) is DEAD
        with pytest.raises(TaskRefused, match=one):
            stage.run(stage.backend.tasks.retry(ann, stage.new("retry"), last))
        complete(stage, ann, claim(stage, ann, "second"))  # while it is dead
        stage.run(stage.backend.tasks.retry(ann, stage.new("retry"), one))
        assert stage.run(stage.backend.tasks.retry(ann, stage.new("retry"), last)).status is BLOCKED
        complete(stage, ann, claim(stage, ann, "first"))
        assert status(stage, last) is READY

    @rule("T5")
    def test_a_removed_task_is_gone_and_those_that_depend_on_it_are_dead(self, stage: Stage) -> None:
        ann = stage.session("ann")
        done, dead, ready = do(stage, ann), kill(stage, ann), push(stage, ann, batch="b")
        delayed = push(stage, ann, delay_ms=LONG_MS)
        blocked = push(stage, ann, depends_on=(ready, delayed))
        for task_id in (done, dead, ready, delayed):
            request_id = stage.new("remove")
            for _ in range(2):
                assert stage.run(stage.backend.tasks.remove(ann, request_id, task_id))
            assert status(stage, task_id) is None
            assert not stage.run(stage.backend.tasks.remove(ann, stage.new("remove"), task_id))
        assert ready in get(stage, blocked).error
        assert counts(stage) == {"dead": 1, "done": 1}
        assert counts(stage, batch="b") == {}
        assert ends(stage) == [done, dead, blocked]

    @rule("T5")
    def test_a_claimed_task_is_not_removed(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        task_id = push(stage, ann)
        claimed = claim(stage, bob)
        with pytest.raises(TaskRefused, match="bob"):
            stage.run(stage.backend.tasks.remove(ann, stage.new("remove"), task_id))
        assert complete(stage, bob, claimed).ok

    @rule("T5", "X8")
    def test_a_dropped_namespace_has_no_tasks(self, stage: Stage) -> None:
        ann = stage.session("ann")
        do(stage, ann)
        push(stage, ann)
        stage.run(stage.backend.drop())
        again = stage.session("ann", ttl=SHORT * 10)
        assert stage.run(stage.backend.tasks.queues()) == ()
        assert ends(stage) == []
        one = do(stage, again)
        assert ends(stage) == [one]


def _age_ms(stage: Stage, session: object) -> int:
    """Return how long ago the session's only claim was made."""
    (own,) = stage.run(stage.backend.tasks.own(session))  # type: ignore[arg-type]
    return own.at_us // 1000 - own.task.since_ms
