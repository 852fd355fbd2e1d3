"""The default long-term store of patterns: a SQLite file of this user, one row for each promotion."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comity.folders import state_folder
from comity.patterns import Pattern, PatternStatus

if TYPE_CHECKING:
    from collections.abc import Generator

_BUSY_SECONDS = 5.0
_TABLE = """CREATE TABLE IF NOT EXISTS patterns (
    promotion_id TEXT    PRIMARY KEY,
    namespace    TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    content      TEXT    NOT NULL,  -- JSON, as context
    confidence   REAL    NOT NULL,
    context      TEXT    NOT NULL,
    staged_by    TEXT    NOT NULL,
    staged_ms    INTEGER NOT NULL,
    promoted_by  TEXT    NOT NULL,
    promoted_ms  INTEGER NOT NULL,
    reason       TEXT    NOT NULL
)"""
_COLUMNS = (
    "promotion_id, namespace, id, kind, name, content, confidence, context, staged_by, staged_ms, promoted_by,"
    " promoted_ms, reason"
)


def path_of_patterns(setting: str | None) -> Path:
    """Return the file that COMITY_PATTERNS names; without it, the one of this user."""
    return state_folder() / "comity" / "patterns.db" if setting is None else Path(setting).expanduser().absolute()


class PatternStore:
    """A SQLite file with the patterns that were promoted (any thread, any process).

    Flushed to the disk with each pattern. The file is made when the first one comes, readable by this user only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, pattern: Pattern, promotion_id: str, namespace: str) -> bool:
        """Store a pattern once per `promotion_id`, and tell whether it is new. Raises OSError or `sqlite3.Error`."""
        import msgspec

        row = (
            *(promotion_id, namespace, pattern.id, pattern.kind, pattern.name),
            msgspec.json.encode(pattern.content).decode(),
            pattern.confidence,
            msgspec.json.encode(pattern.context).decode(),
            *(pattern.staged_by, pattern.staged_ms, pattern.decided_by, pattern.decided_ms, pattern.reason),
        )
        with self._open() as connection:
            marks = ", ".join("?" * len(row))
            sql = f"INSERT INTO patterns ({_COLUMNS}) VALUES ({marks}) ON CONFLICT (promotion_id) DO NOTHING"  # noqa: S608
            return connection.execute(sql, row).rowcount == 1

    def read(self, namespace: str | None = None) -> list[Pattern]:
        """Return what was promoted (in a namespace), the oldest first; nothing when there is no file yet."""
        if not self.path.exists():
            return []
        where, values = ("WHERE namespace = ?", (namespace,)) if namespace is not None else ("", ())
        with self._open() as connection:
            sql = f"SELECT {_COLUMNS} FROM patterns {where} ORDER BY promoted_ms, promotion_id"  # noqa: S608
            return [_pattern(*row) for row in connection.execute(sql, values)]

    @contextlib.contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        """Open the file for one transaction."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        with contextlib.closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLE)
            yield connection
            connection.execute("COMMIT")


def _pattern(*row: Any) -> Pattern:
    import msgspec

    promotion_id, _, pattern_id, kind, name, content, confidence, context, staged_by, staged_ms, by, at_ms, reason = row
    return Pattern(
        id=pattern_id,
        name=name,
        content=msgspec.json.decode(content),
        kind=kind,
        confidence=confidence,
        context=msgspec.json.decode(context),
        status=PatternStatus.PROMOTED,
        staged_by=staged_by,
        staged_ms=staged_ms,
        promotion_id=promotion_id,
        decided_by=by,
        decided_ms=at_ms,
        reason=reason,
    )
