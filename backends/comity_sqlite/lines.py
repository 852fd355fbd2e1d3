"""Claims that wait, in line for each of their queues, and who is woken when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from comity_sqlite.processes import is_deaf
from comity_sqlite.work import inform_dependents

if TYPE_CHECKING:
    from comity.model import ClaimRequest
    from comity_sqlite.step import Step

_LOOKED_AT = 64
"""How many of a line a step looks at for one that listens."""


class Claimant(NamedTuple):
    """A claim's place in the line of one queue."""

    id: int
    request_id: str
    session: int
    listener: str


def line(step: Step, queue: str) -> list[Claimant]:
    """Return the first of those that wait for a queue, in order."""
    rows = step.all(
        "SELECT id, request_id, session, listener FROM claimants WHERE space = ? AND queue = ? ORDER BY id LIMIT ?",
        step.space,
        queue,
        _LOOKED_AT,
    )
    return [Claimant(*row) for row in rows]


def is_waiting(step: Step, request_id: str) -> bool:
    """Tell whether a claim stands in line."""
    return step.one("SELECT 1 FROM claimants WHERE space = ? AND request_id = ?", step.space, request_id) is not None


def join_line(step: Step, request: ClaimRequest, session: int) -> None:
    """Put a claim into the lines of its queues; one that is there keeps its places."""
    step.do("DELETE FROM task_wakes WHERE session = ? AND request_id = ?", session, request.request_id)
    if is_waiting(step, request.request_id):
        step.do(
            "UPDATE claimants SET listener = ? WHERE space = ? AND request_id = ? AND listener <> ?",
            request.listener,
            step.space,
            request.request_id,
            request.listener,
        )
        return
    for queue in request.queues:
        step.do(
            "INSERT INTO claimants (space, queue, request_id, session, listener) VALUES (?, ?, ?, ?, ?)",
            step.space,
            queue,
            request.request_id,
            session,
            request.listener,
        )


def leave_line(step: Step, request_id: str) -> bool:
    """Let a claim wait no more; whoever is first then should look at the time."""
    rows = step.all(
        "SELECT c.queue, c.id = (SELECT min(id) FROM claimants WHERE space = c.space AND queue = c.queue)"
        " FROM claimants c WHERE c.space = ? AND c.request_id = ?",
        step.space,
        request_id,
    )
    step.unwatched.update(queue for queue, was_first in rows if was_first)
    if rows:
        step.do("DELETE FROM claimants WHERE space = ? AND request_id = ?", step.space, request_id)
    return bool(rows)


def leave_lines(step: Step, session: int) -> None:
    """Let no claim of a session wait any more: it is over."""
    for (request_id,) in step.all("SELECT DISTINCT request_id FROM claimants WHERE session = ?", session):
        leave_line(step, request_id)
    step.do("DELETE FROM task_wakes WHERE session = ?", session)


def _next_in_line(step: Step, queue: str) -> Claimant | None:
    """Return the first that listens."""
    return next((claimant for claimant in line(step, queue) if not is_deaf(claimant.listener)), None)


def _next_due(step: Step, queue: str) -> int | None:
    """Return the milliseconds until a delayed task of the queue comes due, or any claim's own time is over."""
    moments = []
    due = step.one("SELECT min(due_ms) FROM tasks WHERE space = ? AND queue = ? AND status = 1", step.space, queue)[0]
    if due is not None:
        moments.append(due - step.wall_ms)
    ends = step.one("SELECT min(ends_us) FROM tasks WHERE space = ? AND ends_us IS NOT NULL", step.space)[0]
    if ends is not None:
        moments.append(step.left_ms(ends))
    return min(moments, default=None)


def ms_to_next_due(step: Step, request: ClaimRequest) -> int | None:
    """Tell when the first in a line should ask again: something comes due then."""
    moments = []
    for queue in request.queues:
        first = _next_in_line(step, queue)
        if first is None or first.request_id == request.request_id:
            moments.append(_next_due(step, queue))
    return min((ms for ms in moments if ms is not None), default=None)


def _wake(step: Step, claimant: Claimant) -> None:
    step.do(
        "INSERT OR REPLACE INTO task_wakes (session, request_id, number) VALUES (?, ?, ?)",
        claimant.session,
        claimant.request_id,
        step.token(),
    )
    step.rings = True


def _wake_one(step: Step, queue: str) -> None:
    """Wake the first that listens, and take it out of the line together with the deaf ones before it."""
    for claimant in line(step, queue):
        leave_line(step, claimant.request_id)
        if not is_deaf(claimant.listener):
            _wake(step, claimant)
            return


def settle(step: Step) -> None:
    """End a step: tell those that depend on what ended, and wake one that waits for each task made ready."""
    if step.has_bereaved:
        inform_dependents(step)
    while step.fresh:
        _wake_one(step, step.fresh.pop())
    for queue in step.unwatched:
        first = _next_in_line(step, queue)
        if first is not None and _next_due(step, queue) is not None:
            _wake(step, first)
    step.unwatched.clear()
