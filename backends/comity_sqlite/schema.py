"""The tables: made once, checked at every opening, and wound forward over a restart of the machine."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from comity.errors import BackendUnfit, ComityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comity_sqlite.clock import HostClock
    from comity_sqlite.step import Step

T = TypeVar("T")

APPLICATION = 0x436F6D74
"""``Comt``: tells the file from other programs' databases."""
VERSION = 2
_COLUMNS: dict[int, tuple[tuple[str, str], ...]] = {
    2: (
        ("requests", "pool INTEGER NOT NULL DEFAULT 0"),
        ("requests", "weight INTEGER NOT NULL DEFAULT 1"),
        ("wants", "pref INTEGER NOT NULL DEFAULT 0"),
        ("tasks", "pushed_by TEXT NOT NULL DEFAULT ''"),
        ("tasks", "by_hand INTEGER NOT NULL DEFAULT 0"),
    )
}
"""What each version added to tables that were there before; new tables need nothing here."""
_BALLAST_BYTES = 256 * 1024


def _statements() -> Iterator[str]:
    text = ""
    for line in Path(__file__).with_name("schema.sql").read_text(encoding="utf-8").splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def _is_ready(connection: sqlite3.Connection, where: str) -> bool:
    """Tell whether the tables are as they should be; raise when they are a newer Comity's or another program's."""
    # Read first: whoever makes the tables writes all three at once, perhaps between these lines.
    something = _number(connection, "schema_version")
    application, version = _number(connection, "application_id"), _number(connection, "user_version")
    if application == APPLICATION and version == VERSION:
        return True
    if application == APPLICATION and version < VERSION:
        return False
    if application == APPLICATION:
        raise BackendUnfit(
            where,
            f"a newer Comity made it (layout {version}, this one knows {VERSION})",
            "upgrade comity here, or name another file",
        )
    if something or application or (version and connection.in_transaction):
        raise BackendUnfit(where, "it is another program's database", "name a file of its own")
    return False


def ensure(connection: sqlite3.Connection, where: str, namespace: str, clock: HostClock) -> int:
    """Make the tables and the namespace's row where they are missing; return the namespace's number.

    Raises `BackendUnfit`, or sqlite3's "busy" when another process is at it.
    """
    ready = _is_ready(connection, where)
    mode = connection.execute(f"PRAGMA journal_mode{'' if ready else ' = WAL'}").fetchone()[0]
    if mode != "wal":
        raise BackendUnfit(
            where,
            f"SQLite cannot keep a write-ahead log there (journal mode {mode!r})",
            "put the file on a local disk, not on a network file system",
        )
    if not ready:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not _is_ready(connection, where):
                _create(connection)
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
    space = _space(connection, namespace)
    if space is not None and _is_this_boot(connection, clock):
        return space
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _is_this_boot(connection, clock):
            _begin_boot(connection, clock)
        connection.execute("INSERT OR IGNORE INTO spaces (name) VALUES (?)", (namespace,))
        space = _space(connection, namespace)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    if space is None:
        raise BackendUnfit(where, "it does not keep what is written", "look at the disk")
    return space


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables, or bring those of an older layout up to date; nothing in them is lost."""
    before = _number(connection, "user_version")
    for version in range(before + 1, VERSION + 1) if before else ():
        for table, column in _COLUMNS[version]:
            if _has_table(connection, table):
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    for statement in _statements():
        connection.execute(statement)
    fill_ballast(connection.execute)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
    return there.fetchone() is not None


def _space(connection: sqlite3.Connection, namespace: str) -> int | None:
    row = connection.execute("SELECT id FROM spaces WHERE name = ?", (namespace,)).fetchone()
    return None if row is None else int(row[0])


def _is_this_boot(connection: sqlite3.Connection, clock: HostClock) -> bool:
    """Tell whether the stored readings of the monotonic clock count from the same instant as ours."""
    row = connection.execute("SELECT boot, mono_us FROM host").fetchone()
    return row is not None and row[0] == clock.boot() and row[1] <= clock.mono_us()


def _begin_boot(connection: sqlite3.Connection, clock: HostClock) -> None:
    """The machine was restarted: every session's process is gone, so every session is due."""
    connection.execute("UPDATE sessions SET due_us = 0")
    connection.execute("DELETE FROM ended")
    connection.execute(
        "INSERT OR REPLACE INTO host (id, boot, mono_us) VALUES (1, ?, ?)",
        (clock.boot(), clock.mono_us()),
    )


def fill_ballast(execute: Callable[[str, tuple[object, ...]], object]) -> None:
    """Set room aside that releases and departures get when the disk is full."""
    execute("INSERT OR IGNORE INTO ballast (id, filler) VALUES (1, zeroblob(?))", (_BALLAST_BYTES,))


def without_ballast(body: Callable[[Step], T | ComityError]) -> Callable[[Step], T | ComityError]:
    """Perform `body` in the room that was set aside."""

    def lighter(step: Step) -> T | ComityError:
        step.do("DELETE FROM ballast")
        return body(step)

    return lighter
