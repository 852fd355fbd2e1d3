"""The demo's resource: a fenced register, and beside it the journal that the verdict is computed from.

One SQLite file in the demo's own folder, apart from the store that is being shown. A write carries the
lease's fencing token; the register takes it only when no newer token has written that name, and keeps
a row of every attempt, taken or refused, in one order (`seq`) that all processes agree on.
"""

from __future__ import annotations

import json
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Self

import attrs

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS newest (name TEXT PRIMARY KEY, token INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS writes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, token INTEGER NOT NULL,
    agent TEXT NOT NULL, taken INTEGER NOT NULL, mono_us INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS holds (
    name TEXT NOT NULL, token INTEGER NOT NULL, agent TEXT NOT NULL, asked_us INTEGER NOT NULL,
    got_us INTEGER NOT NULL, released_us INTEGER NOT NULL, kept INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS notes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, agent TEXT NOT NULL, mono_us INTEGER NOT NULL,
    fact TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, at_ms INTEGER NOT NULL, fact TEXT NOT NULL);
"""
BEGIN, END, LATE = "begin", "end", "late"


def mono_us() -> int:
    """Microseconds on the clock that all processes of this machine share."""
    return time.monotonic_ns() // 1000


@attrs.frozen
class Write:
    """One attempt to write `name` with `token`; `taken`: the register took it."""

    seq: int
    kind: str
    name: str
    token: int
    agent: str
    taken: bool
    mono_us: int
    detail: str = ""


@attrs.frozen
class Hold:
    """One lease from the asking to the release, in microseconds; `kept`: it was not lost meanwhile."""

    name: str
    token: int
    agent: str
    asked_us: int
    got_us: int
    released_us: int
    kept: bool


@attrs.frozen
class Note:
    """Something that the demo did or that a session said of itself."""

    kind: str
    agent: str
    mono_us: int
    fact: dict[str, Any]


@attrs.frozen
class Told:
    """One event of the store's own, as it published it."""

    type: str
    at_ms: int
    fact: dict[str, Any]


@attrs.frozen
class Journal:
    """All that was recorded, in order."""

    writes: tuple[Write, ...]
    holds: tuple[Hold, ...]
    notes: tuple[Note, ...]
    events: tuple[Told, ...]


class Register:
    """One process's (or thread's) way to the register. `blind`: it takes everything, a planted fault."""

    def __init__(self, path: Path, *, blind: bool = False) -> None:
        self._blind = blind
        self._base = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = OFF")  # it need not survive a power cut
        self._base.executescript(_SCHEMA)

    def write(self, kind: str, name: str, token: int, agent: str, detail: str = "") -> bool:
        """Write `name` with `token`; False when a newer token has written it: the write is refused."""
        base = self._base
        base.execute("BEGIN IMMEDIATE")
        try:
            row = base.execute("SELECT token FROM newest WHERE name = ?", (name,)).fetchone()
            taken = self._blind or row is None or token >= row[0]
            if taken:
                base.execute("INSERT OR REPLACE INTO newest VALUES (?, ?)", (name, token))
            base.execute(
                "INSERT INTO writes (kind, name, token, agent, taken, mono_us, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (kind, name, token, agent, taken, mono_us(), detail),
            )
        except BaseException:
            base.execute("ROLLBACK")
            raise
        base.execute("COMMIT")
        return taken

    def newest(self, name: str) -> int:
        """Return the newest token that has written `name`, 0 when none has."""
        row = self._base.execute("SELECT token FROM newest WHERE name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def grants(self) -> int:
        """Return how many leases wrote so far."""
        return int(self._base.execute("SELECT count(*) FROM writes WHERE kind = ?", (BEGIN,)).fetchone()[0])

    def hold(self, hold: Hold) -> None:
        """Record a lease that is over."""
        self._base.execute("INSERT INTO holds VALUES (?, ?, ?, ?, ?, ?, ?)", attrs.astuple(hold))

    def note(self, kind: str, agent: str = "", **fact: Any) -> None:
        """Record something that was done or said."""
        self._base.execute(
            "INSERT INTO notes (kind, agent, mono_us, fact) VALUES (?, ?, ?, ?)",
            (kind, agent, mono_us(), json.dumps(fact)),
        )

    def event(self, told: Told) -> None:
        """Record an event of the store."""
        self._base.execute(
            "INSERT INTO events (type, at_ms, fact) VALUES (?, ?, ?)", (told.type, told.at_ms, json.dumps(told.fact))
        )

    def read(self) -> Journal:
        """Return all that was recorded."""
        rows = self._base.execute
        return Journal(
            tuple(
                Write(seq, kind, name, token, agent, bool(taken), at, detail)
                for seq, kind, name, token, agent, taken, at, detail in rows("SELECT * FROM writes ORDER BY seq")
            ),
            tuple(
                Hold(name, token, agent, asked, got, released, bool(kept))
                for name, token, agent, asked, got, released, kept in rows("SELECT * FROM holds ORDER BY token")
            ),
            tuple(
                Note(kind, agent, at, json.loads(fact))
                for kind, agent, at, fact in rows("SELECT kind, agent, mono_us, fact FROM notes ORDER BY seq")
            ),
            tuple(
                Told(kind, at_ms, json.loads(fact))
                for kind, at_ms, fact in rows("SELECT type, at_ms, fact FROM events ORDER BY seq")
            ),
        )

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
