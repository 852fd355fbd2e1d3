"""How far a step looks, where the rest of the namespace could make it look for ever."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING

import pytest

from comity.model import Announcement, Deadlocked, LockRequest, Mode, Queued, SessionInfo, SessionRef, Want
from comity_redis import RedisBackend
from comity_sqlite import SqliteBackend

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

    def ask(self, name: str, flow: str, mode: Mode = Mode.EXCLUSIVE) -> Answer:
        """Ask for a name, and wait for it if need be."""
        wants = (Want(name, mode),)
        request = LockRequest(f"r{next(self._ids)}", self.session, wants, flow=flow, wait=True, max_held=10_000)
        return self.backend.locks.acquire(request).run(5.0)


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
