"""Watching the membership: a snapshot with its place in the stream, then every change in order (S9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity._async.watching import AsyncWatching
from comity.logs import corrupt
from comity.model import SYSTEM_TOPIC, SystemEvent, TopicPosition
from comity.presence import Change, Joined, Left, Snapshot, Updated
from comity.records import read_session_event

if TYPE_CHECKING:
    from comity._async.space import AsyncSpace
    from comity.model import SessionInfo, StoredEvent

_SESSION_EVENTS = frozenset({SystemEvent.SESSION_JOINED, SystemEvent.SESSION_UPDATED, SystemEvent.SESSION_LEFT})


class AsyncWatch(AsyncWatching[Change]):
    """The changes of the membership: an async iterator and context manager.

    `close()`, from any thread, or closing the coordinator, ends the loop.
    """

    def __init__(self, space: AsyncSpace) -> None:
        super().__init__(space, "sessions.watch", SYSTEM_TOPIC)
        self._known: dict[str, SessionInfo] = {}

    async def _snapshot(self, *, after_gap: bool) -> tuple[Snapshot, TopicPosition]:
        """Read the members with their place in the stream."""
        members = await self._space.seam.arun(self._space.backend.presence.members(None))
        sessions = members.sessions or ()
        self._known = {info.agent_id: info for info in sessions}
        return Snapshot(sessions, after_gap=after_gap), TopicPosition(members.epoch, members.position)

    def _change(self, event: StoredEvent) -> Change | None:
        """Return what an event of the system topic means for the membership."""
        if event.type not in _SESSION_EVENTS:
            return None
        try:
            agent_id, info, reason = read_session_event(event)
        except (ValueError, KeyError, TypeError) as error:
            corrupt("session event", str(event.number), error)
            return None
        if event.type == SystemEvent.SESSION_LEFT:
            return Left(agent_id, reason, self._known.pop(agent_id, None))
        if info is None:
            return None
        self._known[agent_id] = info
        return Joined(info) if event.type == SystemEvent.SESSION_JOINED else Updated(info)
