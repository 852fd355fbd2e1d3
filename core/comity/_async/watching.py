"""Watching something: a snapshot with its place in a topic, then every change in order (S9, K3)."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from comity._async.following import AsyncFollowing
from comity._colour._async import AsyncFlag
from comity.errors import BackendUnavailable
from comity.events import Gap
from comity.logs import log
from comity.model import Liveness

if TYPE_CHECKING:
    from types import TracebackType

    from comity._async.space import AsyncSpace
    from comity.model import StoredEvent, TopicPosition

C = TypeVar("C")

_RETRY = 0.25


class AsyncWatching(Generic[C]):
    """The changes of something: an async iterator and context manager.

    `close()`, from any thread, or closing the coordinator, ends the loop.
    """

    def __init__(self, space: AsyncSpace, action: str, topic: str) -> None:
        self._space, self._action, self._topic = space, action, topic
        self._following = AsyncFollowing(space, (topic,))
        self._placed = self._gap = self._closed = self._unread = False

    def __aiter__(self) -> Self:
        return self

    @property
    def stale(self) -> bool:
        """Whether the store has not answered lately: then changes may be late. Nothing is called gone for it."""
        silent = self._space.session.liveness is Liveness.SUSPECT
        return self._unread or self._following.stale or silent

    async def __anext__(self) -> C:
        while not self._closed:
            if not self._placed:
                snapshot = await self._begin()
                if snapshot is not None:
                    return snapshot
                continue
            found = await self._following.next(self._action, self._patience())
            if found is None:
                if self._following.closed:
                    break
                await self._look()
                continue
            item = found[2]
            if isinstance(item, Gap):
                self._placed, self._gap = False, True
                continue
            change = self._change(item)
            if change is not None:
                return change
        raise StopAsyncIteration

    async def _begin(self) -> C | None:
        """Take a snapshot; None when the store is away: ask again."""
        space = self._space
        space.recheck(self._action)
        try:
            snapshot, place = await self._snapshot(after_gap=self._gap)
        except BackendUnavailable as error:
            if not self._unread:
                log(logging.WARNING, "watch_stale", error=str(error))
            self._unread = True
            await AsyncFlag().wait(_RETRY)
            return None
        self._unread = False
        self._following.place({self._topic: place})
        self._placed = True
        return snapshot

    async def _snapshot(self, *, after_gap: bool) -> tuple[C, TopicPosition]:
        """Read all there is, with the place of the read in the topic. Override."""
        raise NotImplementedError

    def _change(self, event: StoredEvent) -> C | None:
        """Return what an event means, None for nothing. Override."""
        raise NotImplementedError

    def _patience(self) -> float:
        """Return after how many seconds without news to `_look`."""
        return math.inf

    async def _look(self) -> None:
        """Look after what comes about by itself."""

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
