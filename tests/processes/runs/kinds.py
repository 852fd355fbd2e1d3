"""What can befall a run, and what each fault excuses: one table, which the documentation shows as well.

Nothing else is excused. Whoever is named in a column is excused of what the column says, from the fault's
beginning until it is over and has been noticed; what is said of data is excused for whatever was under way then.
"""

from __future__ import annotations

import enum

import attrs


class Whose(enum.StrEnum):
    """Whom an excuse is for."""

    NOBODY = "-"
    VICTIM = "the victim"
    ALL = "all"


@attrs.frozen
class Excuse:
    """What a fault excuses.

    `halted`: whose calls may take longer than their time. `late`: who may be served or told later than promised.
    `unheard`: whose place in a line others may pass, because no wake-up reaches it (L6). `data`: what the store lost
    ended at that instant. `why`: the reason, or what holds all the same.
    """

    halted: Whose = Whose.NOBODY
    late: Whose = Whose.NOBODY
    unheard: Whose = Whose.NOBODY
    data: bool = False
    why: str = ""


class Kind(enum.StrEnum):
    """The faults, by the names they have in reports."""

    KILL = "SIGKILL"
    STOP = "SIGSTOP for a moment"
    STOP_LONG = "SIGSTOP past the lease"
    FORK = "fork in the middle"
    INTERRUPT = "KeyboardInterrupt, task cancelled"
    REPLY_LOST = "reply lost, then reset"
    REPLY_SILENT = "reply lost in silence"
    REQUEST_LOST = "request lost"
    DELAY = "messages delayed"
    HALF_OPEN = "half-open connections"
    RESET = "connections reset"
    BLACKHOLE = "blackhole"
    STEP_LOST = "request lost at the seam"
    ANSWER_LOST = "reply lost at the seam"
    CLIENT_KILL = "CLIENT KILL"
    SCRIPT_FLUSH = "SCRIPT FLUSH"
    RESTART = "restart, appendfsync always"
    CLOCK = "clock step"
    RESTART_EMPTY = "restart without persistence"
    FLUSHALL = "FLUSHALL"
    EVICTION = "eviction (allkeys-random)"
    FAIL_OVER = "fail-over"
    SLOT_MOVE = "slot moved"
    NODE_RESTART = "node restarted"


_V, _A = Whose.VICTIM, Whose.ALL
_LINK = Excuse(late=_V, unheard=_V, why="its calls end in their time, by an error if need be")
_STOPPED = Excuse(halted=_V, late=_V, why="it does nothing meanwhile; its session ends at its deadline")
_AWAY = Excuse(late=_A, unheard=_A, why="nobody is served meanwhile; calls end in their time")
_GONE = Excuse(late=_A, unheard=_A, data=True, why="afterwards tokens grow, fences hold, and all are told")

EXCUSES: dict[Kind, Excuse] = {
    Kind.KILL: Excuse(late=_V, unheard=_V, why="it is dead; its session ends at its deadline"),
    Kind.STOP: _STOPPED,
    Kind.STOP_LONG: _STOPPED,
    Kind.FORK: Excuse(why="the parent goes on as before"),
    Kind.INTERRUPT: Excuse(why="the call that was ended leaves nothing"),
    Kind.REPLY_LOST: _LINK,
    Kind.REPLY_SILENT: _LINK,
    Kind.REQUEST_LOST: _LINK,
    Kind.DELAY: _LINK,
    Kind.HALF_OPEN: _LINK,
    Kind.RESET: _LINK,
    Kind.BLACKHOLE: _LINK,
    Kind.STEP_LOST: Excuse(why="the step is tried again"),
    Kind.ANSWER_LOST: Excuse(why="the step is tried again, and takes effect once"),
    Kind.CLIENT_KILL: Excuse(late=_A, unheard=_A, why="all connect again"),
    Kind.SCRIPT_FLUSH: Excuse(why="scripts are loaded again"),
    Kind.RESTART: _AWAY,
    Kind.CLOCK: Excuse(late=_A, why="times shift by the step; a session whose deadline it passes is over"),
    Kind.RESTART_EMPTY: _GONE,
    Kind.FLUSHALL: _GONE,
    Kind.EVICTION: attrs.evolve(_GONE, why=f"a full server may refuse with BackendFull; {_GONE.why}"),
    Kind.FAIL_OVER: attrs.evolve(_GONE, why=f"two may take writes until all agree, and one's are lost; {_GONE.why}"),
    Kind.SLOT_MOVE: _AWAY,
    Kind.NODE_RESTART: _AWAY,
}

LOSING = frozenset(kind for kind, excuse in EXCUSES.items() if excuse.data)
"""Faults by which the store loses what it was told."""


def table() -> str:
    """Return the table as Markdown."""
    rows = ["| fault | calls may last | served or told late | overtaken in line | data | why |"]
    rows += ["| --- | --- | --- | --- | --- | --- |"]
    for kind, excuse in EXCUSES.items():
        data = "ended at that instant" if excuse.data else str(Whose.NOBODY)
        rows.append(f"| {kind} | {excuse.halted} | {excuse.late} | {excuse.unheard} | {data} | {excuse.why} |")
    return "\n".join(rows)
