"""The rules about steps on every supported version of Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit import StepContract
from comity_redis import RedisBackend

if TYPE_CHECKING:
    from comity.testing.kit.stage import MakeBackend
    from tests.servers import Server


class TestRedis(StepContract):
    @pytest.fixture
    def make_backend(self, each_redis: Server) -> MakeBackend:
        return lambda namespace: RedisBackend.from_url(each_redis.url, namespace)
