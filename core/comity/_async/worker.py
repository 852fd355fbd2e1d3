"""A worker: claims tasks, runs a function for each, completes or fails them, and stops cleanly (T2-T4)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from comity._colour._async import AsyncFlag
from comity._crew._async import AsyncCrew, on_termination
from comity.errors import BackendUnavailable, ClaimLost, Closed, ComityError, InvalidPayload, SessionLost
from comity.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from comity._async.claiming import AsyncClaim
    from comity._async.space import AsyncSpace
    from comity._async.tasks import AsyncTasks

_TICK = 0.2
"""Seconds between two looks whether a signal came."""
_LONGEST_BACKOFF = 300.0


def backoff(claim: AsyncClaim) -> float:
    """Return when a failed attempt is tried again: after 1, 2, 4 ... seconds, at most 5 minutes."""
    return min(2.0 ** (claim.attempt - 1), _LONGEST_BACKOFF)


class AsyncWorker:
    """Does the tasks of some queues, by a function, until it is told to stop. Made by ``me.tasks.worker``."""

    def __init__(
        self,
        space: AsyncSpace,
        tasks: AsyncTasks,
        queues: str | Iterable[str],
        work: Callable[[AsyncClaim], Any],
        *,
        concurrency: int,
        max_runtime: float | None,
        retry_in: Callable[[AsyncClaim], float | None],
        grace: float,
    ) -> None:
        self._space, self._tasks = space, tasks
        self._queues = queues if isinstance(queues, str) else tuple(queues)
        self._work, self._retry_in = work, retry_in
        self._concurrency, self._max_runtime, self._grace = concurrency, max_runtime, grace
        self._crew = AsyncCrew()
        self._flag: AsyncFlag | None = None
        self._under_way: dict[str, AsyncClaim] = {}
        self._stops = 0
        self._error: ComityError | None = None
        self.completed = 0
        """How many tasks it has completed."""
        self.failed = 0
        """How many attempts have failed."""
        self.lost = 0
        """How many claims were lost while it worked on them."""
        self.returned = 0
        """How many tasks it gave back unfinished, because it was stopped."""

    @property
    def under_way(self) -> tuple[AsyncClaim, ...]:
        """The claims it works on now."""
        return tuple(self._under_way.values())

    async def run(self) -> None:
        """Work until `stop`, SIGTERM or SIGINT (where this thread gets signals).

        Then no task is claimed any more, and those under way may take up to `grace` seconds to finish. What is not
        finished by then, or at a second signal, goes back to its queue, no attempt counted.
        Raises `SessionLost` when the session is lost and does not rejoin, and `LimitExceeded`.
        """
        self._space.home.check()
        flag = self._flag = AsyncFlag()
        with on_termination(self._signalled):
            self._crew.start(self._loop, self._concurrency)
            try:
                while not self._stops:
                    await flag.wait(_TICK)
                    flag.clear()
                self.stop()
                await self._finish()
            finally:
                self.stop()
                await self._return_all()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Claim no more tasks, and let `run` return when those under way are finished (any thread)."""
        self._stops = max(self._stops, 1)
        if self._flag is not None:
            self._flag.set()
        self._space.session.claims.ask_again()

    def _signalled(self) -> None:
        """Take note of a signal. It may come between any two lines, so this sets a number and no more."""
        self._stops += 1

    async def _finish(self) -> None:
        """Wait for what is under way, as long as it may take."""
        space = self._space
        begun = space.session.now()
        while not await self._crew.join(_TICK):
            if self._stops > 1 or space.session.now() - begun >= self._grace:
                return

    async def _return_all(self) -> None:
        """Give back what is under way still, and leave it."""
        for claim in self.under_way:
            self.returned += await claim.let_go()
        await self._crew.abandon()

    async def _loop(self) -> None:
        try:
            while not self._stops:
                claim = await self._claim()
                if claim is None:
                    continue
                self._under_way[claim.request_id] = claim
                try:
                    await self._attempt(claim)
                finally:
                    self._under_way.pop(claim.request_id, None)
        except Closed:
            pass
        except ComityError as error:
            self._error = error
        finally:
            self.stop()

    async def _claim(self) -> AsyncClaim | None:
        try:
            return await self._tasks.claim_unless(self._queues, None, self._max_runtime, lambda: self._stops > 0)
        except SessionLost:
            if not self._space.heart.rejoins:
                raise
            flag = AsyncFlag()  # a new incarnation is on its way
            await flag.wait(_TICK)
            return None

    async def _attempt(self, claim: AsyncClaim) -> None:
        try:
            try:
                result = await self._crew.attempt(self._work, claim)
            except Exception as error:  # noqa: BLE001 - whatever the function raises is the task's failure
                await self._failed(claim, error)
                return
            if not claim.ended:
                await claim.complete(result)
            self.completed += 1
        except InvalidPayload as error:  # the result is no JSON, and would be none the next time
            await self._failed(claim, error)
        except ClaimLost as error:
            if not claim.ended:
                self.lost += 1
                self._tell("claim_lost", claim, error)
        except BackendUnavailable as error:  # its end is carried by the next heartbeats
            self._tell("task_end_open", claim, error)

    async def _failed(self, claim: AsyncClaim, error: Exception) -> None:
        if claim.ended:
            return
        if isinstance(error, ClaimLost):
            raise error
        self.failed += 1
        self._tell("task_failed", claim, error)
        await claim.fail(error, retry_in=None if isinstance(error, InvalidPayload) else self._retry_in(claim))

    def _tell(self, event: str, claim: AsyncClaim, error: Exception) -> None:
        log(logging.WARNING, event, queue=claim.queue, task=claim.id, attempt=claim.attempt, error=repr(error))
