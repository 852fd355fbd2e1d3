"""The heart: one daemon thread per coordinator, in both colours, that keeps its session alive.

It beats every interval, lists what is held when the answer says that somebody else changed it,
carries open steps, looks after sessions that are due while nobody else does (S8), and notices
local deadlines. For a coordinator that acts for a session which others keep alive it beats only while that
is used, and looks otherwise (S13). Hooks and callbacks never run on it. It performs the blocking half of each step,
so a blocked event loop is not death.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
from typing import TYPE_CHECKING

from comity import jitter
from comity.alarm import Alarm
from comity.comparing import UNKNOWN, became, ghost_claims, ghosts
from comity.errors import BackendUnavailable, ComityError, SessionLost
from comity.flag import Flag
from comity.logs import log
from comity.model import SessionRef
from comity.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.model import Beat
    from comity.session import OwnSession

REAPERS = 8
"""About this many sessions, of however many, set a timer for the next deadline."""
_REAP_SPREAD = 0.08
"""Seconds. A waiter whose holder changed since it asked relies on this timer, and has 0.1 s (L9)."""
_FOREVER = 3600.0
_SHORTEST_RETRY, _LONGEST_RETRY = 0.05, 1.0
_LAST_PART = 10
"""In the last of so many parts of its ttl a session that others keep alive is looked at more often."""
_ON_PURPOSE = ("departed", "evicted")
"""How a session ends that somebody ended: it stays ended, also where a lost one rejoins."""
_MAX_REAPS = 100


class Heart:
    """The heartbeat thread of one session. `announce` starts a new incarnation when one is wanted."""

    def __init__(self, session: OwnSession, *, rejoin: bool, rejoined: Callable[[SessionRef], str]) -> None:
        self._session = session
        self._rejoin, self._rejoined = rejoin, rejoined
        self._guard = threading.RLock()
        self._wake = Flag()
        self._poked = self._stopped = self._rejoin_now = self._asking = False
        self._alarm = Alarm(self._rung, session.now)
        self._next_beat, self._reap_at = 0.0, math.inf
        self.thread: threading.Thread | None = None
        session.when_lost = self._lost
        if session.calls is not None:
            session.calls.when_due = self.poke

    def start(self) -> None:
        """Begin to beat (the announcement was the first beat); restart a thread that died."""
        with self._guard:
            if not self._stopped and (self.thread is None or not self.thread.is_alive()):
                self._schedule(self._session.interval)
                self.thread = threading.Thread(target=self._loop, name="comity-heart", daemon=True)
                self.thread.start()
                return
        self.poke()

    def poke(self) -> None:
        """Beat now: something may have changed (any thread)."""
        with self._guard:
            self._poked = True
        self._wake.set()

    def stop(self) -> None:
        """Let the thread end (any thread, idempotent)."""
        with self._guard:
            self._stopped = True
        self._wake.set()
        self._alarm.cancel()

    def look(self) -> None:
        """Look at the deadlines again: a lease or claim with a time of its own was added or renewed (any thread).

        A step that is under way may take longer than that lease lasts: then an alarm looks instead (L8).
        """
        self._wake.set()
        expiry = self._session.next_expiry() if self._asking and not self._stopped else None
        if expiry is not None:
            self._alarm.set(expiry)

    @property
    def rejoins(self) -> bool:
        """Whether the session, if it is lost now, begins anew by itself."""
        return self._rejoin and not self._session.lost_reason.startswith(_ON_PURPOSE)

    def revive(self) -> None:
        """Supervise: restart the thread when it died although the session lives."""
        if self._session.phase is Phase.LIVE and self.thread is not None and not self.thread.is_alive():
            log(logging.ERROR, "heart_restarted", agent_id=self._session.info.agent_id)
            self.start()

    def take_hints(self, beat: Beat) -> None:
        """Set the timer for the next deadline among the others, if this session should watch it."""
        self._reap_at = math.inf
        if beat.next_deadline_ms is None or jitter.chance() >= REAPERS / max(beat.live, 1):
            return
        self._look_at(beat.next_deadline_ms)

    def _look_at(self, next_deadline_ms: int | None) -> None:
        """Set the timer for a deadline, spread so that not all look at once."""
        if next_deadline_ms is None:
            self._reap_at = math.inf
        else:
            spread = jitter.uniform(0.001, _REAP_SPREAD)
            self._reap_at = self._session.now() + max(next_deadline_ms, 0) / 1000 + spread

    def _lost(self) -> None:
        self._rejoin_now = self.rejoins
        self.poke()

    def _rung(self) -> None:
        self._expire()
        self.look()

    def _expire(self) -> None:
        """Judge leases and claims that have a time of their own; the task of such a claim goes back at once."""
        if self._session.expire():
            self._reap_at = self._session.now()

    def _schedule(self, seconds: float) -> None:
        self._next_beat = self._session.now() + seconds

    def _loop(self) -> None:
        with self._guard:  # a start that was interrupted is made again
            if self.thread is not threading.current_thread():
                return
        while True:
            self._wake.clear()
            if not self._poked and not self._stopped:
                self._wake.wait(self._due() - self._session.now())
            if self._stopped:
                return
            self._asking = True  # before any budget is counted: a lease added from now on sets the alarm
            with self._guard:
                poked, self._poked = self._poked, False
            try:
                self._round(poked=poked)
            except ComityError as error:
                log(logging.WARNING, "heartbeat_failed", agent_id=self._session.info.agent_id, error=str(error))
            except Exception as error:  # noqa: BLE001 - the heart goes on whatever happens
                log(logging.ERROR, "heart_error", agent_id=self._session.info.agent_id, error=repr(error))
                self._schedule(_LONGEST_RETRY)
            finally:
                self._asking = False

    def _due(self) -> float:
        session = self._session
        moments = [self._next_beat]
        if session.phase is Phase.LIVE:
            moments += [self._reap_at, session.deadline]
            expiry = session.next_expiry()
            if expiry is not None:
                moments.append(expiry)
        return min(moments)

    def _round(self, *, poked: bool) -> None:
        session = self._session
        self._expire()
        ref = session.ref
        if session.phase is not Phase.LIVE or ref is None or session.over(ref) is not None:
            self._after_the_end()
            return
        if poked or session.now() >= self._next_beat:
            self._beat(ref)
        if session.now() >= self._reap_at:
            self._reap()

    def _beat(self, ref: SessionRef) -> None:
        session, interval = self._session, self._session.interval
        sent = session.now()
        try:
            beat = self._ask(ref, sent)
        except ComityError as error:
            if isinstance(error, BackendUnavailable):
                session.heartbeat_failed()
            # Whatever it was, also a backend that was closed by whoever gave it: not again at once.
            self._schedule(jitter.uniform(0.5, 1.0) * min(max(interval / 4, _SHORTEST_RETRY), _LONGEST_RETRY))
            raise
        changed = session.absorb(ref, beat, sent)
        self._next_beat = sent + interval
        if not beat.alive:
            return
        if session.calls is not None:
            self._look_before_the_end(sent)
        self.take_hints(beat)
        if changed:
            self._list(ref)
        if session.seam.unsettled:
            session.seam.flush(min(1.0, interval / 2, self._budget()))

    def _list(self, ref: SessionRef) -> None:
        """Take in what the session holds, and tell what became of the leases that it no longer does."""
        session = self._session
        known, claims = session.known(), session.claims.all()
        own = session.seam.run(session.backend.locks.own(ref), self._budget())
        claimed = () if known.sure else session.seam.run(session.backend.tasks.own(ref), self._budget())
        for lease, ask in session.take_in(ref, own, known):
            try:
                reason = became(session.seam.run(ask, self._budget()), sure=known.sure)
            except ComityError:
                reason = UNKNOWN
            if reason is not None:
                lease.lose(reason)
        for op in ghosts(session, ref, own):
            session.seam.settle(op)
        if not known.sure:
            for op in ghost_claims(session, ref, claimed, claims):
                session.seam.settle(op)

    def _ask(self, ref: SessionRef, sent: float) -> Beat:
        """Send a heartbeat, or only look where others keep the session alive and nothing is under way here."""
        session, presence, calls = self._session, self._session.backend.presence, self._session.calls
        if calls is not None and not calls.owed:
            return session.seam.run(presence.look(ref), self._budget())
        heartbeat = session.heartbeat(ref)
        if calls is None:
            return session.seam.run(heartbeat, self._budget())
        calls.beaten(sent)
        try:
            return session.seam.run(heartbeat, self._budget())
        except BackendUnavailable:
            calls.missed()
            raise

    def _look_before_the_end(self, sent: float) -> None:
        """Look again, and once more, shortly before the session's deadline: another process may have moved it."""
        session = self._session
        margin = min(session.info.session_ttl / _LAST_PART, _LONGEST_RETRY)
        last = max(session.deadline - margin, sent + margin / 2)
        self._next_beat = min(self._next_beat, last)

    def _budget(self) -> float:
        """Return how long a step may take here: no deadline that this thread watches may pass meanwhile."""
        session = self._session
        ends = [session.deadline, session.next_expiry() or math.inf]
        return min(session.seam.deadline, max(min(ends) - session.now(), _SHORTEST_RETRY))

    def _reap(self) -> None:
        session = self._session
        left: int | None = 0
        self._reap_at = session.now() + _LONGEST_RETRY  # unless the store answers
        for _ in range(_MAX_REAPS):
            budget = max(min(self._budget(), self._next_beat - session.now()), _SHORTEST_RETRY)
            left = session.seam.run(session.backend.presence.reap(), budget).next_deadline_ms
            if left is None or left > 0:
                break
        self._look_at(left)

    def _after_the_end(self) -> None:
        """Tell the store that a lost session is over, and start anew where that is wanted."""
        session = self._session
        self._schedule(_LONGEST_RETRY if session.seam.unsettled or self._rejoin_now else _FOREVER)
        if session.seam.unsettled:
            session.seam.flush(_LONGEST_RETRY)
        if not self._rejoin_now or session.phase is not Phase.LOST:
            return
        ref = SessionRef(session.info.agent_id, secrets.token_hex(16))
        address = self._rejoined(ref)
        sent = session.now()
        try:
            announced = session.seam.run(session.backend.presence.announce(session.announcement(ref, address)))
        except SessionLost:
            return
        if not session.begin(ref, announced, sent):
            session.seam.settle(session.backend.presence.depart(ref))
            return
        self._rejoin_now = False
        self._schedule(session.interval)
