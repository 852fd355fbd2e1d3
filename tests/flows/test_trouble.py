"""Lost steps, outages and closing, in both colours, on a store of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit._async.flows_trouble import AsyncTroubleFlows
from comity.testing.kit._sync.flows_trouble import TroubleFlows
from comity_redis import RedisBackend
from comity_sqlite import SqliteBackend

if TYPE_CHECKING:
    from pathlib import Path

    from comity.testing.kit.stage import MakeBackend
    from tests.servers import Servers


class OnEachKind:
    @pytest.fixture(params=["sqlite", "redis"])
    def make_backend(self, request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Servers) -> MakeBackend:
        if request.param == "redis":
            url = redis_servers.shared().url
            return lambda namespace: RedisBackend.from_url(url, namespace)
        return lambda namespace: SqliteBackend(tmp_path / "comity.db", namespace)


class TestTrouble(OnEachKind, TroubleFlows):
    pass


class TestAsyncTrouble(OnEachKind, AsyncTroubleFlows):
    pass
