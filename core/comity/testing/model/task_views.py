"""Looking at tasks: one, many, in the order of their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.model import Claimed, FinishedSlice, Task, TaskSlice, TaskStats, TaskStatus, slice_after, slice_key
from comity.testing.model.records import Totals, Work
from comity.testing.model.work import UNFINISHED, claims_of, of_queue, place_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.model import SessionRef, TopicPosition
    from comity.testing.model.step import ModelOp, Steps
    from comity.testing.model.world import Namespace


def described(space: Namespace, work: Work) -> Claimed:
    """Answer that a request has a task."""
    left = None if work.ends_ms is None else work.ends_ms - space.now_ms
    return Claimed(work.shown(), work.request_id, left, space.now_us)


class ModelTaskViews:
    """The part of `comity.ports.Tasks` that only reads."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self._space = steps, steps.space

    def own(self, session: SessionRef) -> ModelOp[tuple[Claimed, ...]]:
        """Tell what a session has claimed."""
        space = self._space

        def step() -> tuple[Claimed, ...]:
            space.acting(session)
            mine = [work for work in claims_of(space, session) if work.ends_ms is None or work.ends_ms > space.now_ms]
            return tuple(described(space, work) for work in sorted(mine, key=lambda work: work.token))

        return self._steps.read("tasks.own", step)

    def get(self, task_id: str) -> ModelOp[Task | None]:
        """Tell of one task."""

        def step() -> Task | None:
            work = self._space.tasks.get(task_id)
            return work.shown() if work else None

        return self._steps.read("tasks.get", step)

    def listing(self, queue: str, status: TaskStatus, after: str, limit: int) -> ModelOp[TaskSlice]:
        """Tell of the tasks of a queue in a status."""
        start = slice_key(after, 2 if status in (TaskStatus.READY, TaskStatus.DELAYED) else 1)

        def step() -> TaskSlice:
            return page(of_queue(self._space, queue, status), place_of(status), start, limit)

        return self._steps.read("tasks.listing", step)

    def results(self, batch: str, after: str, limit: int) -> ModelOp[TaskSlice]:
        """Tell of the tasks of a batch that ended."""
        start, place = slice_key(after, 1), place_of(TaskStatus.DONE)

        def step() -> TaskSlice:
            ended = [work for work in self._space.tasks.values() if work.push.batch == batch and work.number]
            return page(sorted(ended, key=place), place, start, limit)

        return self._steps.read("tasks.results", step)

    def stats(self, *, queue: str = "", batch: str = "") -> ModelOp[TaskStats]:
        """Count."""
        space, kind, name = self._space, "queue" if queue else "batch", queue or batch

        def step() -> TaskStats:
            there = [work.status for work in space.tasks.values() if getattr(work.push, kind) == name]
            totals = space.totals.get((kind, name), Totals())
            counts = {status.value: there.count(status) for status in (*UNFINISHED, TaskStatus.DEAD)}
            return TaskStats(**counts, done=totals.done, duration_ms=totals.duration_ms)

        return self._steps.read("tasks.stats", step)

    def queues(self) -> ModelOp[tuple[str, ...]]:
        """Tell which queues there are."""
        space = self._space

        def step() -> tuple[str, ...]:
            return tuple(sorted({work.push.queue for work in space.tasks.values()}, key=str.encode))

        return self._steps.read("tasks.queues", step)

    def finished(self, after: TopicPosition, limit: int) -> ModelOp[FinishedSlice]:
        """Read on in the order of ends."""
        space = self._space

        def step() -> FinishedSlice:
            known = after.epoch == space.ends_epoch and after.number <= space.ends_last
            number = after.number if known else 0
            found = [end for end in space.ends if end.number > number]
            reached = found[limit - 1].number if len(found) >= limit else space.ends_last
            return FinishedSlice(space.ends_epoch, space.ends_last, reached, tuple(found[:limit]))

        return self._steps.read("tasks.finished", step)


def page(
    found: list[Work], place: Callable[[Work], tuple[int, ...]], start: tuple[int, ...] | None, limit: int
) -> TaskSlice:
    """Return some of the tasks found, those after a place."""
    rest = [work for work in found if start is None or place(work) > start]
    after = slice_after(*place(rest[limit - 1])) if len(rest) > limit else ""
    return TaskSlice(tuple(work.shown() for work in rest[:limit]), after)
