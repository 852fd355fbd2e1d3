"""The service's own records in the shared state: read by all, written by who leads and by nobody else (rule B1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors import LockLost
from comity.model import Fence, Fenced, Mismatch, StateWrite

if TYPE_CHECKING:
    from comity._async.leases import AsyncLease
    from comity._async.space import AsyncSpace
    from comity.model import StoredEntry


class AsyncRecords:
    """What one leader writes. Every write carries its lease as the fence: not held in that step, it is refused."""

    def __init__(self, space: AsyncSpace, lease: AsyncLease) -> None:
        self._space, self._lease = space, lease
        self._ref, self._fence = space.require("service.start"), Fence(lease.token, lease.grant)

    async def read(self, key: str) -> StoredEntry | None:
        """Return what stands under a key."""
        return await self._space.seam.arun(self._space.backend.state.get(key))

    async def write(
        self,
        key: str,
        body: bytes,
        *,
        expect_version: int | None = None,
        ttl: float | None = None,
    ) -> int | None:
        """Store `body`, for `ttl` seconds; return its version, None when `expect_version` did not stand there.

        Raises `LockLost` when this session leads no more; nothing was changed then.
        """
        space, lease = self._space, self._lease
        lease.ensure_held()
        write = StateWrite(space.ids(), self._ref, key, expect_version, self._fence)
        ttl_ms = None if ttl is None else round(ttl * 1000)
        op = space.backend.state.put(write, body, ttl_ms=ttl_ms, ephemeral=False, max_held=space.settings.max_held)
        answer = await space.seam.arun(op)
        if isinstance(answer, Mismatch):
            return None
        if isinstance(answer, Fenced):
            over = "its lease is over" if answer.grant_over else f"token {answer.newest} has written since"
            reason = f"a write of the leader was refused: {over}"
            lease.lose(reason)
            raise LockLost(lease.name, lease.token, lease.loss() or reason)
        return answer.version
