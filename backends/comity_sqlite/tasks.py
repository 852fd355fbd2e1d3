"""Tasks: pushed, claimed, ended, tried again, removed."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from comity.errors import ComityError, LimitExceeded, NoSuchTask, SessionLost, TaskRefused
from comity.model import Claimed, ClaimEnd, Ended, NoTask, Origin, Pushed, Task, TaskStatus
from comity_sqlite.ending import end_session
from comity_sqlite.lines import join_line, leave_line, ms_to_next_due
from comity_sqlite.requests import acting, over
from comity_sqlite.step import How, Kind
from comity_sqlite.task_views import SqliteTaskViews, described, shown
from comity_sqlite.work import (
    OVERDUE,
    STATUS,
    S,
    Work,
    bereave,
    count,
    delete,
    end_claim,
    enter_queue,
    finish,
    foremost,
    give_back,
    inform_dependents,
    move,
    next_ready,
    return_overdue,
    take_along,
    unmet_of,
    work_called,
    works,
)

if TYPE_CHECKING:
    from comity.model import ClaimRequest, Retention, SessionRef, TaskPush
    from comity.ops import Op
    from comity_sqlite.step import SessionRow, Step

TRIMMED_PER_STEP = 4
_TRIMMED_AT_ONCE = 256


class SqliteTasks(SqliteTaskViews):
    """The `comity.ports.Tasks` of a SQLite file."""

    # ------------------------------------------------------------------------------------ pushing

    def push(self, push: TaskPush) -> Op[Pushed]:
        """See `comity.ports.Tasks.push`."""

        def pushing(step: Step) -> Pushed | ComityError:
            mine = acting(step, push.session)
            if isinstance(mine, SessionLost):
                return mine
            there = work_called(step, push.task_id)
            if there is not None:
                return Pushed(shown(step, there), at_us=step.at_us)
            if step.ended(Kind.TASK, push.task_id) is not None:
                return Pushed(Task(push.task_id, push.queue, TaskStatus.DONE), at_us=step.at_us)
            twin = _keyed(step, push.queue, push.dedupe_key)
            if twin is not None:
                return Pushed(shown(step, twin), new=False, at_us=step.at_us)
            unmet = unmet_of(step, "push", push.task_id, push.depends_on)
            return unmet if isinstance(unmet, ComityError) else _store(step, push, unmet)

        return self._runner.write("tasks.push", pushing, lambda _: self._take_back(push.task_id))

    def _take_back(self, task_id: str) -> Op[bool]:
        def take_back(step: Step) -> bool:
            step.mark(Kind.TASK, task_id, How.VOID)
            work = work_called(step, task_id)
            if work is None or work.attempts or work.ended:
                return False
            bereave(step, task_id, S.REMOVED)
            delete(step, work)
            return True

        return self._runner.write("tasks.take_back", take_back)

    # ----------------------------------------------------------------------------------- claiming

    def claim(self, request: ClaimRequest) -> Op[Claimed | NoTask | Ended]:
        """See `comity.ports.Tasks.claim`."""

        def claim(step: Step) -> Claimed | NoTask | Ended | ComityError:
            mine = acting(step, request.session)
            if isinstance(mine, SessionLost):
                return mine
            return_overdue(step)
            inform_dependents(step)
            end = over(step, request.request_id)
            if end is not None:
                return end
            present = _claimed(step, mine, request.request_id)
            if present is not None:
                return described(step, present)
            (held,) = step.one("SELECT count(*) FROM tasks WHERE session = ? AND status = 3", mine.id)
            if held >= request.max_held:
                return LimitExceeded(mine.agent_id, request.max_held, "claims")
            for queue in request.queues:
                take_along(step, queue)
            work = next_ready(step, request.queues) or _of_a_dead_session(step, request)
            return _take(step, work, request, mine) if work is not None else _wait(step, request, mine)

        def undo(answer: Claimed | NoTask | Ended | None) -> Op[object] | None:
            if isinstance(answer, Ended):
                return None
            return self.withdraw(request.session, request.request_id, request.queues)

        return self._runner.write("tasks.claim", claim, undo)

    def withdraw(self, session: SessionRef, request_id: str, queues: tuple[str, ...] = ()) -> Op[bool]:
        """See `comity.ports.Tasks.withdraw`."""

        def withdraw(step: Step) -> bool:
            work = _standing(step, session, request_id)
            if work is not None:
                end_claim(step, work, How.VOID)
                work.attempts -= 1
                enter_queue(step, work)
            elif not leave_line(step, request_id):  # it may have been woken for a task that is ready still
                step.fresh += [queue for queue in queues if foremost(step, [queue]) is not None]
            step.do("DELETE FROM task_wakes WHERE request_id = ?", request_id)
            step.mark(Kind.REQUEST, request_id, How.VOID)
            return work is not None

        def undo(answer: bool | None) -> Op[object] | None:  # noqa: FBT001 - what the step answered
            return self.withdraw(session, request_id, queues) if answer is None else None

        return self._runner.write("tasks.withdraw", withdraw, undo, vital=True)

    # -------------------------------------------------------------------------------- ending claims

    def complete(
        self, session: SessionRef, request_id: str, task_id: str, token: int, result: bytes, retention: Retention
    ) -> Op[ClaimEnd]:
        """See `comity.ports.Tasks.complete`."""

        def complete(step: Step) -> ClaimEnd:
            work = _standing(step, session, request_id)
            if work is None or (work.task_id, work.token) != (task_id, token):
                return _how_it_ended(step, request_id, task_id, token)
            end_claim(step, work, How.DONE, TaskStatus.DONE)
            finish(step, work, S.DONE, result)
            _trim_queue(step, work.queue, retention.most)
            _trim_old(step, retention.age_ms, TRIMMED_PER_STEP)
            return ClaimEnd(ok=True, status=TaskStatus.DONE, at_us=step.at_us)

        def undo(answer: ClaimEnd | None) -> Op[object] | None:
            return self.complete(session, request_id, task_id, token, result, retention) if answer is None else None

        return self._runner.write("tasks.complete", complete, undo, vital=True)

    def fail(
        self, session: SessionRef, request_id: str, task_id: str, token: int, error: str, retry_ms: int | None
    ) -> Op[ClaimEnd]:
        """See `comity.ports.Tasks.fail`."""

        def fail(step: Step) -> ClaimEnd:
            work = _standing(step, session, request_id)
            if work is None or (work.task_id, work.token) != (task_id, token):
                return _how_it_ended(step, request_id, task_id, token)
            final = retry_ms is None or work.attempts >= work.max_attempts
            after = TaskStatus.DEAD if final else TaskStatus.DELAYED if retry_ms else TaskStatus.READY
            end_claim(step, work, How.DONE, after)
            work.error = error
            if final:
                finish(step, work, S.DEAD)
            else:
                work.due_ms = step.wall_ms + retry_ms if retry_ms else 0
                enter_queue(step, work)
            return ClaimEnd(ok=True, status=after, at_us=step.at_us)

        def undo(answer: ClaimEnd | None) -> Op[object] | None:
            return self.fail(session, request_id, task_id, token, error, retry_ms) if answer is None else None

        return self._runner.write("tasks.fail", fail, undo, vital=True)

    # ------------------------------------------------------------------------------- after the end

    def retry(self, session: SessionRef, request_id: str, task_id: str) -> Op[Task]:
        """See `comity.ports.Tasks.retry`."""

        def retry(step: Step) -> Task | ComityError:
            mine = acting(step, session)
            work = work_called(step, task_id)
            if isinstance(mine, SessionLost):
                return mine
            if work is None:
                return NoSuchTask(task_id)
            if step.ended(Kind.REQUEST, request_id) is not None:
                return shown(step, work)
            refusal = _not_to_be_tried(step, work)
            if refusal is not None:
                return refusal
            step.mark(Kind.REQUEST, request_id, How.DONE)
            work.attempts = work.ended = work.duration_ms = work.due_ms = 0
            enter_queue(step, work)
            return shown(step, work)

        return self._runner.write("tasks.retry", retry)

    def remove(self, session: SessionRef, request_id: str, task_id: str) -> Op[bool]:
        """See `comity.ports.Tasks.remove`."""

        def remove(step: Step) -> bool | ComityError:
            mine = acting(step, session)
            work = work_called(step, task_id)
            if isinstance(mine, SessionLost):
                return mine
            if step.ended(Kind.REQUEST, request_id) is not None:
                return True
            if work is None:
                return False
            if work.status == S.CLAIMED:
                return TaskRefused("remove", task_id, f"{work.agent_id} works on it; wait for its end")
            step.mark(Kind.REQUEST, request_id, How.DONE)
            if not work.ended:
                bereave(step, task_id, S.REMOVED)
            delete(step, work)
            return True

        return self._runner.write("tasks.remove", remove)

    def trim(self, retention: Retention) -> Op[int]:
        """See `comity.ports.Tasks.trim`."""
        return self._runner.write("tasks.trim", lambda step: _trim_old(step, retention.age_ms, _TRIMMED_AT_ONCE))


def _store(step: Step, push: TaskPush, unmet: list[str]) -> Pushed:
    """Store a new task and let it enter its queue."""
    due_ms = step.wall_ms + push.delay_ms if push.delay_ms else 0
    number = step.add(
        "INSERT INTO tasks (space, task_id, queue, batch, dedupe_key, status, urgency, number, max_attempts,"
        " pushed_ms, since_ms, since_us, due_ms, pushed_by, by_hand)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        step.space,
        push.task_id,
        push.queue,
        push.batch,
        push.dedupe_key,
        S.READY,
        -push.priority,
        step.token(),
        push.max_attempts,
        step.wall_ms,
        step.wall_ms,
        step.now_us,
        due_ms,
        push.session.agent_id,
        push.origin is Origin.HUMAN,
    )
    step.do("INSERT OR REPLACE INTO payloads (task, body) VALUES (?, ?)", number, push.payload)
    for needed in unmet:
        step.do("INSERT INTO needs (space, needed, task) VALUES (?, ?, ?)", step.space, needed, number)
    for kind, name in enumerate((push.queue, push.batch)):
        if name:
            step.do("INSERT OR IGNORE INTO task_counts (space, kind, name) VALUES (?, ?, ?)", step.space, kind, name)
    (work,) = works(step, "t.id = ?", number)
    count(step, work, ready=1)
    enter_queue(step, work)
    return Pushed(work.shown(push.payload), at_us=step.at_us)


def _keyed(step: Step, queue: str, key: str) -> Work | None:
    """Return the task that has the dedupe key."""
    if not key:
        return None
    found = works(
        step,
        "t.space = ? AND t.queue = ? AND t.dedupe_key = ? AND t.dedupe_key <> '' AND t.status < 4",
        step.space,
        queue,
        key,
    )
    return next(found, None)


def _claimed(step: Step, session: SessionRow, request_id: str) -> Work | None:
    """Return the task that a request of the session has claimed."""
    return next(works(step, "t.session = ? AND t.status = 3 AND t.request_id = ?", session.id, request_id), None)


def _standing(step: Step, session: SessionRef, request_id: str) -> Work | None:
    """Return the task of a claim that stands; one whose own time is over goes back."""
    mine = step.incarnation(session)
    if mine is None or not step.lives(mine):
        return None
    work = _claimed(step, mine, request_id)
    if work is not None and work.is_overdue(step):
        give_back(step, work, OVERDUE)
        return None
    return work


def _of_a_dead_session(step: Step, request: ClaimRequest) -> Work | None:
    """End a session that is past its deadline and has claims, and look again."""
    row = step.one(
        "SELECT s.id FROM sessions s WHERE s.space = ? AND s.due_us <= ?"
        " AND EXISTS (SELECT 1 FROM tasks t WHERE t.session = s.id AND t.status = 3)"
        " ORDER BY s.due_us, s.agent_id LIMIT 1",
        step.space,
        step.now_us,
    )
    if row is None:
        return None
    end_session(step, row[0], "expired", How.LOST)
    return next_ready(step, request.queues)


def _take(step: Step, work: Work, request: ClaimRequest, session: SessionRow) -> Claimed:
    """Make a task the request's."""
    if work.queue in step.fresh:
        step.fresh.remove(work.queue)
    leave_line(step, request.request_id)
    step.do("DELETE FROM task_wakes WHERE session = ? AND request_id = ?", session.id, request.request_id)
    work.token = step.token()
    work.attempts += 1
    work.session, work.agent_id, work.request_id = session.id, session.agent_id, request.request_id
    if request.max_runtime_ms is not None:
        work.ends_us = step.now_us + request.max_runtime_ms * 1000
        step.unwatched.add(work.queue)
    move(step, work, S.CLAIMED)
    return described(step, work)


