"""One look at a namespace: who is there, who holds what, who waits, and since when in the store's own time."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import attrs

from comity.logs import corrupt
from comity.model import SYSTEM_TOPIC, SystemEvent, TopicPosition
from comity.records import read_session_event
from comity.seam import Seam

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from comity import Coordinator
    from comity.model import Contender, Holder, SessionInfo, StoredEvent

_PAGE = 1000
_DEADLINE = 5.0
LATE = 1.5
"""A session is late when it was not heard for this many of its heartbeat intervals."""


@attrs.frozen
class Picture:
    """The sessions by start, the holders by name, the waiters by name and place, as of `now_ms`."""

    now_ms: int
    sessions: tuple[SessionInfo, ...]
    holders: tuple[Holder, ...]
    contenders: tuple[Contender, ...]

    def held_by(self, agent_id: str) -> list[Holder]:
        """Return what a session holds, the oldest grant first."""
        mine = [holder for holder in self.holders if holder.agent_id == agent_id]
        return sorted(mine, key=lambda holder: (holder.since_ms, holder.name))

    def wanted_by(self, agent_id: str) -> list[Contender]:
        """Return what a session waits for, the longest wait first."""
        mine = [contender for contender in self.contenders if contender.agent_id == agent_id]
        return sorted(mine, key=lambda contender: (contender.since_ms, contender.name))

    def since(self, moment_ms: int) -> float:
        """Return the seconds from a moment of the store's clock until the look."""
        return max(self.now_ms - moment_ms, 0) / 1000


def look(me: Coordinator, prefix: str = "") -> Picture:
    """Read the sessions and the locks whose names begin with `prefix`: one step each, and one per held name."""
    sessions = tuple(me.sessions.active())
    names = dict.fromkeys(holder.name for holder in me.locks.held(prefix))
    seam = Seam(_DEADLINE)
    holders: list[Holder] = []
    contenders: dict[tuple[str, str], Contender] = {}
    now_ms = 0
    for name in names or ["comity"]:  # without any, a look at any name still tells the time
        view = seam.run(me.backend.locks.view(name))
        now_ms = max(now_ms, view.at_us // 1000)
        if name in names:
            holders += [holder for holder in view.holders if holder.name == name]
            for each in view.contenders:  # one that waits in an area is met at several names
                contenders.setdefault((each.name, each.request_id), each)
    waiting = sorted(contenders.values(), key=lambda each: (each.name.encode(), each.place))
    return Picture(now_ms, sessions, tuple(holders), tuple(waiting))


def now_ms(me: Coordinator) -> int:
    """Return the store's time: a look at any name tells it."""
    return Seam(_DEADLINE).run(me.backend.locks.view("comity")).at_us // 1000


def status_since(me: Coordinator, sessions: Sequence[SessionInfo]) -> dict[str, int]:
    """Return when each session took its present status, in ms of the store's clock.

    Read off the events, which are only looked through when some session ever changed its record. Where
    they are gone already, it is when the session joined.
    """
    since = {info.agent_id: info.started_ms for info in sessions}
    if not any(info.revision for info in sessions):
        return since
    started = dict(since)
    last: defaultdict[str, str | None] = defaultdict(lambda: None)
    for event in _system_events(me):
        if event.type not in {SystemEvent.SESSION_JOINED, SystemEvent.SESSION_UPDATED}:
            continue
        try:
            agent_id, info, _ = read_session_event(event)
        except (ValueError, KeyError, TypeError) as error:
            corrupt("session event", str(event.number), error)
            continue
        if info is not None and started.get(agent_id) == info.started_ms and last[agent_id] != info.status:
            last[agent_id] = info.status
            since[agent_id] = event.at_ms
    return since


def _system_events(me: Coordinator) -> Iterator[StoredEvent]:
    seam = Seam(_DEADLINE)
    position = TopicPosition(0, 0)
    while True:
        (part,) = seam.run(me.backend.pubsub.read({SYSTEM_TOPIC: position}, _PAGE))
        yield from part.events
        if not part.events or part.events[-1].number >= part.last:
            return
        position = TopicPosition(part.epoch, part.events[-1].number)
