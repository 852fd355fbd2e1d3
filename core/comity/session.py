"""A coordinator's own session: its life from announcement to end, and everything that life carries.

Of no colour. Flows, the heart (heartbeats) and the ear (wake-ups) share one `OwnSession`; each field
changes under its guard. Whether the session lives is computed from the local deadline whenever it is read,
so the answer is right even if no thread has run since (rules S6, S12).
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import attrs

from comity import tiers
from comity.calls import Calls
from comity.claims import Claims
from comity.comparing import UNKNOWN
from comity.errors import ClaimLost, Closed, Forked, LockLost, NotAnnounced, SessionLost
from comity.holdings import Holdings, Known
from comity.model import Announcement, Eldest, Ended, Liveness
from comity.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from comity.claims import ClaimState
    from comity.dispatch import Dispatcher
    from comity.lease_state import LeaseState
    from comity.model import AccessTier, Announced, Beat, Own, Renewed, SessionInfo, SessionRef
    from comity.ops import Op
    from comity.plugins import PluginHost
    from comity.ports import Backend
    from comity.seam import Seam

OVERDUE = 1.5
"""A heartbeat is overdue after this many intervals."""
_BEGIN_ANEW = "what it held is given up; connect() begins a session, attach() serves while one lives"
_ASKED_ABOUT = 16
"""About so many leases that are gone it is asked what became of them."""
_NOTHING = contextlib.nullcontext()
_UNHEARD = "deadline"
"""Why a session is over that was not heard of until its local deadline."""
_LONGEST_INTERVAL = 10.0
"""Seconds between two looks of a process that acts for a session, however rarely that one is to be heard."""


class OwnSession:
    """The session a coordinator acts as, and what it holds (any thread)."""

    def __init__(
        self,
        backend: Backend,
        seam: Seam,
        info: SessionInfo,
        dispatcher: Dispatcher,
        plugins: PluginHost,
        *,
        outlives: bool = False,
    ) -> None:
        self.backend, self.seam, self.info = backend, seam, info
        self.dispatcher, self.plugins = dispatcher, plugins
        self.holdings = Holdings()
        self.claims = Claims()
        self.now = backend.now
        self.ref: SessionRef | None = None
        self.phase = Phase.NEW
        self.deadline = 0.0
        self.last_answer = 0.0
        self.failures = 0
        self.version = self.outages = 0
        self._sure_at = 0.0
        self.lost_reason = ""
        self.callbacks: list[Callable[[SessionLost], object]] = []
        self.when_lost: Callable[[], None] = lambda: None
        self.calls = Calls(backend.now) if outlives else None
        """What is under way, where the session outlives the coordinator: that one beats only while it is used (S13)."""
        self.attached = False
        """Whether somebody else began it."""
        self._leaving: SessionRef | None = None
        """Who is departing, until all of that is done here."""
        self._parting: Op[bool] | None = None
        """The last step of all."""
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
            if self.calls is not None:
                self.calls.made(self.interval)
            return ref
        if self.phase is Phase.LOST:
            raise self.lost()
        raise NotAnnounced(action)

    def lost(self) -> SessionLost:
        """Return the error that says why the session is over, and the way out."""
        return SessionLost(self.info.agent_id, self.lost_reason, _BEGIN_ANEW if self.attached else "")

    def over(self, ref: SessionRef) -> str | None:
        """Say why incarnation `ref` is over, None while it lives by its local deadline. Raises `Forked`."""
        if self.inherited:
            raise Forked
        if self.ref is ref and self.phase is Phase.LIVE:
            if self.now() < self.deadline:
                return None
            self.lose(ref, _UNHEARD)
        if self.ref is not ref:
            return "expired"
        return self.lost_reason or self.phase.value

    def why_over(self, ref: SessionRef) -> str | None:
        """Say why no lease of incarnation `ref` stands here any more, None while it lives. Raises `Forked`."""
        reason = self.over(ref)
        if reason is not None and self.phase is Phase.CLOSED and self.calls is not None:
            return "its coordinator was closed; the session holds it on"
        return None if reason is None else f"its session is over ({reason})"

    @property
    def inherited(self) -> bool:
        """Whether this process got the session by ``fork()``: it is the parent's, here it is only a memory."""
        return self._pid != os.getpid()

    @property
    def liveness(self) -> Liveness:
        """How sure it is, at this moment, that the others see this session."""
        ref = self.ref
        if self.phase is Phase.LIVE and ref is not None and self.over(ref) is None:
            overdue = self.now() - self.last_answer > OVERDUE * self.interval
            return Liveness.SUSPECT if self.failures or overdue else Liveness.LIVE
        return Liveness.LOST if self.phase is Phase.LOST else Liveness.DEPARTED

    @property
    def interval(self) -> float:
        """Seconds between two heartbeats, or looks, of this process."""
        interval = self.info.heartbeat_interval
        return interval if self.calls is None else min(interval, _LONGEST_INTERVAL)

    def called(self) -> None:
        """Note a call that needs no session of one's own, and is a sign of life all the same."""
        if self.calls is not None and self.phase is Phase.LIVE:
            self.calls.made(self.interval)

    def under_way(self) -> AbstractContextManager[None]:
        """Count, for as long as the context lasts, a call that waits for something to happen to this session.

        Whatever waits for longer than a step takes does so inside it: an attached process keeps the session alive
        by such calls alone.
        """
        return _NOTHING if self.calls is None else self.calls.waiting()

    def heartbeat(self, ref: SessionRef) -> Op[Beat]:
        """Return the step that tells the store that `ref` lives, and names the oldest of what it has.

        What was lost up to a version this process answers for only where none owns the session, so that notes of losses
        do not pile up: the others ask the store.
        """
        seen = self.version if self.calls is None or self.info.pid == 0 else 0
        eldest = Eldest(self.holdings.eldest(ref), self.claims.eldest(ref))
        return self.backend.presence.heartbeat(ref, seen, eldest if any(eldest) else None)

    # Its life

    def outlive(self) -> None:
        """Let it go on when the coordinator is closed."""
        if self.calls is None:
            self.calls = Calls(self.now)

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
            self.outages = self.backend.outages
            self.phase = Phase.LIVE
            if self.calls is not None:
                self.calls.beaten(sent)
        self.plugins.session_started(self.info)
        return True

    def join(self, ref: SessionRef, info: SessionInfo, beat: Beat, sent: float) -> bool:
        """Act for `ref`, which lives by a heartbeat sent at `sent`. False when all was closed meanwhile."""
        with self._guard:
            if self.phase is Phase.CLOSED:
                return False
            self.ref, self.info, self.attached = ref, info, self.calls is not None
            self.deadline = sent + info.session_ttl
            self.last_answer, self.version, self.outages = sent, beat.version, self.backend.outages
            self.phase = Phase.LIVE
            if self.calls is not None:
                self.calls.beaten(sent)
                return True
        self.plugins.session_started(info)
        return True

    def absorb(self, ref: SessionRef, beat: Beat, sent: float) -> bool:
        """Take in a heartbeat's answer; tell whether what is held changed, or may have, and must be listed."""
        if not beat.alive:
            self.lose(ref, beat.reason or "expired")
            return False
        with self._guard:
            if self.ref is not ref or self.phase is not Phase.LIVE or self.now() >= self.deadline:
                return False
            left = self.info.session_ttl if beat.left_ms is None else beat.left_ms / 1000
            self.deadline = max(self.deadline, sent + left)
            self.last_answer = max(self.last_answer, sent)
            self.failures = 0
            return beat.version != self.version or self.holdings.adopted or not self.sure

    def heartbeat_failed(self) -> None:
        """Count a heartbeat that got no answer."""
        with self._guard:
            self.failures += 1

    @property
    def sure(self) -> bool:
        """Whether the store cannot have lost anything since what is held was last compared with it."""
        return self.backend.outages == self.outages

    @property
    def doubtful(self) -> bool:
        """Whether the store may still have what is over: it may have lost something, and others may not know yet."""
        return not self.sure or self.now() < self._sure_at

    def known(self) -> Known:
        """Return what is known, to compare with a listing asked for *after* this."""
        outages = self.backend.outages
        return Known(outages, outages == self.outages, *self.holdings.known())

    def take_in(self, ref: SessionRef, own: Own, known: Known) -> list[tuple[LeaseState, Op[Renewed | Ended]]]:
        """Correct what was known before the listing `own` was asked for.

        A lease that is gone without a note of its loss was released by another process of the session, or that
        one has acknowledged the note. Each is returned with the step that asks what became of it (`comparing.became`).
        """
        missing = self.holdings.compare(own, known)
        with self._guard:
            if self.ref is ref:
                self.version, self.outages = own.version, known.outages
                if not known.sure:
                    self._sure_at = self.now() + self.interval
        for lease in missing[_ASKED_ABOUT:]:
            lease.lose(UNKNOWN)
        renew = self.backend.locks.renew  # one that is numbered 0 changes nothing and tells how the lease stands
        return [(lease, renew(ref, lease.request_id, 0, None)) for lease in missing[:_ASKED_ABOUT]]

    def lose(self, ref: SessionRef, reason: str) -> None:
        """Incarnation `ref` is over without its doing: once, for good, and told to everyone here."""
        with self._guard:
            if self.ref is not ref or self.phase is not Phase.LIVE:
                return
            self.phase, self.lost_reason = Phase.LOST, reason
            self._settle_the_end(ref, reason)
            callbacks = list(self.callbacks)
        self.holdings.lose_all(f"its session is over ({reason})")
        self.claims.lose_all(f"its session is over ({reason})")
        self.plugins.session_lost(self.info, reason)
        self.seam.lost(self.lost())
        for callback in callbacks:
            self.dispatcher.submit(callback, self.lost())
        self.dispatcher.submit(self.when_lost)

    def _settle_the_end(self, ref: SessionRef, reason: str) -> None:
        """Keep open what the store must still be told, now that the session is over for this process."""
        unsettled = self.seam.unsettled
        if self.calls is None:
            unsettled.clear()
            unsettled.add(self.backend.presence.depart(ref))
        elif reason != _UNHEARD:
            unsettled.clear()
        else:  # it may live on, kept alive by others, and then what this process gives up must be given back
            for lease in self.holdings.leases():
                if lease.stands and not lease.adopted:
                    unsettled.add(self.backend.locks.release(ref, lease.request_id))
            for claim in self.claims.all():
                if claim.stands and not claim.adopted:
                    ids = (claim.request_id, claim.id, claim.token)
                    unsettled.add(self.backend.tasks.fail(ref, *ids, "its session was not heard of in time", 0))

    def leave(self) -> Op[bool] | None:
        """Stop living, and return the step that tells the store; None when there is nothing to tell.

        One that was interrupted is finished by the next.
        """
        with self._guard:
            if self.phase is Phase.LIVE:
                self._leaving, self.phase = self.ref, Phase.DEPARTED
            return self._depart()

    def close(self) -> Op[bool] | None:
        """Refuse every later call; return what `leave` would, each time it is called."""
        with self._guard:
            if self.phase is Phase.LIVE and self.calls is None:
                self._leaving = self.ref
            self.phase = Phase.CLOSED  # before anybody wakes: who was blocked is told that all is closed
            self.seam.closing = True
            self._parting = self._depart() or self._parting
        self.holdings.ask_again()
        self.claims.ask_again()
        return self._parting

    def _depart(self) -> Op[bool] | None:
        """Give up what the session has, and return the step that tells the store, carried until it is answered."""
        ref = self._leaving
        if ref is None:
            return None
        self.lost_reason = "departed"
        self.seam.unsettled.clear()
        op = self.backend.presence.depart(ref)
        self.seam.unsettled.add(op)
        self.holdings.lose_all("its session departed")
        self.claims.lose_all("its session departed")
        self.plugins.session_ended(self.info, "departed")
        self._leaving = None
        return op

    # What has a time of its own

    def next_expiry(self) -> float | None:
        """Return the earliest local deadline of a lease or claim that has one of its own."""
        ends = [self.holdings.next_expiry(), self.claims.next_expiry()]
        return min((end for end in ends if end is not None), default=None)

    def expire(self) -> bool:
        """Judge all that has a time of its own now; tell whether a claim's was found over."""
        self.holdings.expire()
        return self.claims.expire()

    # What its leases ask

    def told_lost(self, lease: LeaseState, reason: str) -> None:
        """Tell the callbacks of a lost lease and the plugins, off this thread."""
        error = LockLost(lease.name, lease.token, reason, lease.names)
        for callback in lease.take_callbacks():
            self.dispatcher.submit(callback, error)
        self.holdings.remove(lease)
        if not lease.told:
            lease.told = True
            self.seam.lost(error)
            for name in lease.names:
                self.plugins.lock_lost(name, lease.token, reason)

    def told_claim_lost(self, claim: ClaimState, reason: str) -> None:
        """Tell the callbacks of a lost claim, off this thread."""
        error = ClaimLost(claim.id, claim.queue, claim.token, reason)
        for callback in claim.take_callbacks():
            self.dispatcher.submit(callback, error)
        # Should the store have it still, or again after an outage, it ends as an attempt that failed: it was one.
        self.claims.remove(claim, self.backend.tasks.fail(*claim.identity, reason, 0))
        if not claim.told:
            claim.told = True
            self.seam.lost(error)

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
