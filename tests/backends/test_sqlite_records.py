"""Rows: spoiled ones harm nobody, remembered ones are bounded, no cost grows with what is held."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from comity.model import SYSTEM_TOPIC, Ended, Granted, TopicPosition
from comity.testing.kit import CorruptRecordSteps
from comity.testing.kit.rules import rule
from comity_sqlite import SqliteBackend, step
from tests.backends.sqlite_calls import ask, free, join, publish, want
from tests.backends.test_sqlite_clock import SetClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from comity.ports import Backend
    from comity.testing.kit.stage import MakeBackend

GARBAGE = """
INSERT INTO sessions SELECT 900, id, 'aaa', 'x', 0, 0, 1152921504606846976, 1, 1, 0, '' FROM spaces;
INSERT INTO records VALUES (900, x'00ff'), (901, x'00');
INSERT INTO sessions SELECT 902, id, 'aab', 'x', 0, 0, 1152921504606846976, 1, 1, 0, '' FROM spaces;
INSERT INTO sessions SELECT 903, id, x'00ff', 'x', 0, 0, 1152921504606846976, 1, 1, 0, '' FROM spaces;
INSERT INTO records VALUES (902, 'a text'), (903, x'5b5d');
INSERT INTO requests SELECT 900, id, 'orphan', 999, 1, 0, 1, 0, 0, NULL, NULL, 0, 0, '', '', 0, 1 FROM spaces;
INSERT INTO requests SELECT 901, id, 'orphan too', 999, 0, 0, 1, 0, 0, NULL, NULL, 0, 0, '', '', 0, 1 FROM spaces;
INSERT INTO wants SELECT id, 'lock', 1, 0, 1, 900, 0, 0 FROM spaces;
INSERT INTO wants SELECT id, 'lock', 0, -9999, 1, 901, 0, 0 FROM spaces;
INSERT INTO wants SELECT id, 'lock', 0, -9999, 2, 990, 0, 0 FROM spaces;
INSERT INTO wants SELECT id, x'00', 0, 'text', 'text', 'text', 0, 0 FROM spaces;
INSERT INTO past SELECT id, 'lock', 999, 1 FROM spaces;
INSERT INTO verdicts SELECT 1, s.id, n.name, 998, 999, n.counter, 999, '', '' FROM spaces s JOIN names n;
INSERT INTO losses VALUES (999, 1, '', '', 1, '');
INSERT INTO events SELECT id, 0, 0, x'00', 'sender', 'no blob' FROM topics;
INSERT INTO signals SELECT 900, id, 'lost', 'bob', 1, 'ann', 'note', 99999, 0, 1152921504606846976, NULL, NULL, 0
  FROM spaces;
INSERT INTO signals SELECT 901, id, x'00', 'bob', 2, x'00', 'note', 99999, 0, 1, NULL, NULL, 0 FROM spaces;
INSERT INTO signals SELECT 902, id, 'no blob', 'bob', 3, 'ann', 'note', 998, 0, 1152921504606846976, NULL, NULL, 0
  FROM spaces;
INSERT INTO bodies SELECT 998, id, 'many', 'text' FROM spaces;
INSERT INTO cursors SELECT id, x'00', x'00', 1, 1 FROM spaces;
INSERT INTO entries SELECT 900, id, x'00ff', 1, 1, NULL, 0, NULL, 'x', x'31' FROM spaces;
INSERT INTO entries SELECT 901, id, CAST('a' AS BLOB), 1, 1, NULL, 0, NULL, 'x', 'no blob' FROM spaces;
INSERT INTO entries SELECT 902, id, CAST('b' AS BLOB), 1, 1, NULL, 0, 999, 'x', x'31' FROM spaces;
INSERT INTO fences SELECT 900, id, x'00', 1, 1 FROM spaces;
INSERT INTO stretches SELECT id, -5, -5 FROM spaces;
INSERT INTO tasks SELECT 900, id, 'lost', 'work', 'b', '', 0, -9999, 1, 3, 0, 0, 0, 0, 0, 0, NULL, '', NULL, NULL, 0, 0,
  '', '', 0 FROM spaces;
INSERT INTO tasks SELECT 901, id, 'no blob', 'work', 'b', '', 0, -9999, 2, 3, 0, 0, 0, 0, 0, 0, NULL, '', NULL, NULL, 0,
  0, '', '', 0 FROM spaces;
INSERT INTO tasks SELECT 902, id, x'00ff', x'00', x'00', '', 4, 0, 3, 3, 0, 0, 0, 0, 0, 0, 999, x'00', '', 1, 1, 0, '',
  x'00', 'whose' FROM spaces;
