"""Whether a client's process still runs: its id alone may have been given to another since."""

from __future__ import annotations

import os
import sys

_START_FIELD = 19
_BETWEEN = frozenset({"comity", "sh", "bash", "dash", "zsh", "env", "uv", "uvx", "pipx", "timeout"})
"""Programs that may stand between a client and its hook."""
_HIGHEST = 16


def started(pid: int) -> str:
    """Return when the process started, in a form that only serves to compare; "" when that cannot be told."""
    fields = _stat(pid)
    return fields[_START_FIELD] if len(fields) > _START_FIELD else ""


def runs(pid: int, start: str = "") -> bool:
    """Tell whether the process runs, and is the one that started then. Not knowing counts as running."""
    if pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    if sys.platform != "linux":
        return True
    fields = _stat(pid)
    if not fields:
        return False
    return fields[0] != "Z" and (not start or fields[_START_FIELD] == start)


def client_above() -> int:
    """Return the process that started this one, passing over shells and launchers; 0 when there is none to be told."""
    pid = os.getppid()
    for _ in range(_HIGHEST):
        if pid <= 1:
            return 0
        if _name(pid) not in _BETWEEN:
            return pid
        fields = _stat(pid)
        if len(fields) < 2:  # noqa: PLR2004 - state and parent
            return 0
        pid = int(fields[1])
    return 0


def ancestors() -> list[int]:
    """Return the processes above this one, the nearest first, as far as that can be told."""
    found: list[int] = []
    pid = os.getppid()
    while pid > 1 and len(found) < _HIGHEST:
        found.append(pid)
        fields = _stat(pid)
        pid = int(fields[1]) if len(fields) > 1 else 0
    return found


def _stat(pid: int) -> list[str]:
    """Return what Linux tells of a process after its name: state, parent, ...; [] when it tells nothing."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return []
    return text[text.rfind(")") + 2 :].split()  # the name may hold spaces and brackets


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
