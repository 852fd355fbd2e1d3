"""Tasks: pushed, claimed, ended, listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors import LimitExceeded, NoSuchTask, TaskRefused
from comity.model import (
    Claimed,
    ClaimEnd,
    Ended,
    NoTask,
    Pushed,
    Task,
    TaskStatus,
)
from comity.testing.model.endings import due, end_session
from comity.testing.model.records import End, Mark, Totals, Work
from comity.testing.model.task_views import ModelTaskViews, described
from comity.testing.model.work import (
    claims_of,
    delete,
    end_claim,
    enter_queue,
    finish,
    foremost,
    keyed,
    leave_line,
    ms_to_next_due,
    of_queue,
    return_overdue,
    take_along,
    unmet_of,
)

if TYPE_CHECKING:
    from comity.model import ClaimRequest, Retention, SessionRef, TaskPush
    from comity.ops import Op
    from comity.testing.model.step import ModelOp

TRIMMED_PER_STEP = 4
"""How many finished tasks beyond those a queue keeps one completion deletes."""


class ModelTasks(ModelTaskViews):
    """`comity.ports.Tasks` over a dict of tasks."""

    # ---------------------------------------------------------------------------------- pushing

    def push(self, push: TaskPush) -> ModelOp[Pushed]:
        """Store a task, once; or answer the one that has its dedupe key (T1)."""
        space = self._space

        def step() -> Pushed:
            space.acting(push.session)
            stored = space.tasks.get(push.task_id)
            if stored:
                return Pushed(stored.shown(), at_us=space.now_us)
            if space.tasks_over.of(push.task_id):
                return Pushed(Task(push.task_id, push.queue, TaskStatus.DONE), at_us=space.now_us)
            twin = keyed(space, push.queue, push.dedupe_key)
            if twin:
                return Pushed(twin.shown(), new=False, at_us=space.now_us)
            due_ms = space.now_ms + push.delay_ms if push.delay_ms else 0
            unmet = unmet_of(space, "push", push.task_id, push.depends_on)
            work = Work(push, space.next_token(), space.now_ms, TaskStatus.READY, space.now_ms, due_ms, unmet)
            space.tasks[push.task_id] = work
            for key in (("queue", push.queue), *((("batch", push.batch),) if push.batch else ())):
                space.totals.setdefault(key, Totals())
            enter_queue(space, work)
            return Pushed(work.shown(), at_us=space.now_us)

        return self._steps.write("tasks.push", step, lambda _: self._take_back(push.task_id))

    def _take_back(self, task_id: str) -> Op[bool]:
        space = self._space

        def step() -> bool:
            work = space.tasks.get(task_id)
            space.tasks_over.keep(task_id, Mark(End.WITHDRAWN), space.now_ms)
            if work is None or work.attempts or work.number:
                return False
            space.bereaved.append((task_id, None))
            delete(space, work)
            return True

        return self._steps.write("tasks.take_back", step)

    # --------------------------------------------------------------------------------- claiming

    def claim(self, request: ClaimRequest) -> ModelOp[Claimed | NoTask | Ended]:
        """Take the best ready task, or wait for one (T2)."""
        space, ref = self._space, request.session

        def step() -> Claimed | NoTask | Ended:
            space.acting(ref)
            return_overdue(space)
            over = space.tasks_over.of(request.request_id)
            if over:
                lost = over.end is End.LOST
                return Ended(lost, over.reason if lost else "", space.now_us)
            mine = {work.request_id: work for work in claims_of(space, ref)}
            if request.request_id in mine:
                return described(space, mine[request.request_id])
            if len(mine) >= request.max_held:
                raise LimitExceeded(ref.agent_id, request.max_held, "claims")
            for queue in request.queues:
                take_along(space, queue)
            work = foremost(space, request.queues) or self._of_a_dead_session(request)
            return self._take(work, request) if work else self._wait(request)

        def undo(answer: Claimed | NoTask | Ended | None) -> Op[object] | None:
            if isinstance(answer, Ended):
                return None
            return self.withdraw(ref, request.request_id, request.queues)

        return self._steps.write("tasks.claim", step, undo)

    def _take(self, work: Work, request: ClaimRequest) -> Claimed:
        """Make a task the request's."""
        space = self._space
        if work.push.queue in space.fresh:
            space.fresh.remove(work.push.queue)
        leave_line(space, request.request_id)
        work.status, work.since_ms, work.token = TaskStatus.CLAIMED, space.now_ms, space.next_token()
        work.attempts += 1
        work.claimer, work.request_id = request.session, request.request_id
        if request.max_runtime_ms is not None:
            work.ends_ms = space.now_ms + request.max_runtime_ms
            space.unwatched.add(work.push.queue)
        return described(space, work)

    def _wait(self, request: ClaimRequest) -> NoTask:
        """Put the request into the lines of its queues, where it keeps its place."""
        space = self._space
        if not request.wait:
            return NoTask(None, space.now_us)
        space.claimants[request.request_id] = request
        return NoTask(ms_to_next_due(space, request), space.now_us)

    def _of_a_dead_session(self, request: ClaimRequest) -> Work | None:
        """End a session that is past its deadline and has claims, and look again."""
        space = self._space
        overdue = [session for session in due(space) if claims_of(space, session.ref)]
        if not overdue:
            return None
        end_session(space, overdue[0], "expired")
        return foremost(space, request.queues)

    def withdraw(self, session: SessionRef, request_id: str, queues: tuple[str, ...] = ()) -> ModelOp[bool]:
        """End a request; a task that it has goes back as it was."""
        space = self._space

        def step() -> bool:
            work = self._claimed(session, request_id)
            if work:
                end_claim(space, work, End.WITHDRAWN, "")
                work.attempts -= 1
                enter_queue(space, work)
            elif request_id in space.claimants:
                leave_line(space, request_id)
            else:  # it may have been woken for a task that is ready still
                space.fresh += [queue for queue in queues if of_queue(space, queue, TaskStatus.READY)]
            space.tasks_over.keep(request_id, Mark(End.WITHDRAWN), space.now_ms)
            return work is not None

        def undo(answer: bool | None) -> Op[object] | None:  # noqa: FBT001 - what the step answered
            return self.withdraw(session, request_id, queues) if answer is None else None

        return self._steps.write("tasks.withdraw", step, undo)

    def _claimed(self, session: SessionRef, request_id: str) -> Work | None:
        """Return the task of a claim that stands."""
        return_overdue(self._space)
        mine = claims_of(self._space, session) if self._space.living(session) else []
        return next((work for work in mine if work.request_id == request_id), None)

    def complete(
        self, session: SessionRef, request_id: str, task_id: str, token: int, result: bytes, retention: Retention
    ) -> ModelOp[ClaimEnd]:
        """End a claim with its task done (T3)."""
        space = self._space

        def step() -> ClaimEnd:
            work = self._claimed(session, request_id)
            if work is None or (work.id, work.token) != (task_id, token):
                return self._over(request_id, task_id, token)
            end_claim(space, work, End.RELEASED, TaskStatus.DONE)
            finish(space, work, TaskStatus.DONE, result)
            done = of_queue(space, work.push.queue, TaskStatus.DONE)
            for old in done[: max(0, len(done) - retention.most)][:TRIMMED_PER_STEP]:
                self._trim(old.number)
            return ClaimEnd(ok=True, status=TaskStatus.DONE, at_us=space.now_us)

        def undo(answer: ClaimEnd | None) -> Op[object] | None:
            return self.complete(session, request_id, task_id, token, result, retention) if answer is None else None

        return self._steps.write("tasks.complete", step, undo)

    def fail(
        self, session: SessionRef, request_id: str, task_id: str, token: int, error: str, retry_ms: int | None
    ) -> ModelOp[ClaimEnd]:
        """End a claim without its task being done (T3)."""
        space = self._space

        def step() -> ClaimEnd:
            work = self._claimed(session, request_id)
            if work is None or (work.id, work.token) != (task_id, token):
                return self._over(request_id, task_id, token)
            work.error = error
            if retry_ms is None or work.attempts >= work.push.max_attempts:
                finish(space, work, TaskStatus.DEAD)
            else:
                work.due_ms = space.now_ms + retry_ms if retry_ms else 0
                enter_queue(space, work)
            end_claim(space, work, End.RELEASED, work.status)
            return ClaimEnd(ok=True, status=work.status, at_us=space.now_us)

        def undo(answer: ClaimEnd | None) -> Op[object] | None:
            return self.fail(session, request_id, task_id, token, error, retry_ms) if answer is None else None

        return self._steps.write("tasks.fail", step, undo)

    def _over(self, request_id: str, task_id: str, token: int) -> ClaimEnd:
        """Tell how a claim ended that does not stand."""
        space = self._space
        over, work = space.tasks_over.of(request_id), space.tasks.get(task_id)
        if over and over.end is End.RELEASED:
            return ClaimEnd(ok=True, status=TaskStatus(over.reason), at_us=space.now_us)
        if over:
            return ClaimEnd(ok=False, reason=over.reason or "it was given back", at_us=space.now_us)
        if work and work.status is TaskStatus.DONE and work.token == token:
            return ClaimEnd(ok=True, status=TaskStatus.DONE, at_us=space.now_us)
        expired = work and work.token == token and work.status is TaskStatus.CLAIMED
        return ClaimEnd(
            ok=False, reason="its session ended (expired)" if expired else "it is not known", at_us=space.now_us
        )

    # ----------------------------------------------------------------------------- after the end

    def retry(self, session: SessionRef, request_id: str, task_id: str) -> ModelOp[Task]:
        """Let a dead task begin anew."""
        space = self._space

        def step() -> Task:
            space.acting(session)
            work = space.tasks.get(task_id)
            if work is None:
                raise NoSuchTask(task_id)
            if space.tasks_over.of(request_id):
                return work.shown()
            if work.status is not TaskStatus.DEAD:
                raise TaskRefused("retry", task_id, f"it is {work.status}, only dead tasks are tried again")
            twin = keyed(space, work.push.queue, work.push.dedupe_key)
            if twin:
                raise TaskRefused("retry", task_id, f"its dedupe_key is taken by task {twin.id}; wait until that ends")
            unmet_of(space, "retry", task_id, work.unmet)
            space.tasks_over.keep(request_id, Mark(End.RELEASED), space.now_ms)
            work.attempts = work.number = work.duration_ms = work.due_ms = 0
            enter_queue(space, work)
            return work.shown()

        return self._steps.write("tasks.retry", step)

    def remove(self, session: SessionRef, request_id: str, task_id: str) -> ModelOp[bool]:
        """Delete a task that nobody works on."""
        space = self._space

        def step() -> bool:
            space.acting(session)
            work = space.tasks.get(task_id)
            if space.tasks_over.of(request_id):
                return True
            if work is None:
                return False
            if work.status is TaskStatus.CLAIMED:
                who = work.claimer.agent_id if work.claimer else ""
                raise TaskRefused("remove", task_id, f"{who} works on it; wait for its end")
            space.tasks_over.keep(request_id, Mark(End.RELEASED), space.now_ms)
            if not work.number:
                space.bereaved.append((task_id, None))
            delete(space, work)
            return True

        return self._steps.write("tasks.remove", step)

    def trim(self, retention: Retention) -> ModelOp[int]:
        """Forget ends that are too old, and with them tasks that are done."""
        space = self._space

        def step() -> int:
            old = [end.number for end in space.ends if end.at_ms <= space.now_ms - retention.age_ms]
            for number in old:
                self._trim(number)
            return len(old)

        return self._steps.write("tasks.trim", step)

    def _trim(self, number: int) -> None:
        space = self._space
        space.ends = [end for end in space.ends if end.number != number]
        for work in [work for work in space.tasks.values() if work.number == number]:
            if work.status is TaskStatus.DONE:
                delete(space, work)
