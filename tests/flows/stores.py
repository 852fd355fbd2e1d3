"""The stores that flow tests run on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.model import ModelBackend
from comity_fakeredis import FakeRedisBackend
from comity_redis import RedisBackend
from comity_sqlite import SqliteBackend

if TYPE_CHECKING:
    from pathlib import Path

    from comity.testing.kit.stage import MakeBackend
    from tests.servers import Servers

EACH_KIND = ["sqlite", "redis 7.0"]
FAKE = pytest.param("fakeredis", marks=pytest.mark.slow)
OTHERS = [FAKE, *(pytest.param(f"redis {version}", marks=pytest.mark.slow) for version in ("6.2", "8.2"))]
"""Flows do not see which server performs their steps, and the steps are played on all: these are for the slow run."""


def opener(kind: str, folder: Path, servers: Servers) -> MakeBackend:
    """Return a function that opens a backend on a store of this kind."""
    name, _, version = kind.partition(" ")
    if name == "redis":
        url = servers.shared(version).url
        return lambda namespace: RedisBackend.from_url(url, namespace)
    if name == "fakeredis":
        return lambda namespace: FakeRedisBackend.from_url("fakeredis://flows", namespace)
    if name == "sqlite":
        return lambda namespace: SqliteBackend(folder / "comity.db", namespace)
    return lambda namespace: ModelBackend(str(folder), namespace)


class OnEveryStore:
    """All that Comity runs on."""

    @pytest.fixture(params=["model", *EACH_KIND, *OTHERS])
    def make_backend(self, request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Servers) -> MakeBackend:
        return opener(request.param, tmp_path, redis_servers)


class OnServers:
    """An in-process server and a real one: for rules that the model and the file are held to by `FlowContract`."""

    @pytest.fixture(params=[FAKE, "redis 7.0"])
    def make_backend(self, request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Servers) -> MakeBackend:
        return opener(request.param, tmp_path, redis_servers)


class OnEachKind:
    """A file and a server: for rules that hold above the steps, and for those that take time."""

    @pytest.fixture(params=EACH_KIND)
    def make_backend(self, request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Servers) -> MakeBackend:
        return opener(request.param, tmp_path, redis_servers)
