"""From SQLite's errors to Comity's: what happened to the file, and the fix."""

from __future__ import annotations

import sqlite3

from comity.errors import BackendFull, BackendUnavailable, BackendUnfit, ComityError

_PRIMARY = 0xFF
_BUSY = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,  # too many starts and ends of the log at one moment
}
_FORBIDDEN = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_AUTH,
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def code_of(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code, 0 when the error is Python's own."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether trying again a little later may help: another process has the file's lock."""
    return code_of(error) in _BUSY


def is_full(error: sqlite3.Error) -> bool:
    """Tell whether the disk (or the file's allowed size) is full."""
    extended = getattr(error, "sqlite_errorcode", 0)
    return code_of(error) == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE


def translate(error: sqlite3.Error, where: str, step: str) -> ComityError:
    """Return the error to raise for `error`, which `step` met."""
    code = code_of(error)
    if is_full(error):
        return BackendFull(where, f"no room for {step} ({error})", "free some disk space")
    if code in _FORBIDDEN:
        return BackendUnfit(
            where,
            f"this user may not write it or its folder ({error})",
            "give the user write access to the file, its -wal and -shm files and the folder",
        )
    if code in _DAMAGED:
        return BackendUnfit(
            where,
            f"it is no sound SQLite database ({error})",
            "end all sessions, move the file with its -wal and -shm files away and start anew",
        )
    if code == sqlite3.SQLITE_ERROR:
        return BackendUnfit(
            where,
            f"its tables are not the ones expected ({error})",
            "name a file that only Comity writes",
        )
    return BackendUnavailable(where, str(error), step=step)
