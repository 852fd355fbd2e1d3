"""One row per session, the same in ``status`` and in ``watch``: who, doing what and for how long, with which files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from comity.cli.screen import clean, span
from comity_guard import naming, wording
from comity_guard.seat import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity import Coordinator, Holder, SessionInfo
    from comity.cli.screen import Cell

HEAD = ("SESSION", "CLIENT", "STATE", "FOR", "BRANCH", "HOLDS", "WAITS FOR")
STYLES = {State.ACTIVE: "green", State.IDLE: "dim", State.NEEDS_INPUT: "bold yellow", State.FAILED: "bold red"}
LATE = 1.5


class Row(NamedTuple):
    """A session with what it holds and waits for."""

    info: SessionInfo
    holds: tuple[str, ...]
    waits: tuple[str, ...]

    @property
    def is_stale(self) -> bool:
        """Whether its heartbeat is overdue, though it is still believed to live."""
        return time.time() - self.info.last_heartbeat_ms / 1000 > LATE * self.info.heartbeat_interval

    @property
    def state(self) -> str:
        """What it does; ``stale`` when nothing was heard of it for too long."""
        return "stale" if self.is_stale else clean(self.info.status, 40)

    @property
    def since(self) -> float:
        """When it began to do so, in seconds since the epoch."""
        told: Any = self.info.metadata.get("state_since")
        return float(told) if isinstance(told, (int, float)) else self.info.started_ms / 1000

    def cells(self) -> list[Cell]:
        """Return the row as it is shown."""
        return [
            clean(self.info.agent_id, 60),
            clean(wording.client_of(self.info), 20),
            (self.state, STYLES.get(self.state, "yellow")),
            span(max(0.0, time.time() - self.since)),
            clean(self.info.metadata.get("branch") or "-", 40),
            _some(self.holds),
            _some(self.waits),
        ]

    def facts(self) -> dict[str, Any]:
        """Return the row for a program."""
        return {
            **self.info.to_dict(),
            "state": self.state,
            "state_for": max(0.0, time.time() - self.since),
            "holds": list(self.holds),
            "waits_for": list(self.waits),
        }


def read(me: Coordinator) -> list[Row]:
    """Return a row for each live session, the oldest first: an order that stays.

    Two round trips, and one for each file that is held.
    """
    holders = me.locks.held()
    rows = []
    waits: dict[str, dict[str, None]] = {}  # one that waits in a folder is met at several names
    for name in dict.fromkeys(holder.name for holder in holders if holder.name.startswith(naming.FILE)):
        for contender in me.locks.contenders(name):
            waits.setdefault(contender.agent_id, {})[naming.path_of(contender.name)] = None
    for info in me.sessions.active():
        holds = [naming.path_of(holder.name) for holder in _files(holders, info.agent_id)]
        rows.append(Row(info, tuple(holds), tuple(waits.get(info.agent_id, ()))))
    return rows


def _files(holders: Iterable[Holder], agent_id: str) -> list[Holder]:
    return [holder for holder in holders if holder.agent_id == agent_id and not holder.name.startswith(naming.TREE)]


def _some(names: tuple[str, ...]) -> str:
    if not names:
        return "-"
    return wording.path_text(names[0]) + (f" +{len(names) - 1}" if len(names) > 1 else "")
