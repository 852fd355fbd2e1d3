"""A process that takes one lock again and again, and writes down when it was inside.

Arguments: the database, the journal, a name, how many seconds to go on, the session's ttl. Each hold is
two lines in the journal, appended in one write each: ``name enter token time`` and ``name leave token
time`` (the host's monotonic clock). Prints ``ready`` and
begins when its input ends.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from comity.model import Granted, SessionRef, WakeKind
from comity_sqlite import SqliteBackend
from tests.backends.sqlite_calls import ask, join, want

if TYPE_CHECKING:
    from comity.ports import Listener


def take(backend: SqliteBackend, session: SessionRef, ear: Listener) -> tuple[str, int]:
    """Wait in line for the lock; return the request's id and its token."""
    request = want(session, wait=True, listener=ear.address)
    answer = ask(backend, request)
    while not isinstance(answer, Granted):
        for wake in ear.next(0.2):
            if wake.kind is WakeKind.GRANTED and wake.request_id == request.request_id:
                return request.request_id, wake.token
        backend.presence.heartbeat(session, 0).run(5)
        backend.presence.reap().run(5)
        answer = ask(backend, request)
    return request.request_id, answer.token


def main() -> None:
    path, journal, name, seconds, ttl = sys.argv[1:]
    backend = SqliteBackend(Path(path), "workers")
    book = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    session = join(backend, name, ttl=float(ttl), interval=float(ttl) / 3)
    ear = backend.listener(session)
    ear.next(1)
    ear.expect(True)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        request_id, token = take(backend, session, ear)
        os.write(book, f"{name} enter {token} {time.monotonic_ns()}\n".encode())
        os.write(book, f"{name} leave {token} {time.monotonic_ns()}\n".encode())
        backend.locks.release(session, request_id).run(5)
        backend.presence.heartbeat(session, 0).run(5)
    ear.close()
    backend.presence.depart(session).run(5)
    backend.close()


if __name__ == "__main__":
    main()
