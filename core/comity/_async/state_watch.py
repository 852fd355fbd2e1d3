"""Watching the shared state: a snapshot, then every put and every end in order (K3)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from comity import jitter
from comity._async.entries import PAGE, read_entry
from comity._async.watching import AsyncWatching
from comity.errors import BackendUnavailable
from comity.logs import corrupt
from comity.model import STATE_TOPIC, TopicPosition
from comity.records import read_state_event
from comity.state import StateChange, StateEntry, StateGone, StatePut, StateSnapshot, ranges

if TYPE_CHECKING:
    from comity._async.entries import AsyncEntries
    from comity._async.space import AsyncSpace
    from comity.model import StoredEvent

_LATE = 0.02
"""Watchers look after what expires up to so many seconds late, so that they do not all do it at once."""
_RETRY = 0.25


class AsyncStateWatch(AsyncWatching[StateChange]):
    """The changes of the state below a prefix: an async iterator and context manager.

    `close()`, from any thread, or closing the coordinator, ends the loop.
    """

    def __init__(self, space: AsyncSpace, entries: AsyncEntries, prefix: str) -> None:
        super().__init__(space, "state.watch", STATE_TOPIC)
        self._entries, self._prefix = entries, prefix
        self._ranges = ranges(prefix)
        self._due = math.inf
        """When the next key of the namespace expires, on the session's clock: then this watch has it taken away."""

    async def _snapshot(self, *, after_gap: bool) -> tuple[StateSnapshot, TopicPosition]:
        """Read all pages, and make up for what changed between the first and the last."""
        while True:
            entries: dict[str, StateEntry] = {}
            places: list[TopicPosition] = []
            for begin, stop in self._ranges:
                start: bytes | None = begin
                while start is not None and start < stop:
                    page = await self._entries.page(start, stop)
                    entries.update((entry.key, entry) for stored in page.entries if (entry := read_entry(stored)))
                    places.append(TopicPosition(page.epoch, page.position))
                    self._expect(page.next_due_ms)
                    start = page.rest
            first, last = places[0], places[-1]
            if first == last or await self._catch_up(entries, first, last):
                in_order = sorted(entries.values(), key=lambda entry: entry.key.encode())
                return StateSnapshot(tuple(in_order), after_gap=after_gap), last

    async def _catch_up(self, entries: dict[str, StateEntry], first: TopicPosition, last: TopicPosition) -> bool:
        """Apply the changes between two places; False when some of them are gone already.

        A page may have been read after a change: what it showed has that version or a later one.
        """
        space, number = self._space, first.number
        while number < last.number:
            after = {STATE_TOPIC: TopicPosition(first.epoch, number)}
            (part,) = await space.seam.arun(space.backend.pubsub.read(after, PAGE))
            if part.epoch != last.epoch or not part.events:
                return False
            for event in part.events:
                if event.number != number + 1:
                    return False
                number += 1
                change = self._change(event)
                if isinstance(change, StatePut):
                    known = entries.get(change.entry.key)
                    if known is None or known.version < change.entry.version:
                        entries[change.entry.key] = change.entry
                elif isinstance(change, StateGone):
                    known = entries.get(change.key)
                    if known is not None and known.version < change.version:
                        del entries[change.key]
                if number == last.number:
                    break
        return first.epoch in {0, last.epoch}

    def _change(self, event: StoredEvent) -> StateChange | None:
        """Return what an event says of a key below the prefix."""
        try:
            change = read_state_event(event)
        except (ValueError, KeyError, TypeError) as error:
            corrupt("state event", str(event.number), error)
            return None
        if isinstance(change, StatePut):
            key, left = change.entry.key, change.entry.expires_in
            self._expect(None if left is None else left * 1000)
        else:
            key = change.key
        name = key.encode()
        return change if any(begin <= name < stop for begin, stop in self._ranges) else None

    # What expires does so by itself only where somebody looks: whoever watches does.

    def _expect(self, due_ms: float | None) -> None:
        if due_ms is not None:
            late = jitter.uniform(0.001, _LATE)
            self._due = min(self._due, self._space.session.now() + max(due_ms, 0) / 1000 + late)

    def _patience(self) -> float:
        """Wait for news until something expires."""
        return max(self._due - self._space.session.now(), 0)

    async def _look(self) -> None:
        """Have what is past its time taken away; its changes are then told as any."""
        space, self._due = self._space, math.inf
        try:
            trimmed = await space.seam.arun(space.backend.state.trim(PAGE))
        except BackendUnavailable:
            self._expect(_RETRY * 1000)
        else:
            self._expect(trimmed.next_due_ms)
