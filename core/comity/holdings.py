"""What a coordinator's session holds and waits for, as this process knows it.

Filled by the flows, corrected by the heart and the ear from their threads; of no colour. Nothing in it
is the truth (the store's records are), but what it says *lost* stays lost.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from comity.errors import LockLost
from comity.hints import Hints
from comity.model import Grant, Mode, Want, covers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from comity.model import Granted, Loss, Own, SessionRef

T = TypeVar("T")

_OWN_BITS = 16
"""Bits of a renewal's number that tell whose it is; those above count."""
_MAX_EARLY = 256
"""Wake-ups kept for requests nobody waits for yet (or any more: the flow gave up)."""
_MAX_OVER = 10_000
"""Requests remembered that are over for their flow, should the store come back with an earlier state."""


def _remember(early: OrderedDict[str, T], request_id: str, word: T, most: int = _MAX_EARLY) -> None:
    """Keep what is known about a request, and forget the oldest of too many.

    A plain dict finds its oldest by passing over all that were taken out before it.
    """
    early[request_id] = word
    if len(early) > most:
        early.popitem(last=False)


class Known(NamedTuple):
    """What a process knew before it asked the store."""

    outages: int
    """How often the store may have lost something."""
    sure: bool
    """Whether that was not the case since the last listing."""
    held: frozenset[str]
    waiting: frozenset[str]
    """The request ids."""


class Settable(Protocol):
    """The flag a flow waits for."""

    def set(self) -> None:
        """Wake the flow (any thread)."""


class Watchdog(Protocol):
    """What a lease asks its session."""

    def now(self) -> float:
        """Seconds on the clock that judges leases."""

    def why_over(self, ref: SessionRef) -> str | None:
        """Say why no lease of that incarnation stands here any more, None while it lives."""

    def told_lost(self, lease: LeaseState, reason: str) -> None:
        """Take note that a lease was lost, to tell callbacks and hooks."""


class LeaseState:
    """One grant as its holder sees it: name, token, and whether it still stands.

    `lost` and `ensure_held()` are judged when they are read, by the session's and the lease's local
    deadlines, so they are right although no thread has run meanwhile.
    """

    def __init__(
        self,
        watchdog: Watchdog,
        ref: SessionRef,
        request_id: str,
        wants: tuple[Want, ...],
        token: int,
        expires_at: float | None,
        flow: str,
    ) -> None:
        self.name: str = wants[0].name
        """The name that is leased; of several, the first."""
        self.names: tuple[str, ...] = (wants[0].name,) if len(wants) == 1 else tuple(want.name for want in wants)
        """All names that are leased, in the order in which they were asked for."""
        self.mode: Mode = wants[0].mode
        self.token: int = token
        """The fencing token: hand it to every resource that can refuse older ones. It is good for each name."""
        self._wants = wants
        self.request_id = request_id
        self.flow = flow
        self.count = 1
        """How many acquisitions of a reentrant lease are open."""
        self._renewal = 0
        self.lapsed = False
        """Whether its own time is over by what is known here; another process of the session may have renewed it."""
        self.adopted = False
        """Whether another process of the session acquired it, or an earlier one."""
        self.told = False
        self._ref = ref
        self._watchdog = watchdog
        self._expires_at = expires_at
        self._lost: str | None = None
        self._ended = False
        self._callbacks: list[Callable[[LockLost], object]] = []
        self._guard = threading.Lock()

    @property
    def lost(self) -> bool:
        """Whether the lease ended before it was released. False does not promise the next moment."""
        return self.loss() is not None

    @property
    def grant(self) -> Grant:
        """What the store knows it by: a fence for writes that must not land once it is over."""
        return Grant(self.name, self.request_id, self._ref, self.token)

    @property
    def stands(self) -> bool:
        """Whether it was neither released nor found lost yet; `lost` also looks at the clock."""
        return self._lost is None and not self._ended

    @property
    def released(self) -> bool:
        """Whether it was given back."""
        return self._ended

    @property
    def expires_at(self) -> float | None:
        """The local deadline of the lease's own ttl, on the backend's local clock; None without one."""
        return self._expires_at

    def loss(self) -> str | None:
        """Say why the lease is lost, None while it stands or after it was released."""
        if self._lost is None and not self._ended:
            reason = self._watchdog.why_over(self._ref)
            if reason is not None:
                self.lose(reason)
            elif self._expires_at is not None and self._watchdog.now() >= self._expires_at:
                self.lapsed = True
                self.lose("its ttl ran out")
        return self._lost

    def ensure_held(self) -> int:
        """Return the token while the lease stands; raise `LockLost` with the reason otherwise.

        A lease that was released also raises. Call it before each step that must not happen twice, and let
        the resource check the token as well: no check outside the resource holds after the next pause.
        """
        reason = self.loss()
        if reason is None and not self._ended:
            return self.token
        raise LockLost(self.name, self.token, reason or "it was released", self.names)

    def on_lost(self, callback: Callable[[LockLost], object]) -> Callable[[], None]:
        """Call `callback(error)` once when the lease is lost, off the caller's thread; return its remover.

        When it is lost already, the callback is called soon.
        """
        with self._guard:
            self._callbacks.append(callback)
            late = self._lost
        if late is not None:
            self._watchdog.told_lost(self, late)

        def remove() -> None:
            with self._guard:
                if callback in self._callbacks:
                    self._callbacks.remove(callback)

        return remove

    def mode_of(self, name: str) -> Mode | None:
        """Return the mode in which a name, or an area that covers it, is leased; None when it is none of these."""
        modes = {want.mode for want in self._wants if covers(want.name, name)}
        return Mode.EXCLUSIVE if Mode.EXCLUSIVE in modes else next(iter(modes), None)

    def lose(self, reason: str, name: str = "") -> None:
        """Mark the lease lost, once (any thread); `name`: for which of its names, if that is known."""
        if name and self.names != (name,):
            reason = f"{reason}, for {name!r}"
        with self._guard:
            if self._lost is not None or self._ended:
                return
            self._lost = reason
        self._watchdog.told_lost(self, reason)

    def lose_after_all(self, reason: str) -> None:
        """Mark a lease lost whose release found that it was over already."""
        with self._guard:
            self._ended = False
        self.lose(reason)

    def reenter(self) -> bool:
        """Count one acquisition more; False when the lease does not stand any more."""
        with self._guard:
            if self._ended or self._lost is not None:
                return False
            self.count += 1
            return True

    def close_one(self) -> bool:
        """Close one acquisition; True while others stay open. With the last one it is marked released, if it stands.

        One step, so that a flow that enters again either keeps the lease or does not get it.
        """
        with self._guard:
            if self._ended or self._lost is not None:
                return False
            if self.count > 1:
                self.count -= 1
                return True
            self._ended = True
            return False

    def next_renewal(self, expires_at: float | None, latest: int = 0) -> int:
        """Number a renewal that may make the lease end at `expires_at`, which holds here before it is sent.

        It is larger than `latest`, one of another process that acts for the session, and no other's.
        """
        with self._guard:
            self._renewal = ((max(self._renewal, latest) >> _OWN_BITS) + 1 << _OWN_BITS) | secrets.randbits(_OWN_BITS)
            if expires_at is not None:
                self._expires_at = expires_at if self._expires_at is None else min(expires_at, self._expires_at)
            return self._renewal

    def extend(self, expires_at: float | None) -> None:
        """Set the local deadline of its own ttl."""
        self._expires_at = expires_at

    def take_callbacks(self) -> list[Callable[[LockLost], object]]:
        """Return the callbacks not called yet and forget them."""
        with self._guard:
            callbacks, self._callbacks = self._callbacks, []
            return callbacks

    def __repr__(self) -> str:
        state = "released" if self._ended else f"lost: {self._lost}" if self._lost else "held"
        more = f" and {len(self.names) - 1} more" if len(self.names) > 1 else ""
        return f"<{type(self).__name__} {self.name!r}{more} {self.mode} token={self.token} {state}>"


class Waiter:
    """A flow that waits for a request, and what was told to it."""

    __slots__ = ("flag", "granted", "since")

    def __init__(self, flag: Settable, since: float) -> None:
        self.flag = flag
        self.granted: Granted | None = None
        self.since = since


class Holdings:
    """The leases and waits of one coordinator (any thread)."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._leases: dict[str, LeaseState] = {}
        self._adopted: set[str] = set()
        self._waiters: dict[str, Waiter] = {}
        self._early: OrderedDict[str, Granted] = OrderedDict()
        self._early_losses: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self.hints = Hints()
        """Who waits for something else than a grant."""
        self._over: OrderedDict[str, None] = OrderedDict()

    def add(self, lease: LeaseState) -> None:
        """Register a fresh grant; a loss that was heard of before counts."""
        with self._guard:
            self._leases[lease.request_id] = lease
            if lease.adopted:
                self._adopted.add(lease.request_id)
            loss = self._early_losses.pop(lease.request_id, None)
        if loss is not None:
            lease.lose(*loss)

    def remove(self, lease: LeaseState) -> None:
        """Forget a lease that was released or whose loss was told."""
        if lease.lapsed:
            with self._guard:
                self._leases.pop(lease.request_id, None)
                self._adopted.discard(lease.request_id)
        else:
            self.drop(lease.request_id)

    def drop(self, request_id: str) -> None:
        """Forget a request that is over for its flow: released, lost, withdrawn, or never had."""
        with self._guard:
            self._leases.pop(request_id, None)
            self._adopted.discard(request_id)
            _remember(self._over, request_id, None, _MAX_OVER)

    def leases(self) -> list[LeaseState]:
        """Return the present leases."""
        return list(self._leases.values())

    def find(self, name: str, flow: str) -> list[LeaseState]:
        """Return the standing leases of a flow on a name, or on an area that covers it."""
        mine = (lease for lease in self.leases() if lease.flow == flow and lease.mode_of(name) is not None)
        return [lease for lease in mine if not lease.lost]

    def await_grant(self, request_id: str, flag: Settable, now: float) -> Waiter:
        """Register a wait; a wake-up that came before it counts."""
        waiter = Waiter(flag, now)
        with self._guard:
            self._waiters[request_id] = waiter
            waiter.granted = self._early.pop(request_id, None)
        if waiter.granted is not None:
            flag.set()
        return waiter

    def forget_wait(self, request_id: str) -> None:
        """End a wait."""
        self._waiters.pop(request_id, None)

    @property
    def adopted(self) -> bool:
        """Whether there are leases here that another process may release without a word."""
        return bool(self._adopted)  # each heartbeat asks, which is to cost the same whatever is held

    @property
    def waiting(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiters) or bool(self.hints)

    def grant(self, request_id: str, granted: Granted | None) -> None:
        """Tell a waiter of its grant, or (None) to ask again."""
        with self._guard:
            waiter = self._waiters.get(request_id)
            if waiter is None:
                if granted is not None:
                    _remember(self._early, request_id, granted)
                return
            waiter.granted = granted
        waiter.flag.set()

    def ask_again(self) -> None:
        """Let every waiter ask again: something may have been missed."""
        for waiter in list(self._waiters.values()):
            waiter.flag.set()
        self.hints.tell_all()

    def lose(self, request_id: str, reason: str, name: str = "") -> None:
        """Mark one lease lost for one of its names, also a lease that its flow has not registered yet."""
        with self._guard:
            lease = self._leases.get(request_id)
            if lease is None:
                _remember(self._early_losses, request_id, (reason, name))
        if lease is not None:
            lease.lose(reason, name)

    def lose_all(self, reason: str) -> None:
        """Mark every lease lost and wake every waiter: the session is over."""
        for lease in self.leases():
            lease.lose(reason)
        self.ask_again()

    def next_expiry(self) -> float | None:
        """Return the earliest local deadline of the own ttl of a lease that stands."""
        ends = [lease.expires_at for lease in self.leases() if lease.stands and lease.expires_at is not None]
        return min(ends, default=None)

    def expire(self) -> None:
        """Judge every lease with a ttl of its own now."""
        for lease in self.leases():
            if lease.expires_at is not None:
                lease.loss()

    def known(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the request ids held and waited for."""
        return frozenset(self._leases), frozenset(self._waiters)

    def compare(self, own: Own, known: Known) -> list[LeaseState]:
        """Correct what was `known` before the store was asked by its answer; return the leases gone without a word."""
        self._tell_losses(own.losses)
        held = {holder.request_id for holder in own.held}
        queued = {contender.request_id for contender in own.waiting}
        for request_id in known.waiting:
            if request_id not in queued:
                self.grant(request_id, None)
        there = (self._leases.get(request_id) for request_id in known.held if request_id not in held)
        return [lease for lease in there if lease is not None and lease.stands]

    def ghosts(self, own: Own) -> list[str]:
        """Return the requests that are over for their flows although the store has them: it lost what ended them."""
        there = [*(each.request_id for each in own.held), *(each.request_id for each in own.waiting)]
        return [request_id for request_id in there if request_id in self._over]

    def _tell_losses(self, losses: Iterable[Loss]) -> None:
        for loss in losses:
            self.lose(loss.request_id, loss.reason, loss.name)
