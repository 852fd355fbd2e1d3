"""Watching the membership: a snapshot with its place in the stream, then every change in order (S9)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

from comity._async.following import AsyncFollowing
from comity._colour._async import AsyncFlag
from comity.errors import BackendUnavailable
from comity.events import Gap
from comity.logs import corrupt, log
from comity.model import SYSTEM_TOPIC, Liveness, SystemEvent, TopicPosition
from comity.presence import Joined, Left, Snapshot, Updated
from comity.records import read_session_event

if TYPE_CHECKING:
    from types import TracebackType

    from comity._async.space import AsyncSpace
    from comity.model import SessionInfo, StoredEvent
    from comity.presence import Change

_RETRY = 0.25
_SESSION_EVENTS = frozenset({SystemEvent.SESSION_JOINED, SystemEvent.SESSION_UPDATED, SystemEvent.SESSION_LEFT})


class AsyncWatch:
    """The changes of the membership: an async iterator and context manager.

    `close()`, from any thread, or closing the coordinator, ends the loop.
    """

    def __init__(self, space: AsyncSpace) -> None:
        self._space = space
        self._following = AsyncFollowing(space, (SYSTEM_TOPIC,))
        self._known: dict[str, SessionInfo] = {}
        self._placed = self._gap = self._closed = self._unread = False

    def __aiter__(self) -> Self:
        return self

    @property
    def stale(self) -> bool:
        """Whether the store has not answered lately: then changes may be late. Peers are never called dead for it."""
        silent = self._space.session.liveness is Liveness.SUSPECT
        return self._unread or self._following.stale or silent

    async def __anext__(self) -> Change:
        while not self._closed:
            if not self._placed:
                snapshot = await self._snapshot()
                if snapshot is not None:
                    return snapshot
                continue
            found = await self._following.next("sessions.watch")
            if found is None:
                break
            item = found[2]
            if isinstance(item, Gap):
                self._placed, self._gap = False, True
                continue
            change = self._change(item)
            if change is not None:
                return change
        raise StopAsyncIteration

    async def _snapshot(self) -> Snapshot | None:
        """Read the members with their place in the stream; None when the store is away: ask again."""
        space = self._space
        space.check("sessions.watch")
        try:
            members = await space.seam.arun(space.backend.presence.members(None))
        except BackendUnavailable as error:
            if not self._unread:
                log(logging.WARNING, "watch_stale", error=str(error))
            self._unread = True
            await AsyncFlag().wait(_RETRY)
            return None
        self._unread = False
        sessions = members.sessions or ()
        self._known = {info.agent_id: info for info in sessions}
        self._following.place({SYSTEM_TOPIC: TopicPosition(members.epoch, members.position)})
        self._placed = True
        return Snapshot(sessions, after_gap=self._gap)

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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the loop (any thread, idempotent)."""
        self._closed = True
        self._following.close()
