"""One transaction as the ports see it: its namespace, its one clock reading, its tokens and marks."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from comity.errors import SessionLost

if TYPE_CHECKING:
    import sqlite3

    from comity.model import SessionRef
    from comity_sqlite.clock import HostClock

MEMORY_US = 90_000_000
"""How long ended ids are remembered at least, while there are no more than `MEMORY_ROWS` of them."""
MEMORY_ROWS = 200_000
_FORGOTTEN_PER_STEP = 4
NONSENSE = 9 * 10**15
"""No clock in microseconds says so before the year 2255, and nothing counts so far: another program left it there."""
_LATEST_US = 2**62
"""More than a step adds, so that the memory shrinks however fast steps come."""


class Kind(enum.IntEnum):
    """What an ended id is the id of."""

    REQUEST = 0
    INCARNATION = 1
    EVENT = 2
    SETTLEMENT = 3
    BREAKING = 4
    STATE = 5
    TASK = 6
    BROADCAST = 7
    EVICTION = 8


class How(enum.IntEnum):
    """What became of it."""

    VOID = 0
    """It was withdrawn, or ended before it began."""
    DONE = 1
    """Its owner's own step ended it: released, departed, published."""
    LOST = 2
    """It was taken away."""


class End(NamedTuple):
    """What is remembered of an ended id."""

    how: How
    reason: str
    epoch: int
    number: int


@attrs.define
class SessionRow:
    """A session's row; `id` numbers it within the file."""

    id: int
    agent_id: str
    incarnation: str
    started_ms: int
    beat_ms: int
    due_us: int
    ttl_ms: int
    interval_ms: int
    version: int


_SESSION = (
    "SELECT id, agent_id, incarnation, started_ms, beat_ms, due_us, ttl_ms, interval_ms, version FROM sessions WHERE "
)


