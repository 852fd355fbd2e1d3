"""Whether one more wait would close a cycle of flows (rule L13).

A flow, the thread or task that asks, is a session and the name it gives; it waits for the flows of whatever
its waiting requests conflict with. The search goes flow by flow, so a cycle found is one of the shortest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comity.model import Link
from comity_sqlite.queue import conflicts, holders_of, seats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity_sqlite.queue import Seat
    from comity_sqlite.step import Step

MOST_EDGES = 1000
"""How many pairs of a waiting flow and one that it waits for are looked at."""


@attrs.frozen
class _Flow:
    session: int
    name: str


def _flow(seat: Seat) -> _Flow:
    return _Flow(seat.session, seat.flow)


@attrs.frozen
class _Edge:
    """That the flow of `waiter` waits for somebody at the waiter's name."""

    waiter: Seat

    @property
    def link(self) -> Link:
        return Link(self.waiter.agent_id, self.waiter.flow, self.waiter.name)


def cycle(step: Step, seat: Seat) -> tuple[Link, ...]:
    """Return the cycle that a waiting seat closes, from its own flow on; () when it closes none."""
    me = _flow(seat)
    if not seat.flow or _stands_alone(step, seat):
        return ()
    came: dict[_Flow, _Edge] = {}
    flows, edges = [me], 0
    for flow in flows:
        for waiter in list(seats(step, _WAITS, flow.session, flow.name)):
            for other in _in_the_way(step, waiter):
                edges += 1
                if edges > MOST_EDGES:
                    return ()
                if not other.flow or _flow(other) in came:
                    continue
                came[_flow(other)] = _Edge(waiter)
                if _flow(other) == me:
                    return _way_back(came, me)
                flows.append(_flow(other))
    return ()


_WAITS = "r.session = ? AND r.flow = ? AND r.held = 0 ORDER BY r.request_id"


def _stands_alone(step: Step, seat: Seat) -> bool:
    """Tell whether the flow has nothing but this request, with nobody behind it: then nobody waits for it."""
    return not step.one(
        "SELECT 1 FROM requests WHERE session = ? AND flow = ? AND id <> ? LIMIT 1", seat.session, seat.flow, seat.id
    ) and not step.one(
        "SELECT 1 FROM wants WHERE space = ? AND name = ? AND held = 0 AND (urgency, number) > (?, ?) LIMIT 1",
        step.space,
        seat.name,
        -seat.priority,
        seat.number,
    )


def _in_the_way(step: Step, seat: Seat) -> Iterator[Seat]:
    """Go through what a waiting seat conflicts with, from its place forwards to the holders.

    An exclusive request in line waits for all that is before it, so nothing before it needs to be looked at.
    """
    for other in seats(
        step,
        "w.space = ? AND w.name = ? AND w.held = 0 AND (w.urgency, w.number) < (?, ?)"
        " ORDER BY w.urgency DESC, w.number DESC",
        step.space,
        seat.name,
        -seat.priority,
        seat.number,
    ):
        if other.is_over(step) or not conflicts(seat.wants, other.wants):
            continue
        yield other
        if other.flow and not other.shared:
            return
    yield from (other for other in holders_of(step, seat.name) if conflicts(seat.wants, other.wants))


def _way_back(came: dict[_Flow, _Edge], me: _Flow) -> tuple[Link, ...]:
    way = [came[me]]
    while _flow(way[0].waiter) != me:
        way.insert(0, came[_flow(way[0].waiter)])
    return tuple(edge.link for edge in way)
