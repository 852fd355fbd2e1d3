"""The rules about steps on every supported version of Redis.

Colour is the client's business and the version the server's: both colours are played on one version, and one colour on
the others; all of it in the slow run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit import StepContract
from comity_redis import RedisBackend
from tests.servers import DEFAULT_VERSION, REDIS_VERSIONS

if TYPE_CHECKING:
    from comity.testing.kit.stage import MakeBackend
    from tests.servers import Server, Servers

OTHERS = [version for version in REDIS_VERSIONS if version != DEFAULT_VERSION]


class TestRedis(StepContract):
    @pytest.fixture
    def make_backend(self, redis_server: Server) -> MakeBackend:
        return lambda namespace: RedisBackend.from_url(redis_server.url, namespace)


class TestOtherVersions(StepContract):
    @pytest.fixture(params=OTHERS)
    def make_backend(self, request: pytest.FixtureRequest, redis_servers: Servers) -> MakeBackend:
        url = redis_servers.shared(request.param).url
        return lambda namespace: RedisBackend.from_url(url, namespace)

    @pytest.fixture
    def colour(self) -> str:
        return "sync"


@pytest.mark.slow
class TestOtherVersionsInAsyncio(TestOtherVersions):
    @pytest.fixture
    def colour(self) -> str:
        return "async"
