"""The jobs that every leader has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity._async.service.aggregating import AsyncAggregating

if TYPE_CHECKING:
    from comity._async.service.records import AsyncRecords
    from comity._async.space import AsyncSpace
    from comity.jobs import Job, Turn

_REAPS = 100
"""Sessions ended in one turn; more are ended in the next."""
_AFTER = 0.1
"""Seconds after a deadline, when the live sessions have had their turn."""


class AsyncReap:
    """Ends the sessions that are past their deadline; sessions do so among themselves (S8), this is the last resort."""

    name = "reap"
    interval = 5.0

    def __init__(self, space: AsyncSpace) -> None:
        self._space = space

    async def run(self, turn: Turn) -> None:
        """End those that are due, one step each, and be there when the next one is."""
        space = self._space
        for _ in range(_REAPS):
            if turn.stopping:
                return
            reaped = await space.seam.arun(space.backend.presence.reap())
            if reaped.agent_id is not None:
                turn.count("reaped")
            if reaped.next_deadline_ms is None:
                return
            if reaped.next_deadline_ms > 0:
                turn.again(min(reaped.next_deadline_ms / 1000 + _AFTER, self.interval))
                return
        turn.again()


BUILT_IN = ("reap", "aggregate")
"""Their names."""


def built_in(space: AsyncSpace, records: AsyncRecords) -> list[Job]:
    """Make the built-in jobs for one term."""
    return [AsyncReap(space), AsyncAggregating(space, records)]
