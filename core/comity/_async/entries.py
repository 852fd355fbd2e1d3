"""Entries of the shared state as flows write and read them, the library's own among them (K1)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from comity._async.leases import check_ttl
from comity.errors import ComityError, FenceRefused, InvalidArgument, StateConflict
from comity.lease_state import LeaseState
from comity.logs import corrupt
from comity.model import Fence, Fenced, Mismatch, Mode, StateWrite
from comity.payloads import encode
from comity.state import StateEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity._async.space import AsyncSpace
    from comity.model import SessionRef, StatePage, StoredEntry, Written

PAGE = 256
_LARGEST = 10**16
_BEHIND = b"\x1f\xff"


def read_entry(stored: StoredEntry | None) -> StateEntry | None:
    """Return the public form of an entry; None for one whose value is no JSON (X7)."""
    try:
        return None if stored is None else StateEntry.of(stored)
    except ValueError as error:
        corrupt("entry", repr(stored and stored.key), error)
        return None


class AsyncEntries:
    """Write and read entries under any key. Callers have checked tier, key and session."""

    def __init__(self, space: AsyncSpace) -> None:
        self._space = space

    async def put(
        self,
        ref: SessionRef,
        key: str,
        value: Any,
        *,
        expect_version: int | None = None,
        fence: int | LeaseState | None = None,
        ttl: float | None = None,
        ephemeral: bool = False,
    ) -> int:
        """Store `value` and return the version this made; as `AsyncState.put`."""
        body = encode(value, self._space.settings.payload_limit, "value")
        return await self.put_body(
            ref, key, body, expect_version=expect_version, fence=fence, ttl=ttl, ephemeral=ephemeral
        )

    async def put_body(
        self,
        ref: SessionRef,
        key: str,
        body: bytes,
        *,
        expect_version: int | None = None,
        fence: int | LeaseState | None = None,
        ttl: float | None = None,
        ephemeral: bool = False,
    ) -> int:
        """Store a value that is JSON already, of whatever size, as `put`."""
        space = self._space
        write = self._described(ref, key, expect_version, fence)
        ttl_ms, most = check_ttl(ttl), space.settings.max_held
        op = space.backend.state.put(write, body, ttl_ms=ttl_ms, ephemeral=ephemeral, max_held=most)
        answer = await space.seam.arun(op)
        return _version(write, answer, fence)

    async def delete(
        self,
        ref: SessionRef,
        key: str,
        *,
        expect_version: int | None = None,
        fence: int | LeaseState | None = None,
    ) -> bool:
        """Take the key away and tell whether it was there; as `AsyncState.delete`."""
        space = self._space
        write = self._described(ref, key, expect_version, fence)
        answer = await space.seam.arun(space.backend.state.delete(write))
        return _version(write, answer, fence) > 0

    async def get(self, key: str) -> StateEntry | None:
        """Return what stands under `key`, or None."""
        return read_entry(await self._space.seam.arun(self._space.backend.state.get(key)))

    async def list(self, ranges: Iterable[tuple[bytes, bytes]], after: str, limit: int) -> list[StateEntry]:
        """Return the first `limit` entries of `ranges` behind the key `after`."""
        entries: list[StateEntry] = []
        for begin, stop in ranges:
            start: bytes | None = max(begin, after.encode() + _BEHIND) if after else begin
            while start is not None and start < stop and len(entries) < limit:
                page = await self.page(start, stop, min(PAGE, limit - len(entries)))
                entries += [entry for stored in page.entries if (entry := read_entry(stored))]
                start = page.rest
        return entries

    async def page(self, start: bytes, stop: bytes, limit: int = PAGE) -> StatePage:
        """Read one page, and help to take away what has expired: so nobody looks at it many times over."""
        space = self._space
        page = await space.seam.arun(space.backend.state.list(start, stop, limit))
        if page.next_due_ms is not None and page.next_due_ms <= 0:
            with contextlib.suppress(ComityError):  # who only reads may not
                await space.seam.arun(space.backend.state.trim(PAGE))
        return page

    def _described(
        self,
        ref: SessionRef,
        key: str,
        expect_version: int | None,
        fence: int | LeaseState | None,
    ) -> StateWrite:
        """Describe a write, or raise `InvalidArgument` or, for a lease that is lost already, `LockLost`."""
        if expect_version is not None and not _is_number(expect_version):
            raise InvalidArgument("expect_version", expect_version, "give the version of an entry, or 0 for none")
        return StateWrite(self._space.ids(), ref, key, expect_version, None if fence is None else _fence(fence))


def _is_number(number: object) -> bool:
    return type(number) is int and 0 <= number < _LARGEST


def _fence(fence: int | LeaseState) -> Fence:
    """Return what the store must check. Raises `InvalidArgument`, `LockLost`."""
    if isinstance(fence, LeaseState):
        if fence.mode is not Mode.EXCLUSIVE:
            raise InvalidArgument("fence", fence, "a shared lease keeps nobody out; acquire it exclusive")
        return Fence(fence.ensure_held(), fence.grant)
    if not _is_number(fence):
        raise InvalidArgument("fence", fence, "give an exclusive lease, or the token of one")
    return Fence(fence)


def _version(write: StateWrite, answer: Written | Mismatch | Fenced, fence: int | LeaseState | None) -> int:
    """Return the version a write made, or raise its refusal."""
    if isinstance(answer, Mismatch):
        raise StateConflict(write.key, write.expect_version or 0, read_entry(answer.current))
    if isinstance(answer, Fenced):
        token = write.fence.token if write.fence else 0
        over = fence.name if answer.grant_over and isinstance(fence, LeaseState) else None
        refusal = FenceRefused(write.key, token, answer.newest, over)
        if over is not None and isinstance(fence, LeaseState):
            fence.lose("a write fenced by it was refused")
        raise refusal
    return answer.version
