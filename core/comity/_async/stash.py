"""What sessions keep for themselves, readable by all (K2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity.names import check_name
from comity.state import stash_key

if TYPE_CHECKING:
    from comity._async.entries import AsyncEntries
    from comity._async.space import AsyncSpace


class AsyncStash:
    """The stashes of the sessions of a namespace: this one's to write, all to read."""

    def __init__(self, space: AsyncSpace, entries: AsyncEntries) -> None:
        self._space, self._entries = space, entries

    async def put(self, key: str, value: Any, ttl: float | None) -> int:
        """Keep a value as this session's own, and return the version this made."""
        ref = self._space.require("stash")
        return await self._entries.put(ref, stash_key(ref.agent_id, check_name("key", key)), value, ttl=ttl)

    async def get(self, key: str, agent_id: str | None) -> Any:
        """Return the value that a session (None: this one) stashed; None when there is none."""
        self._space.check("retrieve")
        whose = self._space.session.info.agent_id if agent_id is None else check_name("agent id", agent_id)
        entry = await self._entries.get(stash_key(whose, check_name("key", key)))
        return None if entry is None else entry.value
