"""The stores that process tests run on, and processes that are gone afterwards for certain."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

import comity
from tests.processes.harness import Crew, Pool
from tests.processes.history import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Servers

STORES = [
    "sqlite",
    "redis 7.0",
    pytest.param("redis 6.2", marks=pytest.mark.slow),
    pytest.param("redis 8.2", marks=pytest.mark.slow),
]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    """Which store the test runs on."""
    name: str = request.param
    return name


@pytest.fixture
def url(store: str, tmp_path: Path, redis_servers: Servers) -> str:
    """Its URL."""
    kind, _, version = store.partition(" ")
    return f"sqlite:///{tmp_path / 'comity.db'}" if kind == "sqlite" else redis_servers.shared(version).url


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Processes that await a session."""
    pool = Pool()
    yield pool
    pool.close()


@pytest.fixture
def crew(pool: Pool, url: str) -> Iterator[Crew]:
    """The processes of the test."""
    crew = Crew(pool, url, f"processes-{uuid.uuid4().hex}")
    yield crew
    crew.close()


@pytest.fixture
def observer(crew: Crew) -> Iterator[comity.Coordinator]:
    """A session of the test's own process."""
    with comity.connect(crew.url, namespace=crew.namespace, agent_id="observer", session_ttl=30.0) as me:
        yield me


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """What the lock guards."""
    (tmp_path / "place").mkdir()
    with Place(tmp_path / "place") as place:
        yield place
