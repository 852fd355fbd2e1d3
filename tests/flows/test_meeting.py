"""How sessions meet, on every kind of store and in both colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit._async.flows_meeting import AsyncMeetingFlows
from comity.testing.kit._sync.flows_meeting import MeetingFlows
from comity.testing.model import ModelBackend
from comity_fakeredis import FakeRedisBackend
from comity_redis import RedisBackend
from comity_sqlite import SqliteBackend

if TYPE_CHECKING:
    from pathlib import Path

    from comity.testing.kit.stage import MakeBackend
    from tests.servers import Servers

STORES = ["model", "fakeredis", "sqlite", "redis 6.2", "redis 7.0", "redis 8.2"]


class OnEveryStore:
    @pytest.fixture(params=STORES)
    def make_backend(self, request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Servers) -> MakeBackend:
        kind, _, version = request.param.partition(" ")
        if kind == "redis":
            url = redis_servers.shared(version).url
            return lambda namespace: RedisBackend.from_url(url, namespace)
        if kind == "fakeredis":
            return lambda namespace: FakeRedisBackend.from_url("fakeredis://meeting", namespace)
        if kind == "sqlite":
            return lambda namespace: SqliteBackend(tmp_path / "comity.db", namespace)
        return lambda namespace: ModelBackend(str(tmp_path), namespace)


class TestMeeting(OnEveryStore, MeetingFlows):
    pass


class TestAsyncMeeting(OnEveryStore, AsyncMeetingFlows):
    pass
