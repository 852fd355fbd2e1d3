"""Shared state: put, get, compare and set, fence, list, watch (rules K1-K4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity._async.state_watch import AsyncStateWatch
from comity.errors import InvalidArgument
from comity.names import check_key, check_name
from comity.state import ranges

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity._async.entries import AsyncEntries
    from comity._async.space import AsyncSpace
    from comity.lease_state import LeaseState
    from comity.state import StateEntry

_MOST = 10_000


class AsyncState:
    """Keep values under keys for all sessions of the namespace.

    A key is 1 to 512 bytes, a value anything JSON holds, up to 256 KiB. Keys that begin with ``comity:`` are the
    library's own: they can be read, but not written.
    """

    def __init__(self, space: AsyncSpace, entries: AsyncEntries, track: Callable[[AsyncStateWatch], None]) -> None:
        self._space, self._entries, self._track = space, entries, track

    async def put(
        self,
        key: str,
        value: Any,
        *,
        expect_version: int | None = None,
        fence: int | LeaseState | None = None,
        ttl: float | None = None,
        ephemeral: bool = False,
    ) -> int:
        """Store `value` under `key` and return the version this made.

        `expect_version`: only if the key has this version now; 0: only if it is not there. `fence`: the token of an
        exclusive lease, to write only if no newer one has written the key (the newest is remembered for a day after
        the key is gone); or the lease itself, to write only while it is held besides. `ttl`: seconds after which the
        key is gone. `ephemeral`: it is gone when this session ends. What was there is replaced wholly, its time and
        owner too.

        Raises `StateConflict` (with what stands there), `FenceRefused`, `LockLost`, `LimitExceeded`, `SessionLost`,
        `AccessDenied`, `InvalidName`, `InvalidPayload`, `InvalidArgument`, `BackendUnavailable`.
        """
        ref = self._space.require("state.put")
        check_key(key, writing=True)
        return await self._entries.put(
            ref, key, value, expect_version=expect_version, fence=fence, ttl=ttl, ephemeral=ephemeral
        )

    async def get(self, key: str) -> StateEntry | None:
        """Return what stands under `key`, or None."""
        self._space.check("state.get")
        return await self._entries.get(check_key(key))

    async def delete(
        self,
        key: str,
        *,
        expect_version: int | None = None,
        fence: int | LeaseState | None = None,
    ) -> bool:
        """Take `key` away and tell whether it was there. Options and errors as for `put`."""
        ref = self._space.require("state.delete")
        check_key(key, writing=True)
        return await self._entries.delete(ref, key, expect_version=expect_version, fence=fence)

    async def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> list[StateEntry]:
        """Return the first `limit` entries whose keys begin with `prefix`, in the byte order of keys.

        `after`: only keys behind this one, to read on. Up to 256 entries are as of one moment, more are read in
        several steps. The library's own keys are left out, unless `prefix` begins with ``comity:``.
        """
        self._space.check("state.list")
        if not 1 <= limit <= _MOST:
            raise InvalidArgument("limit", limit, f"give a number from 1 to {_MOST}; read on with after=")
        if after:
            check_name("key", after)
        return await self._entries.list(ranges(check_prefix(prefix)), after, limit)

    def watch(self, prefix: str = "") -> AsyncStateWatch:
        """Yield a `StateSnapshot`, then every `StatePut` and `StateGone` below `prefix` in order.

        An async iterator and context manager. After a gap (a watcher that fell behind by 10,000 changes, or 16 MiB
        of them) a new ``StateSnapshot(after_gap=True)``. It survives reconnects; while the store is away it waits,
        and `stale` says so.
        """
        self._space.check("state.watch")
        watch = AsyncStateWatch(self._space, self._entries, check_prefix(prefix))
        self._track(watch)
        return watch


def check_prefix(prefix: str) -> str:
    """Return `prefix` when keys can begin with it, else raise `InvalidName`."""
    return prefix if prefix == "" else check_name("key prefix", prefix)