class Step:
    """One transaction. Made by the runner; `finish` before the commit writes back the space's row."""

    __slots__ = (
        "_dirty",
        "_space",
        "asker",
        "deaf",
        "execute",
        "freed",
        "fresh",
        "has_bereaved",
        "has_ended_one",
        "left",
        "now_us",
        "rings",
        "space",
        "unwatched",
        "wall_us",
    )

    def __init__(self, connection: sqlite3.Connection, space: int, clock: HostClock) -> None:
        self.execute = connection.execute
        self.space = space
        self.now_us = clock.mono_us()
        self.wall_us = clock.wall_us()
        self.has_ended_one = False
        """Whether the step has ended a session that it met: it ends one at most."""
        self.asker = 0
        """The request (by row) on whose behalf the step is: alive, and told by the answer itself."""
        self.freed: set[str] = set()
        """Names where a waiting request may go now; they are served at the end."""
        self.left: set[str] = set()
        """Names that a request has left; what is known of them may be forgotten."""
        self.deaf: dict[str, bool] = {}
        """The listeners looked for in this step, and whether each is gone."""
        self.rings = False
        """Whether listeners have something to hear."""
        self.fresh: list[str] = []
        """The queue of each task that the step made ready and nobody was woken for yet."""
        self.unwatched: set[str] = set()
        """Queues in which the first claim in line should look at the time anew."""
        self.has_bereaved = False
        """Whether tasks have ended whose dependents do not know it yet."""
        counts = self.one("SELECT token, members, hurry FROM spaces WHERE id = ?", space) or (0, 0, 0)
        # What another program left there begins anew: a token by the clock, what is counted by the second of it.
        anew = 0, self.wall_us // 1_000_000, self.wall_us // 1_000_000
        self._space: list[int] = [n if 0 <= n < NONSENSE else n0 for n, n0 in zip(counts, anew, strict=True)]
        self._dirty = False

    def one(self, sql: str, *values: object) -> Any:
        """Return the first row, or None."""
        cursor = self.execute(sql, values)
        row = cursor.fetchone()
        cursor.close()
        return row

    def all(self, sql: str, *values: object) -> list[Any]:
        """Return all rows."""
        return self.execute(sql, values).fetchall()

    def do(self, sql: str, *values: object) -> int:
        """Change rows and return how many."""
        return self.execute(sql, values).rowcount

    def add(self, sql: str, *values: object) -> int:
        """Insert a row and return its number."""
        return self.execute(sql, values).lastrowid or 0

    # ------------------------------------------------------------------------------------- time

    @property
    def at_us(self) -> int:
        """The step's time for answers: the wall clock, but never behind the namespace's latest token."""
        return max(self.wall_us, self._space[0])

    @property
    def wall_ms(self) -> int:
        """`at_us` in milliseconds."""
        return self.at_us // 1000

    def due_in(self, ms: int) -> int:
        """Return when so many milliseconds will have passed; however many are on record."""
        return max(min(self.now_us + ms * 1000, _LATEST_US), 0)

    def left_ms(self, due_us: int) -> int:
        """Return the milliseconds until `due_us`, rounded up: after them it has come."""
        return -((self.now_us - due_us) // 1000)

    # --------------------------------------------------------------------------- the space's row

    def token(self) -> int:
        """Take the next fencing token or queue number."""
        self._space[0] = token = max(self._space[0] + 1, self.wall_us)
        self._dirty = True
        return token

    @property
    def members(self) -> int:
        """The version of the membership."""
        return self._space[1]

    def membership_changed(self) -> None:
        """Count a joined, left or updated session."""
        self._space[1] += 1
        self._dirty = True

    def hurry(self) -> None:
        """Have every listener look at the deadlines."""
        self._space[2] += 1
        self._dirty = self.rings = True

    def finish(self) -> None:
        """Let those know whom the step concerns, and write back what changed of the space's row."""
        if self.has_bereaved or self.fresh or self.unwatched:
            from comity_sqlite.lines import settle  # which needs this module

            settle(self)
        if self._dirty:
            self.do(
                "UPDATE spaces SET token = ?, members = ?, hurry = ? WHERE id = ?",
                *self._space,
                self.space,
            )

    # --------------------------------------------------------------------------------- sessions

    def session_called(self, agent_id: str) -> SessionRow | None:
        """Return the session of this id, whether its deadline has passed or not."""
        row = self.one(_SESSION + "space = ? AND agent_id = ?", self.space, agent_id)
        return None if row is None else SessionRow(*row)

    def session_numbered(self, number: int) -> SessionRow | None:
        """Return the session of this row number."""
        row = self.one(_SESSION + "id = ?", number)
        return None if row is None else SessionRow(*row)

    def incarnation(self, ref: SessionRef) -> SessionRow | None:
        """Return this very session, whether its deadline has passed or not."""
        found = self.session_called(ref.agent_id)
        return found if found is not None and found.incarnation == ref.incarnation else None

    def lives(self, session: SessionRow | None) -> bool:
        """Tell whether there is such a session and its deadline lies ahead."""
        return session is not None and self.now_us < session.due_us

    def why_over(self, ref: SessionRef) -> str:
        """Say how a session that does not live ended; empty when nothing is known of it."""
        end = self.ended(Kind.INCARNATION, ref.incarnation)
        if end is not None:
            return end.reason
        return "" if self.incarnation(ref) is None else "expired"

    def lost(self, ref: SessionRef) -> SessionLost:
        """Return the error for a session that is over."""
        return SessionLost(ref.agent_id, self.why_over(ref) or "expired")

    # ------------------------------------------------------------------------------------- marks

    def ended(self, kind: Kind, key: str) -> End | None:
        """Return what is remembered of an ended id."""
        row = self.one(
            "SELECT how, reason, epoch, number FROM ended WHERE space = ? AND kind = ? AND key = ?",
            self.space,
            kind,
            key,
        )
        return None if row is None else End(*row)

    def mark(self, kind: Kind, key: str, how: How, reason: str = "", *, epoch: int = 0, number: int = 0) -> None:
        """Remember that an id is over (the first mark stands) and forget a few old ones."""
        self.do(
            "INSERT OR IGNORE INTO ended (space, kind, key, at_us, how, reason, epoch, number)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            self.space,
            kind,
            key,
            self.now_us,
            how,
            reason,
            epoch,
            number,
        )
        self.do(
            "DELETE FROM ended WHERE id IN (SELECT id FROM ended ORDER BY id LIMIT ?)"
            " AND (at_us < ? OR id <= (SELECT max(id) FROM ended) - ?)",
            _FORGOTTEN_PER_STEP,
            self.now_us - MEMORY_US,
            MEMORY_ROWS,
        )
