"""The service's own records in the shared state: read by all, written by who leads and by nobody else (rule B1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from comity.errors import ComityError, LockLost
from comity.model import Ended, Fence, Fenced, Mismatch, StateWrite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from comity._async.leases import AsyncLease
    from comity._async.space import AsyncSpace
    from comity.model import StoredEntry, Written

T = TypeVar("T")

_AT_ONCE = 100
"""Keys in one round trip."""


def batched(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Part what is to be read or written into round trips."""
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


class AsyncRecords:
    """What one leader writes. Every write carries its lease as the fence: not held in that step, it is refused."""

    def __init__(self, space: AsyncSpace, lease: AsyncLease) -> None:
        self._space, self._lease = space, lease
        self._ref, self._fence = space.require("service.start"), Fence(lease.token, lease.grant)

    async def read(self, key: str) -> StoredEntry | None:
        """Return what stands under a key."""
        return await self._space.seam.arun(self._space.backend.state.get(key))

    async def read_all(self, keys: Sequence[str]) -> list[StoredEntry | None]:
        """Return what stands under each of the keys, in few round trips."""
        found: list[StoredEntry | None] = []
        for some in batched(keys):
            found += await self._space.seam.arun(self._space.backend.state.get_all(some))
        return found

    async def write_all(self, bodies: Sequence[tuple[str, bytes, int]], *, ttl: float) -> list[int | None]:
        """Store each key's body if its version stands there, for `ttl` seconds; answer for each as `write` does.

        One round trip, for one of those that `batched` makes. Raises `LockLost`.
        """
        space, lease = self._space, self._lease
        lease.ensure_held()
        puts = [(StateWrite(space.ids(), self._ref, key, known, self._fence), body) for key, body, known in bodies]
        answers = await space.seam.arun(space.backend.state.put_all(puts, ttl_ms=round(ttl * 1000)))
        return [await self._version(answer) for answer in answers]

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
        return await self._version(await space.seam.arun(op))

    async def _version(self, answer: Written | Mismatch | Fenced) -> int | None:
        """Return the version that was made, None when another stood there. Raises `LockLost`."""
        lease = self._lease
        if isinstance(answer, Mismatch):
            return None
        if isinstance(answer, Fenced):
            over = await self._why_over() if answer.grant_over else f"token {answer.newest} has written since"
            reason = f"a write of the leader was refused: {over}"
            lease.lose(reason)
            raise LockLost(lease.name, lease.token, lease.loss() or reason)
        return answer.version

    async def _why_over(self) -> str:
        """Ask what became of the lease: whoever took it may have said why."""
        renew = self._space.backend.locks.renew  # one that is numbered 0 changes nothing and tells how the lease stands
        try:
            answer = await self._space.seam.arun(renew(self._ref, self._lease.request_id, 0, None))
        except ComityError:
            answer = None
        reason = answer.reason if isinstance(answer, Ended) else ""
        return f"its lease is over ({reason})" if reason else "its lease is over"
