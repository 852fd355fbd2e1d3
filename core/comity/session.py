"""A coordinator's own session: its life from announcement to end, and everything that life carries.

Of no colour. Flows, the heart (heartbeats) and the ear (wake-ups) share one `OwnSession`; each field
changes under its guard. Whether the session lives is computed from the local deadline whenever it is read,
so the answer is right even if no thread has run since (rules S6, S12).
"""

from __future__ import annotations

import enum
import os
import threading
from typing import TYPE_CHECKING

import attrs

from comity import tiers
from comity.errors import Closed, Forked, LockLost, NotAnnounced, SessionLost
from comity.holdings import Holdings, LeaseState
from comity.model import Announcement, Liveness

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.dispatch import Dispatcher
    from comity.model import AccessTier, Announced, Beat, Own, SessionInfo, SessionRef
    from comity.ops import Op
    from comity.plugins import PluginHost
    from comity.ports import Backend
    from comity.seam import Seam

OVERDUE = 1.5
"""A heartbeat is overdue after this many intervals."""


class Phase(enum.Enum):
    """Where in its life a session is."""

    NEW = "new"
    LIVE = "live"
    LOST = "lost"
    DEPARTED = "departed"
    CLOSED = "closed"


class OwnSession:
    """The session a coordinator acts as, and what it holds (any thread)."""

    def __init__(
        self,
        backend: Backend,
        seam: Seam,
        info: SessionInfo,
        dispatcher: Dispatcher,
        plugins: PluginHost,
    ) -> None:
        self.backend, self.seam, self.info = backend, seam, info
        self.dispatcher, self.plugins = dispatcher, plugins
        self.holdings = Holdings()
        self.now = backend.now
        self.ref: SessionRef | None = None
        self.phase = Phase.NEW
        self.deadline = 0.0
        self.last_answer = 0.0
        self.failures = 0
        self.version = 0
        self.lost_reason = ""
        self.callbacks: list[Callable[[SessionLost], object]] = []
        self.when_lost: Callable[[], None] = lambda: None
        self._guard = threading.RLock()
        self._pid = os.getpid()

    # What calls ask before they start

    def check(self, action: str) -> None:
        """Let `action` pass, or raise `Closed`, `Forked` or `AccessDenied`; nothing was sent then."""
        if self.inherited:
            raise Forked
        if self.phase is Phase.CLOSED:
            raise Closed
        tiers.check(action, self.info.access_tier)

    def require(self, action: str) -> SessionRef:
        """Let `action` pass as `check` does and return the live session it acts for.

        Raises `SessionLost` or `NotAnnounced` besides.
        """
        self.check(action)
        ref = self.ref
        if self.phase is Phase.LIVE and ref is not None and self.over(ref) is None:
            return ref
        if self.phase is Phase.LOST:
            raise SessionLost(self.info.agent_id, self.lost_reason)
        raise NotAnnounced(action)

    def over(self, ref: SessionRef) -> str | None:
        """Say why incarnation `ref` is over, None while it lives by its local deadline. Raises `Forked`."""
        if self.inherited:
            raise Forked
        if self.ref is ref and self.phase is Phase.LIVE:
            if self.now() < self.deadline:
                return None
            self.lose(ref, "deadline")
        if self.ref is not ref:
            return "expired"
        return self.lost_reason or self.phase.value

    @property
    def inherited(self) -> bool:
        """Whether this process got the session by ``fork()``: it is the parent's, here it is only a memory."""
        return self._pid != os.getpid()

    @property
    def liveness(self) -> Liveness:
        """How sure it is, at this moment, that the others see this session."""
        ref = self.ref
        if self.phase is Phase.LIVE and ref is not None and self.over(ref) is None:
            overdue = self.now() - self.last_answer > OVERDUE * self.info.heartbeat_interval
            return Liveness.SUSPECT if self.failures or overdue else Liveness.LIVE
        return Liveness.LOST if self.phase is Phase.LOST else Liveness.DEPARTED

    # Its life

    def announcement(self, ref: SessionRef, address: str) -> Announcement:
        """Describe the announcement of incarnation `ref`, heard at `address`."""
        return Announcement(ref, self.info, address)

    def begin(self, ref: SessionRef, announced: Announced, sent: float) -> bool:
        """The announcement sent at `sent` was accepted: the session lives. False when all was closed meanwhile."""
        with self._guard:
            if self.phase is Phase.CLOSED:
                return False
            self.ref = ref
            self.info = attrs.evolve(self.info, started_ms=announced.started_ms)
            self.deadline = sent + self.info.session_ttl
            self.last_answer = sent
            self.failures, self.version, self.lost_reason = 0, announced.version, ""
            self.phase = Phase.LIVE
        self.plugins.session_started(self.info)
        return True

    def absorb(self, ref: SessionRef, beat: Beat, sent: float) -> bool:
        """Take in a heartbeat's answer; tell whether what is held changed and must be listed."""
        if not beat.alive:
            self.lose(ref, beat.reason or "expired")
            return False
        with self._guard:
            if self.ref is not ref or self.phase is not Phase.LIVE or self.now() >= self.deadline:
                return False
            self.deadline = max(self.deadline, sent + self.info.session_ttl)
            self.last_answer = max(self.last_answer, sent)
            self.failures = 0
            return beat.version != self.version

    def heartbeat_failed(self) -> None:
        """Count a heartbeat that got no answer."""
        with self._guard:
            self.failures += 1

    def take_in(self, ref: SessionRef, own: Own, known: tuple[set[str], set[str]]) -> None:
        """Correct what was known before the listing `own` was asked for."""
        self.holdings.compare(own, known)
        with self._guard:
            if self.ref is ref:
                self.version = own.version

    def lose(self, ref: SessionRef, reason: str) -> None:
        """Incarnation `ref` is over without its doing: once, for good, and told to everyone here."""
        with self._guard:
            if self.ref is not ref or self.phase is not Phase.LIVE:
                return
            self.phase, self.lost_reason = Phase.LOST, reason
            self.seam.unsettled.clear()
            self.seam.unsettled.add(self.backend.presence.depart(ref))
            callbacks = list(self.callbacks)
        self.holdings.lose_all(f"its session is over ({reason})")
        self.plugins.session_lost(self.info, reason)
        for callback in callbacks:
            self.dispatcher.submit(callback, SessionLost(self.info.agent_id, reason))
        self.dispatcher.submit(self.when_lost)

    def leave(self) -> Op[bool] | None:
        """Stop living, and return the step that tells the store; None when there is nothing to tell."""
        with self._guard:
            if self.phase is not Phase.LIVE or self.ref is None:
                return None
            self.phase = Phase.DEPARTED
            return self._departed(self.ref)

    def close(self) -> tuple[bool, Op[bool] | None]:
        """Refuse every later call; return whether this call closed it, and what `leave` would."""
        with self._guard:
            if self.phase is Phase.CLOSED:
                return False, None
            ref = self.ref if self.phase is Phase.LIVE else None
            self.phase = Phase.CLOSED  # before anybody wakes: who was blocked is told that all is closed
            op = None if ref is None else self._departed(ref)
        self.holdings.ask_again()
        return True, op

    def _departed(self, ref: SessionRef) -> Op[bool]:
        """Give up what the session has, and return the step that tells the store, carried until it is answered."""
        self.lost_reason = "departed"
        self.seam.unsettled.clear()
        op = self.backend.presence.depart(ref)
        self.seam.unsettled.add(op)
        self.holdings.lose_all("its session departed")
        self.plugins.session_ended(self.info, "departed")
        return op

    # What its leases ask

    def told_lost(self, lease: LeaseState, reason: str) -> None:
        """Tell the callbacks of a lost lease and the plugins, off this thread."""
        error = LockLost(lease.name, lease.token, reason)
        for callback in lease.take_callbacks():
            self.dispatcher.submit(callback, error)
        self.holdings.remove(lease)
        if not lease.told:
            lease.told = True
            self.plugins.lock_lost(lease.name, lease.token, reason)

    def on_lost(self, callback: Callable[[SessionLost], object]) -> Callable[[], None]:
        """Call `callback(error)` when the session is lost, off the caller's thread; return its remover."""
        with self._guard:
            self.callbacks.append(callback)

        def remove() -> None:
            with self._guard:
                if callback in self.callbacks:
                    self.callbacks.remove(callback)

        return remove

    @property
    def tier(self) -> AccessTier:
        """The tier that the caller's configuration gave."""
        return self.info.access_tier
