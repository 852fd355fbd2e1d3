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


class _Mine(threading.local):
    """The lock of the calling thread, and those it has taken for a fork of its own."""

    def __init__(self, gate: Gate) -> None:
        self.lock = gate.new_lock()
        self.taken: list[threading.RLock] = []


class Gate:
    """Lets steps through, any number at a time, but for the moment of a fork.

    Each thread passes under a lock of its own, and a fork takes all of them. They are locks of C, which ``with`` takes
    and gives back as one: an interrupt between two lines of Python would leave a count or a condition as it was in
    the middle of a step, and then every later step would wait for ever.
    """

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._forking = False
        self._owners: weakref.WeakSet[Owner] = weakref.WeakSet()
        self._locks: weakref.WeakSet[threading.RLock] = weakref.WeakSet()
        self._mine = _Mine(self)

    def passing(self) -> threading.RLock:
        """Return what a step of this thread is performed under: ``with gate.passing():``.

        Waits for a fork that wants to happen: a thread that goes from step to step would take its lock again each time
        before the fork had woken up.
        """
        if self._forking:
            with self._guard:
                pass
        return self._mine.lock

    def new_lock(self) -> threading.RLock:
        """Make the lock of a thread that comes by for the first time."""
        lock = threading.RLock()
        with self._guard:
            self._locks.add(lock)
        return lock

    def register(self, owner: Owner) -> None:
        """Have `owner` asked to close its connections before a fork."""
        with self._guard:
            self._owners.add(owner)

    def before_fork(self) -> bool:
        """Hold new steps back, wait for the running ones, close all connections; False when a step took too long."""
        deadline = time.monotonic() + _PATIENCE
        taken = self._mine.taken
        taken.append(self._guard)
        self._guard.acquire()
        self._forking = True
        got = []
        for lock in list(self._locks):
            taken.append(lock)
            got.append(lock.acquire(timeout=max(deadline - time.monotonic(), 0.0)))
        if all(got):
            for owner in list(self._owners):
                owner.release()
        return all(got)

    def after_in_parent(self) -> None:
        """Go on."""
        try:
            self._give_back()
        finally:  # also what an interrupt left
            self._give_back()

    def _give_back(self) -> None:
        taken = self._mine.taken
        while taken:
            if taken[-1] is self._guard:
                self._forking = False
            try:  # noqa: SIM105 - whose `with` is lines of Python
                taken[-1].release()
            except RuntimeError:
                pass  # it was not to be had in time
            taken.pop()

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
