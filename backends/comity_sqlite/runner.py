"""Performs steps: one transaction each, within the time allowed, on connections of its own.

The file's write lock knows no queue and no deadline, so the waiting is done here: short naps with
jitter, shorter the longer one has waited, so that twenty writing processes starve nobody.

The log is written back to the database by a connection that looks on while another one of ours holds
the write lock, never while somebody may begin a new log: SQLite before 3.51.3 can lose pages when the two
coincide (its "WAL-reset bug").
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from comity import jitter
from comity.errors import BackendUnavailable, BackendUnfit, Closed, ComityError, Forked
from comity.ops import Effect, Op
from comity_sqlite import file, schema
from comity_sqlite.forks import gate
from comity_sqlite.hub import hub_of
from comity_sqlite.step import Step
from comity_sqlite.trouble import is_busy, is_full, translate

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from comity_sqlite.clock import HostClock

T = TypeVar("T")

_IDLE_CONNECTIONS = 4
_ASYNC_THREADS = 4
_LONG_NAP = 0.004
_SHORT_NAP = 0.001
_ELDER_AFTER = 0.02
"""Seconds of waiting after which naps are short: whoever waits longest looks most often."""
_TURN_SLICE = 0.05
_LOG_STEP = 1024 * 1024


class SqliteOp(Op[T]):
    """One transaction, described. `body` gets the open `Step`; an error it *returns* is raised after the commit."""

    __slots__ = ("_body", "_runner", "_undo", "_vital", "effect", "name")

    def __init__(
        self,
        runner: Runner,
        name: str,
        body: Callable[[Step], T | ComityError],
        effect: Effect,
        undo: Callable[[T | None], Op[object] | None] | None = None,
        *,
        vital: bool = False,
    ) -> None:
        self.name, self.effect = name, effect
        self._runner, self._body, self._undo, self._vital = runner, body, undo, vital

    def run(self, seconds_left: float) -> T:
        """Perform the transaction in the calling thread."""
        return self._runner.perform(self, self._body, seconds_left, vital=self._vital)

    async def arun(self, seconds_left: float) -> T:
        """Perform the transaction in a thread of the backend's own, which no other work can occupy."""
        import asyncio

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._runner.threads(), self.run, seconds_left)

    def undo(self, answer: T | None) -> Op[object] | None:
        """Return the step that the port names as this one's undoing, if any."""
        return None if self._undo is None else self._undo(answer)


