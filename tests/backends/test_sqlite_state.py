"""The state in SQLite: expiry by the wall clock, bounded rows, costs that do not grow."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from comity.model import STATE_TOPIC, Fence, SessionRef, StateWrite, TopicPosition, Written
from comity_sqlite import SqliteBackend
from tests.backends.sqlite_calls import join
from tests.backends.test_sqlite_clock import SetClock
from tests.backends.test_sqlite_records import count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

END = b"\xff"
_ids = itertools.count(1)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def backend(tmp_path: Path, clock: SetClock) -> Iterator[SqliteBackend]:
    backend = SqliteBackend(tmp_path / "c.db", "space", clock=clock)
    yield backend
    backend.close()


def put(
    backend: SqliteBackend,
    session: SessionRef,
    key: str,
    value: bytes = b"1",
    *,
    ttl_ms: int | None = None,
    ephemeral: bool = False,
    fence: int | None = None,
) -> None:
    write = StateWrite(f"w{next(_ids)}", session, key, fence=None if fence is None else Fence(fence))
    op = backend.state.put(write, value, ttl_ms=ttl_ms, ephemeral=ephemeral, max_held=1000)
    assert isinstance(op.run(5), Written)


def delete(backend: SqliteBackend, session: SessionRef, key: str) -> None:
    assert isinstance(backend.state.delete(StateWrite(f"w{next(_ids)}", session, key)).run(5), Written)


def test_keys_expire_by_the_wall_clock_and_sessions_by_the_other(backend: SqliteBackend, clock: SetClock) -> None:
    ann = join(backend, "ann", ttl=100)
    put(backend, ann, "plan", ttl_ms=60_000)
    put(backend, ann, "serving", ephemeral=True)
    clock.wall += 59_999_000
    assert backend.state.get("plan").run(5) is not None
    clock.wall += 1_000
    assert backend.state.get("plan").run(5) is None
    assert backend.state.get("serving").run(5) is not None
    clock.mono += 100_000_000
    assert backend.state.get("serving").run(5) is None
    assert backend.state.list(b"", END, 10).run(5).entries == ()


def test_nothing_stays_of_keys_that_are_gone(backend: SqliteBackend, clock: SetClock) -> None:
    ann = join(backend, "ann")
    put(backend, ann, "deleted")
    delete(backend, ann, "deleted")
    put(backend, ann, "expired", ttl_ms=1000, ephemeral=True)
    clock.wall += 1_000_000
    assert backend.state.trim(10).run(5).count == 1
    put(backend, ann, "ended", ephemeral=True)
    assert backend.presence.depart(ann).run(5)
    assert {table: count(backend, table) for table in ("entries", "fences")} == {"entries": 0, "fences": 0}


def test_fences_of_keys_that_are_gone_are_remembered_for_a_day(backend: SqliteBackend, clock: SetClock) -> None:
    ann = join(backend, "ann", ttl=10**6)
    for number in range(30):
        put(backend, ann, f"k{number}", fence=7)
        delete(backend, ann, f"k{number}")
    assert count(backend, "fences") == 30
    clock.wall += 86_400_000_000
    for number in range(10):
        put(backend, ann, f"other{number}", fence=7)
        delete(backend, ann, f"other{number}")
    assert count(backend, "fences") == 10


def test_fences_are_bounded_in_number(backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comity_sqlite.entries.FENCES_REMEMBERED", 20)
    ann = join(backend, "ann")
    for number in range(100):
        put(backend, ann, f"k{number}", fence=7)
        delete(backend, ann, f"k{number}")
    assert count(backend, "fences") == 20


def test_changes_with_more_bytes_than_are_kept_are_dropped(backend: SqliteBackend) -> None:
    ann = join(backend, "ann")
    value = b'"' + b"x" * (4 * 1024 * 1024) + b'"'
    for _ in range(12):
        put(backend, ann, "plan", value)
    (found,) = backend.pubsub.read({STATE_TOPIC: TopicPosition(0, 0)}, 100).run(5)
    assert 4 <= len(found.events) <= 6
    assert count(backend, "stretches") == len(found.events)


def instructions(backend: SqliteBackend, perform: Callable[[], object]) -> int:
    """Return how many instructions of SQLite's a step of ours takes."""
    connection = backend._runner._idle[-1]  # the one that the next step takes
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    connection.set_progress_handler(tick, 1)
    perform()
    connection.set_progress_handler(None, 1)
    return ticks


def test_no_cost_depends_on_what_else_is_there(backend: SqliteBackend) -> None:
    ann = join(backend, "ann")
    for _ in range(5):
        put(backend, ann, "plan")

    def cost() -> list[int]:
        return [
            instructions(backend, lambda: put(backend, ann, "plan", ttl_ms=60_000)),
            instructions(backend, lambda: backend.state.get("plan").run(5)),
            instructions(backend, lambda: backend.state.list(b"plan", b"plan\xff", 10).run(5)),
            instructions(backend, lambda: backend.state.trim(10).run(5)),
        ]

    before = cost()
    for number in range(1000):
        put(backend, ann, f"other{number}", ttl_ms=90_000, ephemeral=number % 2 == 0)
    after = cost()
    assert all(now <= 1.1 * then for now, then in zip(after, before, strict=True)), (before, after)
