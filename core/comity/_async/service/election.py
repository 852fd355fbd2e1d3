"""Standing for election: in line for the lock that makes a session the leader (rule B1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors import LockTimeout
from comity.model.service import SERVICE_NAME

if TYPE_CHECKING:
    from comity._async.leases import AsyncLease
    from comity._async.locks import AsyncLocks
    from comity._async.waiting import AsyncWait
    from comity.holdings import Settable
    from comity.model import AccessTier


class AsyncElection:
    """One candidacy. `placed` is set when it stands in line.

    The line is served by tier, then first come: who may do more of the jobs goes first.
    """

    def __init__(self, locks: AsyncLocks, tier: AccessTier, placed: Settable) -> None:
        self._locks, self._tier, self._placed = locks, tier, placed
        self._wait: AsyncWait | None = None
        self._withdrawn = False
        # Whoever starts a service does not wait in its line: what that flow holds has nothing to do with it.
        self._flow = f"comity-service-{id(self):x}"

    async def win(self) -> AsyncLease | None:
        """Wait until this session leads; None when it was withdrawn before that."""
        try:
            return await self._locks._stand_for(  # noqa: SLF001 - only the library may
                SERVICE_NAME, int(self._tier), self._flow, self._stands
            )
        except LockTimeout:
            return None
        finally:
            self._wait = None

    def withdraw(self) -> None:
        """Leave the line (any thread). It may still be granted at that very moment."""
        self._withdrawn = True
        wait = self._wait
        if wait is not None:
            wait.expire()

    @property
    def stands(self) -> bool:
        """Whether it is in line now."""
        wait = self._wait
        return wait is not None and wait.queued

    def _stands(self, wait: AsyncWait) -> None:
        wait.told, self._wait = self._placed, wait
        if self._withdrawn:
            wait.expire()
