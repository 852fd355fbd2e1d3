"""One session's ear on a file: a look every few milliseconds whether anything was committed.

The look is ``PRAGMA data_version``, three microseconds on a connection of its own; only when another
connection has committed is anything read, and then only what concerns this session. Within one process
the bell spares the wait. What there is to hear is told by the records themselves (a grant bears the
session's version that it caused, a loss likewise), so nothing is missed between two looks and no table
of messages grows.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from comity.errors import BackendUnavailable, BackendUnfit, Closed
from comity.flag import Flag
from comity.model import Granted, Wake, WakeKind
from comity_sqlite.forks import gate
from comity_sqlite.hub import Bell
from comity_sqlite.processes import close_address, new_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import SessionRef
    from comity_sqlite.runner import Runner

_IDLE = 0.015
"""Seconds between two looks while nobody waits: an event is heard within 25 ms."""
_EAGER = 0.002
_PATIENCE = 0.05
"""A wait of this many seconds makes the looks as many times rarer as it is longer, down to `_IDLE`."""
_RETRY = 0.1


class SqliteListener:
    """See `comity.ports.Listener`."""

    def __init__(self, runner: Runner, session: SessionRef | None) -> None:
        self._runner, self._session = runner, session
        self.address = new_address()
        self._using = threading.RLock()
        self._rung = Flag()
        self._bell = Bell(self._rung.set)
        runner.hub.add(self._bell)
        self._closed = False
        self._busy_since: float | None = None
        self._connection: sqlite3.Connection | None = None
        self._data_version = -1
        self._version = self._wake = 0
        self._is_there = False
        self._signal = 0
        self._hurry = 0
        self._topics: dict[str, tuple[int, int] | None] = {}
        self._is_new = False
        gate.register(self)

    # ------------------------------------------------------------------------------ any thread

    def follow(self, topic: str) -> None:
        """See `comity.ports.Listener.follow`."""
        with self._using:
            if topic not in self._topics:
                self._topics[topic] = None
            self._is_new = True
        self._rung.set()

    def unfollow(self, topic: str) -> None:
        """See `comity.ports.Listener.unfollow`."""
        with self._using:
            self._topics.pop(topic, None)

    def expect(self, busy: bool) -> None:  # noqa: FBT001 - a state, not an option
        """See `comity.ports.Listener.expect`: somebody who waits is worth looking often."""
        self._busy_since = time.monotonic() if busy else None
        if busy:
            self._rung.set()

    def close(self) -> None:
        """See `comity.ports.Listener.close`."""
        self._closed = True
        close_address(self.address)
        self._runner.hub.remove(self._bell)
        self._rung.set()
        self.release()

    # --------------------------------------------------------------------------- the one thread

    def next(self, timeout: float) -> Sequence[Wake]:
        """See `comity.ports.Listener.next`."""
        deadline = time.monotonic() + timeout
        while True:
            self._check()
            self._rung.clear()
            wakes, pause = self._look()
            self._check()
            left = deadline - time.monotonic()
            if wakes or left <= 0:
                return wakes
            self._rung.wait(min(left, pause))

    def _check(self) -> None:
        if self._closed:
            raise Closed("this listener")
        try:
            self._runner.check()
        except Closed:
            self.close()
            raise

    def _look(self) -> tuple[list[Wake], float]:
        """Return what there is to hear and how long to wait before the next look."""
        try:
            with gate.passing(), self._using:
                if self._closed:
                    return [], 0.0
                return self._hear(), self._pause()
        except (sqlite3.Error, BackendUnavailable, BackendUnfit):
            # The next look opens the file anew; steps tell the caller what is wrong with it.
            self.release()
            return [], _RETRY

    def _pause(self) -> float:
        since = self._busy_since
        if since is None:
            return _IDLE
        return min(_IDLE, _EAGER * max(1.0, (time.monotonic() - since) / _PATIENCE))

    def _hear(self) -> list[Wake]:
        begins = self._connection is None
        if self._connection is None:
            self._connection = self._runner.connection()
            self._data_version = -1
        connection = self._connection
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._data_version and not self._is_new:
            return []
        connection.execute("BEGIN")
        try:
            wakes = [*self._hear_hurry(connection), *self._hear_session(connection), *self._hear_tasks(connection)]
            wakes += [*self._hear_signals(connection), *self._hear_topics(connection)]
        finally:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("COMMIT")
        # Remembered only now: what was committed during this look makes the next one look again.
        self._data_version = version
        if begins or self._is_new:
            self._is_new = False
            wakes = [Wake(WakeKind.LISTENING), *([] if begins else wakes)]
        if wakes and self._busy_since is not None:
            self._busy_since = time.monotonic()
        return wakes

    def _hear_hurry(self, connection: sqlite3.Connection) -> list[Wake]:
        before = self._hurry
        row = connection.execute("SELECT hurry FROM spaces WHERE id = ?", (self._runner.space,)).fetchone()
        self._hurry = row[0] if row else 0
        return [Wake(WakeKind.HURRY)] if self._hurry != before else []

    def _hear_session(self, connection: sqlite3.Connection) -> list[Wake]:
        if self._session is None:
            return []
        row = connection.execute(
            "SELECT id, version FROM sessions WHERE space = ? AND agent_id = ? AND incarnation = ?",
            (self._runner.space, self._session.agent_id, self._session.incarnation),
        ).fetchone()
        was_there, self._is_there = self._is_there, row is not None
        if row is None:
            return [Wake(WakeKind.NEWS)] if was_there else []
        number, version = row
        before, self._version = self._version, version
        if version == before:
            return []
        wakes = [
            Wake(WakeKind.GRANTED, name, request_id, token, granted=self._granted(token, due_us, name))
            for request_id, name, token, due_us in connection.execute(
                "SELECT r.request_id, w.name, r.number, r.due_us FROM requests r"
                " JOIN wants w ON w.request = r.id"
                " WHERE r.session = ? AND r.version > ? AND r.held = 1 AND w.pref = 0 ORDER BY r.version",
                (number, before),
            )
        ]
        wakes += [
            Wake(WakeKind.LOST, name, request_id, token, reason)
            for request_id, name, token, reason in connection.execute(
                "SELECT request_id, name, token, reason FROM losses WHERE session = ? AND version > ? ORDER BY version",
                (number, before),
            )
        ]
        return wakes or [Wake(WakeKind.NEWS)]

    def _hear_tasks(self, connection: sqlite3.Connection) -> list[Wake]:
        if self._session is None:
            return []
        rows = connection.execute(
            "SELECT w.request_id, w.number FROM sessions s JOIN task_wakes w ON w.session = s.id"
            " WHERE s.space = ? AND s.agent_id = ? AND s.incarnation = ? AND w.number > ? ORDER BY w.number",
            (self._runner.space, self._session.agent_id, self._session.incarnation, self._wake),
        ).fetchall()
        for _, number in rows:
            self._wake = number
        return [Wake(WakeKind.TASK, request_id=request_id) for request_id, _ in rows]

    def _granted(self, token: int, due_us: int | None, name: str) -> Granted:
        clock = self._runner.clock
        left = None if due_us is None else max(0, -((clock.mono_us() - due_us) // 1000))
        return Granted(token, left, max(clock.wall_us(), token), name)

    def _hear_signals(self, connection: sqlite3.Connection) -> list[Wake]:
        if self._session is None:
            return []
        newest = connection.execute(
            "SELECT sequence FROM signals WHERE space = ? AND recipient = ? AND ended_ms IS NULL"
            " ORDER BY sequence DESC LIMIT 1",
            (self._runner.space, self._session.agent_id),
        ).fetchone()
        before, self._signal = self._signal, max(self._signal, newest[0] if newest else 0)
        return [Wake(WakeKind.SIGNAL)] if self._signal > before else []

    def _hear_topics(self, connection: sqlite3.Connection) -> list[Wake]:
        wakes = []
        for topic, before in self._topics.items():
            row = connection.execute(
                "SELECT epoch, last FROM topics WHERE space = ? AND name = ?",
                (self._runner.space, topic),
            ).fetchone()
            end = (0, 0) if row is None else (row[0], row[1])
            self._topics[topic] = end
            if before is not None and end != before:
                wakes.append(Wake(WakeKind.TOPIC, topic))
        return wakes

    # ---------------------------------------------------------------------------------- the end

    def release(self) -> None:
        """Close the connection; the next look opens another and says ``LISTENING``."""
        with self._using:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def inherited(self) -> tuple[list[sqlite3.Connection], tuple[int, int] | None]:
        """Give up what the parent's thread had open (in a forked child)."""
        connection, self._connection = self._connection, None
        return ([] if connection is None else [connection]), self._runner.identity
