"""Whether the process behind a listener's address still runs, seen from another process.

An address is ``pid:start:space:suffix``: the process id, when that process started (a process id is used
again), the process id namespace (containers count their own), and which of its listeners.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
from pathlib import Path
from typing import Any

_PARTS = 4
_START_FIELD = 19
"""Of what follows the name in ``/proc/<pid>/stat``: field 22 of the whole line."""
_SYNCHRONIZE = 0x100000
_WAIT_TIMEOUT = 0x102
_suffixes = itertools.count(1)
_open: set[str] = set()
"""Addresses of this process's listeners that are open."""


def _stat(pid: int) -> tuple[str, str] | None:
    """Return the state letter and start time of a process on Linux, None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rfind(")") + 2 :].split()  # the name may hold spaces and brackets
    return (fields[0], fields[_START_FIELD]) if len(fields) > _START_FIELD else None


@functools.cache
def _identity(pid: int) -> str:
    """Return ``pid:start:space`` of this process; `pid` is the key, so a forked child asks anew."""
    found = _stat(pid) if sys.platform == "linux" else None
    try:
        space = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        space = "0"
    return f"{pid}:{found[1] if found else 0}:{space}"


def new_address() -> str:
    """Make the address of a listener that opens in this process."""
    address = f"{_identity(os.getpid())}:{next(_suffixes)}"
    _open.add(address)
    return address


def close_address(address: str) -> None:
    """Say that the listener is closed; others in this process see it as deaf from now on."""
    _open.discard(address)


def is_deaf(address: str) -> bool:
    """Tell whether nobody listens at `address` any more. Not knowing counts as listening.

    On Linux exact but for listeners closed in another process that goes on. Elsewhere start times are not
    compared (asking for one costs milliseconds), so a process id in use again counts as listening.
    """
    parts = address.split(":")
    if len(parts) != _PARTS or not parts[0].isdecimal():
        return False
    own = _identity(os.getpid()).split(":")
    if parts[2] != own[2]:
        return False
    if parts[:2] == own[:2]:
        return address not in _open
    pid = int(parts[0])
    if parts[1] == "0":  # not Linux
        return not (_runs_on_windows(pid) if os.name == "nt" else _runs(pid))
    found = _stat(pid)
    return found is None or found[0] in "ZX" or found[1] != parts[1]


def _runs(pid: int) -> bool:
    """Ask the kernel, without start time or state: a zombie counts as running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _runs_on_windows(pid: int) -> bool:
    """Ask for the process object; `os.kill` would end the process here."""
    import ctypes

    kernel: Any = getattr(ctypes, "windll").kernel32  # noqa: B009 - not there on other systems
    handle = kernel.OpenProcess(_SYNCHRONIZE, 0, pid)
    if not handle:
        return False
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == _WAIT_TIMEOUT)
    finally:
        kernel.CloseHandle(handle)
