"""Workers: they do what is pushed, and stop cleanly (rules T2-T4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from comity import InvalidArgument, SessionLost
from comity.testing.kit._async.stage import SHORT
from comity.testing.kit._colour._async import AsyncFlowTests, pause, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncClaim
    from comity.testing.kit._async.stage import AsyncFlowStage


class AsyncWorkerFlows(AsyncFlowTests):
    """A worker claims tasks, runs a function for each, and completes or fails them."""

    @rule("T2", "T3")
    async def test_a_worker_does_what_is_pushed_until_it_is_stopped(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")

        async def double(claim: AsyncClaim) -> int:
            return 2 * int(claim.payload)

        worker = bob.tasks.worker(["first", "second"], double, concurrency=3)
        running = stage.start(worker.run)
        for number in range(10):
            await ann.tasks.push("first" if number % 2 else "second", number, batch="b")
        await until(lambda: worker.completed == 10)
        results = (await ann.tasks.results("b")).tasks
        assert sorted(task.result for task in results) == [2 * number for number in range(10)]
        worker.stop()
        await running.result()
        await ann.tasks.push("first", 1)
        assert (await ann.tasks.stats("first")).ready == 1
        assert (worker.failed, worker.lost, worker.returned, worker.under_way) == (0, 0, 0, ())

    @rule("T3")
    async def test_what_the_function_raises_fails_the_attempt(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        seen: list[int] = []

        async def fail(claim: AsyncClaim) -> None:
            seen.append(claim.attempt)
            raise ZeroDivisionError("no good")

        worker = ann.tasks.worker("work", fail, retry_in=0.01)
        running = stage.start(worker.run)
        task = await ann.tasks.push("work", max_attempts=3)
        await until(lambda: worker.failed == 3)
        worker.stop()
        await running.result()
        dead = await ann.tasks.get(task.id)
        assert dead is not None
        assert (dead.status, dead.error, seen) == ("dead", "ZeroDivisionError: no good", [1, 2, 3])

    @rule("T3")
    async def test_when_to_try_again_may_depend_on_the_attempt(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")

        async def fail(_: AsyncClaim) -> None:
            raise ZeroDivisionError

        async def odd(_: AsyncClaim) -> object:
            return object()

        def never_or_soon(claim: AsyncClaim) -> float | None:
            return None if claim.payload == "never" else 500

        workers = [
            ann.tasks.worker("work", fail, retry_in=never_or_soon),
            ann.tasks.worker("default", fail),
            ann.tasks.worker("odd", odd),
        ]
        running = [stage.start(worker.run) for worker in workers]
        dead = [await ann.tasks.push("work", "never"), await ann.tasks.push("odd")]
        delayed = [await ann.tasks.push("work", "later"), await ann.tasks.push("default")]
        await until(lambda: [worker.failed for worker in workers] == [2, 1, 1])
        for worker in workers:
            worker.stop()
        for each in running:
            await each.result()
        assert [task and task.status for task in [await ann.tasks.get(task.id) for task in dead]] == ["dead", "dead"]
        found = [await ann.tasks.get(task.id) for task in delayed]
        assert [task and task.status for task in found] == ["delayed", "delayed"]

    @rule("T3")
    async def test_the_function_may_end_its_claim_itself(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")

        async def end(claim: AsyncClaim) -> None:
            if claim.payload == "fail":
                await claim.fail("as it likes", retry_in=None)
            elif claim.payload == "complete":
                await claim.complete("by itself")

        worker = ann.tasks.worker("work", end)
        running = stage.start(worker.run)
        one, two = await ann.tasks.push("work", "fail"), await ann.tasks.push("work", "complete")
        await until(lambda: worker.completed == 2)
        worker.stop()
        await running.result()
        found: list[Any] = [await ann.tasks.get(task.id) for task in (one, two)]
        assert [(task.status, task.error or task.result) for task in found] == [
            ("dead", "as it likes"),
            ("done", "by itself"),
        ]

    @rule("T4")
    async def test_a_stopped_worker_finishes_what_it_has_begun(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        go_on: list[bool] = []

        async def wait(_: AsyncClaim) -> None:
            await until(lambda: go_on)

        worker = ann.tasks.worker("work", wait, concurrency=2)
        running = stage.start(worker.run)
        for _ in range(3):
            await ann.tasks.push("work")
        await until(lambda: len(worker.under_way) == 2)
        worker.stop()
        assert not running.done
        go_on.append(True)
        await running.result()
        stats = await ann.tasks.stats("work")
        assert (stats.done, stats.ready, worker.returned) == (2, 1, 0)

    @rule("T4")
    async def test_what_is_not_finished_in_time_goes_back_uncounted(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        go_on: list[bool] = []

        async def wait(_: AsyncClaim) -> None:
            await until(lambda: go_on)

        worker = ann.tasks.worker("work", wait, grace=0.1)
        running = stage.start(worker.run)
        task = await ann.tasks.push("work")
        await until(lambda: worker.under_way)
        worker.stop()
        await running.result()
        go_on.append(True)
        found = await ann.tasks.get(task.id)
        assert found is not None
        assert (found.status, found.attempts, worker.returned) == ("ready", 0, 1)
        await pause(0.05)
        assert (await ann.tasks.stats("work")).done == 0  # whatever the function does now is in vain

    @rule("S6", "T4")
    async def test_a_worker_whose_session_is_lost_says_so(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", **SHORT)

        async def nothing(_: AsyncClaim) -> None: ...

        running = stage.start(ann.tasks.worker("work", nothing, concurrency=2).run)
        both = ann._session.claims._waiting  # noqa: SLF001 - one that still asks is not back before its step's deadline
        await until(lambda: len(both) == 2)
        stage.kill(ann)
        with pytest.raises(SessionLost):
            await running.result()

    @rule("X9")
    async def test_closing_the_coordinator_ends_its_worker(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")

        async def nothing(_: AsyncClaim) -> None: ...

        running = stage.start(ann.tasks.worker("work", nothing, concurrency=2).run)
        await until(lambda: ann._session.claims.waiting)  # noqa: SLF001
        await ann.close()
        await running.result()

    @rule("S6", "T4")
    async def test_a_worker_goes_on_when_its_session_rejoins(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", on_lost="rejoin", **SHORT), await stage.join("bob")
        done: list[int] = []

        async def note(claim: AsyncClaim) -> None:
            done.append(claim.payload)

        worker = ann.tasks.worker("work", note)
        running = stage.start(worker.run)
        await until(lambda: ann._session.claims.waiting)  # noqa: SLF001
        stage.faults(ann).cut()
        await until(lambda: ann.liveness == "lost")
        stage.faults(ann).mend()
        await bob.tasks.push("work", 7)
        await until(lambda: done == [7])
        worker.stop()
        await running.result()

    @rule("X6")
    async def test_a_worker_is_refused_what_cannot_be_used(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        wrong: list[dict[str, Any]] = [{"concurrency": 0}, {"grace": -1}, {"max_runtime": 0}]
        for options in wrong:
            with pytest.raises(InvalidArgument):
                ann.tasks.worker("work", print, **options)
        with pytest.raises(InvalidArgument):
            ann.tasks.worker([], print)
