"""Work that is handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from comity.model import (
        Claimed,
        ClaimEnd,
        ClaimRequest,
        Ended,
        FinishedSlice,
        NoTask,
        Pushed,
        Retention,
        SessionRef,
        Task,
        TaskPush,
        TaskSlice,
        TaskStats,
        TaskStatus,
        TopicPosition,
    )
    from comity.ops import Op


class Tasks(Protocol):
    """Work that is handed over (rules T1-T5).

    A task is claimed by one request at a time, with a token from the namespace's counter. The claim ends
    by its owner's step, with its session in the step that ends that, or when its own time is over: then
    whoever claims, or `Presence.reap`, gives the task back. Given back it is ready again at its old
    place, its attempt counted; with its attempts used up it is dead.

    The step that makes a task ready wakes one waiting claim alone (``TASK``), the first that listens, and
    takes it out of the line: it asks again. Those found deaf are taken out as well. Who is first in a line also
    looks at the time, for the tasks that come due; whoever takes its place is woken to do so.

    Ends, by which a task is done or dead, are numbered 1, 2, 3 ... by the step that brings them about.
    A task whose dependency is dead or removed is dead as well. What a step does for those that depend on
    a task, and what it trims, is bounded; the steps after it go on.
    """

    def push(self, push: TaskPush) -> Op[Pushed]:
        """Store a task: ready, delayed, or blocked until those it depends on are done.

        A retry answers the present state of the task, and so does a push whose dedupe key is taken by another
        one. Undo: the task is deleted if nobody has claimed it yet, and a mark left, so that it never comes late.

        Raises `SessionLost`, `NoSuchTask` and `TaskRefused` (a dependency that is unknown, or dead).
        """

    def claim(self, request: ClaimRequest) -> Op[Claimed | NoTask | Ended]:
        """Take the ready task of best priority, then the oldest, of all the queues; else register to be woken.

        Asked again, it answers the present state of its id; `Ended` for one that is over. It first makes ready
        what has come due, gives back claims whose time is over, and, finding nothing, ends a session
        that is past its deadline and has claims. Undo: `withdraw`.

        Raises `SessionLost`, `LimitExceeded`.
        """

    def withdraw(self, session: SessionRef, request_id: str, queues: tuple[str, ...] = ()) -> Op[bool]:
        """End the request: it waits no more, and a task it has goes back as if it had never been claimed.

        True when a task went back by this step. Leaves a mark even when nothing is found, so that a late `claim` has no
        effect. A wake-up that the request may have got in one of its `queues` is passed on.
        Works while the store is full. Undo, outcome unknown: itself.
        """

    def complete(
        self, session: SessionRef, request_id: str, task_id: str, token: int, result: bytes, retention: Retention
    ) -> Op[ClaimEnd]:
        """End the claim with its task done, if it still stands; trim finished tasks of the queue.

        Works while the store is full. Undo, outcome unknown: itself.
        """

    def fail(
        self, session: SessionRef, request_id: str, task_id: str, token: int, error: str, retry_ms: int | None
    ) -> Op[ClaimEnd]:
        """End the claim without its task being done, if it still stands.

        The task is ready again after `retry_ms`; with None, or its attempts used up, it is dead.
        Works while the store is full. Undo, outcome unknown: itself.
        """

    def own(self, session: SessionRef) -> Op[tuple[Claimed, ...]]:
        """Read all claims of the session that stand, the oldest first. Raises `SessionLost`."""

    def get(self, task_id: str) -> Op[Task | None]:
        """Read one task."""

    def listing(self, queue: str, status: TaskStatus, after: str, limit: int) -> Op[TaskSlice]:
        """Read the tasks of a queue in a status, in the order in which they are claimed, or came into it.

        Raises `InvalidArgument` for an `after` that no slice had.
        """

    def results(self, batch: str, after: str, limit: int) -> Op[TaskSlice]:
        """Read the tasks of a batch that are done or dead, in the order of their ends."""

    def stats(self, *, queue: str = "", batch: str = "") -> Op[TaskStats]:
        """Read the counts of one queue, or of one batch; it takes no look at tasks."""

    def queues(self) -> Op[tuple[str, ...]]:
        """Read the names of all queues of which a task is kept, in byte order."""

    def finished(self, after: TopicPosition, limit: int) -> Op[FinishedSlice]:
        """Read the ends after a place; a place of another epoch, or ahead, reads from the oldest end kept."""

    def retry(self, session: SessionRef, request_id: str, task_id: str) -> Op[Task]:
        """Give a dead task its attempts anew: it is ready, or blocked by what it still depends on.

        A retry of the same `request_id` changes nothing more and answers the present state.
        Raises `SessionLost`, `NoSuchTask` and `TaskRefused` (not dead, its dedupe key is taken, a dependency is dead).
        """

    def remove(self, session: SessionRef, request_id: str, task_id: str) -> Op[bool]:
        """Delete a task that is not claimed; its id stays over. Those that depend on it are dead.

        False when there is no such task. Raises `SessionLost`, `TaskRefused` (it is claimed).
        """

    def trim(self, retention: Retention) -> Op[int]:
        """Delete some finished tasks that are too old, and say how many; 0 when there are none (left)."""