def _wait(step: Step, request: ClaimRequest, session: SessionRow) -> NoTask:
    if not request.wait:
        return NoTask(None, step.at_us)
    join_line(step, request, session.id)
    return NoTask(ms_to_next_due(step, request), step.at_us)


def _how_it_ended(step: Step, request_id: str, task_id: str, token: int) -> ClaimEnd:
    """Answer for a claim that does not stand."""
    end = step.ended(Kind.REQUEST, request_id)
    if end is not None and end.how == How.DONE:
        return ClaimEnd(ok=True, status=TaskStatus(end.reason), at_us=step.at_us)
    if end is not None:
        return ClaimEnd(ok=False, reason=end.reason or "it was given back", at_us=step.at_us)
    work = work_called(step, task_id)
    if work is not None and work.token == token and work.status in (S.DONE, S.CLAIMED):
        if work.status == S.DONE:
            return ClaimEnd(ok=True, status=TaskStatus.DONE, at_us=step.at_us)
        return ClaimEnd(ok=False, reason="its session ended (expired)", at_us=step.at_us)
    return ClaimEnd(ok=False, reason="it is not known", at_us=step.at_us)


def _not_to_be_tried(step: Step, work: Work) -> ComityError | None:
    """Return why a task cannot begin anew, None when it can."""
    if work.status != S.DEAD:
        why = f"it is {STATUS[S(work.status)]}, only dead tasks are tried again"
        return TaskRefused("retry", work.task_id, why)
    twin = _keyed(step, work.queue, work.dedupe_key)
    if twin is not None:
        why = f"its dedupe_key is taken by task {twin.task_id}; wait until that ends"
        return TaskRefused("retry", work.task_id, why)
    needed = [row[0] for row in step.all("SELECT needed FROM needs WHERE task = ?", work.id)]
    unmet = unmet_of(step, "retry", work.task_id, needed)
    return unmet if isinstance(unmet, ComityError) else None