class Runner:
    """The connections of one backend object to one file, and the one way to use them."""

    def __init__(self, path: Path, where: str, namespace: str, clock: HostClock) -> None:
        self.path, self.where, self.namespace, self.clock = path, where, namespace, clock
        self._log = f"{path}-wal"
        self.hub = hub_of(path)
        self._pid = os.getpid()
        self._closed = False
        self._guard = threading.RLock()
        self._idle: list[sqlite3.Connection] = []
        self._used: set[sqlite3.Connection] = set()
        self.identity: tuple[int, int] | None = None
        self.space = 0
        self._threads: ThreadPoolExecutor | None = None
        gate.register(self)

    # --------------------------------------------------------------------------- describing steps

    def read(self, name: str, body: Callable[[Step], T | ComityError]) -> SqliteOp[T]:
        """Describe a step that changes nothing."""
        return SqliteOp(self, name, body, Effect.READ)

    def write(
        self,
        name: str,
        body: Callable[[Step], T | ComityError],
        undo: Callable[[T | None], Op[object] | None] | None = None,
        *,
        vital: bool = False,
    ) -> SqliteOp[T]:
        """Describe a step that changes something; a `vital` one also works while the disk is full."""
        return SqliteOp(self, name, body, Effect.WRITE, undo, vital=vital)

    # ------------------------------------------------------------------------------- performing

    def check(self) -> None:
        """Raise `Forked` or `Closed` when this object cannot be used here or any more."""
        if self._pid != os.getpid():
            raise Forked("this backend")
        if self._closed:
            raise Closed("this backend")

    def perform(self, op: Op[T], body: Callable[[Step], T | ComityError], seconds_left: float, *, vital: bool) -> T:
        """Run `body` in one transaction. Raises what `Op.run` names."""
        self.check()
        started = time.monotonic()
        deadline = started + seconds_left
        if op.effect is Effect.READ:
            answer, rings = self._try_until(op.name, body, "BEGIN", started, deadline)
        else:
            try:
                self._take_turn(op.name, started, deadline)
                answer, rings = self._write(op.name, body, started, deadline, vital=vital)
                self._keep_log_short()
            finally:
                try:  # noqa: SIM105 - in any case and before anything else: an interrupt may come at every line
                    self.hub.writer.release()
                except RuntimeError:
                    pass  # it had not got its turn
        if rings:
            self.hub.ring()
        if isinstance(answer, ComityError):
            raise answer
        return answer

    def _take_turn(self, name: str, started: float, deadline: float) -> None:
        """Wait for this process's turn to write."""
        while not self.hub.writer.acquire(timeout=max(0.0, min(_TURN_SLICE, deadline - time.monotonic()))):
            self.check()
            if time.monotonic() >= deadline:
                raise self._too_late(name, started)

    def _write(
        self,
        name: str,
        body: Callable[[Step], T | ComityError],
        started: float,
        deadline: float,
        *,
        vital: bool,
    ) -> tuple[T | ComityError, bool]:
        try:
            return self._try_until(name, body, "BEGIN IMMEDIATE", started, deadline)
        except sqlite3.Error as error:
            if not (vital and is_full(error)):
                raise translate(error, self.where, name) from error
        self._write_back()  # lets the log begin anew in the room it has
        return self._try_until(name, schema.without_ballast(body), "BEGIN IMMEDIATE", started, deadline)

    def _try_until(
        self,
        name: str,
        body: Callable[[Step], T | ComityError],
        begin: str,
        started: float,
        deadline: float,
    ) -> tuple[T | ComityError, bool]:
        """Try again while another process holds the file's lock, until the deadline."""
        while True:
            self.check()
            try:
                with gate.passing():
                    return self._attempt(body, begin)
            except sqlite3.Error as error:
                if not is_busy(error):
                    if is_full(error) and begin != "BEGIN":
                        raise
                    raise translate(error, self.where, name) from error
                now = time.monotonic()
                if now >= deadline:
                    raise self._too_late(name, started) from error
            longest = _LONG_NAP if now - started < _ELDER_AFTER else _SHORT_NAP
            time.sleep(min(deadline - now, jitter.uniform(longest / 8, longest)))

    def _attempt(self, body: Callable[[Step], T | ComityError], begin: str) -> tuple[T | ComityError, bool]:
        connection = self._take()
        sound = False
        try:
            connection.execute(begin)
            step = Step(connection, self.space, self.clock)
            answer = body(step)
            step.finish()
            connection.execute("COMMIT")
            sound = True
        except sqlite3.Error as error:
            sound = is_busy(error) or is_full(error)
            raise
        except ComityError:
            sound = True
            raise
        finally:
            try:  # noqa: SIM105 - before anything else, as above
                connection.rollback()
            except sqlite3.Error:
                pass
            self._put(connection, sound=sound and not connection.in_transaction)
        return answer, step.rings

    def _too_late(self, name: str, started: float) -> BackendUnavailable:
        return BackendUnavailable(
            self.where,
            "another process kept the file locked; look for one that is stopped or hangs in a debugger",
            step=name,
            waited=time.monotonic() - started,
        )

    # ------------------------------------------------------------------------------ connections

    def connection(self) -> sqlite3.Connection:
        """Open one more connection, sure to be to the same file as all the others (inside the gate)."""
        if self.identity is None:
            file.prepare(self.path, self.where)
        else:
            self._same_file()
        before = file.identity(self.path)
        connection = file.connect(self.path)
        try:
            if self.identity is None and before == file.identity(self.path):
                self.space = schema.ensure(connection, self.where, self.namespace, self.clock)
                self.identity = before
            self._same_file()
        except BaseException:
            connection.close()
            raise
        return connection

    def _same_file(self) -> None:
        """Raise `BackendUnfit` when the path names another file than the one in use, or none."""
        if self.identity is None or file.identity(self.path) != self.identity:
            raise BackendUnfit(
                self.where,
                "the file was deleted or another one was put in its place while in use",
                "connect again: sessions that still use the old file cannot be met any more",
            )

    def _take(self) -> sqlite3.Connection:
        with self._guard:
            connection = self._idle.pop() if self._idle else None
            if connection is not None:
                self._used.add(connection)
        if connection is None:
            connection = self.connection()
            with self._guard:
                self._used.add(connection)
        else:
            try:
                self._same_file()
            except BackendUnfit:
                self._put(connection, sound=True)
                raise
        return connection

    def _put(self, connection: sqlite3.Connection, *, sound: bool) -> None:
        with self._guard:
            self._used.discard(connection)
            if sound and not self._closed and len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    # ---------------------------------------------------------------------------------- the log

    def _keep_log_short(self) -> None:
        """Write the log back when it has grown (in this process's turn to write)."""
        try:
            size = os.stat(self._log).st_size  # noqa: PTH116 - after every write
        except OSError:
            return
        if size <= file.LOG_LIMIT:
            self.hub.write_back_at = file.LOG_LIMIT
        elif size > self.hub.write_back_at:
            self.hub.write_back_at = size + _LOG_STEP
            self._write_back()

    def _write_back(self) -> None:
        """Copy the log into the database while no other process writes; not now, if one does."""
        with gate.passing(), contextlib.suppress(sqlite3.Error):
            lock = self._take()
            try:
                lock.execute("BEGIN IMMEDIATE")
                hand = self._take()
                try:
                    hand.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                finally:
                    self._put(hand, sound=True)
            finally:
                if lock.in_transaction:
                    lock.execute("ROLLBACK")
                self._put(lock, sound=True)

    # ---------------------------------------------------------------------------------- the end

    def threads(self) -> ThreadPoolExecutor:
        """Return the threads that async callers' steps run in."""
        self.check()
        from concurrent.futures import ThreadPoolExecutor

        with self._guard:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_ASYNC_THREADS, thread_name_prefix="comity-sqlite")
            return self._threads

    def close(self) -> None:
        """Close all connections and threads; steps under way raise `Closed` at their next try."""
        if self._pid != os.getpid():
            return
        with self._guard:
            self._closed = True
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True)
        self.release()

    def release(self) -> None:
        """Close the connections that no step uses."""
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def inherited(self) -> tuple[list[sqlite3.Connection], tuple[int, int] | None]:
        """Give up what the parent's steps had open (in a forked child)."""
        left = [*self._used, *self._idle]
        self._used, self._idle = set(), []
        return left, self.identity
