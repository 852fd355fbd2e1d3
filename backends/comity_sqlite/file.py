"""The database file: made private, opened with care, and told apart from one put in its place."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from typing import TYPE_CHECKING

from comity.errors import BackendUnfit
from comity_sqlite import forks

if TYPE_CHECKING:
    from pathlib import Path

OLDEST_SQLITE = (3, 35, 0)
_MODE = "rw"
_STATEMENTS = 256
_PAGE_CACHE_KIB = 4096

LOG_LIMIT = 8 * 1024 * 1024
"""Bytes of write-ahead log beyond which it is written back; the log file keeps this size, as reserve."""


def identity(path: Path) -> tuple[int, int] | None:
    """Return which file `path` names now, None when there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - on the path of every step
    except OSError:
        return None
    return found.st_dev, found.st_ino


def prepare(path: Path, where: str) -> None:
    """Make the folder (0700) and an empty file (0600) where there is none; refuse what is not ours.

    An existing file is looked at, never opened: closing any descriptor of it would drop the locks that
    SQLite holds on it in this process. An existing folder keeps its permissions.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise BackendUnfit(
            where,
            f"this Python has SQLite {sqlite3.sqlite_version}, 3.35 is the oldest that will do",
            "use a newer Python, or Redis",
        )
    try:
        _make_folder(path.parent)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            _judge(path, where)
    except OSError as error:
        raise BackendUnfit(
            where,
            f"{path} cannot be made: {error.strerror or error}",
            "name a file in a folder that this user may write",
        ) from error
    if identity(path) in forks.tainted:
        raise BackendUnfit(
            where,
            "this process was forked in the middle of another thread's step on it",
            "start processes with the spawn method, or fork before connecting",
        )


def _make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents, readable by this user only."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)


def _judge(path: Path, where: str) -> None:
    """Refuse a link, something that is no plain file, and another user's file."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise BackendUnfit(
            where,
            "it is a symbolic link, which others could point elsewhere",
            f"name the file itself: {path.resolve()}",
        )
    if not stat.S_ISREG(found.st_mode):
        raise BackendUnfit(where, "it is no plain file", "name another path")
    if sys.platform != "win32" and found.st_uid != os.geteuid() and os.geteuid() != 0:
        raise BackendUnfit(
            where,
            f"it belongs to user {found.st_uid}, this is user {os.geteuid()}",
            "use a file of your own; sessions of several users meet on Redis",
        )


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection without waiting for locks; the runner does the waiting.

    ``synchronous=NORMAL``: a power cut may take the latest steps, never the file's integrity; a killed
    process takes nothing. The log is written back by the runner, see `Runner`.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={_MODE}",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
    try:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_LIMIT}")
        connection.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection
