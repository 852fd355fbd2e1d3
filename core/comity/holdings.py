"""What a coordinator's session holds and waits for, as this process knows it.

Filled by the flows, corrected by the heart and the ear from their threads; of no colour. Nothing in it
is the truth (the store's records are), but what it says *lost* stays lost.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from comity.hints import Hints
from comity.model import overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from comity.lease_state import LeaseState
    from comity.model import Granted, Link, Loss, Own, SessionRef

T = TypeVar("T")

_MAX_EARLY = 256
"""Wake-ups kept for requests nobody waits for yet (or any more: the flow gave up)."""
_MAX_LAPSED = 1_000
"""Leases remembered whose own time is over here, and maybe not yet in the store."""
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
        self._guard = threading.RLock()
        self._leases: dict[str, LeaseState] = {}
        self._adopted: set[str] = set()
        self._waiters: dict[str, Waiter] = {}
        self._early: OrderedDict[str, Granted | None] = OrderedDict()
        self._early_losses: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self.hints = Hints()
        """Who waits for something else than a grant."""
        self._over: OrderedDict[str, None] = OrderedDict()
        self._lapsed: OrderedDict[str, LeaseState] = OrderedDict()

    def add(self, lease: LeaseState) -> None:
        """Register a fresh grant; a loss that was heard of before counts."""
        with self._guard:
            self._leases[lease.request_id] = lease
            self._lapsed.pop(lease.request_id, None)
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
                _remember(self._lapsed, lease.request_id, lease, _MAX_LAPSED)
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

    def eldest(self, ref: SessionRef) -> tuple[str, str] | None:
        """Return request id and name of the oldest lease of an incarnation that stands.

        Whatever lost others, lost it as well.
        """
        with self._guard:
            grants = (lease.grant for lease in self._leases.values() if lease.stands)
            return next(((grant.request_id, grant.name) for grant in grants if grant.session == ref), None)

    def find(self, name: str, flow: str) -> list[LeaseState]:
        """Return the standing leases of a flow on a name, or on an area that covers it."""
        mine = (lease for lease in self.leases() if lease.flow == flow and lease.mode_of(name) is not None)
        return [lease for lease in mine if not lease.lost]

    def lapsed(self, ref: SessionRef, cycle: Sequence[Link]) -> list[LeaseState]:
        """Return the leases that close a cycle by the store's word, and whose own time is over by the clock here."""
        self.expire()
        pairs = zip(cycle, (*cycle[1:], cycle[0]), strict=True)
        ways = [(before.name, link.flow) for before, link in pairs if link.agent_id == ref.agent_id]
        return [
            lease
            for lease in list(self._lapsed.values())
            if lease.grant.session == ref
            and any(flow == lease.flow and overlap(name, way) for way, flow in ways for name in lease.names)
        ]

    def forget_lapsed(self, request_id: str) -> None:
        """Forget a lease whose own time is over: it ended in the store as well, or another process has renewed it."""
        self._lapsed.pop(request_id, None)

    def await_grant(self, request_id: str, flag: Settable, now: float) -> Waiter:
        """Register a wait; a wake-up that came before it counts."""
        waiter = Waiter(flag, now)
        with self._guard:
            self._waiters[request_id] = waiter
            told = request_id in self._early
            waiter.granted = self._early.pop(request_id, None)
        if told:
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
        """Mark one lease lost for one of its names, also a lease that its flow has not registered yet.

        Who still waits for it was never told that it was granted, and asks.
        """
        with self._guard:
            lease, waiter = self._leases.get(request_id), self._waiters.get(request_id)
            if lease is None and self._lapsed.pop(request_id, None) is None:
                _remember(self._early_losses, request_id, (reason, name))
        if lease is not None:
            lease.lose(reason, name)
        elif waiter is not None:
            waiter.flag.set()

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
