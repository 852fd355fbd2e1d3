"""The claims of a coordinator's session, and the claims it waits for, as this process knows them.

As with leases (`comity.holdings`) nothing here is the truth, but what it says *lost* stays lost. Of no colour.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from comity.errors import ClaimLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from comity.holdings import Settable
    from comity.model import SessionRef, Task
    from comity.ops import Op

_MAX_EARLY = 256
"""Wake-ups kept for requests nobody waits for yet (or any more)."""
_MAX_OVER = 64
"""Claims remembered that are over, with the step that ended each, should the store come back with an earlier state."""


class Watchdog(Protocol):
    """What a claim asks its session."""

    def now(self) -> float:
        """Seconds on the clock that judges claims."""

    def why_over(self, ref: SessionRef) -> str | None:
        """Say why nothing of that incarnation stands here any more, None while it lives."""

    def told_claim_lost(self, claim: ClaimState, reason: str) -> None:
        """Take note that a claim was lost, to tell its callbacks."""


class ClaimState:
    """One claim on a task as its owner sees it: what is to be done, and whether the claim still stands.

    `lost` and `ensure_held()` are judged when they are read, by the local deadlines of the session and of the
    claim's own time.
    """

    def __init__(
        self, watchdog: Watchdog, ref: SessionRef, request_id: str, task: Task, payload: Any, expires_at: float | None
    ) -> None:
        self.task: Task = task
        """The task as it was when it was claimed."""
        self.payload: Any = payload
        """What was pushed."""
        self.request_id = request_id
        self.adopted = False
        """Whether another process that acts for the session may have claimed it."""
        self.told = False
        self._ref, self._watchdog = ref, watchdog
        self._expires_at = expires_at
        self._lost: str | None = None
        self._ended = False
        self._callbacks: list[Callable[[ClaimLost], object]] = []
        self._guard = threading.RLock()

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def queue(self) -> str:
        """The task's queue."""
        return self.task.queue

    @property
    def token(self) -> int:
        """The attempt's token, larger than that of any attempt before: a fencing token for what the task writes."""
        return self.task.token

    @property
    def identity(self) -> tuple[SessionRef, str, str, int]:
        """What the store knows it by: session, request, task and token."""
        return self._ref, self.request_id, self.id, self.token

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.task.attempts

    @property
    def is_last_attempt(self) -> bool:
        """Whether the task is dead when this attempt fails."""
        return self.task.attempts >= self.task.max_attempts

    @property
    def lost(self) -> bool:
        """Whether the claim ended before it was completed or failed. False does not promise the next moment."""
        return self.loss() is not None

    @property
    def ended(self) -> bool:
        """Whether it was completed, failed or given back."""
        return self._ended

    @property
    def expires_at(self) -> float | None:
        """The local deadline of the claim's own time, on the backend's local clock; None without one."""
        return self._expires_at

    @property
    def stands(self) -> bool:
        """Whether it was neither ended nor found lost yet; `lost` also looks at the clock."""
        return self._lost is None and not self._ended

    def loss(self) -> str | None:
        """Say why the claim is lost, None while it stands or after it ended."""
        if self.stands:
            reason = self._watchdog.why_over(self._ref)
            if reason is not None:
                self.lose(reason)
            elif self._expires_at is not None and self._watchdog.now() >= self._expires_at:
                self.lose("its max_runtime is over")
        return self._lost

    def ensure_held(self) -> int:
        """Return the token while the claim stands; raise `ClaimLost` with the reason otherwise."""
        reason = self.loss()
        if reason is None and not self._ended:
            return self.token
        raise ClaimLost(self.id, self.queue, self.token, reason or "it was ended here")

    def on_lost(self, callback: Callable[[ClaimLost], object]) -> Callable[[], None]:
        """Call `callback(error)` once when the claim is lost, off the caller's thread; return its remover."""
        with self._guard:
            self._callbacks.append(callback)
            late = self._lost
        if late is not None:
            self._watchdog.told_claim_lost(self, late)

        def remove() -> None:
            with self._guard:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return remove

    def lose(self, reason: str) -> None:
        """Mark the claim lost, once (any thread)."""
        with self._guard:
            if not self.stands:
                return
            self._lost = reason
        self._watchdog.told_claim_lost(self, reason)

    def end(self) -> bool:
        """Mark the claim ended by its owner; False when it had ended or was lost before."""
        with self._guard:
            if not self.stands:
                return False
            self._ended = True
            return True

    def take_callbacks(self) -> list[Callable[[ClaimLost], object]]:
        """Return the callbacks not called yet and forget them."""
        with self._guard:
            callbacks, self._callbacks = self._callbacks, []
            return callbacks

    def __repr__(self) -> str:
        state = "ended" if self._ended else f"lost: {self._lost}" if self._lost else "held"
        return f"<{type(self).__name__} {self.queue!r} task {self.id} attempt {self.attempt} {state}>"


