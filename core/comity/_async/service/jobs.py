"""The jobs that every leader has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity._async.service.aggregating import AsyncAggregating
from comity.errors import NoSuchPattern, PatternDecided, PromotionUnfinished
from comity.jobs import PolicyFailed
from comity.model import AccessTier
from comity.patterns import PatternStatus

if TYPE_CHECKING:
    from comity._async.service.records import AsyncRecords
    from comity._async.space import AsyncSpace
    from comity.jobs import Job, Turn
    from comity.patterns import Pattern

_STEPS = 100
"""Steps of one kind that one turn takes; what is left waits for the next."""
_AFTER = 0.1
"""Seconds after a deadline, when the live sessions have had their turn."""
_PAGE = 256
"""Records that one trimming step takes away."""


class AsyncReap:
    """Ends sessions past their deadline and gives claims past their `max_runtime` back to their queues.

    Sessions do so among themselves (S8); this is for when none is left, and for who only pushes.
    """

    name = "reap"
    interval = 5.0

    def __init__(self, space: AsyncSpace) -> None:
        self._space = space

    async def run(self, turn: Turn) -> None:
        """End those that are due, one step each, and be there when the next one is."""
        space = self._space
        for _ in range(_STEPS):
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


class AsyncTrim:
    """Does away with what is past its time, in a namespace where no writer comes by to do so."""

    name = "trim"
    interval = 30.0

    def __init__(self, space: AsyncSpace) -> None:
        self._space = space

    async def run(self, turn: Turn) -> None:
        """Trim state, signals, finished tasks and topics, a bounded number of steps each."""
        space, backend = self._space, self._space.backend
        age_ms = round(space.settings.events_kept_for * 1000)
        for _ in range(_STEPS):
            if turn.stopping:
                return
            keys = (await space.seam.arun(backend.state.trim(_PAGE))).count
            signals = await space.seam.arun(backend.signals.trim(_PAGE))
            tasks = await space.seam.arun(backend.tasks.trim(space.retention))
            events = await space.seam.arun(backend.pubsub.trim(age_ms, _PAGE))
            for what, count in (("keys", keys), ("signals", signals), ("tasks", tasks), ("events", events)):
                if count:
                    turn.count(what, count)
            if not (keys or signals or tasks or events):
                return
        turn.again()


class AsyncPromote:
    """Promotes staged patterns by policy, and completes promotions that broke off midway (P2).

    By policy only where the leader is a VALIDATOR, as it takes to promote a pattern by hand.
    """

    name = "promote"
    interval = 5.0

    def __init__(self, space: AsyncSpace) -> None:
        self._space = space

    async def run(self, turn: Turn) -> None:
        """Deal with all there are; then tell of the first that could not be promoted."""
        patterns = turn.coordinator.patterns
        failures: list[Exception] = []
        try:
            turn.count("promoted", len(await patterns.finish_promotions(fence=turn.lease)))
        except PromotionUnfinished as error:
            failures.append(error)
        if self._space.session.tier >= AccessTier.VALIDATOR:
            for pattern in await patterns.list(status=PatternStatus.STAGED):
                if turn.stopping:
                    return
                try:
                    turn.count("promoted", await self._promote(turn, pattern))
                except (PromotionUnfinished, PolicyFailed) as error:
                    failures.append(error)
        if failures:
            raise failures[0]

    async def _promote(self, turn: Turn, pattern: Pattern) -> bool:
        """Promote a pattern if a policy says so, and tell whether that was done."""
        try:
            policy = self._space.plugins.promoting_policy(pattern)
        except (Exception, SystemExit) as error:
            raise PolicyFailed(pattern.id, error) from error
        if policy is None:
            return False
        try:
            await turn.coordinator.patterns.promote(pattern.id, reason=f"policy of {policy}", fence=turn.lease)
        except (NoSuchPattern, PatternDecided):
            return False  # its time was over, or somebody was faster
        return True


BUILT_IN = ("reap", "aggregate", "promote", "trim")
"""Their names."""


def built_in(space: AsyncSpace, records: AsyncRecords) -> list[Job]:
    """Make the built-in jobs for one term."""
    return [AsyncReap(space), AsyncAggregating(space, records), AsyncPromote(space), AsyncTrim(space)]
