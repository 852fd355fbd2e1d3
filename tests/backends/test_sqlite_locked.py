"""When the file's lock is not to be had, the disk is full, or the object is closed."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from comity.errors import BackendFull, BackendUnavailable, Closed
from comity.model import Granted
from comity.testing.kit.rules import rule
from comity_sqlite import SqliteBackend, file
from tests.backends.sqlite_calls import alive, ask, free, is_sound, join, publish, want
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SqliteBackend]:
    backend = SqliteBackend(tmp_path / "c.db", "space")
    yield backend
    backend.close()


@pytest.fixture
def lock(backend: SqliteBackend) -> Iterator[sqlite3.Connection]:
    """Another program that has the file's write lock."""
    join(backend, "first")
    other = sqlite3.connect(backend.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


@rule("X3")
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_step_waits_for_the_files_lock_until_its_deadline(
    backend: SqliteBackend, lock: sqlite3.Connection, colour: str
) -> None:
    assert lock.in_transaction
    step = backend.presence.reap()
    begun = time.monotonic()
    with pytest.raises(BackendUnavailable, match=r"locked.*stopped") as caught:
        step.run(0.3) if colour == "sync" else asyncio.run(step.arun(0.3))
    assert 0.3 <= time.monotonic() - begun < 0.6
    assert caught.value.step == "presence.reap"


def test_threads_of_one_process_wait_no_longer_than_their_deadlines(
    backend: SqliteBackend, lock: sqlite3.Connection
) -> None:
    assert lock.in_transaction
    took: list[float] = []

    def reap() -> None:
        begun = time.monotonic()
        with pytest.raises(BackendUnavailable):
            backend.presence.reap().run(0.3)
        took.append(time.monotonic() - begun)

    threads = [threading.Thread(target=reap) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 8
    assert max(took) < 0.8


def test_reading_needs_no_lock(backend: SqliteBackend, lock: sqlite3.Connection) -> None:
    assert lock.in_transaction
    assert backend.presence.get("first").run(0.1) is not None


def test_a_step_goes_through_once_the_lock_is_free(backend: SqliteBackend, lock: sqlite3.Connection) -> None:
    timer = threading.Timer(0.1, lock.execute, ["COMMIT"])
    timer.start()
    assert backend.presence.reap().run(5).agent_id is None
    timer.join()


@rule("X9")
def test_closing_ends_a_step_that_waits(backend: SqliteBackend, lock: sqlite3.Connection) -> None:
    assert lock.in_transaction
    raised: list[BaseException] = []

    def reap() -> None:
        try:
            backend.presence.reap().run(30)
        except Closed as error:
            raised.append(error)

    thread = threading.Thread(target=reap)
    thread.start()
    turn = backend._runner.hub.writer

    def is_taken() -> bool:
        if turn.acquire(blocking=False):
            turn.release()
            return False
        return True

    until(is_taken)
    backend.close()
    thread.join(1)
    assert not thread.is_alive()
    assert raised


@rule("X9")
def test_a_closed_backend_refuses_and_leaves_no_thread_and_no_connection(backend: SqliteBackend) -> None:
    async def use() -> None:
        await backend.presence.reap().arun(5)
        await backend.aclose()

    asyncio.run(use())
    backend.close()
    for step in (backend.presence.reap(), backend.presence.members(None)):
        with pytest.raises(Closed):
            step.run(5)
    with pytest.raises(Closed):
        backend.listener(None).next(1)
    assert [t.name for t in threading.enumerate() if t.name.startswith("comity-sqlite")] == []
    assert not backend.path.with_name("c.db-wal").exists()  # the last connection takes the log along


STOPPED = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_killing_the_process_that_is_stopped_with_the_lock_frees_it(backend: SqliteBackend) -> None:
    join(backend, "ann")
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(backend.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"locked\n"
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(BackendUnavailable):
        backend.presence.reap().run(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert backend.presence.reap().run(5).agent_id is None


@rule("X13")
def test_a_full_disk_still_takes_heartbeats_releases_and_departures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, pages = file.connect, [0]

    def small(path: Path) -> sqlite3.Connection:
        connection = real(path)
        if pages[0]:
            connection.execute(f"PRAGMA max_page_count = {pages[0]}")
        return connection

    monkeypatch.setattr("comity_sqlite.file.connect", small)
    backend = SqliteBackend(tmp_path / "c.db", "space")
    ann, bob = join(backend, "ann"), join(backend, "bob")
    held, waits = want(ann), want(bob, wait=True)
    ask(backend, held)
    ask(backend, waits)
    with sqlite3.connect(backend.path) as other:
        pages[0] = other.execute("PRAGMA page_count").fetchone()[0]
    other.close()
    backend._runner.release()
    with pytest.raises(BackendFull, match="disk space"):
        fill(backend)
    assert alive(backend, ann)
    assert alive(backend, bob)
    assert free(backend, held)
    assert isinstance(ask(backend, waits), Granted)
    backend.locks.withdraw(bob, waits.request_id, keep=False).run(5)
    assert backend.locks.view("lock").run(5).holders == ()
    assert backend.presence.depart(ann).run(5)
    assert backend.presence.depart(bob).run(5)
    backend.close()
    assert is_sound(backend.path)


def fill(backend: SqliteBackend) -> None:
    for number in range(10_000):
        publish(backend, f"news{number}", b"x" * 2000)


def test_the_log_is_written_back_and_stays_short(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LOG_LIMIT", 256 * 1024)
    backend._runner.hub.write_back_at = file.LOG_LIMIT
    ear = backend.listener(None)
    log = backend.path.with_name("c.db-wal")
    sizes = []
    for number in range(600):
        publish(backend, "news", str(number).encode() * 1000)
        ear.next(0)
        sizes.append(log.stat().st_size)
    assert max(sizes) < 4 * file.LOG_LIMIT
    assert sizes[-1] <= 2 * file.LOG_LIMIT
    ear.close()
