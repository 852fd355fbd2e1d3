"""What the task tests do most: push, claim and end tasks on a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity.model import Claimed, ClaimRequest, NoTask, Retention, TaskPush, TaskStats, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import ClaimEnd, Ended, Pushed, SessionRef, Task
    from comity.testing.kit.stage import Stage

READY, DELAYED, BLOCKED = TaskStatus.READY, TaskStatus.DELAYED, TaskStatus.BLOCKED
CLAIMED, DONE, DEAD = TaskStatus.CLAIMED, TaskStatus.DONE, TaskStatus.DEAD
LONG_MS = 500_000
KEPT = Retention()


def a_push(stage: Stage, session: SessionRef, queue: str = "work", **facts: Any) -> TaskPush:
    """Describe a task that was never pushed."""
    return TaskPush(
        facts.pop("task_id", None) or stage.new("task"), session, queue, facts.pop("payload", b"1"), **facts
    )


def pushed(stage: Stage, push: TaskPush) -> Pushed:
    """Perform a push."""
    return stage.run(stage.backend.tasks.push(push))


def push(stage: Stage, session: SessionRef, queue: str = "work", **facts: Any) -> str:
    """Push a new task; return its id."""
    answer = pushed(stage, a_push(stage, session, queue, **facts))
    assert answer.new
    return answer.task.id


def a_claim(stage: Stage, session: SessionRef, *queues: str, **facts: Any) -> ClaimRequest:
    """Describe a claim that was never made."""
    return ClaimRequest(facts.pop("request_id", None) or stage.new("claim"), session, queues or ("work",), **facts)


def ask(stage: Stage, request: ClaimRequest) -> Claimed | NoTask | Ended:
    """Perform a claim."""
    return stage.run(stage.backend.tasks.claim(request))


def claim(stage: Stage, session: SessionRef, *queues: str, **facts: Any) -> Claimed:
    """Claim a task that is there."""
    answer = ask(stage, a_claim(stage, session, *queues, **facts))
    assert isinstance(answer, Claimed), answer
    return answer


def wait(stage: Stage, session: SessionRef, *queues: str, **facts: Any) -> ClaimRequest:
    """Make a claim that waits."""
    request = a_claim(stage, session, *queues, wait=True, **facts)
    answer = ask(stage, request)
    assert isinstance(answer, NoTask), answer
    return request


def none_ready(stage: Stage, session: SessionRef, *queues: str) -> bool:
    """Tell whether a claim finds nothing."""
    return isinstance(ask(stage, a_claim(stage, session, *queues)), NoTask)


def complete(
    stage: Stage, session: SessionRef, claimed: Claimed, result: bytes = b"null", retention: Retention = KEPT
) -> ClaimEnd:
    """Complete a claim."""
    task = claimed.task
    return stage.run(stage.backend.tasks.complete(session, claimed.request_id, task.id, task.token, result, retention))


def fail(
    stage: Stage, session: SessionRef, claimed: Claimed, error: str = "broken", retry_ms: int | None = 0
) -> ClaimEnd:
    """Fail a claim."""
    task = claimed.task
    return stage.run(stage.backend.tasks.fail(session, claimed.request_id, task.id, task.token, error, retry_ms))


def withdraw(stage: Stage, request: ClaimRequest) -> bool:
    """End a request."""
    return stage.run(stage.backend.tasks.withdraw(request.session, request.request_id, request.queues))


def do(stage: Stage, session: SessionRef, queue: str = "work", **facts: Any) -> str:
    """Push a task, claim it and complete it; return its id."""
    task_id = push(stage, session, queue, **facts)
    claimed = claim(stage, session, queue)
    assert claimed.task.id == task_id
    assert complete(stage, session, claimed).ok
    return task_id


def get(stage: Stage, task_id: str) -> Task:
    """Read a task that is there."""
    task = stage.run(stage.backend.tasks.get(task_id))
    assert task is not None
    return task


def status(stage: Stage, task_id: str) -> TaskStatus | None:
    """Read a task's status; None when it is not there."""
    task = stage.run(stage.backend.tasks.get(task_id))
    return None if task is None else task.status


def listed(stage: Stage, of: TaskStatus, queue: str = "work") -> list[str]:
    """Read the ids of a queue's tasks in a status, in order."""
    return [task.id for task in stage.run(stage.backend.tasks.listing(queue, of, "", 1000)).tasks]


def stats(stage: Stage, queue: str = "work", *, batch: str = "") -> TaskStats:
    """Read the counts of a queue or a batch."""
    return stage.run(stage.backend.tasks.stats(batch=batch) if batch else stage.backend.tasks.stats(queue=queue))


def counts(stage: Stage, queue: str = "work", *, batch: str = "") -> dict[str, int]:
    """Read the counts that are not 0, without durations."""
    found = stats(stage, queue, batch=batch)
    return {each: count for each in [*map(str, TaskStatus)] if (count := getattr(found, each))}


def ends(stage: Stage, after: int = 0) -> Sequence[str]:
    """Read the ids of the tasks that ended, in order."""
    from comity.model import TopicPosition

    whole = stage.run(stage.backend.tasks.finished(TopicPosition(0, 0), 1000))
    return [task.id for task in whole.tasks if task.number > after]
