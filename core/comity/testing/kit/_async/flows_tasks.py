"""Tasks as a coordinator has them: pushing, claiming, ending (rules T1-T5, X3, X5, X6)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from comity import (
    AccessDenied,
    AccessTier,
    BackendUnavailable,
    ClaimLost,
    InvalidArgument,
    InvalidName,
    InvalidPayload,
    LimitExceeded,
    NoSuchTask,
    TaskRefused,
    TaskStatus,
)
from comity.testing.kit._async.stage import SHORT
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncClaim, AsyncCoordinator
    from comity.testing.kit._async.stage import AsyncFlowStage


class AsyncTaskFlows(AsyncFlowTests):
    """A task is pushed by one, done by another, and known to all."""

    # Ending

    @rule("T3")
    async def test_leaving_the_block_completes_the_task(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        task = await ann.tasks.push("work", {"n": 1})
        async with await claimed(bob) as claim:
            assert (claim.id, claim.queue, claim.payload, claim.attempt) == (task.id, "work", {"n": 1}, 1)
            assert claim.ensure_held() == claim.token
            assert not claim.lost
        assert claim.ended
        done = await ann.tasks.get(task.id)
        assert done is not None
        assert (done.status, done.agent_id, done.result) == (TaskStatus.DONE, "bob", None)
        assert await bob.tasks.claim("work", timeout=0) is None

    @rule("T3")
    async def test_leaving_the_block_by_an_exception_fails_the_task(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        task = await ann.tasks.push("work", max_attempts=2)
        for status in (TaskStatus.READY, TaskStatus.DEAD):
            with pytest.raises(ZeroDivisionError):
                async with await claimed(ann):
                    raise ZeroDivisionError("no\ngood")
            failed = await ann.tasks.get(task.id)
            assert failed is not None
            assert (failed.status, failed.error) == (status, "ZeroDivisionError: no good")

    @rule("T3")
    async def test_a_claim_is_completed_with_a_result_or_failed_by_hand(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        one, two = await ann.tasks.push("work", 1), await ann.tasks.push("work", 2)
        async with await claimed(ann) as claim:
            await claim.complete({"sum": 3})
            await claim.complete("too late to be another result")
        done = await ann.tasks.get(one.id)
        assert done is not None
        assert done.result == {"sum": 3}
        with pytest.raises(ClaimLost):
            await claim.fail("changed its mind")
        async with await claimed(ann) as claim:
            assert not claim.is_last_attempt
            assert await claim.fail("not now", retry_in=500) is TaskStatus.DELAYED
            assert await claim.fail("not now") is TaskStatus.DELAYED
            with pytest.raises(ClaimLost):
                await claim.complete()
            with pytest.raises(ClaimLost):
                claim.ensure_held()
        assert (await ann.tasks.list("work", "delayed")).tasks[0].id == two.id
        final = await ann.tasks.push("work")
        assert await (await claimed(ann)).fail("never", retry_in=None) is TaskStatus.DEAD
        assert [task.id for task in (await ann.tasks.list("work", TaskStatus.DEAD)).tasks] == [final.id]

    @rule("T3")
    async def test_a_claim_given_back_counts_no_attempt(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        task = await ann.tasks.push("work", max_attempts=1)
        claim = await claimed(ann)
        assert await claim.give_back()
        assert not await claim.give_back()
        async with await claimed(ann) as again:
            assert (again.id, again.attempt, again.is_last_attempt) == (task.id, 1, True)

    @rule("T3", "X4")
    async def test_an_end_whose_answer_was_lost_is_told_truly(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        faults = stage.faults(ann)
        await ann.tasks.push("work")
        claim = await claimed(ann)
        faults.lose_replies("tasks.complete", times=1)
        await claim.complete(1)
        assert (await ann.tasks.stats("work")).done == 1

    @rule("T3", "X3")
    async def test_an_end_that_finds_the_store_away_is_carried_by_the_heartbeats(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", heartbeat_interval=0.1, deadline=0.3), await stage.join("bob")
        faults = stage.faults(ann)
        await ann.tasks.push("work")
        claim = await claimed(ann)
        faults.lose_requests("tasks.complete", times=None)
        with pytest.raises(BackendUnavailable):
            await claim.complete(1)
        faults.mend()

        async def done() -> bool:
            return (await bob.tasks.stats("work")).done == 1

        await until(done)
        await claim.complete(1)

    # Losing

    @rule("T4")
    async def test_a_claim_is_lost_with_its_session(self, stage: AsyncFlowStage) -> None:
        bob = await stage.join("bob")
        task = await bob.tasks.push("work")
        ann = await stage.join("ann", **SHORT)
        claim = await claimed(ann)
        losses: list[ClaimLost] = []
        claim.on_lost(losses.append)
        stage.kill(ann)
        async with await claimed(bob, timeout=5) as again:
            assert (again.id, again.attempt) == (task.id, 2)
            assert again.token > claim.token
        await until(lambda: claim.lost)
        await until(lambda: losses)
        assert losses[0].task_id == task.id
        with pytest.raises(ClaimLost):
            claim.ensure_held()

    @rule("T4")
    async def test_a_claim_is_lost_when_its_own_time_is_over(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.tasks.push("work")
        claim = await claimed(ann, max_runtime=0.15)
        begun = time.monotonic()
        async with await claimed(bob, timeout=5) as again:  # the other's heart, or this wait, looks in time
            assert again.attempt == 2
        assert 0.1 <= time.monotonic() - begun < 1.0
        assert claim.lost
        with pytest.raises(ClaimLost, match="max_runtime"):
            await claim.complete()
        assert (await ann.tasks.stats("work")).done == 1

    @rule("T4")
    async def test_a_task_goes_back_at_its_claims_end_though_nobody_waits(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.tasks.push("work")
        await ann.tasks.claim("work", max_runtime=0.1)

        async def ready() -> bool:
            return (await bob.tasks.stats("work")).ready == 1

        assert await until(ready) < 2.0  # long before the next heartbeat

    @rule("T4")
    async def test_leaving_the_block_of_a_lost_claim_raises_unless_the_body_did(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        await ann.tasks.push("work")
        with pytest.raises(ClaimLost):
            async with await claimed(ann, max_runtime=0.05) as lost:
                await until(lambda: lost.lost)
        with pytest.raises(ZeroDivisionError):
            async with await claimed(ann, max_runtime=0.05, timeout=5) as again:
                await until(lambda: again.lost)
                raise ZeroDivisionError

    @rule("T4", "S7")
    async def test_departing_gives_the_tasks_back(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await bob.tasks.push("work")
        claim = await claimed(ann)
        await ann.depart()
        assert claim.lost
        with pytest.raises(ClaimLost):
            await claim.complete()
        assert (await claimed(bob)).attempt == 2

    @rule("S13", "T4")
    async def test_mine_lists_the_claims_of_the_session(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        for number in range(3):
            await ann.tasks.push("work", number)
        claims = [await claimed(each) for each in (ann, bob, ann)]
        mine = await ann.tasks.mine()
        assert [claim.payload for claim in mine] == [0, 2]
        assert mine == [claims[0], claims[2]]
        for known in list(ann._session.claims.all()):  # noqa: SLF001 - as a process that is attached knows it
            ann._session.claims.remove(known)  # noqa: SLF001
        for claim in await ann.tasks.mine():
            await claim.complete()
        assert (await ann.tasks.stats("work")).done == 2
        assert await ann.tasks.mine() == []

    # Pushing and asking

    @rule("T1")
    async def test_push_answers_the_task_and_the_one_that_has_its_key(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        task = await ann.tasks.push("work", [1], priority=2, max_attempts=7, dedupe_key="k", batch="b")
        assert (task.queue, task.payload, task.priority, task.max_attempts) == ("work", [1], 2, 7)
        assert (task.status, task.dedupe_key, task.batch) == (TaskStatus.READY, "k", "b")
        assert (await ann.tasks.push("work", [2], dedupe_key="k")) == task
        blocked = await ann.tasks.push("work", depends_on=[task.id])
        assert blocked.status is TaskStatus.BLOCKED
        delayed = await ann.tasks.push("work", delay=500)
        assert delayed.status is TaskStatus.DELAYED
        assert delayed.due is not None
        assert 499 <= (delayed.due - delayed.pushed).total_seconds() <= 501

    @rule("T5")
    async def test_what_became_of_tasks_can_be_asked(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        for number in range(5):
            await ann.tasks.push("work", number, batch="b")
        for _ in range(3):
            async with await claimed(ann) as claim:
                await claim.complete(claim.payload * 10)
        page = await ann.tasks.results("b", limit=2)
        rest = await ann.tasks.results("b", after=page.after)
        assert [task.result for task in (*page.tasks, *rest.tasks)] == [0, 10, 20]
        listed = await ann.tasks.list("work", "ready", limit=1)
        listed = await ann.tasks.list("work", "ready", after=listed.after)
        assert [task.payload for task in listed.tasks] == [4]
        stats = await ann.tasks.stats(batch="b")
        assert stats == await ann.tasks.stats("work")
        assert (stats.ready, stats.done, stats.unfinished) == (2, 3, 2)
        assert await ann.tasks.queues() == ("work",)
        assert await ann.tasks.get("no such task") is None

    @rule("T5")
    async def test_finished_yields_each_end_once_and_says_what_was_missed(
        self, stage: AsyncFlowStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COMITY_TASKS_KEPT", "3")
        ann = await stage.join("ann")
        first = await ann.tasks.finished()
        assert (first.tasks, first.missed, first.behind) == ((), 0, 0)
        for number in range(3):
            await _do(ann, number)
        page = await ann.tasks.finished(first.position, limit=2)
        assert [task.result for task in page.tasks] == [0, 1]
        assert (page.missed, page.behind) == (0, 1)
        for number in range(3, 8):
            await _do(ann, number)
        rest = await ann.tasks.finished(page.position)
        assert [task.result for task in rest.tasks] == [5, 6, 7]
        assert (rest.missed, rest.behind) == (3, 0)
        again = await ann.tasks.finished(rest.position)
        assert (again.tasks, again.missed) == ((), 0)
        with pytest.raises(InvalidArgument):
            await ann.tasks.finished("nonsense")

    @rule("T4", "T5")
    async def test_dead_tasks_are_tried_again_or_removed(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        task = await ann.tasks.push("work")
        await (await claimed(ann)).fail("no", retry_in=None)
        assert (await ann.tasks.retry(task)).status is TaskStatus.READY
        with pytest.raises(TaskRefused):
            await ann.tasks.retry(task.id)
        assert await ann.tasks.remove(task)
        assert not await ann.tasks.remove(task)
        with pytest.raises(NoSuchTask):
            await ann.tasks.retry(task)
        assert await ann.tasks.trim() == 0

    @rule("L15", "T2")
    async def test_a_session_has_no_more_claims_than_it_may(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", max_held=1)
        for _ in range(2):
            await ann.tasks.push("work")
        await claimed(ann)
        with pytest.raises(LimitExceeded):
            await claimed(ann)

    @rule("A1")
    async def test_an_observer_may_look_but_not_work(self, stage: AsyncFlowStage) -> None:
        eve = await stage.join("eve", access_tier=AccessTier.OBSERVER)
        assert (await eve.tasks.stats("work")).ready == 0
        assert (await eve.tasks.list("work", "ready")).tasks == ()
        calls: list[Any] = [
            lambda: eve.tasks.push("work"),
            lambda: eve.tasks.claim("work", timeout=0),
            lambda: eve.tasks.remove("x"),
        ]
        for call in calls:
            with pytest.raises(AccessDenied):
                await call()

    @rule("X6")
    async def test_what_cannot_be_used_is_refused_before_anything_is_sent(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        stage.faults(ann).lose_requests("tasks.push", times=None)
        wrong: list[tuple[type[Exception], dict[str, Any]]] = [
            (InvalidName, {"queue": ""}),
            (InvalidName, {"queue": "a\nb"}),
            (InvalidName, {"dedupe_key": ""}),
            (InvalidName, {"batch": "x" * 513}),
            (InvalidPayload, {"payload": object()}),
            (InvalidPayload, {"payload": "x" * 300_000}),
            (InvalidArgument, {"priority": 10_000}),
            (InvalidArgument, {"priority": 1.5}),
            (InvalidArgument, {"delay": -1}),
            (InvalidArgument, {"delay": float("nan")}),
            (InvalidArgument, {"max_attempts": 0}),
            (InvalidArgument, {"depends_on": ["x"] * 1001}),
        ]
        for error, options in wrong:
            with pytest.raises(error):
                await ann.tasks.push(**{"queue": "work", **options})
        asked: list[dict[str, Any]] = [{"queues": []}, {"queues": [f"q{n}" for n in range(33)]}]
        for options in (*asked, {"timeout": -1}, {"max_runtime": 0}):
            with pytest.raises(InvalidArgument):
                await ann.tasks.claim(**{"queues": "work", **options})
        for status, limit in (("nonsense", 1), ("done", 0)):
            with pytest.raises(InvalidArgument):
                await ann.tasks.list("work", status, limit=limit)
        with pytest.raises(InvalidArgument):
            await ann.tasks.stats()
        stage.faults(ann).mend()
        await ann.tasks.push("work")
        with pytest.raises(InvalidPayload):
            await (await claimed(ann)).complete(object())


async def claimed(
    me: AsyncCoordinator, queue: str = "work", *, timeout: float = 0, max_runtime: float | None = None
) -> AsyncClaim:
    """Claim a task that is there, or comes in time."""
    claim = await me.tasks.claim(queue, timeout=timeout, max_runtime=max_runtime)
    assert claim is not None
    return claim


async def _do(me: AsyncCoordinator, number: int) -> None:
    """Push a task and complete it."""
    await me.tasks.push("work", number)
    await (await claimed(me)).complete(number)


async def waiting(stage: AsyncFlowStage, me: AsyncCoordinator, queue: str = "work") -> Any:
    """Let a session wait for a task beside the test; return when it stands in line."""
    before = len(me._session.claims._waiting)  # noqa: SLF001
    beside = stage.start(me.tasks.claim, queue)
    await until(lambda: beside.done or len(me._session.claims._waiting) > before)  # noqa: SLF001
    return beside
