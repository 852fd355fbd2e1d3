"""The ear on a file: what happened is told by the records, whenever one looks."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from comity.errors import Closed
from comity.model import WakeKind
from comity.testing.kit.rules import rule
from comity_sqlite import SqliteBackend
from comity_sqlite.listener import SqliteListener
from comity_sqlite.processes import is_deaf
from tests.backends.sqlite_calls import ask, free, heard, join, publish, want

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from comity.model import LockRequest, SessionRef, Wake
    from comity.ports import Listener


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SqliteBackend]:
    backend = SqliteBackend(tmp_path / "c.db", "space")
    yield backend
    backend.close()


@pytest.fixture
def far(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteBackend]:
    """A second backend on the file; nobody's steps ring a bell, as if in processes of their own."""
    far = SqliteBackend(backend.path, "space")
    monkeypatch.setattr(far._runner.hub, "ring", lambda: None)
    yield far
    far.close()


def open_ear(backend: SqliteBackend, session: SessionRef | None) -> Listener:
    ear = backend.listener(session)
    heard(ear, WakeKind.LISTENING)
    return ear


def test_a_grant_and_a_loss_made_while_nobody_looked_are_heard(backend: SqliteBackend) -> None:
    ann, bob = join(backend, "ann"), join(backend, "bob")
    held, waits = want(ann), want(bob, wait=True, ttl_ms=60_000)
    ask(backend, held)
    ask(backend, waits)
    ear = open_ear(backend, bob)
    assert free(backend, held)
    for _ in range(50):
        publish(backend, "noise")
    wake = heard(ear, WakeKind.GRANTED)
    assert (wake.request_id, wake.name) == (waits.request_id, "lock")
    assert wake.granted is not None
    assert wake.granted.token == wake.token == backend.locks.view("lock").run(5).holders[0].token
    assert wake.granted.ttl_ms is not None
    assert 0 < wake.granted.ttl_ms <= 60_000
    backend.locks.break_lock(ann, "break", "lock", "too long").run(5)
    wake = heard(ear, WakeKind.LOST)
    assert (wake.request_id, wake.reason) == (waits.request_id, "too long")
    assert ear.next(0) == []
    ear.close()


def test_own_steps_and_other_sessions_business_wake_nobody(backend: SqliteBackend) -> None:
    ann, bob = join(backend, "ann"), join(backend, "bob")
    ear = open_ear(backend, ann)
    ear.follow("quiet")
    heard(ear, WakeKind.LISTENING)
    for session in (ann, bob):
        request = want(session)
        ask(backend, request)
        free(backend, request)
        backend.presence.heartbeat(session, 0).run(5)
    publish(backend, "noise")
    assert ear.next(0.1) == []
    ear.close()


def test_what_came_and_went_between_two_looks_is_news(backend: SqliteBackend) -> None:
    ann, bob = join(backend, "ann"), join(backend, "bob")
    held, waits = want(ann), want(bob, wait=True)
    ask(backend, held)
    ask(backend, waits)
    ear = open_ear(backend, bob)
    free(backend, held)
    free(backend, waits)
    assert [wake.kind for wake in ear.next(1)] == [WakeKind.NEWS]
    backend.presence.depart(bob).run(5)
    assert [wake.kind for wake in ear.next(1)] == [WakeKind.NEWS]
    ear.close()


@rule("L5")
def test_a_grant_in_another_process_is_heard_in_a_few_ms_while_somebody_waits(
    backend: SqliteBackend, far: SqliteBackend
) -> None:
    ann, bob = join(far, "ann"), join(backend, "bob")
    ear = open_ear(backend, bob)
    delays = []
    for _ in range(30):
        held, waits = want(ann), want(bob, wait=True, listener=ear.address)
        ask(far, held)
        ask(backend, waits)
        ear.expect(True)
        at: list[float] = []

        def release(held: LockRequest = held, at: list[float] = at) -> None:
            at.append(time.monotonic())
            free(far, held)

        timer = threading.Timer(0.01, release)
        timer.start()
        heard(ear, WakeKind.GRANTED)
        delays.append((time.monotonic() - at[0]) * 1000)
        timer.join()
        ear.expect(False)
        free(backend, waits)
    assert sorted(delays)[len(delays) // 2] < 10, delays
    ear.close()


def test_looks_are_few_enough_to_cost_next_to_nothing(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    join(backend, "ann")
    looks = [0]
    real = SqliteListener._hear

    def count(ear: SqliteListener) -> list[Wake]:
        looks[0] += 1
        return real(ear)

    monkeypatch.setattr(SqliteListener, "_hear", count)
    ear = open_ear(backend, None)
    for busy in (False, True):
        ear.expect(busy)
        looks[0], begun = 0, time.thread_time()
        assert ear.next(1.0) == []
        assert 20 <= looks[0] <= 200, (busy, looks)
        assert time.thread_time() - begun < 0.1
    ear.close()


def test_topics_are_heard_from_the_moment_they_are_followed(backend: SqliteBackend) -> None:
    publish(backend, "news")
    ear = open_ear(backend, None)
    ear.follow("news")
    assert [wake.kind for wake in ear.next(1)] == [WakeKind.LISTENING]
    publish(backend, "news")
    assert [(wake.kind, wake.name) for wake in ear.next(1)] == [(WakeKind.TOPIC, "news")]
    ear.unfollow("news")
    publish(backend, "news")
    assert ear.next(0.05) == []
    ear.close()


def test_a_short_lived_session_hurries_everybody(backend: SqliteBackend) -> None:
    join(backend, "ann", ttl=30, interval=10)
    ear = open_ear(backend, None)
    join(backend, "long", ttl=30, interval=10)
    assert ear.next(0.05) == []
    join(backend, "short", ttl=2, interval=0.5)
    assert [wake.kind for wake in ear.next(1)] == [WakeKind.HURRY]
    ear.close()


@rule("X9")
@pytest.mark.parametrize("whole", [True, False])
def test_closing_ends_a_listener_that_waits(backend: SqliteBackend, whole: bool) -> None:
    join(backend, "ann")
    ear = open_ear(backend, None)
    raised: list[float] = []

    def listen() -> None:
        with pytest.raises(Closed):
            ear.next(30)
        raised.append(time.monotonic())

    thread = threading.Thread(target=listen)
    thread.start()
    closed = time.monotonic()
    (backend if whole else ear).close()
    thread.join(2)
    assert raised
    assert raised[0] - closed < 0.5
    ear.close()


def test_an_address_is_deaf_once_closed_or_its_process_gone(backend: SqliteBackend) -> None:
    ear = backend.listener(None)
    pid, start, space, suffix = ear.address.split(":")
    assert not is_deaf(ear.address)
    assert is_deaf(f"{pid}:{int(start) + 1}:{space}:{suffix}") == (start != "0")  # the id is used again
    assert is_deaf(f"4194305:1:{space}:1")  # beyond the largest process id
    assert not is_deaf(f"4194305:1:{space}0:1")  # another container's: who knows
    assert not is_deaf("")
    assert not is_deaf("something else")
    ear.close()
    assert is_deaf(ear.address)
