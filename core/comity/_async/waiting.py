"""Waiting in line for a lock: asleep until woken, certain to leave nothing behind (L5, L6, X3, X5, X11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comity import jitter
from comity._colour._async import AsyncFlag
from comity.errors import BackendUnavailable, Deadlock, LockLost, LockTimeout
from comity.lease_state import TAKING
from comity.model import PLACE_LOST, Deadlocked, Ended, Granted, Queued
from comity.names import OWN_KEYS
from comity.seam import UNDO_SECONDS

if TYPE_CHECKING:
    from comity._async.conflicts import AsyncContender
    from comity._async.space import AsyncSpace
    from comity.holdings import Settable, Waiter
    from comity.model import Answer, Held, Holder, Link, LockRequest

_UNHEARD_PAUSE = 0.25
"""How often a waiter asks while no wake-ups are heard."""
_SELDOM = 1.0
"""No wait whose place is kept asks again sooner without a reason."""
_SHORTEST_TTL_MS = 1
_SOON = 0.002
"""By then a lease is over that lasts for so short."""
_SETTLED_AT_ONCE = 16
"""So many steps that are open does a flow carry itself; the rest is left to the heart."""
_MARGIN = 0.001
_LISTENING_WAIT = 2.0
_WAY_OUT = "release what you hold before you wait, or take locks in the same order everywhere"
_TAKEN_AWAY = "it was taken away before it was noticed"
_HEARD_WITHIN = 3
"""Intervals for which the place of an attached process in line lasts, and in which it takes what was granted to it."""


class AsyncWait:
    """One wait for one request, until `until` on the backend's local clock (None: for ever)."""

    def __init__(
        self,
        space: AsyncSpace,
        request: LockRequest,
        until: float | None,
        contender: AsyncContender | None,
    ) -> None:
        self._space, self._request = space, request
        self._ttl_ms = request.ttl_ms
        self._waiter: Waiter | None = None
        self._names = [want.name for want in request.wants]
        self._until, self._contender = until, contender
        self._flag = AsyncFlag()
        self._holders: tuple[Holder, ...] = ()
        self._began = self._asked = space.session.now()
        self.queued = False
        """Whether it has stood in the queue."""
        self.told: Settable | None = None
        """Set when it stands in the queue."""
        self._is_sure, self._ask_in = False, 0.0
        """Whether a cycle was found before with nothing open here; in how many seconds to ask about it again."""

    @property
    def request(self) -> LockRequest:
        """What it waits for now."""
        return self._request

    def expire(self) -> None:
        """Let its time be up now (any thread): it withdraws, unless it was granted just then."""
        self._until = float("-inf")
        self._flag.set()

    async def run(self, answer: Answer | None, sent: float) -> tuple[Granted, float]:
        """Go on from the first answer (None: the store is away); return the grant and when it was asked for.

        Raises `LockTimeout`, `LockLost` (granted, and taken away before it was noticed), `Deadlock`, `ConflictLost`,
        `SessionLost`.
        However it ends without a grant, nothing of the request stays held or queued.
        """
        space = self._space
        self._asked = sent
        try:
            self._register()
            space.ear.attend()
            space.session.require("locks.acquire")  # whoever ended it before this wait was registered woke nobody
            with space.session.under_way():
                while True:
                    granted, sent = await self._wait(answer, sent)
                    taken = await self._take(granted, sent)
                    if taken is not None:
                        self._report(None)
                        return taken
                    answer, sent = await self._ask()
        except LockTimeout as error:
            self._report(error)
            raise  # has withdrawn
        except BaseException as error:
            await self._give_up()
            self._report(error)
            raise
        finally:
            space.session.holdings.forget_wait(self._request.request_id)
            space.ear.attend()

    def _report(self, error: BaseException | None) -> None:
        """Let the probes know how it ended, unless it was no wait: one that had no time, or the library's own."""
        had_none = self._until is not None and self._until <= self._asked
        if had_none or self._names[0].startswith(OWN_KEYS):
            return
        for probe in self._space.seam.probes:
            probe.wait(self._request, self._space.session.now() - self._asked, error)

    def _register(self) -> None:
        self._waiter = self._space.session.holdings.await_grant(self._request.request_id, self._flag, self._began)

    def _is_unnoticed(self, end: Ended) -> bool:
        """Tell whether an attached process was out of reach for so long that it lost its place, or a grant."""
        untaken = end.reason == "ttl" and self._request.ttl_ms != self._ttl_ms
        return end.lost and (untaken or end.reason == PLACE_LOST)

    def _stand_anew(self) -> None:
        """Wait on behind all others, under another id: a wait outlives what its session outlives (X11)."""
        self._space.session.holdings.forget_wait(self._request.request_id)
        self._request = attrs.evolve(self._request, request_id=self._space.ids())
        self._register()

    async def _go_on(self, end: Ended) -> tuple[Answer | None, float]:
        """Ask on after such an end; raise what any other means."""
        if self._is_unnoticed(end):
            self._stand_anew()
            return await self._ask()
        self._space.session.require("locks.acquire")
        raise LockLost(self._names[0], 0, end.reason or _TAKEN_AWAY, self._names)

    async def _wait(self, answer: Answer | None, sent: float) -> tuple[Granted, float]:
        space = self._space
        while True:
            if isinstance(answer, Granted):
                return answer, sent
            if isinstance(answer, Ended):
                answer, sent = await self._go_on(answer)
                continue
            if answer is not None:
                self._take_note(answer)
                granted = await self._contend()
                if granted is not None:
                    return granted, sent
                if isinstance(answer, Deadlocked):
                    self._ask_in = await self._doubt(answer.cycle)
                if self._left() <= 0:
                    return await self._leave(), sent
            if self._request.wait:
                await self._flag.wait(min(self._pause(answer), max(self._left(), 0.0)))
            else:
                await self._listen()
            self._flag.clear()
            told = None if self._waiter is None else self._waiter.granted
            if told is not None and self._ttl_ms is None:
                space.session.require("locks.acquire")  # a process stopped for long reads its wake-ups after its end
                return told, sent
            answer, sent = await self._ask()

    async def _doubt(self, cycle: tuple[Link, ...]) -> float:
        """Say in how many seconds to ask again after a cycle was found, or raise `Deadlock` when it stands.

        The store may still have what is over by what is known here: then there may be no cycle. What this process
        gave up is ended in the store first.
        """
        space = self._space
        if not space.session.sure:
            space.heart.poke()
        if space.session.doubtful:
            return _UNHEARD_PAUSE
        for op in space.seam.unsettled.all()[:_SETTLED_AT_ONCE]:
            self._is_sure = False
            if not await space.seam.asettle(op):
                return _UNHEARD_PAUSE
        try:
            if await self._end_lapsed(cycle):
                self._is_sure = False
                return _SOON
        except BackendUnavailable:
            return _UNHEARD_PAUSE
        if self._is_sure:
            raise Deadlock(cycle[0].name, cycle, _WAY_OUT)
        self._is_sure = True  # the answer may be older than the end of what was still open then
        return 0.0

    async def _end_lapsed(self, cycle: tuple[Link, ...]) -> bool:
        """End leases of this cycle in the store whose own time is over here, where it counts from an earlier moment.

        Tell whether there were any. One that another process of the session has renewed stands.
        """
        space, ref = self._space, self._request.session
        found = False
        for lease in space.session.holdings.lapsed(ref, cycle):
            found = True
            number = lease.last_renewal
            op = space.backend.locks.renew(ref, lease.request_id, number, _SHORTEST_TTL_MS)
            answer = await space.seam.arun(op, self._budget())
            if isinstance(answer, Ended) or answer.renewal != number:
                space.session.holdings.forget_lapsed(lease.request_id)
        return found

    def _take_note(self, answer: Queued | Held | Deadlocked) -> None:
        """Keep who holds, and tell that it stands in line."""
        self._holders = answer.holders
        if isinstance(answer, Queued):
            self.queued = True
            if self.told is not None:
                self.told.set()

    def _pause(self, answer: Answer | None) -> float:
        """Return the seconds after which to ask again if nothing wakes this wait.

        At most a heartbeat interval, or what keeps its place: a store may have lost that, and then nobody wakes it.
        """
        if not isinstance(answer, Queued):
            return self._ask_in if isinstance(answer, Deadlocked) else _UNHEARD_PAUSE
        longest = self._space.session.interval
        if self._request.place_ms is None:
            longest = max(longest, _SELDOM) * jitter.uniform(0.8, 1.0)
        pause = min(answer.retry_ms / 1000 + _MARGIN, longest) if self._space.ear.listening else _UNHEARD_PAUSE
        return pause if self._contender is None else min(pause, self._contender.ask_in + _MARGIN)

    async def _ask(self) -> tuple[Answer | None, float]:
        """Ask for the present state of the request; None when the store is away: a wait outlives that."""
        space = self._space
        space.session.require("locks.acquire")
        sent = space.session.now()
        left = self._left()
        if left <= 0:
            return await self._leave(), sent
        try:
            op = space.backend.locks.acquire(self._request)
            return await space.seam.arun(op, min(space.seam.deadline, left), undo=False), sent
        except BackendUnavailable:
            return None, sent

    async def _listen(self) -> None:
        """Make sure that wake-ups are heard before the request queues up."""
        ear = self._space.ear
        ear.start()
        if not ear.tell_up(self._flag):
            await self._flag.wait(min(_LISTENING_WAIT, max(self._left(), 0.0)))
            ear.forget_up(self._flag)
        self._request = attrs.evolve(self._request, wait=True, listener=ear.address)
        if self._space.session.calls is not None:
            longest = round(_HEARD_WITHIN * self._space.session.interval * 1000)
            ttl_ms = longest if self._ttl_ms is None else min(self._ttl_ms, longest)
            self._request = attrs.evolve(self._request, ttl_ms=ttl_ms, place_ms=longest)

    async def _take(self, granted: Granted, sent: float) -> tuple[Granted, float] | None:
        """Make a grant last as long as was asked for; None when it was gone already, and the wait goes on.

        The process of a session that others keep alive may be killed while it waits. Its place in line would stay,
        and what is granted to it then would be held by nobody, for as long as the session lives: so it keeps its
        place by asking again, and queues for a short lease, which it takes here.
        """
        space, request = self._space, self._request
        while request.ttl_ms != self._ttl_ms:
            space.session.require("locks.acquire")
            sent = space.session.now()
            op = space.backend.locks.renew(request.session, request.request_id, TAKING, self._ttl_ms)
            try:
                answer = await space.seam.arun(op, self._budget())
            except BackendUnavailable:
                if self._left() <= 0:
                    raise
                continue
            if isinstance(answer, Ended):
                if not self._is_unnoticed(answer):
                    raise LockLost(self._names[0], granted.token, answer.reason or _TAKEN_AWAY, self._names)
                self._stand_anew()
                return None
            return attrs.evolve(granted, ttl_ms=answer.ttl_ms, at_us=answer.at_us), sent
        return granted, sent

    async def _contend(self) -> Granted | None:
        """Let the strategy decide against the holders, if there is one; a grant ends the wait."""
        if self._contender is None:
            return None
        return await self._contender.contend(self._holders, self._request)

    async def _leave(self) -> Granted:
        """Withdraw because the time is up, unless the lock was granted just now."""
        space, request = self._space, self._request
        if not request.wait:
            raise self._timeout(0.0)
        waited = max(space.session.now() - self._asked, 0.0)
        op = space.backend.locks.withdraw(request.session, request.request_id, keep=True)
        try:
            answer = await space.seam.arun(op, UNDO_SECONDS)
        except BackendUnavailable as error:
            raise self._timeout(waited) from error
        if isinstance(answer, Granted):
            return answer
        space.session.holdings.drop(request.request_id)
        raise self._timeout(waited)

    def _timeout(self, waited: float) -> LockTimeout:
        return LockTimeout(self._names[0], self._holders, waited, self._names, any_of=self._request.any_of)

    async def _give_up(self) -> None:
        """Leave nothing behind."""
        space, request = self._space, self._request
        space.session.holdings.drop(request.request_id)
        await space.seam.asettle(space.backend.locks.withdraw(request.session, request.request_id, keep=False))

    def _budget(self) -> float:
        """Return how long a step beside the asking may take."""
        return max(min(self._space.seam.deadline, self._left()), UNDO_SECONDS)

    def _left(self) -> float:
        return float("inf") if self._until is None else self._until - self._space.session.now()
