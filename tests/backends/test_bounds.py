"""How far a step looks, where the rest of the namespace could make it look for ever."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING

import pytest

from comity.model import Announcement, Deadlocked, LockRequest, Mode, Queued, SessionInfo, SessionRef, Want
from comity_redis import RedisBackend
from comity_sqlite import SqliteBackend, deadlock, processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from comity.model import Answer
    from comity.ports import Backend
    from tests.servers import Server


@pytest.fixture(params=["sqlite", "redis"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    if request.param == "sqlite":
        backend: Backend = SqliteBackend(tmp_path / "comity.db", "bounds")
    else:
        server: Server = request.getfixturevalue("redis_server")
        backend = RedisBackend.from_url(server.url, f"bounds-{secrets.token_hex(6)}")
    yield backend
    backend.drop().run(5.0)
    backend.close()


class Locks:
    """One session's locks, each request of a flow of its own choosing."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.session = SessionRef("ann", secrets.token_hex(8))
        backend.presence.announce(Announcement(self.session, SessionInfo("ann"))).run(5.0)
        self._ids = itertools.count(1)

    def ask(self, name: str, flow: str = "", mode: Mode = Mode.EXCLUSIVE, listener: str = "") -> Answer:
        """Ask for a name, and wait for it if need be."""
        wants, request_id = (Want(name, mode),), f"r{next(self._ids)}"
        request = LockRequest(request_id, self.session, wants, flow=flow, wait=True, max_held=10_000, listener=listener)
        return self.backend.locks.acquire(request).run(5.0)

    def hand_on(self, name: str) -> str:
        """Release what holds a name; return the request that holds it then."""
        (holder,) = self.backend.locks.view(name).run(5.0).holders
        self.backend.locks.release(self.session, holder.request_id).run(5.0)
        (holder,) = self.backend.locks.view(name).run(5.0).holders
        return holder.request_id


@pytest.mark.parametrize(("length", "found"), [(300, True), (400, False)])
def test_a_cycle_is_looked_for_a_thousand_pairs_far(backend: Backend, length: int, found: bool) -> None:
    """Each flow waits for three readers, of whom the last waits on."""
    locks = Locks(backend)
    for number in range(length):
        for flow in (f"reader {number}", f"another {number}", f"flow {number}"):
            locks.ask(f"name {number}", flow, Mode.SHARED)
    for number in range(1, length):
        assert isinstance(locks.ask(f"name {number}", f"flow {number - 1}"), Queued)
    answer = locks.ask("name 0", f"flow {length - 1}")
    assert isinstance(answer, Deadlocked if found else Queued)
    if isinstance(answer, Deadlocked):
        assert len(answer.cycle) == length


def test_a_long_line_in_which_nobody_waits_in_vain_is_gone_through_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()
    drop = deadlock._drop_those_that_end
    monkeypatch.setattr(deadlock, "_drop_those_that_end", lambda waits, flow: (drop(waits, flow), next(looks))[0])
    backend = SqliteBackend(tmp_path / "comity.db", "bounds")
    locks, length = Locks(backend), 40
    for number in range(length):
        locks.ask("name", f"flow {number}")
    locks.ask("another name", "a flow that holds something")
    before = next(looks)
    assert isinstance(locks.ask("name", "a flow that holds something"), Queued)
    assert next(looks) - before - 1 == 2 * length
    backend.close()


def test_at_most_eight_listeners_are_found_gone_in_a_step(backend: Backend) -> None:
    locks, space = Locks(backend), processes.new_address().split(":")[2]
    for length in (8, 9):
        name = f"behind {length} dead processes"
        locks.ask(name)
        for number in range(length):
            locks.ask(name, listener=f"{2**30 + number}:1:{space}:1")  # no such process, no such channel
        locks.ask(name)
        waiting = [contender.request_id for contender in backend.locks.view(name).run(5.0).contenders]
        # Of more dead ones than it looks for, the first that it did not look for counts as there.
        assert locks.hand_on(name) == waiting[8]
