"""Fork without harm: no SQLite connection is open while a process forks.

A child inherits SQLite's own bookkeeping of which file locks the process holds, but not the locks: it
would take part in the file without any, and the last process to leave could delete the log under it. So
steps are held back for the moment of a fork and connections closed; the parent opens them again.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import sqlite3
    from types import TracebackType

_PATIENCE = 1.0
"""Seconds a fork waits for the steps that run; they take well under a millisecond."""

_immortal: list[object] = []
tainted: set[tuple[int, int]] = set()
"""Files (device, inode) that this process inherited in the middle of a step: never to be opened here."""


class Owner(Protocol):
    """Somebody who keeps connections open between steps."""

    def release(self) -> None:
        """Close every connection; the next step opens what it needs."""

    def inherited(self) -> tuple[list[sqlite3.Connection], tuple[int, int] | None]:
        """Give up, unclosed, whatever the parent's step still had open, with the file's identity."""


class Gate:
    """Lets steps through, any number at a time, but for the moment of a fork."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._forking = False
        self._owners: weakref.WeakSet[Owner] = weakref.WeakSet()

    def __enter__(self) -> None:
        with self._changed:
            while self._forking:
                self._changed.wait()
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._inside -= 1
            if self._forking:
                self._changed.notify_all()

    def register(self, owner: Owner) -> None:
        """Have `owner` asked to close its connections before a fork."""
        with self._changed:
            self._owners.add(owner)

    def before_fork(self) -> None:
        """Hold new steps back, wait for the running ones, close all connections."""
        deadline = time.monotonic() + _PATIENCE
        self._changed.acquire()
        self._forking = True
        while self._inside and (left := deadline - time.monotonic()) > 0:
            self._changed.wait(left)
        if not self._inside:
            for owner in list(self._owners):
                owner.release()

    def after_in_parent(self) -> None:
        """Go on."""
        self._forking = False
        self._changed.notify_all()
        self._changed.release()

    def after_in_child(self) -> None:
        """Start afresh; what could not be closed is never touched again, nor its file."""
        owners = list(self._owners)
        self.__init__()  # type: ignore[misc]  # no other thread lives in the child
        for owner in owners:
            connections, identity = owner.inherited()
            if connections and identity is not None:
                tainted.add(identity)
            for connection in connections:
                _keep_for_ever(connection)


def _keep_for_ever(connection: sqlite3.Connection) -> None:
    """Keep the parent's connection from being closed here, even when the interpreter ends."""
    _immortal.append(connection)
    try:
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
    except (ImportError, AttributeError):
        pass  # then it lives until the module is torn down


gate = Gate()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=gate.before_fork,
        after_in_parent=gate.after_in_parent,
        after_in_child=gate.after_in_child,
    )
