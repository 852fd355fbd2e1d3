"""One lease as the process that holds it knows it: whether it stands, for how long, and why not any more."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Protocol

from comity.errors import LockLost
from comity.model import Grant, Mode, Want, covers

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.model import SessionRef

TAKING = 1
"""The number of a renewal by which a wait takes what it was granted: smaller than any of a lease's own."""
_OWN_BITS = 16
"""Bits of a renewal's number that tell whose it is; those above count."""


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
        self._guard = threading.RLock()

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

    @property
    def last_renewal(self) -> int:
        """The number of a renewal that lets it end, unless another process that acts for the session has renewed it.

        It is larger than the last one of this process, by the least there is; another process counts on from that.
        """
        return max(self._renewal, TAKING) + 1

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
