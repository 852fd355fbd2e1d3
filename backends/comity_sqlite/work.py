"""What happens to tasks inside a step: ready, claimed, given back, done, dead, and whom that concerns.

Every step ends with `settle` (`Step.finish`), which tells those that depend on what ended, and wakes waiting claims.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

from comity.errors import NoSuchTask, TaskRefused
from comity.logs import corrupt
from comity.model import Origin, Task, TaskStatus
from comity_sqlite.step import MEMORY_US, NONSENSE, How, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from comity.errors import ComityError
    from comity_sqlite.step import Step

DEPENDENTS_PER_STEP = 64
DUE_PER_STEP = 64
OVERDUE_PER_STEP = 16
SPOILED_PER_STEP = 64
OVERDUE = "its max_runtime is over"
NO_PAYLOAD = "its payload is gone"


class S(enum.IntEnum):
    """`TaskStatus` as it is stored."""

    READY = 0
    DELAYED = 1
    BLOCKED = 2
    CLAIMED = 3
    DONE = 4
    DEAD = 5
    REMOVED = 6
    """Of tasks that are gone."""


STATUS = {S[status.name]: status for status in TaskStatus}


@attrs.define
class Work:
    """A task's row."""

    id: int
    task_id: str
    queue: str
    batch: str
    dedupe_key: str
    status: int
    urgency: int
    number: int
    max_attempts: int
    attempts: int
    token: int
    pushed_ms: int
    since_ms: int
    since_us: int
    due_ms: int
    session: int | None
    agent_id: str
    request_id: str | None
    ends_us: int | None
    ended: int
    duration_ms: int
    error: str
    pushed_by: str
    by_hand: int

    def is_overdue(self, step: Step) -> bool:
        """Tell whether the claim's own time is over."""
        return self.ends_us is not None and self.ends_us <= step.now_us

    def shown(self, payload: bytes = b"null", result: bytes | None = None) -> Task:
        """Return it as readers see it."""
        return Task(
            id=self.task_id,
            queue=self.queue,
            status=STATUS[S(self.status)],
            priority=-self.urgency,
            attempts=self.attempts,
            max_attempts=self.max_attempts,
            batch=self.batch,
            dedupe_key=self.dedupe_key,
            agent_id=self.agent_id,
            token=self.token,
            error=self.error,
            pushed_by=self.pushed_by,
            origin=Origin.HUMAN if self.by_hand == 1 else Origin.AGENT,
            pushed_ms=self.pushed_ms,
            since_ms=self.since_ms,
            due_ms=self.due_ms if self.status == S.DELAYED else 0,
            duration_ms=self.duration_ms,
            payload_json=payload,
            result_json=result,
        )


_WORK = f"SELECT {', '.join('t.' + field.name for field in attrs.fields(Work))} FROM tasks t WHERE "  # noqa: S608


def works(step: Step, where: str, *values: object) -> Iterator[Work]:
    """Read tasks as the rest of the query says; stop reading before changing anything."""
    return (Work(*row) for row in step.execute(_WORK + where, values))


def work_called(step: Step, task_id: str) -> Work | None:
    """Return the task of this id."""
    return next(works(step, "t.space = ? AND t.task_id = ?", step.space, task_id), None)


def is_whole(step: Step, work: Work) -> bool:
    """Tell whether what was pushed with a task is there: one that a foreign hand spoiled is not shown (X7)."""
    row = step.one("SELECT typeof(body) FROM payloads WHERE task = ?", work.id)
    if row == ("blob",):
        return True
    corrupt("task", work.task_id, "it has no payload")
    return False


def claims_of(step: Step, session: int) -> list[Work]:
    """Return what a session has claimed, by request id."""
    return list(works(step, "t.session = ? AND t.status = 3 ORDER BY t.request_id", session))


# ---------------------------------------------------------------------------------------- counting


def count(step: Step, work: Work, **changes: int) -> None:
    """Add to the counts of a task's queue and batch."""
    sets = ", ".join(f"{column} = {column} + ?" for column in changes)
    for kind, name in enumerate((work.queue, work.batch)):
        if name:
            values = (*changes.values(), step.space, kind, name)
            step.do(f"UPDATE task_counts SET {sets} WHERE space = ? AND kind = ? AND name = ?", *values)  # noqa: S608


