"""Who waits for whom: whether one more wait would close a cycle of flows (rule L13).

A flow is one thread or task of one session. It waits for the flows of whatever its waiting request
conflicts with: what holds, and what stands before it in line. One that waits for any of several names waits
in vain only if it does so at each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.model import Link, Mode, covers
from comity.testing.model.queue import conflicts, holders, options, over, waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity.model import SessionRef, Want
    from comity.testing.model.records import Entry
    from comity.testing.model.world import Namespace

MOST_EDGES = 1000
"""How many pairs of a waiting flow and one that it waits for are looked at."""

Flow = tuple["SessionRef", str]
Edge = tuple[str, Flow]
"""The name where somebody is waited for, and his flow."""
Waits = dict[Flow, list[list[list[Edge]]]]
"""The requests of each flow that waits: what would do for each, and who is in the way of that."""


def flow_of(entry: Entry) -> Flow:
    """Return the flow that asks."""
    return entry.request.session, entry.request.flow


def cycle(space: Namespace, entry: Entry) -> tuple[Link, ...]:
    """Return the cycle that a waiting request closes, from its own flow on; () when it closes none."""
    me = flow_of(entry)
    waits = in_vain(explore(space, me)) if entry.request.flow else {}
    found = shortest_way_back(waits, me)
    return tuple(Link(session.agent_id, flow, name) for (session, flow), name in found)


def explore(space: Namespace, me: Flow) -> Waits:
    """Follow who waits for whom from `me` on, at most `MOST_EDGES` pairs far."""
    waits: Waits = {}
    known, edges = [me], 0
    for flow in known:
        for entry in waiting_of(space, flow):
            ways = [list(obstacles(space, entry, wants)) for wants in options(entry.request)]
            edges += sum(map(len, ways))
            if edges > MOST_EDGES:
                return waits
            waits.setdefault(flow, []).append(ways)
            others = [other for way in ways for _, other in way if other[1]]
            known += [other for other in dict.fromkeys(others) if other not in known]
    return waits


def waiting_of(space: Namespace, flow: Flow) -> list[Entry]:
    """Return the requests of a flow that wait."""
    mine = [e for e in space.of_session(flow[0]) if not e.holds and e.request.flow == flow[1] and not over(space, e)]
    return sorted(mine, key=lambda entry: entry.id.encode())


def obstacles(space: Namespace, entry: Entry, wants: tuple[Want, ...]) -> Iterator[Edge]:
    """Go through what keeps a waiting request from `wants`: at each name from its place forwards to the holders.

    One in line that wants the name, or an area around it, for itself waits for all that is before it, so nothing
    before it needs to be looked at; unless it may get another name.
    """
    for want in wants:
        before = [other for other in waiting(space, want.name) if other.place < entry.place]
        for other in (*reversed(before), *holders(space, want.name)):
            if conflicts([want], other.wants):
                yield want.name, flow_of(other)
                speaks_for_all = any(w.mode is Mode.EXCLUSIVE and covers(w.name, want.name) for w in other.wants)
                if not other.holds and not other.request.any_of and other.request.flow and speaks_for_all:
                    break


def in_vain(waits: Waits) -> Waits:
    """Leave only the flows that wait for ever, if those do that are waited for."""
    while True:
        stuck = {
            flow: [each for each in mine if all(_meets(way, waits) for way in each)] for flow, mine in waits.items()
        }
        stuck = {flow: mine for flow, mine in stuck.items() if mine}
        if stuck == waits:
            return stuck
        waits = stuck


def _meets(way: list[Edge], waits: Waits) -> bool:
    return any(other in waits for _, other in way)


def shortest_way_back(waits: Waits, me: Flow) -> list[tuple[Flow, str]]:
    """Return the flows on the shortest way from `me` to `me`, each with the name it waits for."""
    came: dict[Flow, tuple[Flow, str]] = {}
    reached = [me]
    for flow in reached:
        for name, other in (edge for mine in waits.get(flow, ()) for way in mine for edge in way):
            if other in came:
                continue
            came[other] = (flow, name)
            if other == me:
                way = [came[me]]
                while way[0][0] != me:
                    way.insert(0, came[way[0][0]])
                return way
            reached.append(other)
    return []
