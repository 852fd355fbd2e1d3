"""Whom a session host acts for, kept in a file so that the next host can go on where this one was killed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from comity_guard.seat import Key

if TYPE_CHECKING:
    from collections.abc import Iterable


class Entry(NamedTuple):
    """One client session; `secret` is the handle by which any process may act for it."""

    key: Key
    pid: int
    start: str
    secret: str


def load(path: str) -> list[Entry]:
    """Return what the last host left; what cannot be read is left out, for then its session ends by itself."""
    try:
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)
    except (OSError, ValueError):
        return []
    entries = []
    for row in rows if isinstance(rows, list) else ():
        try:
            client, session, agent, pid, start, secret = row
            entries.append(Entry(Key(str(client), str(session), str(agent)), int(pid), str(start), str(secret)))
        except (TypeError, ValueError):
            continue
    return entries


def save(path: str, entries: Iterable[Entry]) -> None:
    """Replace the file in one step; only this user can read it."""
    rows = [[*entry.key, entry.pid, entry.start, entry.secret] for entry in entries]
    fresh = f"{path}.{os.getpid()}"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(rows, file)
    os.replace(fresh, path)
