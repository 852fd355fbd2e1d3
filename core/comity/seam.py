"""The one place where a step is performed: deadline, retry, tracing, faults and cancellation.

`Seam.run` and `Seam.arun` perform an `Op`. A step that could not reach the store is tried again, with
jitter, until the deadline: that is safe because every changing step carries a request id (X4).
A step that was interrupted (KeyboardInterrupt, a cancelled task) or whose outcome stayed unknown
is undone at once where the store answers within 0.1 s; what is still open then stays in `Unsettled` and is
carried by every heartbeat until the store has answered it (X5).

Interceptors wrap every attempt: injected faults hang here and nowhere else. Probes (`comity.probes`) are told of
every step after it was performed: so tracing and counting.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from comity import jitter
from comity.errors import BackendUnavailable, Closed, ComityError, SessionLost
from comity.flag import Flag
from comity.ops import Effect, Op

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.errors import ClaimLost, LockLost
    from comity.probes import Probe

T = TypeVar("T")

UNDO_SECONDS = 0.1
"""How long an interrupted call may spend on leaving nothing behind."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25
_MAX_UNSETTLED = 10_000


class Interceptor(Protocol):
    """Sees every attempt to perform a step. Either method may raise, as a fault would."""

    def before(self, op: Op[object], attempt: int) -> None:
        """Look at the step before it is sent; raising means that it was not."""

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None:
        """Look at the answer; raising `BackendUnavailable` means that the reply was lost."""


