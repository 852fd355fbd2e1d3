"""Looking at tasks: one, many, in the order of their ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from comity.logs import corrupt
from comity.model import (
    Claimed,
    FinishedSlice,
    FinishedTask,
    Task,
    TaskSlice,
    TaskStats,
    TaskStatus,
    slice_after,
    slice_key,
)
from comity_sqlite.work import STATUS, S, Work, claims_of, is_whole, work_called, works

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity.errors import ComityError
    from comity.model import SessionRef, TopicPosition
    from comity.ops import Op
    from comity_sqlite.runner import Runner
    from comity_sqlite.step import Step

_ORDER: Final = {
    S.READY: ("urgency", "number"),
    S.DELAYED: ("due_ms", "number"),
    S.BLOCKED: ("number",),
    S.CLAIMED: ("token",),
    S.DONE: ("ended",),
    S.DEAD: ("ended",),
}


def shown(step: Step, work: Work) -> Task:
    """Show a task with what was pushed and what came of it."""
    row = step.one("SELECT body FROM payloads WHERE task = ?", work.id)
    result = None
    if work.status == S.DONE:
        end = step.one("SELECT result FROM task_ends WHERE space = ? AND number = ?", step.space, work.ended)
        result = None if end is None else end[0]
    return work.shown(row[0] if row is not None and isinstance(row[0], bytes) else b"null", result)


def described(step: Step, work: Work) -> Claimed:
    """Answer that a request has a task."""
    left = None if work.ends_us is None else step.left_ms(work.ends_us)
    return Claimed(shown(step, work), work.request_id or "", left, step.at_us)


class SqliteTaskViews:
    """The part of `comity.ports.Tasks` that only reads."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def own(self, session: SessionRef) -> Op[tuple[Claimed, ...]]:
        """See `comity.ports.Tasks.own`."""

        def own(step: Step) -> tuple[Claimed, ...] | ComityError:
            mine = step.incarnation(session)
            if mine is None or not step.lives(mine):
                return step.lost(session)
            claims = [work for work in claims_of(step, mine.id) if not work.is_overdue(step)]
            in_order = sorted(claims, key=lambda work: work.token)
            return tuple(described(step, work) for work in in_order if is_whole(step, work))

        return self._runner.read("tasks.own", own)

    def get(self, task_id: str) -> Op[Task | None]:
        """See `comity.ports.Tasks.get`."""

        def get(step: Step) -> Task | None:
            work = work_called(step, task_id)
            return shown(step, work) if work is not None and is_whole(step, work) else None

        return self._runner.read("tasks.get", get)

    def listing(self, queue: str, status: TaskStatus, after: str, limit: int) -> Op[TaskSlice]:
        """See `comity.ports.Tasks.listing`."""
        stored = S[status.name]
        columns = _ORDER[stored]
        start = slice_key(after, len(columns))

        def listing(step: Step) -> TaskSlice:
            where = f"t.space = ? AND t.queue = ? AND t.status = {stored.value}"
            return _page(step, where, (step.space, queue), columns, start, limit)

        return self._runner.read("tasks.listing", listing)

    def results(self, batch: str, after: str, limit: int) -> Op[TaskSlice]:
        """See `comity.ports.Tasks.results`."""
        start = slice_key(after, 1)

        def results(step: Step) -> TaskSlice:
            where = "t.space = ? AND t.batch = ? AND t.batch <> '' AND t.ended > 0"
            return _page(step, where, (step.space, batch), ("ended",), start, limit)

        return self._runner.read("tasks.results", results)

    def stats(self, *, queue: str = "", batch: str = "") -> Op[TaskStats]:
        """See `comity.ports.Tasks.stats`."""

        def stats(step: Step) -> TaskStats:
            row = step.one(
                "SELECT ready, delayed, blocked, claimed, done, dead, duration_ms FROM task_counts"
                " WHERE space = ? AND kind = ? AND name = ?",
                step.space,
                0 if queue else 1,
                queue or batch,
            )
            return TaskStats(*row) if row is not None else TaskStats()

        return self._runner.read("tasks.stats", stats)

    def queues(self) -> Op[tuple[str, ...]]:
        """See `comity.ports.Tasks.queues`."""

        def queues(step: Step) -> tuple[str, ...]:
            rows = step.all("SELECT name FROM task_counts WHERE space = ? AND kind = 0 ORDER BY name", step.space)
            return tuple(name for (name,) in rows)

        return self._runner.read("tasks.queues", queues)

    def finished(self, after: TopicPosition, limit: int) -> Op[FinishedSlice]:
        """See `comity.ports.Tasks.finished`."""

        def finished(step: Step) -> FinishedSlice:
            epoch, last = step.one("SELECT epoch, last FROM task_feeds WHERE space = ?", step.space) or (0, 0)
            known = after.epoch == epoch and after.number <= last
            rows = step.all(
                "SELECT number, task_id, queue, status, batch, attempts, duration_ms, at_ms, error, result"
                " FROM task_ends WHERE space = ? AND number > ? ORDER BY number LIMIT ?",
                step.space,
                after.number if known else 0,
                limit,
            )
            reached = rows[-1][0] if len(rows) == limit else last
            return FinishedSlice(epoch, last, reached, tuple(_ends(rows)))

        return self._runner.read("tasks.finished", finished)


def _page(
    step: Step,
    where: str,
    values: tuple[object, ...],
    columns: tuple[str, ...],
    start: tuple[int, ...] | None,
    limit: int,
) -> TaskSlice:
    """Read tasks in the order of some columns, after a place."""
    order = ", ".join(f"t.{column}" for column in columns)
    if start is not None:
        where += f" AND ({order}) > ({', '.join('?' * len(start))})"
        values += start
    found = list(works(step, f"{where} ORDER BY {order} LIMIT ?", *values, limit + 1))
    after = ""
    if len(found) > limit:
        after = slice_after(*(getattr(found[limit - 1], column) for column in columns))
    return TaskSlice(tuple(shown(step, work) for work in found[:limit] if is_whole(step, work)), after)


def _ends(rows: Iterable[tuple[object, ...]]) -> Iterable[FinishedTask]:
    """Read ends, without what is none (X7)."""
    for row in rows:
        number, task_id, queue, status, batch, attempts, duration_ms, at_ms, error, result = row
        if not isinstance(attempts, int) or not isinstance(duration_ms, int):
            corrupt("end of a task", repr(task_id), "its numbers are none")
            continue
        yield FinishedTask(
            int(str(number)),
            str(task_id),
            str(queue),
            STATUS[S(int(str(status)))],
            str(batch),
            attempts,
            duration_ms,
            int(str(at_ms)),
            str(error),
            result if isinstance(result, bytes) else None,
        )
