"""`comity.ports.Tasks` on Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity.errors import ComityError, LimitExceeded, NoSuchTask, TaskRefused
from comity.model import Claimed, ClaimEnd, Ended, NoTask, Pushed, Task, TaskStatus
from comity_redis.keys import plain
from comity_redis.presence import lost
from comity_redis.records import MAX_RANK
from comity_redis.task_records import STATUS, task, text
from comity_redis.task_views import RedisTaskViews

if TYPE_CHECKING:
    from comity.model import ClaimRequest, Retention, SessionRef, TaskPush
    from comity.ops import Op
    from comity_redis.keys import Keys
    from comity_redis.op import Runner
    from comity_redis.verbs import Verbs


class RedisTasks(RedisTaskViews):
    """Work that is handed over. Payloads and results pass through a script once, as opaque text."""

    def __init__(self, runner: Runner, keys: Keys, verbs: Verbs) -> None:
        super().__init__(runner, keys)
        self._push = verbs.script("task_push", "tasks.push", "payloads")
        self._claim = verbs.script("task_claim", "tasks.claim", "payloads")
        self._withdraw = verbs.script("task_withdraw", "tasks.withdraw", "payloads", loose=True)
        self._complete = verbs.script("task_complete", "tasks.complete", "payloads")
        self._fail = verbs.script("task_fail", "tasks.fail", "payloads")
        self._retry = verbs.script("task_retry", "tasks.retry", "payloads")
        self._remove = verbs.script("task_remove", "tasks.remove", "payloads")
        self._take_back = verbs.script("task_remove", "tasks.take_back", "payloads", loose=True)
        self._trim = verbs.script("task_trim", "tasks.trim", "payloads", loose=True)

    def push(self, push: TaskPush) -> Op[Pushed]:
        """Store a task, as `comity.ports.Tasks.push` says."""
        ref, task_id = push.session, push.task_id

        def parse(answer: list[Any]) -> Pushed:
            kind = answer[0]
            if kind == b"P":
                return Pushed(task(task_id, answer[1], push.payload), at_us=answer[2])
            if kind == b"T":
                _, other, record, payload, at_us = answer
                return Pushed(task(text(other), record, payload or b"null"), new=False, at_us=at_us)
            if kind == b"G":
                return Pushed(Task(task_id, push.queue, TaskStatus.DONE), at_us=answer[1])
            if kind == b"L":
                raise lost(ref, answer)
            raise _dependency("push", task_id, answer)

        def undo(_: Pushed | None) -> Op[object]:
            return self._take_back.call(bool, "", "", "", task_id)

        return self._push.call(
            parse,
            ref.agent_id,
            ref.incarnation,
            task_id,
            push.queue,
            push.batch,
            push.dedupe_key,
            f"{MAX_RANK - push.priority:05d}",
            push.delay_ms,
            push.max_attempts,
            push.payload,
            push.origin[0],
            *push.depends_on,
            undo=undo,
        )

    def claim(self, request: ClaimRequest) -> Op[Claimed | NoTask | Ended]:
        """Take a task, or wait for one, as `comity.ports.Tasks.claim` says."""
        ref = request.session

        def parse(answer: list[Any]) -> Claimed | NoTask | Ended:
            kind = answer[0]
            if kind == b"C":
                _, task_id, record, payload, left, at_us = answer
                found = task(text(task_id), record, payload)
                return Claimed(found, request.request_id, None if left < 0 else left, at_us)
            if kind == b"N":
                return NoTask(None if answer[1] < 0 else answer[1], answer[2])
            if kind == b"E":
                return Ended(answer[1] == 1, answer[2].decode(errors="replace"), answer[3])
            if kind == b"M":
                raise LimitExceeded(ref.agent_id, request.max_held, "claims")
            raise lost(ref, answer)

        def undo(answer: Claimed | NoTask | Ended | None) -> Op[object] | None:
            if isinstance(answer, Ended):
                return None
            return self.withdraw(ref, request.request_id, request.queues)

        return self._claim.call(
            parse,
            ref.agent_id,
            ref.incarnation,
            request.request_id,
            1 if request.wait else 0,
            request.max_runtime_ms or 0,
            request.max_held,
            plain(request.listener),
            *request.queues,
            undo=undo,
        )

    def withdraw(self, session: SessionRef, request_id: str, queues: tuple[str, ...] = ()) -> Op[bool]:
        """End a request, as `comity.ports.Tasks.withdraw` says."""

        def undo(answer: bool | None) -> Op[object] | None:  # noqa: FBT001 - what the step answered
            return self.withdraw(session, request_id, queues) if answer is None else None

        return self._withdraw.call(bool, session.agent_id, session.incarnation, request_id, *queues, undo=undo)

    def complete(
        self, session: SessionRef, request_id: str, task_id: str, token: int, result: bytes, retention: Retention
    ) -> Op[ClaimEnd]:
        """End a claim with its task done, as `comity.ports.Tasks.complete` says.

        Those that are too old are trimmed by about every 32nd completion, up to 64 at a time.
        """

        def undo(answer: ClaimEnd | None) -> Op[object] | None:
            return self.complete(session, request_id, task_id, token, result, retention) if answer is None else None

        who = (session.agent_id, session.incarnation, request_id, task_id, f"{token:016d}")
        return self._complete.call(_claim_end, *who, result, retention.most, retention.age_ms, undo=undo)

    def fail(
        self, session: SessionRef, request_id: str, task_id: str, token: int, error: str, retry_ms: int | None
    ) -> Op[ClaimEnd]:
        """End a claim without its task being done, as `comity.ports.Tasks.fail` says."""

        def undo(answer: ClaimEnd | None) -> Op[object] | None:
            return self.fail(session, request_id, task_id, token, error, retry_ms) if answer is None else None

        who = (session.agent_id, session.incarnation, request_id, task_id, f"{token:016d}")
        return self._fail.call(_claim_end, *who, plain(error), -1 if retry_ms is None else retry_ms, undo=undo)

    def retry(self, session: SessionRef, request_id: str, task_id: str) -> Op[Task]:
        """Let a dead task begin anew, as `comity.ports.Tasks.retry` says."""

        def parse(answer: list[Any]) -> Task:
            kind = answer[0]
            if kind == b"K":
                return task(task_id, answer[1], answer[2] or b"null")
            if kind == b"L":
                raise lost(session, answer)
            if kind == b"S":
                why = f"it is {STATUS[answer[1]]}, only dead tasks are tried again"
                raise TaskRefused("retry", task_id, why)
            if kind == b"T":
                why = f"its dedupe_key is taken by task {answer[1].decode(errors='replace')}; wait until that ends"
                raise TaskRefused("retry", task_id, why)
            raise _dependency("retry", task_id, answer)

        return self._retry.call(parse, session.agent_id, session.incarnation, request_id, task_id)

    def remove(self, session: SessionRef, request_id: str, task_id: str) -> Op[bool]:
        """Delete a task, as `comity.ports.Tasks.remove` says."""

        def parse(answer: Any) -> bool:
            if not isinstance(answer, list):
                return bool(answer)
            if answer[0] == b"L":
                raise lost(session, answer)
            raise TaskRefused("remove", task_id, f"{answer[1].decode(errors='replace')} works on it; wait for its end")

        return self._remove.call(parse, session.agent_id, session.incarnation, request_id, task_id)

    def trim(self, retention: Retention) -> Op[int]:
        """Delete finished tasks that are too old, up to 256 in one step."""
        return self._trim.call(int, retention.age_ms)


def _dependency(action: str, task_id: str, answer: list[Any]) -> ComityError:
    """Return the error for a dependency that is unknown or dead."""
    other = answer[1].decode(errors="replace")
    if answer[0] == b"U":
        return NoSuchTask(other)
    return TaskRefused(action, task_id, f"its dependency {other} is dead; retry that one first")


def _claim_end(answer: list[Any]) -> ClaimEnd:
    kind, text, at_us = answer
    if kind == b"K":
        return ClaimEnd(ok=True, status=STATUS[text], at_us=at_us)
    return ClaimEnd(ok=False, reason=text.decode(errors="replace"), at_us=at_us)
