"""The rules about steps behind Sentinels and on a cluster: those about queues always, the others when there is time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit import QueueSteps, StepContract
from comity_redis import RedisBackend
from tests.servers import REDIS_VERSIONS
from tests.topologies import GROUPS

if TYPE_CHECKING:
    from comity.testing.kit.stage import MakeBackend
    from tests.servers import Servers

EVERY = [f"{kind} {version}" for kind in GROUPS for version in REDIS_VERSIONS]
FEW = ["sentinel 7.0", "cluster 7.0"]


def opener(store: str, servers: Servers) -> MakeBackend:
    """Return what opens a namespace on the shared servers of this kind and version."""
    kind, _, version = store.partition(" ")
    url = servers.group(GROUPS[kind], version).url
    return lambda namespace: RedisBackend.from_url(url, namespace)


class TestQueuesOnTopologies(QueueSteps):
    @pytest.fixture(params=FEW)
    def make_backend(self, request: pytest.FixtureRequest, redis_servers: Servers) -> MakeBackend:
        return opener(request.param, redis_servers)


@pytest.mark.slow
class TestTopologies(StepContract):
    @pytest.fixture(params=EVERY)
    def make_backend(self, request: pytest.FixtureRequest, redis_servers: Servers) -> MakeBackend:
        return opener(request.param, redis_servers)
