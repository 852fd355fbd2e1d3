"""Rows of every table of SQLite, spoiled: no reader breaks, no good row is hidden, work goes on (rule X7)."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from comity.testing.kit import Stage
from comity.testing.kit.rules import rule
from comity_sqlite import SqliteBackend
from tests.fuzz.cases import fuzzed
from tests.fuzz.spoiling import harms_nothing_else
from tests.fuzz.town import Town

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fuzz.spoiling import Spoil

NUMBERS = (0, 1, -1, 7, 0.5, 1e300, 2**62, -(2**62), 2**63 - 1, 10**15, None)
NOT_RECORDS = {"host", "ballast"}
"""The clock and the room for a full disk: of the file, not of a namespace."""
NAME_OF_ALL = {("spaces", "id"), ("spaces", "name")}

FOUND = [
    "UPDATE sessions SET ttl_ms = 9223372036854775807 WHERE agent_id = 'w-ann'",
    "UPDATE sessions SET ttl_ms = -9223372036854775807 WHERE agent_id = 'w-ann'",
    "UPDATE sessions SET version = 9223372036854775807 WHERE agent_id = 'w-bob'",
    "UPDATE sessions SET version = 0 WHERE agent_id = 'w-bob'",
    "UPDATE sessions SET agent_id = x'ff' WHERE agent_id = 'w-ann'",
    "UPDATE requests SET renewal = 'often'",
    "UPDATE requests SET session = 999 WHERE id = (SELECT min(id) FROM requests)",
    "UPDATE spaces SET token = 9223372036854775807, members = -1, hurry = 9223372036854775807",
    "UPDATE topics SET last = 9223372036854775807 WHERE name IN ('comity', 'w-topic')",
    "UPDATE task_feeds SET last = 'the last'",
    "UPDATE tasks SET ends_us = 0 WHERE status = 0 AND queue = 'w-queue'",
]
"""What was found by spoiling at random, each by itself."""

Row = tuple[str, tuple[Any, ...]]
"""Of which table, and its key."""


class Books:
    """The rows of a file, as a vandal sees them."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.text_factory = bytes
        self._kept = sqlite3.connect(":memory:")
        self._west: set[Row] = set()
        self.records: list[tuple[Row, str]] = []

    def close(self) -> None:
        self._file.close()
        self._kept.close()

    def note_the_west(self) -> None:
        self._west = set(self._rows())

    def keep(self) -> None:
        """Take what is there now for good: what came since the west was noted is the east."""
        self._file.backup(self._kept)
        rows = sorted(row for row in self._rows() if row in self._west)
        told = [(row, column) for row in rows for column in self._columns(row[0])]
        self.records = [(row, column) for row, column in told if (row[0], column) not in NAME_OF_ALL]

    def restore(self) -> None:
        self._kept.backup(self._file)

    def spoil(self, spoil: Spoil) -> None:
        (table, key), column = self.records[spoil.which % len(self.records)]
        where = " AND ".join(f"{name} IS ?" for name in self._key(table))
        with contextlib.suppress(sqlite3.IntegrityError, OverflowError):  # the file itself keeps that out
            found = self._file.execute(f"SELECT {column} FROM {table} WHERE {where}", key).fetchone()  # noqa: S608
            if found is not None:
                self._file.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {where}",  # noqa: S608
                    (_spoiled(found[0], spoil), *key),
                )

    def execute(self, sql: str) -> int:
        return self._file.execute(sql).rowcount

    def _rows(self) -> Iterator[Row]:
        tables = self._file.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        for (name,) in tables:
            table = name.decode()
            if table not in NOT_RECORDS and not table.startswith("sqlite_"):
                key = ", ".join(self._key(table))
                yield from ((table, row) for row in self._file.execute(f"SELECT {key} FROM {table} ORDER BY {key}"))  # noqa: S608

    def _key(self, table: str) -> list[str]:
        columns = self._file.execute(f"PRAGMA table_info({table})").fetchall()
        return [name.decode() for _, name, _, _, _, key in columns if key] or ["rowid"]

    def _columns(self, table: str) -> list[str]:
        return [name.decode() for _, name, *_ in self._file.execute(f"PRAGMA table_info({table})")]


def _spoiled(value: Any, spoil: Spoil) -> Any:
    if spoil.part == "number":
        return NUMBERS[spoil.where % len(NUMBERS)]
    text = value if isinstance(value, bytes) else str(value).encode()
    changed = spoil(text)
    return changed if spoil.part == "blob" else changed.decode(errors="replace")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[Town, Books]]:
    """Build the town in a file."""
    with (
        contextlib.closing(Stage(lambda name: SqliteBackend(path, name), "sync")) as stage,
        contextlib.closing(Books(path)) as books,
    ):
        town = Town(stage, books.note_the_west)
        books.keep()
        yield town, books


@pytest.fixture
def town(tmp_path: Path) -> Iterator[tuple[Town, Books]]:
    with opened(tmp_path / "fuzz.db") as found:
        yield found


@rule("X7")
@fuzzed(15, 5_000)
def test_a_spoiled_row_harms_nothing_but_itself(cases: int, town: tuple[Town, Books]) -> None:
    west, books = town
    assert len(books.records) > 300
    harms_nothing_else(cases, west, books, "text", "blob", "number")


@rule("X7")
@pytest.mark.parametrize("sql", FOUND)
def test_what_was_found_once_harms_nobody_again(sql: str, town: tuple[Town, Books]) -> None:
    west, books = town
    assert books.execute(sql)
    west.check()
