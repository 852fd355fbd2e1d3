# Generated from core/comity/_async/watch.py by "python tools/unasync.py": change that file, then run it.
"""Watching the membership: a snapshot with its place in the stream, then every change in order (S9)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

from comity._colour._sync import Flag
from comity._sync.following import Following
from comity.errors import BackendUnavailable
from comity.events import Gap
from comity.logs import corrupt, log
from comity.model import SYSTEM_TOPIC, SystemEvent, TopicPosition
from comity.presence import Joined, Left, Snapshot, Updated
from comity.records import read_session_event

if TYPE_CHECKING:
    from types import TracebackType

    from comity._sync.space import Space
    from comity.model import SessionInfo, StoredEvent
    from comity.presence import Change

_RETRY = 0.25
_SESSION_EVENTS = frozenset({SystemEvent.SESSION_JOINED, SystemEvent.SESSION_UPDATED, SystemEvent.SESSION_LEFT})


class Watch:
    """The changes of the membership: an iterator and context manager.

    `close()`, from any thread, or closing the coordinator, ends the loop.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._following = Following(space, (SYSTEM_TOPIC,))
        self._known: dict[str, SessionInfo] = {}
        self._placed = self._gap = self._closed = False
        self.stale = False
        """Whether the store has not answered lately: then changes may be late. Peers are never called dead for it."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Change:
        while not self._closed:
            if not self._placed:
                snapshot = self._snapshot()
                if snapshot is not None:
                    return snapshot
                continue
            found = self._following.next("sessions.watch")
            if found is None:
                break
            item = found[2]
            if isinstance(item, Gap):
                self._placed, self._gap = False, True
                continue
            change = self._change(item)
            if change is not None:
                return change
        raise StopIteration

    def _snapshot(self) -> Snapshot | None:
        """Read the members with their place in the stream; None when the store is away: ask again."""
        space = self._space
        space.check("sessions.watch")
        try:
            members = space.seam.run(space.backend.presence.members(None))
        except BackendUnavailable as error:
            if not self.stale:
                log(logging.WARNING, "watch_stale", error=str(error))
            self.stale = True
            Flag().wait(_RETRY)
            return None
        self.stale = False
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
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
