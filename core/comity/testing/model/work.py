"""What happens to tasks: ready, claimed, given back, done, dead, and whom that concerns.

A step changes tasks with these functions. Every step ends with `settle_work`, which tells those that depend on
what ended, and wakes waiting claims.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors import NoSuchTask, TaskRefused
from comity.model import FinishedTask, TaskStatus, Wake, WakeKind
from comity.testing.model.records import End, Mark, Totals, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from comity.model import ClaimRequest, SessionRef
    from comity.testing.model.world import Namespace

UNFINISHED = (TaskStatus.READY, TaskStatus.DELAYED, TaskStatus.BLOCKED, TaskStatus.CLAIMED)

# ------------------------------------------------------------------------------------- in a queue


def place_of(status: TaskStatus) -> Callable[[Work], tuple[int, ...]]:
    """Return what the tasks in a status are ordered by."""
    if status is TaskStatus.READY:
        return lambda work: work.place
    if status is TaskStatus.DELAYED:
        return lambda work: (work.due_ms, work.seq)
    if status is TaskStatus.BLOCKED:
        return lambda work: (work.seq,)
    if status is TaskStatus.CLAIMED:
        return lambda work: (work.token,)
    return lambda work: (work.number,)


def of_queue(space: Namespace, queue: str, status: TaskStatus) -> list[Work]:
    """Return the tasks of a queue in a status, in the order they are listed and claimed in."""
    found = [work for work in space.tasks.values() if work.push.queue == queue and work.status is status]
    return sorted(found, key=place_of(status))


def keyed(space: Namespace, queue: str, key: str) -> Work | None:
    """Return the task that has the dedupe key: one that is neither done nor dead."""
    there = (work for work in space.tasks.values() if work.status in UNFINISHED)
    return next((work for work in there if key and (work.push.queue, work.push.dedupe_key) == (queue, key)), None)


def unmet_of(space: Namespace, action: str, task_id: str, depends_on: Iterable[str]) -> list[str]:
    """Return which dependencies are not done. One that can never be is refused."""
    unmet = []
    for other in dict.fromkeys(depends_on):
        work = space.tasks.get(other)
        if work is None:
            raise NoSuchTask(other)
        if work.status is TaskStatus.DEAD:
            raise TaskRefused(action, task_id, f"its dependency {other} is dead; retry that one first")
        if work.status is not TaskStatus.DONE:
            unmet.append(other)
    return unmet


def enter_queue(space: Namespace, work: Work) -> None:
    """Let a task be claimed once what it depends on is done and its delay is over."""
    work.since_ms = space.now_ms
    if work.unmet:
        work.status = TaskStatus.BLOCKED
    elif work.due_ms > space.now_ms:
        work.status = TaskStatus.DELAYED
        if of_queue(space, work.push.queue, TaskStatus.DELAYED)[0] is work:
            space.unwatched.add(work.push.queue)
    else:
        work.status = TaskStatus.READY
        space.fresh.append(work.push.queue)


def take_along(space: Namespace, queue: str) -> None:
    """Make ready what has come due."""
    for work in of_queue(space, queue, TaskStatus.DELAYED):
        if work.due_ms <= space.now_ms:
            enter_queue(space, work)


def foremost(space: Namespace, queues: tuple[str, ...]) -> Work | None:
    """Return the ready task of best priority, then the oldest, of all the queues."""
    ready = [work for queue in queues for work in of_queue(space, queue, TaskStatus.READY)]
    return min(ready, key=lambda work: work.place, default=None)


# ---------------------------------------------------------------------------------------- claims


def claims_of(space: Namespace, ref: SessionRef) -> list[Work]:
    """Return what a session has claimed, by request id."""
    mine = [work for work in space.tasks.values() if work.status is TaskStatus.CLAIMED and work.claimer == ref]
    return sorted(mine, key=lambda work: work.request_id.encode())


def end_claim(space: Namespace, work: Work, end: End, reason: str) -> None:
    """Take a task from its claim, whose id is over; what becomes of the task is the caller's to say."""
    space.tasks_over.keep(work.request_id, Mark(end, reason), space.now_ms)
    work.request_id, work.ends_ms = "", None


def give_back(space: Namespace, work: Work, reason: str) -> None:
    """A claim ended without its owner's doing: the task is ready again, its attempt counted, or dead (T4)."""
    end_claim(space, work, End.LOST, reason)
    work.error = reason
    if work.attempts >= work.push.max_attempts:
        finish(space, work, TaskStatus.DEAD)
    else:
        enter_queue(space, work)


def return_overdue(space: Namespace) -> None:
    """Give back the claims whose own time is over."""
    overdue = [work for work in space.tasks.values() if work.ends_ms is not None and work.ends_ms <= space.now_ms]
    for work in sorted(overdue, key=lambda work: (work.ends_ms, work.id.encode())):
        give_back(space, work, "its max_runtime is over")


