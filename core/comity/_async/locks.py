"""Locks: taking turns on names, with leases that carry fencing tokens (rules L1-L10, L12, L13, L15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity._async.leases import AsyncLease, check_ttl
from comity._async.waiting import AsyncWait
from comity._colour._async import AsyncPending, current_flow
from comity.errors import (
    BackendUnavailable,
    ComityError,
    Deadlock,
    HolderChanged,
    InvalidArgument,
)
from comity.model import PRIORITY_LIMIT, Changed, Granted, Link, LockRequest, Mode, Want
from comity.names import check_lock_name, check_name
from comity.tiers import check_preempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity._async.conflicts import AsyncConflicts
    from comity._async.space import AsyncSpace
    from comity.model import Answer, Contender, Holder, SessionRef
    from comity.strategies import StrategyChoice


class AsyncLocks:
    """Take turns on names. A name stands for anything: a file, a port, a migration."""

    def __init__(self, space: AsyncSpace, conflicts: AsyncConflicts) -> None:
        self._space, self._conflicts = space, conflicts

    def acquire(
        self,
        name: str,
        *,
        timeout: float | None = None,
        mode: Mode | str = Mode.EXCLUSIVE,
        priority: int = 0,
        ttl: float | None = None,
        reentrant: bool = False,
        owner: str | None = None,
        strategy: StrategyChoice | None = None,
    ) -> AsyncPending[AsyncLease]:
        """Hold `name`, waiting in line for up to `timeout` seconds (None: for ever; 0: not at all).

        `mode`: ``"exclusive"`` or ``"shared"``. `priority`: larger is served first. `ttl`: seconds after which the
        lease ends although the session lives. `reentrant`: a flow (thread or task, or `owner`) that
        holds the name in that mode gets the same lease again, counted. `strategy`: who wins when it is held,
        a `ConflictStrategy`, a registered name or an object with ``decide``; without one the holder keeps it.

        The lease lasts until it is released or its session ends, whichever is first.

        A wait that could never end, as its own flow holds what it waits for, itself or by way of others that wait,
        raises `Deadlock` instead of beginning.

        Raises `LockTimeout`, `ConflictLost`, `Deadlock`, `LimitExceeded`, `SessionLost`, `AccessDenied`, `InvalidName`,
        `InvalidArgument`, `UnknownStrategy`, `BackendUnavailable`.
        """
        return AsyncPending(self._acquire(name, timeout, mode, priority, ttl, reentrant, owner, strategy))

    async def _stand_for(
        self, name: str, priority: int, owner: str, waits: Callable[[AsyncWait], object]
    ) -> AsyncLease:
        """Hold a name of the library's own, as `acquire` without a timeout.

        `waits` is told of the wait as it begins, so that another thread may look at it and end it.
        """
        return await self._acquire(name, None, Mode.EXCLUSIVE, priority, None, False, owner, None, waits)  # noqa: FBT003

    async def _acquire(
        self,
        name: str,
        timeout: float | None,
        mode: Mode | str,
        priority: int,
        ttl: float | None,
        reentrant: bool,  # noqa: FBT001 - the private half of `acquire`
        owner: str | None,
        strategy: StrategyChoice | None,
        waits: Callable[[AsyncWait], object] | None = None,
    ) -> AsyncLease:
        space = self._space
        space.home.check()
        session = space.session
        ref = session.require("locks.acquire")
        if timeout is not None and not timeout >= 0:
            raise InvalidArgument("timeout", timeout, "give seconds, 0 not to wait, or None to wait for ever")
        flow = current_flow() if owner is None else check_name("owner", owner)
        sent = session.now()
        wait = timeout != 0 and space.ear.listening and session.calls is None  # else it begins with a question
        request = self._request(ref, name, mode, priority, ttl, flow, wait=wait, own=waits is not None)
        contender = None if strategy is None else self._conflicts.contender(strategy, sent)
        if reentrant:
            held = self._reenter(name, request.wants[0].mode, flow)
            if held is not None:
                return held
        answer: Answer | None
        budget = min(space.seam.deadline, timeout) if timeout else space.seam.deadline
        try:
            try:
                op = space.backend.locks.acquire(request)
                answer = await space.seam.arun(op, budget, undo=timeout == 0)
            except BackendUnavailable:
                if timeout == 0:
                    raise
                answer = None  # a wait outlives an outage; it asks on for this id, which may be queued or held by now
            if type(answer) is not Granted:
                until = None if timeout is None else sent + timeout
                waiting = AsyncWait(space, request, until, contender)
                if waits is not None:
                    waits(waiting)
                answer, sent = await waiting.run(answer, sent)
            return self._lease(request, answer, sent)
        except ComityError:
            raise  # an answer; whoever raised it has left nothing behind
        except BaseException:  # an interrupt may come between any two lines
            session.holdings.drop(request.request_id)
            await space.seam.asettle(space.backend.locks.withdraw(ref, request.request_id, keep=False))
            raise

    def _request(
        self,
        ref: SessionRef,
        name: str,
        mode: Mode | str,
        priority: int,
        ttl: float | None,
        flow: str,
        *,
        wait: bool,
        own: bool = False,
    ) -> LockRequest:
        """Describe a request, or raise `InvalidName` or `InvalidArgument`. `own`: it may be for the library itself."""
        space = self._space
        check_lock_name(name, taking=not own)
        if type(mode) is not Mode:
            try:
                mode = Mode(mode)
            except ValueError:
                raise InvalidArgument("mode", mode, 'give "exclusive" or "shared"') from None
        if type(priority) is not int or not -PRIORITY_LIMIT <= priority <= PRIORITY_LIMIT:
            raise InvalidArgument("priority", priority, f"give an int between -{PRIORITY_LIMIT} and {PRIORITY_LIMIT}")
        return LockRequest(
            request_id=space.ids(),
            session=ref,
            wants=(Want(name, mode),),
            priority=priority,
            flow=flow,
            wait=wait,
            ttl_ms=None if ttl is None else check_ttl(ttl),
            listener=space.ear.address,
            max_held=space.settings.max_held,
        )

    def _lease(self, request: LockRequest, granted: Granted, sent: float) -> AsyncLease:
        """Register a grant asked for at `sent`, the moment from which its own time is judged."""
        space = self._space
        want = request.wants[0]
        until = None if granted.ttl_ms is None else sent + granted.ttl_ms / 1000
        lease = AsyncLease(
            space, request.session, request.request_id, want.name, want.mode, granted.token, until, request.flow
        )
        space.session.holdings.add(lease)
        if until is not None:
            space.heart.look()
        return lease

    def _reenter(self, name: str, mode: Mode, flow: str) -> AsyncLease | None:
        """Return the lease that the flow holds in that mode, counted once more."""
        for lease in self._space.session.holdings.find(name, flow):
            if lease.mode is mode and isinstance(lease, AsyncLease) and lease.reenter():
                return lease
            if mode is Mode.EXCLUSIVE and lease.mode is Mode.SHARED:
                advice = "release the shared lease first, or acquire exclusive from the start"
                raise Deadlock(name, [Link(self._space.session.info.agent_id, flow, name)], advice)
        return None

    async def holder(self, name: str) -> Holder | None:
        """Return who holds `name` (of several readers: who holds it longest), or None."""
        holders = await self.holders(name)
        return holders[0] if holders else None

    async def holders(self, name: str) -> list[Holder]:
        """Return who holds `name`, in the order of the grants."""
        self._space.check("locks.holders")
        check_lock_name(name)
        return list((await self._space.seam.arun(self._space.backend.locks.view(name))).holders)

    async def contenders(self, name: str) -> list[Contender]:
        """Return who waits for `name`, in the order of the queue."""
        self._space.check("locks.contenders")
        check_lock_name(name)
        return list((await self._space.seam.arun(self._space.backend.locks.view(name))).contenders)

    async def held(self, prefix: str = "") -> list[Holder]:
        """Return every holder of a name that begins with `prefix`, by name."""
        self._space.check("locks.held")
        if prefix:
            check_name("lock name prefix", prefix)
        return list(await self._space.seam.arun(self._space.backend.locks.held(prefix)))

    async def mine(self, name: str | None = None) -> list[AsyncLease]:
        """Return the leases this session holds (on `name`), by the store's word; each can be released."""
        space = self._space
        ref = space.require("locks.mine")
        known = {lease.request_id: lease for lease in space.session.holdings.leases()}
        leases = []
        sent = space.session.now()
        for holder in (await space.seam.arun(space.backend.locks.own(ref))).held:
            if name is not None and holder.name != name:
                continue
            lease = known.get(holder.request_id)
            if not isinstance(lease, AsyncLease):
                until = None if holder.due_ms is None else sent + holder.due_ms / 1000
                facts = (ref, holder.request_id, holder.name, holder.mode, holder.token, until, holder.flow)
                lease = AsyncLease(space, *facts)
                lease.adopted = True
                space.session.holdings.add(lease)
            leases.append(lease)
        return leases

    async def preempt(
        self,
        name: str,
        expected_token: int,
        *,
        reason: str = "preempted",
        ttl: float | None = None,
    ) -> AsyncLease:
        """Take `name` over from the holder, only if it still holds with `expected_token`.

        The loser is told who took it and why. Needs a tier not below the holder's.
        Raises `HolderChanged`, `AccessDenied`, `LimitExceeded`, `SessionLost`.
        """
        space = self._space
        ref = space.require("locks.preempt")
        request = self._request(ref, name, Mode.EXCLUSIVE, 0, ttl, current_flow(), wait=False)
        why = f"preempted by {ref.agent_id}: {check_reason(reason)}"
        view = await space.seam.arun(space.backend.locks.view(name))
        for holder in view.holders:
            other = await space.seam.arun(space.backend.presence.get(holder.agent_id))
            if other is not None:
                check_preempt(space.session.tier, other.access_tier)
        sent = space.session.now()
        answer = await space.seam.arun(space.backend.locks.preempt(request, expected_token, why))
        if isinstance(answer, Granted):
            return self._lease(request, answer, sent)
        raise HolderChanged(name, expected_token, answer.holders if isinstance(answer, Changed) else ())

    async def break_lock(self, name: str, reason: str) -> list[Holder]:
        """Take `name` from whoever holds it and serve the queue; return whom it was taken from (steward).

        The losers are told who broke it and why, and ``lock.lost`` is published.
        """
        space = self._space
        ref = space.require("locks.break_lock")
        check_lock_name(name)
        why = f"broken by {ref.agent_id}: {check_reason(reason)}"
        return list(await space.seam.arun(space.backend.locks.break_lock(ref, space.ids(), name, why)))


def check_reason(reason: str) -> str:
    """Return `reason`, or raise `InvalidName` when it is not 1 to 512 bytes of plain text."""
    check_name("reason", reason)
    return reason
