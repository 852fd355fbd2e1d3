"""Tasks: work that sessions hand over to each other (rules T1-T5)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from comity._async.claiming import AsyncClaim, AsyncClaiming, milliseconds
from comity._async.worker import AsyncWorker, backoff
from comity._colour._async import AsyncPending
from comity.errors import BackendUnavailable, ComityError, InvalidArgument
from comity.logs import corrupt
from comity.model import (
    ATTEMPTS_LIMIT,
    DEPENDENCIES_LIMIT,
    PRIORITY_LIMIT,
    QUEUES_LIMIT,
    Claimed,
    ClaimRequest,
    Origin,
    SessionRef,
    Task,
    TaskPush,
    TaskStatus,
)
from comity.names import check_name, listed
from comity.payloads import decode, encode
from comity.tasks import page_of, position_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from comity._async.space import AsyncSpace
    from comity.model import TaskSlice, TaskStats
    from comity.tasks import FinishedPage

_PAGE_LIMIT = 10_000
_CONCURRENCY_LIMIT = 1000


class _Unreadable(Exception):
    """A task whose payload is not JSON was claimed."""


class AsyncTasks:
    """Hand work over: push tasks to queues, claim and complete them. A queue is there as soon as it is named."""

    def __init__(self, space: AsyncSpace) -> None:
        self._space = space

    async def push(
        self,
        queue: str,
        payload: Any = None,
        *,
        priority: int = 0,
        delay: float = 0.0,
        max_attempts: int = 3,
        dedupe_key: str | None = None,
        depends_on: Iterable[str | Task] = (),
        batch: str | None = None,
        by_hand: bool = False,
    ) -> Task:
        """Put a task into `queue` and return it; some session will claim it.

        `payload`: anything JSON holds, up to 256 KiB. `priority`: larger is claimed first, equals by age. `delay`:
        seconds for which it is not claimed. `max_attempts`: so often it is claimed before it is dead. `dedupe_key`:
        while a task of the queue with this key is neither done nor dead, that task is returned and nothing is pushed.
        `depends_on`: tasks, or their ids, that must be done first; when one of them is dead or removed, this one is
        dead as well, and says so in its `error`. `batch`: a name under which results are found together. `by_hand`: for
        front ends of people, whose session type is ``cli``, that a person queues it: `Task.origin` is then ``human``,
        unless it is seen that this process works for an agent (`comity.origin`; one more round trip).

        A call that is cancelled, or raises `BackendUnavailable`, takes the task back unless it was claimed already.
        Raises `NoSuchTask` or `TaskRefused` (a dependency is unknown, or dead), `SessionLost`, `AccessDenied`,
        `InvalidName`, `InvalidPayload`, `InvalidArgument`, `BackendUnavailable`.
        """
        space = self._space
        ref = space.require("tasks.push")
        check_name("queue", queue)
        others = listed("depends_on", depends_on)
        needed = tuple(other.id if isinstance(other, Task) else check_name("task id", other) for other in others)
        if len(needed) > DEPENDENCIES_LIMIT:
            raise InvalidArgument("depends_on", f"{len(needed)} tasks", f"give {DEPENDENCIES_LIMIT} at most")
        push = TaskPush(
            task_id=space.ids(),
            session=ref,
            queue=queue,
            payload=encode(payload, space.settings.payload_limit),
            priority=_whole("priority", priority, -PRIORITY_LIMIT, PRIORITY_LIMIT),
            delay_ms=milliseconds("delay", delay),
            max_attempts=_whole("max_attempts", max_attempts, 1, ATTEMPTS_LIMIT),
            dedupe_key="" if dedupe_key is None else check_name("dedupe_key", dedupe_key),
            depends_on=needed,
            batch="" if batch is None else check_name("batch", batch),
            origin=await self._origin() if by_hand else Origin.AGENT,
        )
        return (await space.seam.arun(space.backend.tasks.push(push))).task

    async def _origin(self) -> Origin:
        """Say whether to believe that a person is at work here."""
        from comity.origin import origin_of

        space = self._space
        if space.session.attached:
            return Origin.AGENT
        return origin_of((await space.seam.arun(space.backend.presence.members(None))).sessions or ())

    def claim(
        self,
        queues: str | Iterable[str],
        *,
        timeout: float | None = None,
        max_runtime: float | None = None,
    ) -> AsyncPending[AsyncClaim | None]:
        """Take a task of one of the `queues`: of all that are ready the one of best priority, then the oldest.

        Waits up to `timeout` seconds (None: for ever; 0: not at all) and returns None when there was no task. Waiting
        does not poll Redis: a push wakes one waiting claim. The task is this session's until the claim is completed or
        failed, as long as the session lives, and at most `max_runtime` seconds: then it goes back to its queue, with
        this attempt counted, and ending the claim raises `ClaimLost`.

        Entered as a block, the task is completed at its end, or failed by an exception.
        Raises `SessionLost`, `LimitExceeded`, `AccessDenied`, `InvalidName`, `InvalidArgument`, `BackendUnavailable`.
        """
        return AsyncPending(self.claim_unless(queues, timeout, max_runtime, lambda: False))

    async def claim_unless(
        self,
        queues: str | Iterable[str],
        timeout: float | None,
        max_runtime: float | None,
        stopped: Callable[[], bool],
    ) -> AsyncClaim | None:
        """Claim as `claim` does, and give up waiting when `stopped` (asked whenever the wait is woken)."""
        space = self._space
        ref = space.require("tasks.claim")
        if timeout is not None and not timeout >= 0:
            raise InvalidArgument("timeout", timeout, "give seconds, 0 not to wait, or None to wait for ever")
        begun = space.session.now()
        while True:
            left = timeout if timeout is None else max(timeout - (space.session.now() - begun), 0.0)
            request = self._request(ref, queues, max_runtime, wait=left != 0 and space.ear.listening)
            try:
                claimed = await self._first(request, left, stopped)
                return None if claimed is None else self._claim(ref, *claimed)
            except _Unreadable as error:  # a foreign hand wrote it: nobody can do it
                claimed, _ = error.args
                ids = (ref, claimed.request_id, claimed.task.id, claimed.token)
                await space.seam.arun(space.backend.tasks.fail(*ids, "its payload cannot be read", None))
            except ComityError:
                raise  # an answer; whoever raised it has left nothing behind
            except BaseException:  # an interrupt may come between any two lines
                space.session.claims.forget_wait(request.request_id)
                space.session.claims.drop(request.request_id)
                await space.seam.asettle(space.backend.tasks.withdraw(ref, request.request_id, request.queues))
                raise

    async def _first(
        self, request: ClaimRequest, timeout: float | None, stopped: Callable[[], bool]
    ) -> tuple[Claimed, float] | None:
        """Ask once, and wait if that is wanted; return the task and when it was asked for."""
        space = self._space
        sent = space.session.now()
        budget = min(space.seam.deadline, timeout) if timeout else space.seam.deadline
        try:
            answer = await space.seam.arun(space.backend.tasks.claim(request), budget, undo=timeout == 0)
        except BackendUnavailable:
            if timeout == 0:
                raise
            answer = None  # a wait outlives an outage
        if isinstance(answer, Claimed):
            return answer, sent
        if timeout == 0:
            return None
        until = None if timeout is None else sent + timeout
        return await AsyncClaiming(space, request, until, stopped).run(answer, sent)

    def _request(
        self, ref: SessionRef, queues: str | Iterable[str], max_runtime: float | None, *, wait: bool
    ) -> ClaimRequest:
        """Describe a claim, or raise `InvalidName` or `InvalidArgument`."""
        space = self._space
        names = (queues,) if isinstance(queues, str) else listed("queues", queues)
        if not 0 < len(names) <= QUEUES_LIMIT:
            raise InvalidArgument("queues", queues, f"give one queue, or up to {QUEUES_LIMIT}")
        for name in names:
            check_name("queue", name)
        names = tuple(dict.fromkeys(names))
        runtime_ms = None if max_runtime is None else milliseconds("max_runtime", max_runtime)
        if runtime_ms == 0:
            raise InvalidArgument("max_runtime", max_runtime, "give seconds from 0.001, or None")
        return ClaimRequest(
            request_id=space.ids(),
            session=ref,
            queues=names,
            wait=wait,
            listener=space.ear.address,
            max_runtime_ms=runtime_ms,
            max_held=space.settings.max_held,
        )

    def _claim(self, ref: SessionRef, claimed: Claimed, sent: float) -> AsyncClaim:
        """Register a claim asked for at `sent`, the moment from which its own time is judged."""
        space = self._space
        until = None if claimed.runtime_ms is None else sent + claimed.runtime_ms / 1000
        try:
            payload = decode(claimed.task.payload_json)
        except ValueError as error:
            corrupt("task", claimed.task.id, error)
            raise _Unreadable(claimed, sent) from error
        claim = AsyncClaim(space, ref, claimed.request_id, claimed.task, payload, until)
        space.session.claims.add(claim)
        if until is not None:
            space.heart.look()
        return claim

    def worker(
        self,
        queues: str | Iterable[str],
        work: Callable[[AsyncClaim], Any],
        *,
        concurrency: int = 1,
        max_runtime: float | None = None,
        retry_in: float | Callable[[AsyncClaim], float | None] | None = backoff,
        grace: float = 20.0,
    ) -> AsyncWorker:
        """Make a worker, whose ``run()`` claims tasks and calls ``work(claim)`` for each until it is stopped.

        What `work` returns is the task's result; what it raises fails the attempt, to be tried again `retry_in` seconds
        later (or what a function of the claim says; None: never; by default after 1, 2, 4 ... seconds, at most 5
        minutes). `concurrency`: so many tasks at once, in threads, or in tasks of the event loop. `max_runtime`:
        seconds after which an attempt is another's to make. `grace`: seconds that unfinished tasks are given when the
        worker is stopped; after them they go back to their queue, no attempt counted. A thread cannot be ended: what
        it does after that is in vain. In asyncio the function is cancelled then, and when its claim is lost.
        """
        self._space.check("tasks.claim")
        self._request(SessionRef("", ""), queues, max_runtime, wait=False)  # raises for what cannot be used

        def fixed(_: AsyncClaim) -> float | None:
            return None if callable(retry_in) else retry_in

        return AsyncWorker(
            self._space,
            self,
            queues,
            work,
            concurrency=_whole("concurrency", concurrency, 1, _CONCURRENCY_LIMIT),
            max_runtime=max_runtime,
            retry_in=retry_in if callable(retry_in) else fixed,
            grace=milliseconds("grace", grace) / 1000,
        )

    async def mine(self) -> list[AsyncClaim]:
        """Return the claims of this session, by the store's word; each can be completed or failed."""
        space = self._space
        ref = space.require("tasks.mine")
        sent = space.session.now()
        claims = []
        for claimed in await space.seam.arun(space.backend.tasks.own(ref)):
            known = space.session.claims.find(claimed.request_id)
            if isinstance(known, AsyncClaim):
                claims.append(known)
                continue
            with contextlib.suppress(_Unreadable):
                claim = self._claim(ref, claimed, sent)
                claim.adopted = True
                claims.append(claim)
        return claims

    # What is known of tasks

    async def get(self, task_id: str) -> Task | None:
        """Return a task with its payload, and its result once it is done; None when it is not there (any more)."""
        self._space.check("tasks.get")
        check_name("task id", task_id)
        return await self._space.seam.arun(self._space.backend.tasks.get(task_id))

    async def list(self, queue: str, status: TaskStatus | str, *, after: str = "", limit: int = 100) -> TaskSlice:
        """Return up to `limit` tasks of a queue in one status, and where to go on (`TaskSlice.after`).

        Ready tasks come in the order in which they will be claimed, delayed ones as they come due, the others in the
        order in which they came into their status.
        """
        self._space.check("tasks.list")
        check_name("queue", queue)
        try:
            wanted = TaskStatus(status)
        except ValueError:
            known = ", ".join(TaskStatus)
            raise InvalidArgument("status", status, f"give one of {known}") from None
        most = _whole("limit", limit, 1, _PAGE_LIMIT)
        return await self._space.seam.arun(self._space.backend.tasks.listing(queue, wanted, after, most))

    async def results(self, batch: str, *, after: str = "", limit: int = 100) -> TaskSlice:
        """Return up to `limit` tasks of a batch that are done or dead, in the order of their ends."""
        self._space.check("tasks.results")
        check_name("batch", batch)
        most = _whole("limit", limit, 1, _PAGE_LIMIT)
        return await self._space.seam.arun(self._space.backend.tasks.results(batch, after, most))

    async def stats(self, queue: str | None = None, *, batch: str | None = None) -> TaskStats:
        """Return the counts of a queue, or of a batch: one look-up, as they are kept by the steps themselves."""
        self._space.check("tasks.stats")
        if (queue is None) is (batch is None):
            raise InvalidArgument("queue", queue, "give a queue or batch=, one of the two")
        if queue is not None:
            op = self._space.backend.tasks.stats(queue=check_name("queue", queue))
        else:
            op = self._space.backend.tasks.stats(batch=check_name("batch", batch))
        return await self._space.seam.arun(op)

    async def queues(self) -> tuple[str, ...]:
        """Return the names of the queues of which a task is kept."""
        self._space.check("tasks.queues")
        return await self._space.seam.arun(self._space.backend.tasks.queues())

    async def finished(self, after: str | None = None, *, limit: int = 1000) -> FinishedPage:
        """Return the ends of tasks of all queues after a position, in order, each exactly once.

        `after`: the `position` of an earlier page; None: the oldest end that is kept. `missed` says exactly how many
        were trimmed before this page could read them (`tasks_kept`, `tasks_kept_for`).
        """
        self._space.check("tasks.finished")
        place = position_of(after)
        most = _whole("limit", limit, 1, _PAGE_LIMIT)
        return page_of(place, await self._space.seam.arun(self._space.backend.tasks.finished(place, most)))

    # After the end

    async def retry(self, task: str | Task) -> Task:
        """Let a dead task begin anew, with all its attempts; return it as it is then.

        Raises `NoSuchTask`, and `TaskRefused` when it is not dead, its dedupe key is taken, or a task it depends on is
        dead.
        """
        space = self._space
        ref = space.require("tasks.retry")
        return await space.seam.arun(space.backend.tasks.retry(ref, space.ids(), _id_of(task)))

    async def remove(self, task: str | Task) -> bool:
        """Delete a task that nobody works on; False when there is none. Those that depend on it are dead.

        Raises `TaskRefused` when it is claimed.
        """
        space = self._space
        ref = space.require("tasks.remove")
        return await space.seam.arun(space.backend.tasks.remove(ref, space.ids(), _id_of(task)))

    async def trim(self) -> int:
        """Delete some finished tasks that are kept for longer than they should be, and return how many (0: none left).

        Completions do this by the way; the background service does it for queues in which nothing is completed.
        """
        space = self._space
        space.require("tasks.trim")
        return await space.seam.arun(space.backend.tasks.trim(space.retention))


def _id_of(task: str | Task) -> str:
    return task.id if isinstance(task, Task) else check_name("task id", task)


def _whole(argument: str, value: int, least: int, most: int) -> int:
    """Return a whole number within its limits, or raise `InvalidArgument`."""
    if type(value) is not int or not least <= value <= most:
        raise InvalidArgument(argument, value, f"give an int from {least} to {most}")
    return value
