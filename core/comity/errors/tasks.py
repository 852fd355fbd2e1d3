"""Something about a task or a claim."""

from __future__ import annotations

from comity.errors.root import ComityError


class TaskError(ComityError):
    """Something about a task or a claim."""


class ClaimLost(TaskError):
    """The claim on a task ended before it was completed or failed; the task is, or was, another's."""

    def __init__(self, task_id: str, queue: str, token: int, reason: str) -> None:
        """Name the task, its queue, the attempt's token and the `reason`."""
        self.task_id, self.queue, self.token, self.reason = task_id, queue, token, reason
        super().__init__(
            f"claim on task {task_id} of queue {queue!r} (token {token}) is lost: {reason}; "
            "drop this attempt's work, the task is done by another attempt",
        )


class NoSuchTask(TaskError):
    """No task has this id: it was never pushed, was removed, or finished so long ago that it is not kept."""

    def __init__(self, task_id: str) -> None:
        """Name the id."""
        self.task_id = task_id
        super().__init__(
            f"there is no task {task_id}: it was never pushed, was removed, or finished and is not kept any more; "
            "tasks.list(queue) shows those there are",
        )


class TaskRefused(TaskError):
    """The task is not in a state for the `action`; nothing was changed."""

    def __init__(self, action: str, task_id: str, why: str) -> None:
        """Name the `action` (``push``, ``retry``, ``remove``), the task, and `why`, with the way out."""
        self.action, self.task_id, self.why = action, task_id, why
        super().__init__(f"{action} of task {task_id} is refused: {why}")
