"""The stores that process tests run on, and workers that are gone afterwards for certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import comity
from tests.processes.harness import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Servers

STORES = [
    "sqlite",
    "redis 7.0",
    pytest.param("redis 6.2", marks=pytest.mark.slow),
    pytest.param("redis 8.2", marks=pytest.mark.slow),
]


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Servers) -> str:
    """The URL of a store that is empty."""
    kind, _, version = request.param.partition(" ")
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'comity.db'}"
    server = redis_servers.shared(version)
    with server.client() as client:
        client.flushall()
    return server.url


@pytest.fixture
def start(url: str) -> Iterator[Callable[..., Worker]]:
    """Start a worker that has joined: ``start("ann", ttl=1.0)``."""
    workers: list[Worker] = []

    def started(agent_id: str, ttl: float = 30.0) -> Worker:
        worker = Worker(url)
        workers.append(worker)
        assert "pid" in worker.do("join", agent_id=agent_id, session_ttl=ttl)
        return worker

    yield started
    for worker in workers:
        worker.kill()


@pytest.fixture
def observer(url: str) -> Iterator[comity.Coordinator]:
    """A session of the test's own process."""
    with comity.connect(url, namespace="processes", agent_id="observer", session_ttl=30.0) as me:
        yield me
