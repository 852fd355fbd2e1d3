"""A lease that is held: giving it back, letting it last, learning of its loss (rules L4, L7, L8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from comity.comparing import became
from comity.errors import ComityError, InvalidArgument, LockLost
from comity.lease_state import LeaseState
from comity.model import Ended

if TYPE_CHECKING:
    from types import TracebackType

    from comity._async.space import AsyncSpace


_SHORTEST_TTL, _LONGEST_TTL = 0.001, 366 * 86_400.0
_MAX_RENEWALS = 8
_OVER = "it was over already"


class AsyncLease(LeaseState):
    """A lease that is held: an async context manager that gives it back.

    Leaving the block raises `LockLost` when the lease was lost meanwhile, unless the body raised.
    """

    def __init__(self, space: AsyncSpace, *facts: Any) -> None:
        super().__init__(space.session, *facts)
        self._space = space
        self._freed: bool | None = None

    async def release(self) -> bool:
        """Give the lease back; the next waiter holds it in the same step.

        True when this freed it (or, of a reentrant lease, closed one acquisition); False when it had been lost: then
        nothing was touched. Calling again answers the same. Raises `BackendUnavailable`; the release is then
        carried by the next heartbeats, and calling again is safe.
        """
        space = self._space
        space.home.check()
        space.session.called()
        if self._freed is not None:
            return self._freed
        try:
            if self.loss() is None and self.close_one():
                return True
            self._freed = self.loss() is None and await self._give_back()
            space.session.holdings.remove(self)
        except ComityError:
            raise
        except BaseException:
            await self._end_after_all()
            raise
        return self._freed

    async def _give_back(self) -> bool:
        """Tell the store; False when the lease was lost, and nobody here knew."""
        op = self._space.backend.locks.release(self._ref, self.request_id, tell=self.adopted)
        freed = (await self._space.seam.arun(op)).ok
        if not freed:
            self.lose_after_all(await self._why_lost())
        return freed

    async def _end_after_all(self) -> None:
        """End a lease whose release was interrupted; of a reentrant one nobody knows which acquisition was closed."""
        if self._freed is None and self.count == 1 and not self.close_one() and self.loss() is None:
            op = self._space.backend.locks.release(self._ref, self.request_id, tell=self.adopted)
            self._space.session.holdings.remove(self)
            await self._space.seam.asettle(op)

    async def _why_lost(self) -> str:
        """Ask the store why the lease was over before its release: the news of it has not come yet."""
        try:
            ask = self._space.backend.locks.renew(self._ref, self.request_id, 0, None)
            return became(await self._space.seam.arun(ask), sure=self._space.session.sure) or _OVER
        except ComityError:
            return _OVER

    async def renew(self, ttl: float | None) -> None:
        """Let the lease's own time end `ttl` seconds from now; None: with its session.

        Raises `LockLost` when it is over already.
        """
        space = self._space
        ttl_ms = check_ttl(ttl)
        space.require("locks.renew")
        self.ensure_held()
        latest = 0
        for _ in range(_MAX_RENEWALS):
            sent = space.session.now()
            number = self.next_renewal(None if ttl is None else sent + ttl, latest)
            answer = await space.seam.arun(space.backend.locks.renew(self._ref, self.request_id, number, ttl_ms))
            if isinstance(answer, Ended):
                self.lose(became(answer, sure=space.session.sure) or _OVER)
                self.ensure_held()
                return
            self.extend(None if answer.ttl_ms is None else sent + answer.ttl_ms / 1000)
            space.heart.look()
            if answer.renewal == number:
                return
            latest = answer.renewal  # another process of the session has renewed it: number it after that

    async def __aenter__(self) -> Self:
        if self._space.session.calls is not None:
            self._space.session.calls.enter_block()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._space.session.calls is not None:
            self._space.session.calls.leave_block()
        try:
            freed = await self.release()
        except ComityError:
            if error is None:
                raise
            return  # the body's own error says more; the release is carried by the next heartbeats
        if freed or error is not None:
            return
        raise LockLost(self.name, self.token, self.loss() or _OVER, self.names)


def check_ttl(ttl: float | None) -> int | None:
    """Return `ttl` seconds in milliseconds, or raise `InvalidArgument`."""
    if ttl is None:
        return None
    if not _SHORTEST_TTL <= ttl <= _LONGEST_TTL:
        raise InvalidArgument("ttl", ttl, "give seconds between 0.001 and a year, or None to last with the session")
    return round(ttl * 1000)
