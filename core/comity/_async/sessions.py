"""Sessions: who is live, what changes (rules S3-S5, S9, S10)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from comity._async.watch import AsyncWatch
from comity.errors import InvalidArgument, NoSuchSession
from comity.model import AccessTier
from comity.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity._async.space import AsyncSpace
    from comity.errors import SessionLost
    from comity.model import SessionInfo
    from comity.peers import Peers


class AsyncSessions:
    """Find the other sessions of the namespace."""

    def __init__(self, space: AsyncSpace, track: Callable[[AsyncWatch], None], peers: Peers) -> None:
        self._space, self._track, self._peers = space, track, peers
        self._guard = threading.RLock()
        self._version: int | None = None
        self._epoch = 0
        self._members: tuple[SessionInfo, ...] = ()

    async def active(
        self,
        *,
        session_type: str | None = None,
        min_tier: AccessTier = AccessTier.OBSERVER,
        capability: str | None = None,
    ) -> list[SessionInfo]:
        """Return exactly the live sessions, by start then id, this one included.

        Filtered by type, lowest tier and a capability. One small round trip while nothing changed;
        `last_heartbeat` is then as of the last full read (`get` reads it afresh).
        """
        space = self._space
        space.check("sessions.active")
        with self._guard:
            known, epoch, members = self._version, self._epoch, self._members
        answer = await space.seam.arun(space.backend.presence.members(known))
        if answer.sessions is None and answer.epoch != epoch:  # the store began anew and counted up to here again
            answer = await space.seam.arun(space.backend.presence.members(None))
        if answer.sessions is not None:
            members = answer.sessions
            with self._guard:
                self._version, self._epoch, self._members = answer.version, answer.epoch, members
        if session_type is None and capability is None and min_tier <= AccessTier.OBSERVER:
            return list(members)  # all of them, without a look at each
        return [
            info
            for info in members
            if info.access_tier >= min_tier
            and (session_type is None or info.session_type == session_type)
            and (capability is None or capability in info.capabilities)
        ]

    async def get(self, agent_id: str) -> SessionInfo | None:
        """Return one live session, read afresh, or None."""
        self._space.check("sessions.get")
        check_name("agent id", agent_id)
        return await self._space.seam.arun(self._space.backend.presence.get(agent_id))

    async def evict(self, agent_id: str, reason: str) -> None:
        """End another session at once (steward): what it holds goes to those who wait, and it is told by whom and why.

        Its `liveness` is then ``lost``, also where it rejoins after a crash. Raises `NoSuchSession`, `AccessDenied`.
        """
        space = self._space
        ref = space.require("sessions.evict")
        check_name("agent id", agent_id)
        check_name("reason", reason)
        if agent_id == ref.agent_id:
            raise InvalidArgument("agent_id", agent_id, "a session does not evict itself; end it with depart()")
        if not await space.seam.arun(space.backend.presence.evict(ref, space.ids(), agent_id, reason)):
            raise NoSuchSession(agent_id)

    def watch(self) -> AsyncWatch:
        """Yield a `Snapshot`, then every `Joined`, `Updated` and `Left` in order: an iterator and context manager.

        After a gap a new ``Snapshot(after_gap=True)``. It survives reconnects; while the store is away it
        waits and `stale` says so; it never reports peers dead by itself.
        """
        self._space.check("sessions.watch")
        watch = AsyncWatch(self._space)
        self._track(watch)
        return watch

    def on_joined(self, handler: Callable[[SessionInfo], object]) -> Callable[[], None]:
        """Call `handler(session)` for every session that joins from now on; return its remover. A decorator too.

        Handlers run off the caller's thread, in order; one that raises does not stop the others.
        The blocking colour returns when the watch is in force; in asyncio that may be a moment later.
        """
        self._space.check("sessions.on_joined")
        remove = self._peers.on_joined(handler)
        self._space.home.block(self._peers.wait_until_watching, self._space.seam.deadline)
        return remove

    def on_left(self, handler: Callable[[SessionInfo, str], object]) -> Callable[[], None]:
        """Call `handler(session, reason)` for every session that ends; as `on_joined`.

        `session` is its last known record, or its id alone when none was ever seen.
        """
        self._space.check("sessions.on_left")
        remove = self._peers.on_left(handler)
        self._space.home.block(self._peers.wait_until_watching, self._space.seam.deadline)
        return remove

    def on_lost(self, handler: Callable[[SessionLost], object]) -> Callable[[], None]:
        """Call `handler(error)` when this session is lost, off the caller's thread; return its remover."""
        return self._space.session.on_lost(handler)
