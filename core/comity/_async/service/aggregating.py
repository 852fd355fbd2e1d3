"""Adding up what became of tasks: every end once, and no stretch of them lost in silence (rule B2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity._async.service.records import batched
from comity.aggregates import (
    FEED_KEY,
    Aggregate,
    FeedPlace,
    batch_key,
    encode_record,
    queue_key,
    read_aggregate,
    read_place,
)

if TYPE_CHECKING:
    from comity._async.service.records import AsyncRecords
    from comity._async.space import AsyncSpace
    from comity.jobs import Turn
    from comity.model import FinishedSlice, FinishedTask, StoredEntry

_PAGE = 1000
_MOST = 5000
"""Ends taken in by one turn; then they are written, and the other jobs have theirs."""
AGGREGATES_KEPT = 7 * 86_400.0
"""Seconds for which an aggregate is kept after the last end of its queue or batch."""
_CACHED = 256


class AsyncAggregating:
    """Reads the feed of ends and keeps one aggregate for each queue and each batch.

    Each aggregate is stored together with the number of the last end in it, by one fenced write, and the place in the
    feed only after all of them. So whoever leads next may read ends again, and counts none twice.
    """

    name = "aggregate"
    interval = 0.5

    def __init__(self, space: AsyncSpace, records: AsyncRecords) -> None:
        self._space, self._records = space, records
        self._place: FeedPlace | None = None
        self._place_version = 0
        self._known: dict[str, tuple[Aggregate, int]] = {}

    async def run(self, turn: Turn) -> None:
        """Take in what ended since the last turn."""
        try:
            if await self._take_in(turn):
                turn.again()
        except BaseException:
            self._forget()  # what is here may not be what is stored
            raise

    def _forget(self) -> None:
        self._place = None
        self._known.clear()

    async def _take_in(self, turn: Turn) -> bool:
        """Read, add up and store; tell whether there is more."""
        place = self._place or await self._stored_place()
        began, missed = place.position, place.missed
        touched: set[str] = set()
        taken, more = 0, True
        while more and taken < _MOST:
            part = await self._space.seam.arun(self._space.backend.tasks.finished(place.position, _PAGE))
            await self._add_up(place, part, touched)
            taken += len(part.tasks)
            more = place.number < part.last
        if began == place.position:
            return False
        if not await self._store(sorted(touched), turn):
            self._forget()
            return False
        await self._store_place(place)
        turn.count("aggregated", taken)
        turn.count("missed", place.missed - missed)
        if len(self._known) > _CACHED:
            self._known.clear()
        return more

    async def _add_up(self, place: FeedPlace, part: FinishedSlice, touched: set[str]) -> None:
        """Take a page of ends into their aggregates, and move the place behind it."""
        place.enter(part.epoch, part.tasks[0].number if part.tasks else part.last + 1)
        missing = {key for end in part.tasks for key in _keys(end)} - self._known.keys()
        found = dict(zip(missing, await self._records.read_all([*missing]), strict=True)) if missing else {}
        for end in part.tasks:
            place.reach(end.number)
            for key in _keys(end):
                known = self._known.get(key) or self._begin(key, found[key], place)
                if known[0].take(part.epoch, end):
                    touched.add(key)
            place.number = end.number
        if not part.tasks:
            place.reach(part.last + 1)

    async def _stored_place(self) -> FeedPlace:
        entry = await self._records.read(FEED_KEY)
        self._place_version = 0 if entry is None else entry.version
        place = None if entry is None else read_place(entry.value)
        self._place = place or FeedPlace()
        return self._place

    async def _store_place(self, place: FeedPlace) -> None:
        stored = await self._records.write(FEED_KEY, encode_record(place), expect_version=self._place_version)
        self._place_version = _expected(FEED_KEY, stored)

    def _begin(self, key: str, entry: StoredEntry | None, place: FeedPlace) -> tuple[Aggregate, int]:
        """Go on with the aggregate that is stored, or begin one."""
        found = None if entry is None else read_aggregate(key, entry.value)
        known = (found or Aggregate(missed_before=place.missed), 0 if entry is None else entry.version)
        self._known[key] = known
        return known

    async def _store(self, keys: list[str], turn: Turn) -> bool:
        """Write the aggregates; False when the turn is to end before all are written."""
        for some in batched(keys):
            if turn.stopping:
                return False
            bodies = []
            for key in some:
                aggregate, version = self._known[key]
                aggregate.trim()
                bodies.append((key, encode_record(aggregate), version))
            for key, stored in zip(some, await self._records.write_all(bodies, ttl=AGGREGATES_KEPT), strict=True):
                self._known[key] = (self._known[key][0], _expected(key, stored))
        return True


def _keys(end: FinishedTask) -> tuple[str, ...]:
    """Return the aggregates an end belongs to."""
    return (queue_key(end.queue), batch_key(end.batch)) if end.batch else (queue_key(end.queue),)


async def look_up(space: AsyncSpace, key: str) -> Aggregate | None:
    """Return a stored aggregate, with how much was missed since it began: two round trips."""
    state = space.backend.state
    entry = await space.seam.arun(state.get(key))
    place = await space.seam.arun(state.get(FEED_KEY))
    found = None if entry is None else read_aggregate(key, entry.value)
    if found is not None and place is not None and (read := read_place(place.value)) is not None:
        found.missed = read.missed - found.missed_before
    return found


def _expected(key: str, version: int | None) -> int:
    """Return the version that was stored; RuntimeError when another hand was there."""
    if version is None:
        raise RuntimeError(f"{key} was written by somebody else; it is read again in the next round")
    return version