INSERT INTO payloads VALUES (901, 'text'), (999, x'31');
DELETE FROM payloads WHERE task IN (SELECT id FROM tasks WHERE task_id = 'a task that loses its payload');
INSERT INTO needs SELECT id, 'nobody', 999 FROM spaces;
INSERT INTO bereaved SELECT 900, id, 'nobody', 4 FROM spaces;
INSERT INTO task_counts SELECT id, 0, x'00ff', 1, 1, 1, 1, 1, 1, 1, 1 FROM spaces;
INSERT INTO task_ends SELECT 900, id, 0, x'00', 'work', '', 4, 'many', 0, 0, '', 'no blob' FROM spaces;
INSERT INTO claimants SELECT 1, id, 'work', 'nobody', 999, '' FROM spaces;
INSERT INTO task_wakes VALUES (999, 'nobody', 1);
"""


class TestSpoiledRows(CorruptRecordSteps):
    @pytest.fixture
    def make_backend(self, tmp_path: Path) -> MakeBackend:
        return lambda namespace: SqliteBackend(tmp_path / "c.db", namespace)

    @pytest.fixture
    def spoil(self, tmp_path: Path) -> Callable[[Backend], None]:
        def spoil(_: Backend) -> None:
            with sqlite3.connect(tmp_path / "c.db") as other:
                other.executescript(GARBAGE)
            other.close()

        return spoil


@pytest.mark.parametrize("column", ["started_ms", "due_us", "ttl_ms", "interval_ms", "version"])
def test_what_orders_sessions_cannot_be_spoiled_by_text(tmp_path: Path, column: str) -> None:
    backend = SqliteBackend(tmp_path / "c.db", "space")
    join(backend, "ann")
    other = sqlite3.connect(tmp_path / "c.db")
    with pytest.raises(sqlite3.IntegrityError):
        other.execute(f"UPDATE sessions SET {column} = 'soon'")  # noqa: S608
    other.close()
    backend.close()


def count(backend: SqliteBackend, table: str) -> int:
    sql = f"SELECT count(*) FROM {table}"  # noqa: S608
    return int(backend._runner.read("count", lambda step: step.one(sql)[0]).run(5))


@rule("X4")
def test_ended_ids_are_remembered_for_90_s_and_no_longer_than_needed(tmp_path: Path) -> None:
    clock = SetClock()
    backend = SqliteBackend(tmp_path / "c.db", "space", clock=clock)
    ann = join(backend, "ann", ttl=10_000)
    for request in (requests := [want(ann) for _ in range(50)]):
        ask(backend, request)
        assert free(backend, request)
    clock.mono += 90_000_000
    assert isinstance(ask(backend, requests[-1]), Ended)
    assert free(backend, requests[-1])
    clock.mono += 1
    for _ in range(20):
        request = want(ann)
        ask(backend, request)
        assert free(backend, request)
    assert count(backend, "ended") <= 20
    backend.close()


@rule("X4")
def test_ended_ids_are_bounded_in_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "MEMORY_ROWS", 30)
    backend = SqliteBackend(tmp_path / "c.db", "space")
    ann = join(backend, "ann")
    requests = [want(ann) for _ in range(100)]
    for request in requests:
        ask(backend, request)
        assert free(backend, request)
    assert count(backend, "ended") <= 30
    assert free(backend, requests[-30])
    assert not free(backend, requests[0])
    backend.close()


def test_nothing_of_a_session_or_a_name_remains_when_all_have_left(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "c.db", "space")
    ann, bob = join(backend, "ann"), join(backend, "bob")
    for number in range(20):
        ask(backend, want(ann, f"name{number}"))
        ask(backend, want(bob, f"name{number}", wait=True))
    for session in (ann, bob):
        assert backend.presence.depart(session).run(5)
    tables = ("sessions", "records", "requests", "wants", "names", "past", "losses", "verdicts")
    assert {table: count(backend, table) for table in tables} == dict.fromkeys(tables, 0)
    backend.close()


def test_a_sessions_past_claims_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comity_sqlite.queue.PAST_PER_SESSION", 10)
    backend = SqliteBackend(tmp_path / "c.db", "space")
    ann = join(backend, "ann")
    for number in range(30):
        request = want(ann, f"name{number}")
        ask(backend, request)
        free(backend, request)
    assert count(backend, "past") == count(backend, "names") == 10
    for number in range(20):
        other = join(backend, f"other{number}")
        request = want(other, "name29")
        ask(backend, request)
        free(backend, request)
    assert count(backend, "past WHERE name = 'name29'") == 16
    backend.close()


def effort(backend: SqliteBackend, perform: Callable[[], object]) -> int:
    """Return how many bytecode steps of SQLite's, in hundreds, a step of ours takes."""
    connection = backend._runner._idle[-1]  # the one that the next step takes
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    connection.set_progress_handler(tick, 100)
    perform()
    connection.set_progress_handler(None, 100)
    return ticks


@rule("E1", "B2")
def test_old_events_of_topics_nobody_publishes_to_are_trimmed_and_the_librarys_own_are_not(tmp_path: Path) -> None:
    clock = SetClock()
    backend = SqliteBackend(tmp_path / "c.db", "space", clock=clock)
    for topic in ("old", "older"):
        for _ in range(3):
            publish(backend, topic)
    join(backend, "ann")
    clock.wall += 100_000_000
    publish(backend, "old")
    assert backend.pubsub.trim(50_000, 4).run(5) == 4
    assert backend.pubsub.trim(50_000, 4).run(5) == 2
    assert backend.pubsub.trim(50_000, 4).run(5) == 0
    slices = backend.pubsub.read(dict.fromkeys(("old", "older", SYSTEM_TOPIC), TopicPosition(0, 0)), 10).run(5)
    assert [(part.first, part.last, len(part.events)) for part in slices] == [(4, 4, 1), (4, 3, 0), (1, 1, 1)]
    assert publish(backend, "older") == 4
    backend.close()


@rule("S6")
def test_a_heartbeat_costs_the_same_whatever_is_held(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "c.db", "space")
    ann = join(backend, "ann")

    def beat() -> None:
        backend.presence.heartbeat(ann, 0).run(5)

    before = effort(backend, beat)
    for number in range(500):
        assert isinstance(ask(backend, want(ann, f"name{number}")), Granted)
    assert effort(backend, beat) <= before + 1
    backend.close()


@rule("S4")
def test_an_unchanged_membership_is_cheap_however_many_live(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "c.db", "space")
    for number in range(300):
        join(backend, f"agent{number}")
    version = backend.presence.members(None).run(5).version
    assert effort(backend, lambda: backend.presence.members(version).run(5)) <= 2
    assert backend.presence.members(version).run(5).sessions is None
    publish(backend, "news")
    assert backend.presence.members(version).run(5).sessions is None
    backend.close()
