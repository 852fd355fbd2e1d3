"""Where else a session sits: it has a seat in each repository in which it has edited a file, whatever its folder is.

Read from the registries that the session hosts keep, apart from the path of an edit.
"""

from __future__ import annotations

import os

from comity_guard import text
from comity_guard.kinds import Kind
from comity_guard.meeting import Meeting

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from typing import Any

    from comity_guard.report import Report

_SUFFIX = ".json"


def seats(report: Report, folder: str, called: Container[str]) -> Iterator[tuple[Meeting, Report]]:
    """Yield the other hosts that a report concerns, each with what it should be told.

    A host that knows the session is told the same, but for a start: a session begins where it works. A host that knows
    another session of a client that has just gone over to this one (`replaces`) is told that the other is over.

    `folder`: where the hosts keep their registries; `called`: the keys of those that were told already.
    """
    for name in sorted(os.listdir(folder)):
        key = name.removesuffix(_SUFFIX)
        if key == name or key in called:
            continue
        for client, session, pid in _rows(os.path.join(folder, name)):
            if client != report["client"]:
                continue
            if session == report["session"]:
                if report["kind"] != Kind.START:
                    yield Meeting("", "", folder, key), report
                break
            if report.get("replaces") and pid and pid == report["pid"]:
                over: Any = {**report, "session": session, "agent": "", "kind": Kind.END}
                yield Meeting("", "", folder, key), over
                break


def _rows(path: str) -> Iterator[tuple[str, str, int]]:
    """Yield whom a host acts for; nothing of a file that cannot be read just now."""
    try:
        with open(path, encoding="utf-8") as file:
            rows: Any = text.loads(file.read())
        for client, session, _, pid, _, _ in rows:
            yield client, session, pid
    except (OSError, ValueError, TypeError):
        return
