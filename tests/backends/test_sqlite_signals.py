"""Signals on SQLite: rows are bounded, no cost grows with what expired, a full disk lets inboxes be emptied."""

from __future__ import annotations

import secrets
import sqlite3
from typing import TYPE_CHECKING

import pytest

from comity.errors import BackendFull
from comity.model import NewSignal, SignalState, WakeKind
from comity_sqlite import SqliteBackend, file, signals
from tests.backends.sqlite_calls import heard, join
from tests.backends.test_sqlite_clock import SetClock
from tests.backends.test_sqlite_locked import fill
from tests.backends.test_sqlite_records import count, effort

if TYPE_CHECKING:
    from pathlib import Path

    from comity.model import SessionRef


def send(backend: SqliteBackend, sender: SessionRef, to: str, ttl_ms: int = 300_000) -> str:
    signal = NewSignal(sender, secrets.token_hex(8), "note", b"1", ttl_ms)
    backend.signals.send(signal, to, allow_offline=True).run(5)
    return signal.signal_id


def state(backend: SqliteBackend, signal_id: str) -> SignalState | None:
    found = backend.signals.status(signal_id).run(5)
    return None if found is None else found.state


def test_what_became_of_a_signal_is_remembered_for_an_hour_and_no_longer_than_needed(tmp_path: Path) -> None:
    clock = SetClock()
    backend = SqliteBackend(tmp_path / "c.db", "space", clock=clock)
    ann, bob = join(backend, "ann", ttl=10_000), join(backend, "bob", ttl=10_000)
    ids = [send(backend, ann, "bob") for _ in range(50)]
    assert backend.signals.ack(bob, ids[:25]).run(5) == (True,) * 25
    clock.wall += 300_000_000
    assert state(backend, ids[0]) is SignalState.ACKNOWLEDGED
    assert state(backend, ids[-1]) is SignalState.EXPIRED
    clock.wall += 3_300_000_000
    assert state(backend, ids[0]) is SignalState.ACKNOWLEDGED
    for _ in range(10):
        send(backend, ann, "bob")
    assert state(backend, ids[0]) is None
    assert state(backend, ids[-1]) is SignalState.EXPIRED
    assert count(backend, "bodies") == 10
    clock.wall += 3_600_000_000
    for _ in range(10):
        send(backend, ann, "bob")
    assert count(backend, "signals") <= 20
    backend.close()


def test_what_is_remembered_of_signals_is_bounded_in_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "MEMORY_ROWS", 30)
    backend = SqliteBackend(tmp_path / "c.db", "space")
    ann = join(backend, "ann")
    first = send(backend, ann, "ann")
    for _ in range(100):
        assert backend.signals.ack(ann, [send(backend, ann, "ann")]).run(5) == (True,)
    assert count(backend, "signals") <= 31
    assert state(backend, first) is SignalState.QUEUED  # what is in an inbox is not forgotten
    backend.close()


def test_no_cost_grows_with_what_expired_or_with_other_inboxes(tmp_path: Path) -> None:
    clock = SetClock()
    backend = SqliteBackend(tmp_path / "c.db", "space", clock=clock)
    ann = join(backend, "ann", ttl=10_000)

    def cycle() -> None:
        signal_id = send(backend, ann, "ann")
        backend.signals.receive(ann, 0, (), None, 9).run(5)
        backend.signals.ack(ann, [signal_id]).run(5)

    cycle()
    few = effort(backend, cycle)

    def after(count: int) -> int:
        for number in range(count):
            send(backend, ann, f"nobody {number}", ttl_ms=1000)
            send(backend, ann, "ann", ttl_ms=1000)
        clock.wall += 2_000_000
        cycle()
        return effort(backend, cycle)

    some = after(100)  # a few are done away with by each step, however many there are
    assert after(900) <= 3 * some
    while count(backend, "bodies"):
        cycle()
    assert effort(backend, cycle) <= few + 10  # what is remembered of 2,000 costs what that of ten does
    backend.close()


def test_a_full_disk_lets_inboxes_be_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, pages = file.connect, [0]

    def small(path: Path) -> sqlite3.Connection:
        connection = real(path)
        if pages[0]:
            connection.execute(f"PRAGMA max_page_count = {pages[0]}")
        return connection

    monkeypatch.setattr("comity_sqlite.file.connect", small)
    backend = SqliteBackend(tmp_path / "c.db", "space")
    ann = join(backend, "ann")
    ids = [send(backend, ann, "ann") for _ in range(3)]
    with sqlite3.connect(backend.path) as other:
        pages[0] = other.execute("PRAGMA page_count").fetchone()[0]
    other.close()
    backend._runner.release()
    with pytest.raises(BackendFull, match="disk space"):
        fill(backend)
    assert len(backend.signals.receive(ann, 0, (), None, 9).run(5)) == 3
    assert backend.signals.ack(ann, ids).run(5) == (True,) * 3
    backend.close()


def test_a_listener_is_told_of_signals_and_not_of_those_before_it(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "c.db", "space")
    ann = join(backend, "ann")
    send(backend, ann, "ann")
    ear = backend.listener(ann)
    assert [wake.kind for wake in ear.next(1)] == [WakeKind.LISTENING]
    other = SqliteBackend(tmp_path / "c.db", "space")
    send(other, ann, "bob")
    send(other, ann, "ann")
    heard(ear, WakeKind.SIGNAL)
    assert ear.next(0.05) == []
    ear.close()
    other.close()
    backend.close()
