"""The processes that a command has started, so that all of it can be stopped."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import attrs

_STATE, _PARENT, _STARTED = 0, 1, 19
"""Of the fields of ``/proc/<pid>/stat`` that follow the name."""


@attrs.frozen
class Process:
    """A process; `started` tells it from a later one with the same number, "" where that is not known."""

    pid: int
    started: str

    def runs(self) -> bool:
        """Tell whether it still runs."""
        if self.started:
            fields = _stat(self.pid)
            return fields is not None and fields[_STARTED] == self.started and fields[_STATE] not in "ZX"
        try:
            os.kill(self.pid, 0)
        except OSError:
            return False
        return True

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.runs():
            with contextlib.suppress(OSError):
                os.kill(self.pid, number)


def descendants(pid: int) -> list[Process]:
    """Return the processes that `pid` started, and those that they started; none where that cannot be told."""
    children: dict[int, list[Process]] = {}
    for parent, process in _processes():
        children.setdefault(parent, []).append(process)
    found: list[Process] = []
    rest = [pid]
    while rest:
        mine = children.get(rest.pop(), [])
        found += mine
        rest += [process.pid for process in mine]
    return found


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    return fields if len(fields) > _STARTED else None


def _processes() -> list[tuple[int, Process]]:
    """Return every process after its parent's number."""
    return _in_proc() if sys.platform.startswith("linux") else _from_ps()


def _in_proc() -> list[tuple[int, Process]]:
    found = []
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdecimal() else None
        if fields is not None:
            found.append((int(fields[_PARENT]), Process(int(entry.name), fields[_STARTED])))
    return found


def _from_ps() -> list[tuple[int, Process]]:
    command = ["ps", "-axo", "pid=,ppid="]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return []  # Windows has none
    pairs = [line.split() for line in listed.stdout.splitlines()]
    return [(int(parent), Process(int(pid), "")) for pid, parent in pairs]
