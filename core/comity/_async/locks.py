"""Locks: taking turns on names, with leases that carry fencing tokens (rules L1-L13, L15)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
from comity.wants import Names, in_byte_order, one, several

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity._async.conflicts import AsyncConflicts
    from comity._async.space import AsyncSpace
    from comity.model import Answer, Contender, Holder
    from comity.strategies import StrategyChoice


class _Options(NamedTuple):
    """What a call asks for besides names."""

    timeout: float | None = None
    priority: int = 0
    ttl: float | None = None
    owner: str | None = None


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

        A name that ends in ``/`` is an area: ``src/`` holds every name that begins with it, present and future, so it
        waits for whoever holds one of them, and they for it. Case and dots mean nothing: ``src`` lies beside it.

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
        options = _Options(timeout, priority, ttl, owner)
        return AsyncPending(self._acquire_one(name, mode, options, reentrant=reentrant, strategy=strategy))

    def acquire_all(
        self,
        names: Names,
        *,
        timeout: float | None = None,
        mode: Mode | str = Mode.EXCLUSIVE,
        priority: int = 0,
        ttl: float | None = None,
        owner: str | None = None,
    ) -> AsyncPending[AsyncLease]:
        """Hold all `names` by one lease, all or nothing; the other arguments as in `acquire`.

        `names`: up to 256; a mapping gives each its own mode: ``{"schema": "shared", "table": "exclusive"}``.

        The request stands in the line of every name, is granted when all are free at once, and holds none before, so
        two such requests never wait for each other, in whatever order they name what they want. `Lease.token` is
        good for each name. What ends the lease for one name (a loss, a preemption) ends it for all.

        Strategies decide about one name, so there is none here. Raises what `acquire` raises besides.
        """
        return AsyncPending(self._acquire_several(names, mode, _Options(timeout, priority, ttl, owner), any_of=False))

    def acquire_any(
        self,
        names: Names,
        *,
        timeout: float | None = None,
        mode: Mode | str = Mode.EXCLUSIVE,
        priority: int = 0,
        ttl: float | None = None,
        owner: str | None = None,
    ) -> AsyncPending[AsyncLease]:
        """Hold one of `names`, the first that is free, waiting in line when none is; the others as in `acquire_all`.

        For pools: ports, database slots, build folders. `Lease.name` tells which it is.
        """
        return AsyncPending(self._acquire_several(names, mode, _Options(timeout, priority, ttl, owner), any_of=True))

    async def _stand_for(
        self, name: str, priority: int, owner: str, waits: Callable[[AsyncWait], object]
    ) -> AsyncLease:
        """Hold a name of the library's own, as `acquire` without a timeout.

        `waits` is told of the wait as it begins, so that another thread may look at it and end it.
        """
        request = self._request(one(name, Mode.EXCLUSIVE, own=True), _Options(None, priority, None, owner))
        return await self._acquire(request, None, waits=waits)

    async def _acquire_one(
        self, name: str, mode: Mode | str, options: _Options, *, reentrant: bool, strategy: StrategyChoice | None
    ) -> AsyncLease:
        request = self._request(one(name, mode), options)
        if reentrant:
            held = self._reenter(name, request.wants[0].mode, request.flow)
            if held is not None:
                return held
        return await self._acquire(request, options.timeout, strategy)

    async def _acquire_several(self, names: Names, mode: Mode | str, options: _Options, *, any_of: bool) -> AsyncLease:
        wants = several(names, mode)
        request = self._request(wants if any_of else in_byte_order(wants), options, any_of=any_of)
        return await self._acquire(request, options.timeout, order=wants)

    async def _acquire(
        self,
        request: LockRequest,
        timeout: float | None,
        strategy: StrategyChoice | None = None,
        order: tuple[Want, ...] = (),
        waits: Callable[[AsyncWait], object] | None = None,
    ) -> AsyncLease:
        """Ask, wait where it must, and register the lease; `order`: in which to tell its names, if another."""
        space, session, ref = self._space, self._space.session, request.session
        sent = session.now()
        contender = None if strategy is None else self._conflicts.contender(strategy, sent)
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
                request = waiting.request
            return self._lease(request, answer, sent, order)
        except ComityError:
            raise  # an answer; whoever raised it has left nothing behind
        except BaseException:  # an interrupt may come between any two lines
            session.holdings.drop(request.request_id)
            await space.seam.asettle(space.backend.locks.withdraw(ref, request.request_id, keep=False))
            raise

    def _request(
        self, wants: tuple[Want, ...], options: _Options, *, any_of: bool = False, wait: bool = True
    ) -> LockRequest:
        """Let the call pass and describe its request, or raise `InvalidName` or `InvalidArgument`."""
        space = self._space
        space.home.check()
        ref = space.session.require("locks.acquire")
        timeout, priority = options.timeout, options.priority
        if timeout is not None and not timeout >= 0:
            raise InvalidArgument("timeout", timeout, "give seconds, 0 not to wait, or None to wait for ever")
        if type(priority) is not int or not -PRIORITY_LIMIT <= priority <= PRIORITY_LIMIT:
            raise InvalidArgument("priority", priority, f"give an int between -{PRIORITY_LIMIT} and {PRIORITY_LIMIT}")
        return LockRequest(
            request_id=space.ids(),
            session=ref,
            wants=wants,
            priority=priority,
            flow=current_flow() if options.owner is None else check_name("owner", options.owner),
            # Else it begins with a question.
            wait=wait and timeout != 0 and space.ear.listening and space.session.calls is None,
            ttl_ms=None if options.ttl is None else check_ttl(options.ttl),
            listener=space.ear.address,
            max_held=space.settings.max_held,
            any_of=any_of,
        )

    def _lease(self, request: LockRequest, granted: Granted, sent: float, order: tuple[Want, ...] = ()) -> AsyncLease:
        """Register a grant asked for at `sent`, the moment from which its own time is judged."""
        space = self._space
        wants = order or request.wants
        if request.any_of:
            wants = tuple(want for want in wants if want.name == granted.name)
        until = None if granted.ttl_ms is None else sent + granted.ttl_ms / 1000
        lease = AsyncLease(space, request.session, request.request_id, wants, granted.token, until, request.flow)
        space.session.holdings.add(lease)
        if until is not None:
            space.heart.look()
        return lease

    def _reenter(self, name: str, mode: Mode, flow: str) -> AsyncLease | None:
        """Return the lease that the flow holds in that mode, counted once more."""
        for lease in self._space.session.holdings.find(name, flow):
            held = lease.mode_of(name)
            if held is mode and isinstance(lease, AsyncLease) and lease.reenter():
                return lease
            if mode is Mode.EXCLUSIVE and held is Mode.SHARED:
                advice = "release the shared lease first, or acquire exclusive from the start"
                raise Deadlock(name, [Link(self._space.session.info.agent_id, flow, name)], advice)
        return None

    async def holder(self, name: str) -> Holder | None:
        """Return who holds `name` or keeps others from it (of several who does so longest), or None; see `holders`."""
        holders = await self.holders(name)
        return holders[0] if holders else None

    async def holders(self, name: str) -> list[Holder]:
        """Return who keeps others from `name`, in the order of the grants.

        That is who holds it, who holds an area above it, and, if it is an area, who holds something in it;
        `Holder.name` tells what.
        """
        self._space.check("locks.holders")
        check_lock_name(name)
        return list((await self._space.seam.arun(self._space.backend.locks.view(name))).holders)

    async def contenders(self, name: str) -> list[Contender]:
        """Return who waits for `name`, or for what overlaps it (see `holders`), in the order of the queue."""
        self._space.check("locks.contenders")
        check_lock_name(name)
        return list((await self._space.seam.arun(self._space.backend.locks.view(name))).contenders)

    async def held(self, prefix: str = "") -> list[Holder]:
        """Return every holder of a name that begins with `prefix`, by name."""
        self._space.check("locks.held")
        if prefix != "":
            check_name("lock name prefix", prefix)
        return list(await self._space.seam.arun(self._space.backend.locks.held(prefix)))

    async def mine(self, name: str | None = None) -> list[AsyncLease]:
        """Return the leases this session holds (on this very `name`), by the store's word; each can be released.

        A lease on several names is one, and one on an area none on what is in it.
        """
        space = self._space
        ref = space.require("locks.mine")
        known = {lease.request_id: lease for lease in space.session.holdings.leases()}
        leases = []
        sent = space.session.now()
        grants: dict[str, list[Holder]] = {}
        for holder in (await space.seam.arun(space.backend.locks.own(ref))).held:
            grants.setdefault(holder.request_id, []).append(holder)
        for request_id, parts in grants.items():
            if name is not None and name not in {part.name for part in parts}:
                continue
            lease = known.get(request_id)
            if not isinstance(lease, AsyncLease):
                first = parts[0]
                until = None if first.due_ms is None else sent + first.due_ms / 1000
                wants = tuple(Want(part.name, part.mode) for part in parts)
                lease = AsyncLease(space, ref, request_id, wants, first.token, until, first.flow)
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

        Whoever has an area above it is its holder, and so is who has something in it, if it is an area; not if
        there are several.
        A lease on several names is lost whole, and the others go to those who wait for them.
        The loser is told who took it and why. Needs a tier not below the holder's.
        Raises `HolderChanged`, `AccessDenied`, `LimitExceeded`, `SessionLost`.
        """
        space = self._space
        ref = space.require("locks.preempt")
        request = self._request(one(name, Mode.EXCLUSIVE), _Options(ttl=ttl), wait=False)
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

        What overlaps it (see `holders`) is taken from its holders too; of what lies in an area, at most 256 names and
        256 shared ones at a time.
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
