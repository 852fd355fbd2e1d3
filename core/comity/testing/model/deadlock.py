"""Who waits for whom: whether one more wait would close a cycle of flows (rule L13).

A flow is one thread or task of one session. It waits for the flows of whatever its waiting request
conflicts with: what holds, and what stands before it in line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.model import Link
from comity.testing.model.queue import conflicts, holders, names_of, waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity.model import SessionRef
    from comity.testing.model.records import Entry
    from comity.testing.model.world import Namespace

MOST_EDGES = 1000
"""How many pairs of a waiting flow and one that it waits for are looked at."""

Flow = tuple["SessionRef", str]
Waits = dict[Flow, list[tuple[str, Flow]]]
"""What each flow that waits, waits for: a name and the flow that it is waited for from, in order."""


def flow_of(entry: Entry) -> Flow:
    """Return the flow that asks."""
    return entry.request.session, entry.request.flow


def cycle(space: Namespace, entry: Entry) -> tuple[Link, ...]:
    """Return the cycle that a waiting request closes, from its own flow on; () when it closes none."""
    me = flow_of(entry)
    waits = explore(space, me) if entry.request.flow else {}
    found = shortest_way_back(waits, me)
    return tuple(Link(session.agent_id, flow, name) for (session, flow), name in found)


def explore(space: Namespace, me: Flow) -> Waits:
    """Follow who waits for whom from `me` on, at most `MOST_EDGES` pairs far."""
    waits: Waits = {}
    known, edges = [me], 0
    for flow in known:
        for name, other in waits_of(space, flow):
            if edges == MOST_EDGES:
                return waits
            edges += 1
            if other[1]:
                waits.setdefault(flow, []).append((name, other))
            if other[1] and other not in known:
                known.append(other)
    return waits


def waits_of(space: Namespace, flow: Flow) -> Iterator[tuple[str, Flow]]:
    """Go through what a flow waits for."""
    mine = [e for e in space.of_session(flow[0]) if not e.holds and e.request.flow == flow[1]]
    for entry in sorted(mine, key=lambda entry: entry.id.encode()):
        for name in names_of(entry):
            for other in in_the_way(space, entry, name):
                yield name, flow_of(other)


def in_the_way(space: Namespace, entry: Entry, name: str) -> Iterator[Entry]:
    """Go through what a waiting request conflicts with at a name, from its place forwards to the holders.

    An exclusive request in line waits for all that is before it, so nothing before it needs to be looked at.
    """
    queue = waiting(space, name)
    before = [other for other in queue if other.place < entry.place and conflicts(entry.request, other.request)]
    for other in reversed(before):
        yield other
        if other.request.flow and is_exclusive(other, name):
            return
    yield from (other for other in holders(space, name) if conflicts(entry.request, other.request))


def is_exclusive(entry: Entry, name: str) -> bool:
    """Tell whether a request wants a name for itself."""
    return any(want.name == name and want.mode.value == "exclusive" for want in entry.request.wants)


def shortest_way_back(waits: Waits, me: Flow) -> list[tuple[Flow, str]]:
    """Return the flows on the shortest way from `me` to `me`, each with the name it waits for."""
    came: dict[Flow, tuple[Flow, str]] = {}
    reached = [me]
    for flow in reached:
        for name, other in waits.get(flow, ()):
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