def move(step: Step, work: Work, status: S) -> None:
    """Write the task with another status, and count that."""
    if work.status != status:
        count(step, work, **{STATUS[S(work.status)].value: -1, STATUS[status].value: 1})
    work.status, work.since_ms, work.since_us = status, step.wall_ms, step.now_us
    step.do(
        "UPDATE tasks SET status = ?, attempts = ?, token = ?, since_ms = ?, since_us = ?, due_ms = ?, session = ?,"
        " agent_id = ?, request_id = ?, ends_us = ?, ended = ?, duration_ms = ?, error = ? WHERE id = ?",
        work.status,
        work.attempts,
        work.token,
        work.since_ms,
        work.since_us,
        work.due_ms,
        work.session,
        work.agent_id,
        work.request_id,
        work.ends_us,
        work.ended,
        work.duration_ms,
        work.error,
        work.id,
    )


# -------------------------------------------------------------------------------------- in a queue


def enter_queue(step: Step, work: Work) -> None:
    """Let a task be claimed once what it depends on is done and its delay is over."""
    if step.one("SELECT 1 FROM needs WHERE task = ? LIMIT 1", work.id):
        move(step, work, S.BLOCKED)
    elif work.due_ms > step.wall_ms:
        move(step, work, S.DELAYED)
        first = step.one(
            "SELECT id FROM tasks WHERE space = ? AND queue = ? AND status = 1 ORDER BY due_ms, number LIMIT 1",
            step.space,
            work.queue,
        )
        if first == (work.id,):
            step.unwatched.add(work.queue)
    else:
        move(step, work, S.READY)
        step.fresh.append(work.queue)


def take_along(step: Step, queue: str) -> None:
    """Make ready what has come due."""
    for work in list(
        works(
            step,
            "t.space = ? AND t.queue = ? AND t.status = 1 AND t.due_ms <= ? ORDER BY t.due_ms, t.number LIMIT ?",
            step.space,
            queue,
            step.wall_ms,
            DUE_PER_STEP,
        )
    ):
        enter_queue(step, work)


def foremost(step: Step, queues: Iterable[str]) -> Work | None:
    """Return the ready task of best priority, then the oldest, of all the queues."""
    found = [
        work
        for queue in queues
        for work in works(
            step,
            "t.space = ? AND t.queue = ? AND t.status = 0 ORDER BY t.urgency, t.number LIMIT 1",
            step.space,
            queue,
        )
    ]
    return min(found, key=lambda work: (work.urgency, work.number), default=None)


def next_ready(step: Step, queues: Iterable[str]) -> Work | None:
    """Return what `foremost` does; tasks that nobody can do because their payload is gone are dead."""
    for _ in range(SPOILED_PER_STEP):
        work = foremost(step, queues)
        if work is None or is_whole(step, work):
            return work
        work.error = NO_PAYLOAD
        finish(step, work, S.DEAD)
    return None


def unmet_of(step: Step, action: str, task_id: str, depends_on: Iterable[str]) -> list[str] | ComityError:
    """Return which dependencies are not done, or the refusal when one of them can never be."""
    unmet = []
    for other in dict.fromkeys(depends_on):
        row = step.one("SELECT status FROM tasks WHERE space = ? AND task_id = ?", step.space, other)
        if row is None:
            return NoSuchTask(other)
        if row[0] == S.DEAD:
            return TaskRefused(action, task_id, f"its dependency {other} is dead; retry that one first")
        if row[0] != S.DONE:
            unmet.append(other)
    return unmet


# ------------------------------------------------------------------------------------------ claims


def end_claim(step: Step, work: Work, how: How, reason: str = "") -> None:
    """Take a task from its claim, whose id is over; what becomes of the task is the caller's to write."""
    if work.request_id is not None:  # else another program gave a time to a task that nobody has
        step.mark(Kind.REQUEST, work.request_id, how, reason)
    work.session = work.request_id = work.ends_us = None


def give_back(step: Step, work: Work, reason: str) -> None:
    """A claim ended without its owner's doing: the task is ready again, its attempt counted, or dead (T4)."""
    end_claim(step, work, How.LOST, reason)
    work.error = reason
    if work.attempts >= work.max_attempts:
        finish(step, work, S.DEAD)
    else:
        enter_queue(step, work)