class Unsettled:
    """The steps whose outcome is unknown and that must still be answered (any thread)."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._open: dict[int, Op[object]] = {}

    def add(self, op: Op[object]) -> None:
        """Keep `op` until `discard`; beyond 10,000 the oldest goes (its session's end covers it)."""
        with self._guard:
            self._open[id(op)] = op
            if len(self._open) > _MAX_UNSETTLED:
                self._open.pop(next(iter(self._open)))

    def discard(self, op: Op[object]) -> None:
        """Forget `op`: the store has answered it."""
        with self._guard:
            self._open.pop(id(op), None)

    def all(self) -> list[Op[object]]:
        """Return the open steps, oldest first."""
        with self._guard:
            return list(self._open.values())

    def clear(self) -> None:
        """Forget all: the session they belonged to is over."""
        with self._guard:
            self._open.clear()

    def __len__(self) -> int:
        return len(self._open)


class Seam:
    """Performs steps for one coordinator. `deadline`: seconds a call may take when it names none."""

    def __init__(self, deadline: float, interceptors: Sequence[Interceptor] = (), probes: Sequence[Probe] = ()) -> None:
        self.deadline = deadline
        self.interceptors = tuple(interceptors)
        self.probes = tuple(probes)
        """Must not raise; those of plugins are guarded."""
        self.unsettled = Unsettled()
        self.closing = False
        """Whether the session is about to depart because all is being closed."""
        self._stopped = Flag()

    def stop(self) -> None:
        """Let no step be tried again: everything is being closed (any thread)."""
        self._stopped.set()

    def run(self, op: Op[T], seconds: float | None = None, *, undo: bool = True) -> T:
        """Perform `op` within `seconds` (default: the deadline), retrying while the store is away.

        Without `undo` the caller itself looks after what an unknown outcome may leave behind.
        Raises `BackendUnavailable` when the store stayed away, `Closed` when all was closed meanwhile, and the
        refusals the port names.
        """
        budget = self.deadline if seconds is None else seconds
        started = time.monotonic()
        attempt = 0
        try:
            while True:
                left = budget - (time.monotonic() - started)
                try:
                    answer = self._perform(op, max(left, 0.0), attempt)
                except BackendUnavailable as error:
                    self._stopped.wait(self._pause(op, error, attempt, started, budget, undo=undo))
                else:
                    if self.probes:
                        self._report(op, attempt, started, answer)
                    return answer
                attempt += 1
        except ComityError as error:
            self._report(op, attempt, started, None, error)
            self._tell(error)
            raise
        except BaseException as error:
            leftover = self._leftover(op, undo=undo)
            if leftover is not None:
                self.settle(leftover)
            self._report(op, attempt, started, None, error)
            raise

    async def arun(self, op: Op[T], seconds: float | None = None, *, undo: bool = True) -> T:
        """Perform `op` as `run` does, without blocking the event loop."""
        import asyncio

        budget = self.deadline if seconds is None else seconds
        started = time.monotonic()
        attempt = 0
        try:
            while True:
                left = budget - (time.monotonic() - started)
                try:
                    answer = await self._aperform(op, max(left, 0.0), attempt)
                except BackendUnavailable as error:
                    await asyncio.sleep(self._pause(op, error, attempt, started, budget, undo=undo))
                else:
                    if self.probes:
                        self._report(op, attempt, started, answer)
                    return answer
                attempt += 1
        except ComityError as error:
            self._report(op, attempt, started, None, error)
            self._tell(error)
            raise
        except BaseException as error:
            leftover = self._leftover(op, undo=undo)
            if leftover is not None:
                await self.asettle(leftover)
            self._report(op, attempt, started, None, error)
            raise

    def _tell(self, error: ComityError) -> None:
        """Say that all was closed where that is why the store refused: it departed under the call (X9)."""
        if self.closing and isinstance(error, SessionLost):
            raise Closed from error

    def _report(
        self, op: Op[object], attempt: int, started: float, answer: object, error: BaseException | None = None
    ) -> None:
        """Let the probes know how a step went whose last attempt had that number."""
        if self.probes:
            seconds = time.monotonic() - started
            for probe in self.probes:
                probe.step(op, attempt + 1, seconds, answer, error)

    def lost(self, error: LockLost | ClaimLost | SessionLost) -> None:
        """Let the probes know of a loss."""
        for probe in self.probes:
            probe.loss(error)

    def settle(self, op: Op[object]) -> bool:
        """Perform a step that must be answered some day; keep it open when the store is away. True: done."""
        self.unsettled.add(op)
        return self._try(op, UNDO_SECONDS)

    async def asettle(self, op: Op[object]) -> bool:
        """Perform `op` as `settle` does, without blocking the event loop."""
        self.unsettled.add(op)
        return await self._atry(op, UNDO_SECONDS)

    def flush(self, seconds: float) -> None:
        """Try the open steps again, in order, until one fails or `seconds` have passed."""
        started = time.monotonic()
        for op in self.unsettled.all():
            left = seconds - (time.monotonic() - started)
            if left <= 0 or not self._try(op, left):
                return

    def _perform(self, op: Op[T], left: float, attempt: int) -> T:
        if not self.interceptors:
            return op.run(left)
        started = time.monotonic()
        for interceptor in self.interceptors:
            interceptor.before(op, attempt)
        answer = op.run(left)
        for interceptor in self.interceptors:
            interceptor.after(op, attempt, answer, time.monotonic() - started)
        return answer

    async def _aperform(self, op: Op[T], left: float, attempt: int) -> T:
        if not self.interceptors:
            return await op.arun(left)
        started = time.monotonic()
        for interceptor in self.interceptors:
            interceptor.before(op, attempt)
        answer = await op.arun(left)
        for interceptor in self.interceptors:
            interceptor.after(op, attempt, answer, time.monotonic() - started)
        return answer

    def _pause(  # the state of one retry loop
        self,
        op: Op[object],
        error: BackendUnavailable,
        attempt: int,
        started: float,
        budget: float,
        *,
        undo: bool,
    ) -> float:
        """Return the seconds to wait before the next attempt; give up when there is no time for one."""
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempt, 10))
        pause = longest * jitter.uniform(0.5, 1.0)
        waited = time.monotonic() - started
        stopped = self._stopped.is_set
        if waited + pause < budget and not stopped:
            return pause
        leftover = self._leftover(op, undo=undo)
        if leftover is not None:
            self.unsettled.add(leftover)
        if stopped:
            raise Closed from error
        raise BackendUnavailable(error.where, error.why, step=op.name, waited=waited) from error

    @staticmethod
    def _leftover(op: Op[object], *, undo: bool) -> Op[object] | None:
        """Return the step that an `op` of unknown outcome calls for."""
        return op.undo(None) if undo and op.effect is Effect.WRITE else None

    def _try(self, op: Op[object], seconds: float) -> bool:
        started = time.monotonic()
        try:
            answer = self._perform(op, seconds, 0)
        except BackendUnavailable as error:
            self._report(op, 0, started, None, error)
            return False
        except ComityError as error:  # a refusal is an answer: there is nothing left to undo
            self._report(op, 0, started, None, error)
        else:
            self._report(op, 0, started, answer)
        self.unsettled.discard(op)
        return True

    async def _atry(self, op: Op[object], seconds: float) -> bool:
        started = time.monotonic()
        try:
            answer = await self._aperform(op, seconds, 0)
        except BackendUnavailable as error:
            self._report(op, 0, started, None, error)
            return False
        except ComityError as error:
            self._report(op, 0, started, None, error)
        else:
            self._report(op, 0, started, answer)
        self.unsettled.discard(op)
        return True