# ---------------------------------------------------------------------------------------- retention


def _trim_queue(step: Step, queue: str, most: int) -> None:
    """Delete a few completed tasks when the queue keeps more than it should."""
    row = step.one("SELECT kept FROM task_counts WHERE space = ? AND kind = 0 AND name = ?", step.space, queue)
    extra = min(row[0] - most, TRIMMED_PER_STEP) if row is not None else 0
    if extra <= 0:
        return
    for work in list(
        works(step, "t.space = ? AND t.queue = ? AND t.status = 4 ORDER BY t.ended LIMIT ?", step.space, queue, extra)
    ):
        step.do("DELETE FROM task_ends WHERE space = ? AND number = ?", step.space, work.ended)
        delete(step, work)


def _trim_old(step: Step, age_ms: int, most: int) -> int:
    """Delete a few ends that are too old, and with them the tasks that are done; return how many."""
    too_old = step.wall_ms - age_ms
    sql = "SELECT number, task_id, at_ms FROM task_ends WHERE space = ? ORDER BY number LIMIT ?"
    old = list(takewhile(lambda end: end[2] <= too_old, step.execute(sql, (step.space, most))))  # reads no further
    for number, task_id, _ in old:
        step.do("DELETE FROM task_ends WHERE space = ? AND number = ?", step.space, number)
        work = work_called(step, task_id)
        if work is not None and work.status == S.DONE and work.ended == number:
            delete(step, work)
    return len(old)
