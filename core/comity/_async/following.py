"""Following topics: every event once, in order, across reconnects, with gaps marked (E2)."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from comity._colour._async import AsyncFlag
from comity.errors import BackendUnavailable, Closed
from comity.events import Gap
from comity.model import StoredEvent, TopicPosition
from comity.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from comity._async.space import AsyncSpace
    from comity.model import TopicSlice

_PAGE = 256
_LONGEST_SLEEP = 10.0
"""A lost wake-up costs at most this many seconds (a heartbeat at the defaults)."""
_RETRY = 0.25

Found = tuple[str, TopicPosition, StoredEvent | Gap]


class AsyncFollowing:
    """The place reached in some topics, and what was read beyond it but not taken yet."""

    def __init__(self, space: AsyncSpace, topics: Collection[str]) -> None:
        self._space, self._topics = space, tuple(topics)
        self._after: dict[str, TopicPosition] = {}
        self._from_oldest: set[str] = set()
        self._ready: deque[Found] = deque()
        self._flag: AsyncFlag | None = None
        self._closed = False
        self.stale = False
        """Whether the latest read got no answer."""

    def place(self, after: Mapping[str, TopicPosition], *, from_oldest: Collection[str] = ()) -> None:
        """Start after these places; for topics in `from_oldest` what was trimmed already is no gap."""
        self._after = dict(after)
        self._from_oldest = set(from_oldest)
        self._ready.clear()

    @property
    def closed(self) -> bool:
        """Whether nothing more comes: it was closed, or the coordinator was."""
        return self._closed or self._space.session.phase is Phase.CLOSED

    async def next(self, action: str, patience: float = math.inf) -> Found | None:
        """Return the next event or gap with its topic and place; None when closed, or after `patience` seconds.

        Raises `Closed` when the coordinator was closed, `Forked`.
        """
        session = self._space.session
        ends = session.now() + patience
        while True:
            if self._closed:
                return None
            if self._ready:
                return self._ready.popleft()
            if self.closed:
                return None
            self._space.recheck(action)
            flag = self._follow()
            flag.clear()
            more = await self._read()
            if not self._ready and not more and not self._closed:
                left = ends - session.now()
                if left <= 0:
                    return None
                await flag.wait(min(left, _LONGEST_SLEEP if more is False else _RETRY))

    def close(self) -> None:
        """End it (any thread, idempotent)."""
        self._closed = True
        flag = self._flag
        if flag is not None:
            for topic in self._topics:
                self._space.ear.unfollow(topic, flag)
            flag.set()

    def _follow(self) -> AsyncFlag:
        flag = self._flag
        if flag is None:
            flag = self._flag = AsyncFlag()
            for topic in self._topics:
                self._space.ear.follow(topic, flag)
            if self._closed:  # from another thread, before there was anything to unfollow
                self.close()
        return flag

    async def _read(self) -> bool | None:
        """Read the next page of each topic; None when the store is away, else whether anything was there."""
        space = self._space
        try:
            slices = await space.seam.arun(space.backend.pubsub.read(self._after, _PAGE))
        except BackendUnavailable:
            self.stale = True
            return None
        except Closed:
            self._closed = True
            return False
        self.stale = False
        for part in slices:
            self._take(part)
        return bool(self._ready)

    def _take(self, part: TopicSlice) -> None:
        topic, place = part.topic, self._after[part.topic]
        number = place.number
        if part.replaced or place.epoch != part.epoch or number > part.last:
            if place != TopicPosition(0, 0):
                if part.epoch == 0 and not part.events:
                    place = TopicPosition(0, 0)
                    self._put(topic, place, Gap(topic, None, None))
                    return
                self._put(topic, TopicPosition(part.epoch, part.first - 1), Gap(topic, None, None))
                number = part.first - 1
            elif topic in self._from_oldest:
                number = part.first - 1
            else:
                number = 0
        self._from_oldest.discard(topic)
        if part.last == 0:
            return
        for event in part.events:
            if event.number > number + 1:
                gap = Gap(topic, number + 1, event.number - 1)
                self._put(topic, TopicPosition(part.epoch, event.number - 1), gap)
            number = event.number
            self._put(topic, TopicPosition(part.epoch, number, event.at_ms), event)
        if not part.events and number < part.last:
            gap = Gap(topic, number + 1, part.last)
            self._put(topic, TopicPosition(part.epoch, part.last), gap)

    def _put(self, topic: str, place: TopicPosition, item: StoredEvent | Gap) -> None:
        self._after[topic] = place
        self._ready.append((topic, place, item))
