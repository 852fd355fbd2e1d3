"""One coordinator and many threads or tasks, on every store."""

from __future__ import annotations

from comity.testing.kit._async.flows_crowded import AsyncCrowdedFlows
from comity.testing.kit._sync.flows_crowded import CrowdedFlows
from tests.flows.stores import OnEveryStore


class TestCrowded(OnEveryStore, CrowdedFlows):
    pass


class TestAsyncCrowded(OnEveryStore, AsyncCrowdedFlows):
    pass