def return_overdue(step: Step) -> None:
    """Give back claims whose own time is over, those over the longest first."""
    for work in list(
        works(
            step,
            "t.space = ? AND t.ends_us <= ? ORDER BY t.ends_us, t.task_id LIMIT ?",
            step.space,
            step.now_us,
            OVERDUE_PER_STEP,
        )
    ):
        give_back(step, work, OVERDUE)


# -------------------------------------------------------------------------------------------- ends


def finish(step: Step, work: Work, status: S, result: bytes | None = None) -> None:
    """A task is done or dead: number its end, and let `settle` tell those that depend on it."""
    if work.status == S.CLAIMED:
        work.duration_ms = max(0, (step.now_us - work.since_us) // 1000)
    if status == S.DONE:
        work.error = ""
    step.do("INSERT OR IGNORE INTO task_feeds (space, epoch, last) VALUES (?, ?, 0)", step.space, step.at_us)
    step.do(
        "UPDATE task_feeds SET last = last + 1 WHERE space = ? AND typeof(last) = 'integer' AND last BETWEEN 0 AND ?",
        step.space,
        NONSENSE,
    ) or step.do("UPDATE task_feeds SET epoch = ?, last = 1 WHERE space = ?", step.at_us, step.space)
    (work.ended,) = step.one("SELECT last FROM task_feeds WHERE space = ?", step.space)
    move(step, work, status)
    if status == S.DONE:
        count(step, work, kept=1, duration_ms=work.duration_ms)
    step.do(
        "INSERT OR REPLACE INTO task_ends (space, number, task_id, queue, batch, status, attempts, duration_ms, at_ms,"
        " error, result) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        step.space,
        work.ended,
        work.task_id,
        work.queue,
        work.batch,
        status,
        work.attempts,
        work.duration_ms,
        work.since_ms,
        work.error,
        result,
    )
    bereave(step, work.task_id, status)


def bereave(step: Step, task_id: str, status: S) -> None:
    """Note that those that depend on a task have to learn of its end."""
    if step.one("SELECT 1 FROM needs WHERE space = ? AND needed = ? LIMIT 1", step.space, task_id):
        step.do("INSERT INTO bereaved (space, task_id, status) VALUES (?, ?, ?)", step.space, task_id, status)
        step.has_bereaved = True


def delete(step: Step, work: Work) -> None:
    """Forget a task; its id stays over."""
    step.do("DELETE FROM tasks WHERE id = ?", work.id)
    step.do("DELETE FROM payloads WHERE task = ?", work.id)
    step.do("DELETE FROM needs WHERE task = ?", work.id)
    if step.wall_us - work.pushed_ms * 1000 < MEMORY_US:  # a late push of it may come
        step.mark(Kind.TASK, work.task_id, How.DONE)
    count(step, work, **{"kept" if work.status == S.DONE else STATUS[S(work.status)].value: -1})
    for kind, name in enumerate((work.queue, work.batch)):
        if name:
            step.do(
                "DELETE FROM task_counts WHERE space = ? AND kind = ? AND name = ?"
                " AND ready + delayed + blocked + claimed + dead + kept = 0",
                step.space,
                kind,
                name,
            )


def inform_dependents(step: Step) -> None:
    """Free those that depend on a task that is done; those of one that is dead or removed are dead."""
    left = DEPENDENTS_PER_STEP
    while left > 0:
        row = step.one("SELECT id, task_id, status FROM bereaved WHERE space = ? ORDER BY id LIMIT 1", step.space)
        if row is None:
            break
        number, ended, how = row
        found = list(
            works(
                step,
                "t.id IN (SELECT task FROM needs WHERE space = ? AND needed = ?) AND (t.status = 2 OR ?)"
                " ORDER BY t.task_id LIMIT ?",
                step.space,
                ended,
                how == S.DONE,
                left,
            )
        )
        left -= max(1, len(found))
        for work in found:
            if how == S.DONE:
                step.do("DELETE FROM needs WHERE space = ? AND needed = ? AND task = ?", step.space, ended, work.id)
                if work.status == S.BLOCKED and not step.one("SELECT 1 FROM needs WHERE task = ? LIMIT 1", work.id):
                    enter_queue(step, work)
            else:
                work.error = f"its dependency {ended} {'is dead' if how == S.DEAD else 'was removed'}"
                finish(step, work, S.DEAD)
        if not found:
            step.do("DELETE FROM bereaved WHERE id = ?", number)