class Claims:
    """The claims and the waits for one of one coordinator (any thread)."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._claims: dict[str, ClaimState] = {}
        self._waiting: dict[str, Settable] = {}
        self._early: dict[str, None] = {}
        self._over: dict[str, Op[object] | None] = {}

    def add(self, claim: ClaimState) -> None:
        """Register a fresh claim."""
        self._claims[claim.request_id] = claim

    def remove(self, claim: ClaimState, end: Op[object] | None = None) -> None:
        """Forget a claim that is over, ended by the step `end` if it was completed or failed."""
        with self._guard:
            self._claims.pop(claim.request_id, None)
            self._over[claim.request_id] = end
            if len(self._over) > _MAX_OVER:
                self._over.pop(next(iter(self._over)))

    def compare(self, own: Iterable[str], known: Iterable[ClaimState], reason: str) -> dict[str, Op[object] | None]:
        """Mark the claims lost that were `known` before the store was asked for its `own`, and are not among these.

        Returns what the store still has although it is over here, each with the step that ended it, if any did.
        """
        there = set(own)
        for claim in known:
            if claim.request_id not in there:
                claim.lose(reason)
        with self._guard:
            return {request_id: self._over[request_id] for request_id in there if request_id in self._over}

    def drop(self, request_id: str) -> None:
        """Forget the claim of a request that its flow never had."""
        self._claims.pop(request_id, None)

    def all(self) -> list[ClaimState]:
        """Return the present claims."""
        return list(self._claims.values())

    def eldest(self, ref: SessionRef) -> tuple[str, str] | None:
        """Return request id and task of the oldest claim of an incarnation that stands."""
        mine = (claim.identity for claim in self.all() if claim.stands)
        return next(((request_id, task_id) for owner, request_id, task_id, _ in mine if owner == ref), None)

    def find(self, request_id: str) -> ClaimState | None:
        """Return the claim of a request."""
        return self._claims.get(request_id)

    @property
    def waiting(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def await_task(self, request_id: str, flag: Settable) -> None:
        """Set `flag` when the request should ask again; a wake-up that came before this counts."""
        with self._guard:
            self._waiting[request_id] = flag
            early = self._early.pop(request_id, 0) is None
        if early:
            flag.set()

    def forget_wait(self, request_id: str) -> None:
        """End a wait."""
        self._waiting.pop(request_id, None)

    def wake(self, request_id: str) -> None:
        """Have a request ask again."""
        with self._guard:
            flag = self._waiting.get(request_id)
            if flag is None:
                self._early[request_id] = None
                if len(self._early) > _MAX_EARLY:
                    self._early.pop(next(iter(self._early)))
        if flag is not None:
            flag.set()

    def ask_again(self) -> None:
        """Have all requests ask again: something may have been missed."""
        for flag in list(self._waiting.values()):
            flag.set()

    def lose_all(self, reason: str) -> None:
        """Mark every claim lost and wake every wait: the session is over."""
        for claim in self.all():
            claim.lose(reason)
        self.ask_again()

    def next_expiry(self) -> float | None:
        """Return the earliest local deadline of the own time of a claim that stands."""
        ends = [claim.expires_at for claim in self.all() if claim.stands and claim.expires_at is not None]
        return min(ends, default=None)

    def expire(self) -> bool:
        """Judge every claim that has a time of its own; tell whether one was found over."""
        found = False
        for claim in self.all():
            if claim.expires_at is not None and claim.stands and claim.loss() is not None:
                found = True
        return found
