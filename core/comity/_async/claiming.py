"""A claim on a task, and the wait for one: asleep until woken, certain to leave nothing behind (T2-T5, X3, X5, X11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from comity import jitter
from comity._colour._async import AsyncFlag
from comity.claims import ClaimState
from comity.errors import BackendUnavailable, ClaimLost, ComityError, InvalidArgument
from comity.model import ERROR_LENGTH, Claimed, Ended, NoTask, TaskStatus
from comity.payloads import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from comity._async.space import AsyncSpace
    from comity.model import ClaimEnd, ClaimRequest
    from comity.ops import Op

T = TypeVar("T")

_UNHEARD_PAUSE = 0.25
"""How often a wait asks while no wake-ups are heard."""
_MARGIN = 0.001
_LISTENING_WAIT = 2.0
_LONGEST_DELAY = 366 * 86_400.0


class AsyncClaim(ClaimState):
    """A task that is this session's to do: an async context manager that ends it.

    Left normally the task is completed, by an exception it fails; the exception goes on. Leaving the block raises
    `ClaimLost` when the claim was lost meanwhile, unless the body raised.
    """

    def __init__(self, space: AsyncSpace, *facts: Any) -> None:
        super().__init__(space.session, *facts)
        self._space = space
        self._chosen: tuple[str, Op[ClaimEnd]] | None = None
        self._status: TaskStatus | None = None

    async def complete(self, result: Any = None) -> None:
        """End the claim: the task is done, with `result` (JSON, like payloads). Calling again changes nothing.

        Raises `ClaimLost` when the claim was lost before: then the task is another attempt's to do. After
        `BackendUnavailable` the completion is carried by the next heartbeats, and calling again is safe.
        """
        space = self._space
        body = encode(result, space.settings.payload_limit, what="result")
        op = space.backend.tasks.complete(*self.identity, body, space.retention)
        await self._finish("tasks.complete", op)

    async def fail(self, error: str | BaseException, *, retry_in: float | None = 0.0) -> TaskStatus:
        """End the claim: this attempt failed for the reason `error`, of which 2,000 characters are kept.

        `retry_in`: seconds after which the task may be claimed again; None: never, it is dead at once. It is dead
        as well when its attempts are used up. Returns what the task is now: READY, DELAYED or DEAD. Calling again
        changes nothing. Raises as `complete` does.
        """
        return await self._finish("tasks.fail", self._failure(error, retry_in))

    def _failure(self, error: str | BaseException, retry_in: float | None) -> Op[ClaimEnd]:
        why = error if isinstance(error, str) else _described(error)
        retry_ms = None if retry_in is None else milliseconds("retry_in", retry_in)
        return self._space.backend.tasks.fail(*self.identity, why[:ERROR_LENGTH], retry_ms)

    async def give_back(self) -> bool:
        """End the claim as if it had never been: the task goes back to its place, and no attempt is counted.

        For a worker that has not begun with it. True when it went back, False when the claim was over before.
        """
        space = self._space
        space.home.check()
        space.session.called()
        space.session.check("tasks.fail")
        if not self.end():
            return False
        space.session.claims.remove(self)
        return await self._carry_out(space.backend.tasks.withdraw(self._ref, self.request_id))

    async def let_go(self) -> bool:
        """Give back as `give_back` does, in a moment: if the store is away the next heartbeats carry it."""
        self._space.home.check()
        if not self.end():
            return False
        self._space.session.claims.remove(self)
        await self._space.seam.asettle(self._space.backend.tasks.withdraw(self._ref, self.request_id))
        return True

    async def _finish(self, action: str, op: Op[ClaimEnd]) -> TaskStatus:
        """End the claim in one of the two ways; the first one chosen stands."""
        space = self._space
        space.home.check()
        space.session.called()
        space.session.check(action)
        if self._chosen is None:
            self.ensure_held()
        with self._guard:
            if self._chosen is None:
                self._chosen = (action, op)
            chosen, first = self._chosen
        if chosen != action:
            raise ClaimLost(self.id, self.queue, self.token, f"it was ended here before ({chosen})")
        if self._status is None:
            answer = await self._carry_out(first)
            if not answer.ok or answer.status is None:
                self.lose(answer.reason)
                raise ClaimLost(self.id, self.queue, self.token, answer.reason)
            self._status = answer.status
            self.end()
            space.session.claims.remove(self, first)
        return self._status

    async def _carry_out(self, op: Op[T]) -> T:
        """Perform the step that ends the claim: it is over here already, so one that is interrupted is made up for."""
        seam = self._space.seam
        try:
            return await seam.arun(op)
        except ComityError:
            raise
        except BaseException:
            await seam.asettle(op)
            raise

    async def __aenter__(self) -> Self:
        if self._space.session.calls is not None:
            self._space.session.calls.enter_block()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._space.session.calls is not None:
            self._space.session.calls.leave_block()
        if self.ended:
            return
        if error is None:
            await self.complete()
        elif not isinstance(error, Exception):  # cancelled, interrupted: there is no time to wait for the store
            if self._chosen is None and self.end():
                self._space.session.claims.remove(self)
                await self._space.seam.asettle(self._failure(error, 0.0))
        else:
            try:
                await self.fail(error)
            except ComityError:
                return  # the body's own error says more; the end is carried by the next heartbeats


def _described(error: BaseException) -> str:
    """Return an exception as one line of text."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def milliseconds(argument: str, seconds: Any) -> int:
    """Return a delay in milliseconds, or raise `InvalidArgument`."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _LONGEST_DELAY:
        raise InvalidArgument(argument, seconds, "give seconds from 0 to a year")
    return round(seconds * 1000)


class AsyncClaiming:
    """One wait for a task, until `until` on the backend's local clock (None: for ever), or `stopped`."""

    def __init__(
        self, space: AsyncSpace, request: ClaimRequest, until: float | None, stopped: Callable[[], bool]
    ) -> None:
        self._space, self._request, self._until, self._stopped = space, request, until, stopped
        self._flag = AsyncFlag()

    async def run(self, answer: Claimed | NoTask | Ended | None, sent: float) -> tuple[Claimed, float] | None:
        """Go on from the first answer (None: the store is away); return the task and when it was asked for.

        None when the time was up. However it ends without a task, nothing of the request stays claimed or waiting.
        """
        space, request = self._space, self._request
        try:
            space.session.claims.await_task(request.request_id, self._flag)
            space.ear.attend()
            space.session.require("tasks.claim")  # whoever ended it before this wait was registered woke nobody
            with space.session.under_way():
                return await self._wait(answer, sent)
        except BaseException:
            await self._give_up()
            raise
        finally:
            space.session.claims.forget_wait(self._request.request_id)
            space.ear.attend()

    async def _wait(self, answer: Claimed | NoTask | Ended | None, sent: float) -> tuple[Claimed, float] | None:
        while not isinstance(answer, Claimed):
            if isinstance(answer, Ended):  # claimed by a try that got no answer, and lost before this one
                self._request = attrs.evolve(self._request, request_id=self._renewed(self._request.request_id))
            elif self._left() <= 0 or self._stopped():
                await self._give_up()
                return None
            elif self._request.wait:
                await self._flag.wait(min(self._pause(answer), self._left()))
            else:
                await self._listen()
            self._flag.clear()
            answer, sent = await self._ask()
        return answer, sent

    def _renewed(self, request_id: str) -> str:
        """Wait on under another id."""
        claims = self._space.session.claims
        claims.forget_wait(request_id)
        renewed = self._space.ids()
        claims.await_task(renewed, self._flag)
        return renewed

    def _pause(self, answer: NoTask | None) -> float:
        """Return the seconds after which to ask again if nothing wakes this wait: a heartbeat at the latest."""
        if answer is None or not self._space.ear.listening:
            return _UNHEARD_PAUSE
        longest = self._space.session.interval * jitter.uniform(0.8, 1.0)
        return longest if answer.retry_ms is None else min(longest, max(answer.retry_ms, 0) / 1000 + _MARGIN)

    async def _ask(self) -> tuple[Claimed | NoTask | Ended | None, float]:
        """Ask for the present state of the request; None when the store is away: a wait outlives that."""
        space = self._space
        space.session.require("tasks.claim")
        sent = space.session.now()
        if self._left() <= 0:
            return NoTask(), sent
        try:
            op = space.backend.tasks.claim(self._request)
            # No longer than the session lives by what is known here: then the wait is over.
            budget = min(space.seam.deadline, self._left(), max(space.session.deadline - sent, _MARGIN))
            return await space.seam.arun(op, budget, undo=False), sent
        except BackendUnavailable:
            return None, sent

    async def _listen(self) -> None:
        """Make sure that wake-ups are heard before the request stands in line."""
        ear = self._space.ear
        ear.start()
        if not ear.tell_up(self._flag):
            await self._flag.wait(min(_LISTENING_WAIT, self._left()))
            ear.forget_up(self._flag)
        self._request = attrs.evolve(self._request, wait=True, listener=ear.address)

    async def _give_up(self) -> None:
        """Leave nothing behind."""
        space, request = self._space, self._request
        op = space.backend.tasks.withdraw(request.session, request.request_id, request.queues)
        await space.seam.asettle(op)

    def _left(self) -> float:
        return float("inf") if self._until is None else max(self._until - self._space.session.now(), 0.0)