def give_up_work(space: Namespace, ref: SessionRef, reason: str) -> None:
    """Give back all that a session has claimed, and let it wait no more: it is over."""
    for work in claims_of(space, ref):
        give_back(space, work, f"its session ended ({reason})")
    for request in [request for request in space.claimants.values() if request.session == ref]:
        leave_line(space, request.request_id)


# ------------------------------------------------------------------------------------------ ends


def totals_of(space: Namespace, work: Work) -> list[Totals]:
    """Return the totals that a task counts in."""
    keys = [("queue", work.push.queue)] + ([("batch", work.push.batch)] if work.push.batch else [])
    return [space.totals.setdefault(key, Totals()) for key in keys]


def finish(space: Namespace, work: Work, status: TaskStatus, result: bytes | None = None) -> None:
    """A task is done or dead: number its end, and let `settle_work` tell those that depend on it."""
    work.status, work.result = status, result
    if work.attempts and work.claimer:
        work.duration_ms = space.now_ms - work.since_ms
    work.since_ms = space.now_ms
    if not space.ends_epoch:
        space.ends_epoch = space.now_us
    space.ends_last += 1
    work.number = space.ends_last
    space.ends.append(
        FinishedTask(
            number=work.number,
            id=work.id,
            queue=work.push.queue,
            status=status,
            batch=work.push.batch,
            attempts=work.attempts,
            duration_ms=work.duration_ms,
            at_ms=space.now_ms,
            error=work.error if status is TaskStatus.DEAD else "",
            result_json=result,
        )
    )
    if status is TaskStatus.DONE:
        work.error = ""
        for totals in totals_of(space, work):
            totals.done += 1
            totals.duration_ms += work.duration_ms
    space.bereaved.append((work.id, status))


def delete(space: Namespace, work: Work) -> None:
    """Forget a task; its id stays over."""
    del space.tasks[work.id]
    space.tasks_over.keep(work.id, Mark(End.RELEASED), space.now_ms)
    for key in (("queue", work.push.queue), ("batch", work.push.batch)):
        left = [
            each for each in space.tasks.values() if key in (("queue", each.push.queue), ("batch", each.push.batch))
        ]
        if not left:
            space.totals.pop(key, None)


def _tell_dependents(space: Namespace, ended: str, how: TaskStatus | None) -> None:
    """Free those that depend on a task that is done; those of one that is dead or removed are dead."""
    for work in sorted(space.tasks.values(), key=lambda work: work.id.encode()):
        if ended not in work.unmet:
            continue
        if how is TaskStatus.DONE:
            work.unmet.remove(ended)
            if work.status is TaskStatus.BLOCKED and not work.unmet:
                enter_queue(space, work)
        elif work.status is TaskStatus.BLOCKED:
            work.error = f"its dependency {ended} {'is dead' if how else 'was removed'}"
            finish(space, work, TaskStatus.DEAD)


# --------------------------------------------------------------------------------------- waiting


def line(space: Namespace, queue: str) -> list[ClaimRequest]:
    """Return the claims that wait for a queue, in order."""
    return [request for request in space.claimants.values() if queue in request.queues]


def listens(space: Namespace, request: ClaimRequest) -> bool:
    """Tell whether a wake-up would be heard; "" counts as listening."""
    return not request.listener or request.listener in space.listeners


def leave_line(space: Namespace, request_id: str) -> None:
    """Let a claim wait no more; whoever is first then should look at the time."""
    request = space.claimants.get(request_id)
    if request:
        space.unwatched.update(queue for queue in request.queues if line(space, queue)[0] is request)
        del space.claimants[request_id]


def next_in_line(space: Namespace, queue: str) -> ClaimRequest | None:
    """Return the first that listens."""
    return next((request for request in line(space, queue) if listens(space, request)), None)


def ms_to_next_due(space: Namespace, request: ClaimRequest) -> int | None:
    """Tell when the first in a line should ask again: something comes due then."""
    watched = [queue for queue in request.queues if next_in_line(space, queue) in (request, None)]
    moments = [work.due_ms for queue in watched for work in of_queue(space, queue, TaskStatus.DELAYED)]
    if watched:
        moments += [work.ends_ms for work in space.tasks.values() if work.ends_ms is not None]
    return min(moments) - space.now_ms if moments else None


def _wake(space: Namespace, request: ClaimRequest) -> None:
    for listener in tuple(space.listeners.values()):
        if listener.address == request.listener or (not request.listener and listener.session == request.session):
            listener.hear(Wake(WakeKind.TASK, request_id=request.request_id))


def settle_work(space: Namespace) -> None:
    """End a step: tell those that depend on what ended, and wake one that waits for each task made ready."""
    while space.bereaved:
        _tell_dependents(space, *space.bereaved.pop(0))
    while space.fresh:
        queue = space.fresh.pop(0)
        woken = next_in_line(space, queue)
        for request in line(space, queue):
            leave_line(space, request.request_id)
            if request is woken:
                _wake(space, request)
                break
    for queue in space.unwatched:
        first = next_in_line(space, queue)
        if first and ms_to_next_due(space, first) is not None:
            _wake(space, first)
    space.unwatched.clear()
