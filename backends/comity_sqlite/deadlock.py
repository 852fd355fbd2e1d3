"""Whether one more wait would close a cycle of flows (rule L13).

A flow, the thread or task that asks, is a session and the name it gives; it waits for the flows of whatever
its waiting requests conflict with. The search goes flow by flow, so a cycle found is one of the shortest.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import attrs

from comity.model import Link, covers
from comity_sqlite.queue import conflicts, holders_of, once, seats, seats_near, wants_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity_sqlite.queue import Seat, Want
    from comity_sqlite.step import Step

MOST_EDGES = 1000
"""How many pairs of a waiting flow and one that it waits for are looked at."""
_WAITS = "r.session = ? AND r.flow = ? AND r.held = 0 AND w.pref = 0 ORDER BY r.request_id"


@attrs.frozen
class _Flow:
    session: int
    agent_id: str
    name: str

    @classmethod
    def of(cls, seat: Seat) -> _Flow:
        return cls(seat.session, seat.agent_id, seat.flow)


_Edge = tuple[str, _Flow]
"""The name where somebody is waited for, and his flow."""
_Ways = list[list[_Edge]]
"""What would do for a request, all its names or any one, and who is in the way of that."""
_Waits = dict[_Flow, list[_Ways]]


def cycle(step: Step, seat: Seat) -> tuple[Link, ...]:
    """Return the cycle that a waiting request closes, from its own flow on; () when it closes none."""
    if not seat.flow or _stands_alone(step, seat):
        return ()
    waits = _explore(step, _Flow.of(seat))
    # The farthest first: in a long line each waits for the one before, and the first of all for nobody.
    while sum(_drop_those_that_end(waits, flow) for flow in reversed(waits)):
        pass
    return _way_back(waits, _Flow.of(seat))


def _stands_alone(step: Step, seat: Seat) -> bool:
    """Tell whether the flow has nothing but this request, with nobody behind it: then nobody waits for it."""
    if step.one(
        "SELECT 1 FROM requests WHERE session = ? AND flow = ? AND id <> ? LIMIT 1", seat.session, seat.flow, seat.id
    ):
        return False
    behind = "w.held = 0 AND (w.urgency, w.number) > (?, ?) LIMIT 1"
    return not any(True for _ in seats_near(step, (name for name, _ in wants_of(step, seat)), behind, *seat.turn))


def _explore(step: Step, me: _Flow) -> _Waits:
    """Follow who waits for whom from `me` on, at most `MOST_EDGES` pairs far."""
    waits: _Waits = {}
    known, flows, edges = {me}, [me], 0
    for flow in flows:
        for seat in [s for s in seats(step, _WAITS, flow.session, flow.name) if not s.is_over(step)]:
            ways: _Ways = []
            for want in wants_of(step, seat):
                if seat.pool or not ways:
                    ways.append([])
                for other in _in_the_way(step, seat, want):
                    edges += 1
                    if edges > MOST_EDGES:
                        return waits
                    if other.flow:
                        ways[-1].append((want[0], _Flow.of(other)))
            waits.setdefault(flow, []).append(ways)
            met = dict.fromkeys(other for way in ways for _, other in way)
            flows += [other for other in met if other not in known]
            known |= met.keys()
    return waits


def _in_the_way(step: Step, seat: Seat, want: Want) -> Iterator[Seat]:
    """Go through what keeps a waiting request from `want`, from its place forwards to the holders.

    One in line that wants the name, or an area around it, for itself waits for all that is before it, so nothing
    before it needs to be looked at; unless it may get another name.
    """
    before = seats_near(
        step,
        [want[0]],
        "w.held = 0 AND (w.urgency, w.number) < (?, ?) ORDER BY w.urgency DESC, w.number DESC",
        *seat.turn,
    )
    if "/" in want[0]:
        before = iter(sorted(before, key=lambda other: other.turn, reverse=True))
    for _, parts in itertools.groupby(before, key=lambda other: other.id):
        there = [part for part in parts if not part.is_over(step) and conflicts(want, part.want)]
        if not there:
            continue
        yield there[0]
        if any(part.flow and not part.shared and not part.pool and covers(part.name, want[0]) for part in there):
            return
    yield from once(other for other in holders_of(step, want[0]) if conflicts(want, other.want))


def _drop_those_that_end(waits: _Waits, flow: _Flow) -> bool:
    """Leave of a flow only the requests that wait for ever, if those flows do that are waited for."""
    kept = [ways for ways in waits[flow] if all(any(waits.get(other) for _, other in way) for way in ways)]
    changed = len(kept) < len(waits[flow])
    waits[flow] = kept
    return changed


def _way_back(waits: _Waits, me: _Flow) -> tuple[Link, ...]:
    """Return the flows on the shortest way from `me` to `me`, each with the name it waits for."""
    came: dict[_Flow, tuple[_Flow, str]] = {}
    reached = [me]
    for flow in reached:
        for name, other in (edge for ways in waits.get(flow, ()) for way in ways for edge in way):
            if other not in came:
                came[other] = (flow, name)
                reached.append(other)
    if me not in came:
        return ()
    way = [came[me]]
    while way[0][0] != me:
        way.insert(0, came[way[0][0]])
    return tuple(Link(flow.agent_id, flow.name, name) for flow, name in way)
